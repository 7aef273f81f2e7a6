"""A desktop's picture over HTTP: the real route, a guest that counts what it is asked."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.routes import screenshot
from gateway.sessions.session import Session
from guest_agent.protocol.stream import SCREEN_PORT, decode_head, encode_head
from tests.contract.api import Api

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
JPEG = b"\xff\xd8\xff\xe0" + bytes(64)


class Camera:
    """The guest's service, with pictures of the test's own."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.digest = "0" * 32
        self.data: dict[str, bytes] = {"png": PNG, "jpeg": JPEG}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = decode_head(await reader.readuntil(b"\n"))
        self.asked.append(head)
        data = b"" if head["known"] == self.digest else self.data[str(head["kind"])]
        answer = {"digest": self.digest, "width": 2, "height": 2, "length": len(data)}
        writer.write(encode_head(answer) + data)
        await writer.drain()
        writer.close()


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
async def session(api: Api, camera: Camera) -> Session:
    session = await api.stage.ready()
    api.stage.dataplane.lans[session.id].ports[SCREEN_PORT] = camera.serve
    return session


def url(session: Session, query: str = "") -> str:
    return f"/v1/sessions/{session.id}/screenshot{query}"


async def test_png_unless_jpeg_is_asked_for(api: Api, session: Session, camera: Camera) -> None:
    answer = await api.call("GET", url(session), 200)
    assert (answer.content_type, await answer.read()) == ("image/png", PNG)
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    answer = await api.call("GET", url(session, "?format=jpeg&width=320"), 200)
    assert (answer.content_type, await answer.read()) == ("image/jpeg", JPEG)
    assert [(head["kind"], head["width"]) for head in camera.asked] == [("png", 0), ("jpeg", 320)]


async def test_however_many_ask_a_guest_makes_one(api: Api, session: Session, camera: Camera) -> None:
    answers = await asyncio.gather(*(api.call("GET", url(session), 200) for _ in range(8)))
    assert {await answer.read() for answer in answers} == {PNG}
    assert len(camera.asked) == 1


async def test_a_later_one_is_asked_for_by_what_is_known(
    api: Api, session: Session, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screenshot, "FRESH_S", 0.0)
    first = await api.call("GET", url(session), 200)
    again = await api.call("GET", url(session), 200)
    assert await again.read() == PNG
    assert [head["known"] for head in camera.asked] == ["", camera.digest]
    await api.call("GET", url(session), 304, headers={"If-None-Match": first.headers["ETag"]})
    camera.digest, camera.data["png"] = "1" * 32, PNG + b"new"
    another = await api.call("GET", url(session), 200, headers={"If-None-Match": first.headers["ETag"]})
    assert await another.read() == PNG + b"new"


async def test_kinds_and_sizes_are_kept_in_bounds(api: Api, session: Session, camera: Camera) -> None:
    for width in (100, 200, 300, 400, 500, 100):
        await api.call("GET", url(session, f"?width={width}"), 200)
    assert [head["width"] for head in camera.asked] == [100, 200, 300, 400, 500, 100]


async def test_it_holds_no_session_awake(api: Api, session: Session) -> None:
    before = session.busy_at
    await api.call("GET", url(session), 200)
    assert session.busy_at == before


@pytest.mark.parametrize("query", ["?width=x", "?width=-1", "?width=9999", "?format=gif", "?width=٣"])
async def test_what_makes_no_sense_is_refused(api: Api, session: Session, camera: Camera, query: str) -> None:
    await api.refused("GET", url(session, query), 400, "bad-request", headers=api.admin)
    assert camera.asked == []


async def test_who_may(api: Api, session: Session) -> None:
    await api.call("GET", url(session), 200, headers=api.viewer(session, "view"))
    await api.refused("GET", url(session), 401, "unauthorized")
    other = await api.stage.ready()
    await api.refused("GET", url(session), 403, "forbidden", headers=api.viewer(other))


@pytest.mark.parametrize("digest", ["../" * 10, "0" * 31, ""])
async def test_a_guest_is_not_believed(api: Api, session: Session, camera: Camera, digest: str) -> None:
    camera.digest = digest
    await api.refused("GET", url(session), 502, "guest-service", headers=api.admin)


async def test_a_picture_that_is_none_is_refused(api: Api, session: Session, camera: Camera) -> None:
    camera.data["png"] = b"<svg onload='alert(1)'/>"
    problem = await api.refused("GET", url(session), 502, "guest-service", headers=api.admin)
    assert "svg" not in json.dumps(problem)


async def test_only_while_it_is_ready(api: Api, session: Session, camera: Camera) -> None:
    session.suspend()
    await api.refused("GET", url(session), 409, "conflict", headers=api.admin)
    assert camera.asked == []
