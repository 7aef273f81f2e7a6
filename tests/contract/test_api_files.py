"""Files over HTTP: the real route and the real file service, a fake machine between them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from guest_agent.protocol.stream import FILES_PORT, encode_head
from tests.contract.api import Api
from tests.file_service import bridge, file_service
from tests.sessions import turns_until, until


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def service(home: Path) -> Iterator[int]:
    with file_service(home) as port:
        yield port


@pytest.fixture
async def session(api: Api, service: int) -> Session:
    session = await api.stage.ready()
    api.stage.dataplane.lans[session.id].ports[FILES_PORT] = bridge(service)
    return session


def url(session: Session, path: str) -> str:
    return f"/v1/sessions/{session.id}/files/{path}"


def left_in(home: Path) -> list[str]:
    return os.listdir(home)


async def test_a_file_goes_up_and_comes_down_the_same(api: Api, session: Session, home: Path) -> None:
    data = os.urandom(1_000_000)
    answer = await api.call("PUT", url(session, "Downloads/my%20f%C3%BCr.bin"), 201, data=data)
    body = await answer.json()
    assert (body["name"], body["size"], body["kind"]) == ("my für.bin", len(data), "file")
    assert (home / "Downloads/my für.bin").read_bytes() == data

    answer = await api.call("GET", url(session, "Downloads/my%20f%C3%BCr.bin"), 200)
    assert await answer.read() == data
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''my%20f%C3%BCr.bin"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    await api.call("PUT", url(session, "Downloads/my%20f%C3%BCr.bin"), 200, data=b"less")
    answer = await api.call("HEAD", url(session, "Downloads/my%20f%C3%BCr.bin"), 200)
    assert answer.headers["Content-Length"] == "4"
    await api.call("DELETE", url(session, "Downloads/my%20f%C3%BCr.bin"), 204)
    assert list((home / "Downloads").iterdir()) == []


@pytest.mark.parametrize(
    ("wanted", "status", "found", "range_"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_ranges(
    api: Api, session: Session, home: Path, wanted: str, status: int, found: bytes, range_: str | None
) -> None:
    (home / "file").write_bytes(b"0123456789")
    answer = await api.call("GET", url(session, "file"), status, headers={"Range": wanted})
    assert (await answer.read(), answer.headers.get("Content-Range")) == (found, range_)


async def test_a_range_of_a_file_that_has_changed_is_all_of_it(api: Api, session: Session, home: Path) -> None:
    (home / "file").write_bytes(b"0123456789")
    known = (await api.call("HEAD", url(session, "file"), 200)).headers["ETag"]
    part = {"Range": "bytes=2-4", "If-Range": known}
    assert await (await api.call("GET", url(session, "file"), 206, headers=part)).read() == b"234"
    (home / "file").write_bytes(b"another file")
    assert await (await api.call("GET", url(session, "file"), 200, headers=part)).read() == b"another file"
    problem = await api.client.get(url(session, "file"), headers={**api.admin, "Range": "bytes=40-"})
    assert (problem.status, problem.headers["Content-Range"]) == (416, "bytes */12")


async def test_a_listing(api: Api, session: Session, home: Path) -> None:
    (home / "Downloads").mkdir()
    (home / "Downloads/b").write_bytes(b"12345")
    (home / "Downloads/a").mkdir()
    listing = await (await api.call("GET", url(session, "Downloads/"), 200)).json()
    rows = [(row["name"], row["kind"], row["size"]) for row in listing["files"]]
    assert (listing["path"], rows) == ("Downloads", [("a", "directory", 0), ("b", "file", 5)])
    listing = await (await api.call("GET", url(session, ""), 200)).json()
    assert [row["name"] for row in listing["files"]] == ["Downloads"]


@pytest.mark.parametrize(
    "path", ["../secret", "%2e%2e/secret", "a/..%2f..%2fsecret", "%2fetc%2fpasswd", "a%00b", "./secret", "a//b"]
)
async def test_no_path_leaves_the_home(api: Api, session: Session, path: str) -> None:
    where = URL(f"http://{api.client.host}:{api.client.port}{url(session, path)}", encoded=True)
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await api.client.session.request(
            method, where, headers=api.admin, data=b"x" if method == "PUT" else None
        )
        assert answer.status in (400, 404, 405), await answer.text()
        assert await answer.text() != "secret"


async def test_no_link_leaves_the_home(api: Api, session: Session, home: Path) -> None:
    (home / "way").symlink_to("..")
    await api.refused("GET", url(session, "way/secret"), 403, "forbidden", headers=api.admin)
    await api.refused("PUT", url(session, "way/new"), 403, "forbidden", headers=api.admin, data=b"x")
    assert not (home.parent / "new").exists()


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "nothing", 404, "not-found"),
        ("GET", "folder", 409, "conflict"),
        ("GET", "file/", 409, "conflict"),
        ("GET", "pipe", 409, "conflict"),
        ("PUT", "folder", 409, "conflict"),
        ("DELETE", "folder", 409, "conflict"),
        ("DELETE", "nothing", 404, "not-found"),
    ],
)
async def test_what_cannot_be_done_says_why(
    api: Api, session: Session, home: Path, method: str, path: str, status: int, kind: str
) -> None:
    (home / "folder").mkdir()
    (home / "file").write_bytes(b"x")
    os.mkfifo(home / "pipe")
    data = b"x" if method == "PUT" else None
    await api.refused(method, url(session, path), status, kind, headers=api.admin, data=data)


async def test_a_file_is_not_replaced_by_one_that_must_be_new(api: Api, session: Session, home: Path) -> None:
    new = {**api.admin, "If-None-Match": "*"}
    await api.call("PUT", url(session, "file"), 201, data=b"one", headers={"If-None-Match": "*"})
    await api.refused("PUT", url(session, "file"), 412, "already-there", headers=new, data=b"two")
    assert (home / "file").read_bytes() == b"one"


async def test_the_size_is_said_and_bounded(api: Api, session: Session, home: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"

    await api.refused("PUT", url(session, "f"), 411, "length-required", headers=api.admin, data=endless())
    most = {**api.admin, "Content-Length": str(api.services.max_upload_bytes + 1)}
    await api.refused("PUT", url(session, "f"), 413, "too-large", headers=most)
    space = os.statvfs(home)
    if (too_much := space.f_bavail * space.f_frsize) <= api.services.max_upload_bytes:
        await api.refused(
            "PUT", url(session, "f"), 507, "guest-disk-full", headers={**api.admin, "Content-Length": str(too_much)}
        )
    assert left_in(home) == []


@pytest.mark.parametrize(
    ("switch", "role", "up", "down"),
    [
        ("both", "control", True, True),
        ("upload", "control", True, False),
        ("download", "control", False, True),
        ("off", "control", False, False),
        ("both", "view", False, False),
    ],
)
async def test_who_may(api: Api, session: Session, home: Path, switch: str, role: Any, up: bool, down: bool) -> None:
    (home / "file").write_bytes(b"x")
    await api.call("PATCH", f"/v1/sessions/{session.id}", 200, json={"files": switch})
    viewer = api.viewer(session, role)
    for method, may, data in (("PUT", up, b"x"), ("GET", down, None), ("HEAD", down, None), ("DELETE", up, None)):
        answer = await api.client.request(method, url(session, "file"), headers=viewer, data=data)
        assert (answer.status < 300) is may, (method, answer.status)
        if not may:
            assert answer.status == 403
    # Who has the key needs no switch.
    await api.call("PUT", url(session, "file"), 200 if not up else 201, data=b"y")


async def test_another_sessions_token_and_none_at_all(api: Api, session: Session) -> None:
    other = await api.stage.ready()
    await api.refused("GET", url(session, "f"), 403, "forbidden", headers=api.viewer(other))
    await api.refused("PUT", url(session, "f"), 401, "unauthorized", data=b"x")


async def test_a_session_made_with_its_switches_shows_and_keeps_them(api: Api) -> None:
    made = await (
        await api.call("POST", "/v1/sessions", 201, json={"files": "upload", "clipboard": "to_guest"})
    ).json()
    assert (made["files"], made["clipboard"]) == ("upload", "to_guest")
    session = api.stage.manager.get(made["id"])
    await until(session, State.READY)
    assert api.stage.store.kept_sessions[session.id].sharing == session.sharing
    guest = api.stage.vm(session).guest
    assert guest.assigned is not None
    assert guest.assigned["clipboard"] == "to_guest"
    await api.call("PATCH", f"/v1/sessions/{session.id}", 200, json={"clipboard": "off"})
    assert ("clipboard", {"policy": "off"}) in guest.calls
    await api.refused(
        "PATCH", f"/v1/sessions/{session.id}", 400, "bad-request", headers=api.admin, json={"files": "some"}
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"[]\n",
        b"x" * 100_000,
        encode_head({"size": -1, "start": 0, "length": 0, "mtime_ns": 0}),
        encode_head({"size": "9", "start": 0, "length": 0, "mtime_ns": 0}),
        encode_head({"size": 9, "start": 0, "length": 10, "mtime_ns": 0}),
        encode_head({"size": 9, "start": 0, "length": 9, "mtime_ns": None}),
        encode_head({"error": "made up", "message": "x" * 10_000}),
    ],
)
async def test_a_guest_that_speaks_nonsense(api: Api, answer: bytes) -> None:
    session = await api.stage.ready()

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)

    api.stage.dataplane.lans[session.id].ports[FILES_PORT] = nonsense
    await api.refused("GET", url(session, "f"), 502, "guest-service", headers=api.admin)


@pytest.mark.parametrize("rows", [[["a", "file", 1]], [["a", "what", 1, 1]], {"a": 1}, [["a", "file", -1, 1]], "x"])
async def test_a_listing_of_nonsense(api: Api, rows: object) -> None:
    session = await api.stage.ready()

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        body = json.dumps(rows).encode()
        writer.write(encode_head({"length": len(body), "truncated": False}) + body)

    api.stage.dataplane.lans[session.id].ports[FILES_PORT] = nonsense
    await api.refused("GET", url(session, "f/"), 502, "guest-service", headers=api.admin)


async def test_a_guest_without_the_service(api: Api) -> None:
    session = await api.stage.ready()
    problem = await api.refused("GET", url(session, "f"), 502, "guest-service", headers=api.admin)
    assert "fenster build" in problem["hint"]


async def test_a_download_that_ends_early_is_cut_off_and_never_looks_whole(api: Api) -> None:
    session = await api.stage.ready()

    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(encode_head({"size": 100, "start": 0, "length": 100, "mtime_ns": 0}) + b"x" * 50)

    api.stage.dataplane.lans[session.id].ports[FILES_PORT] = short
    answer = await api.client.get(url(session, "f"), headers=api.admin)
    assert answer.status == 200
    with pytest.raises(Exception, match="payload"):
        await answer.read()


async def test_an_upload_that_is_given_up_leaves_nothing(api: Api, session: Session, home: Path) -> None:
    half = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        half.set()
        await asyncio.Event().wait()

    headers: Mapping[str, str] = {**api.admin, "Content-Length": "200000"}
    sending = asyncio.create_task(api.client.put(url(session, "f"), headers=headers, data=body()))
    await half.wait()
    sending.cancel()
    await asyncio.wait({sending})
    transfers = session._life.transfers
    await turns_until(lambda: not transfers)
    assert left_in(home) == []


async def test_the_sessions_end_cuts_a_transfer_off(api: Api, session: Session, home: Path) -> None:
    half = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        half.set()
        await asyncio.Event().wait()

    headers = {**api.admin, "Content-Length": "200000"}
    sending = asyncio.create_task(api.client.put(url(session, "f"), headers=headers, data=body()))
    await half.wait()
    await turns_until(lambda: bool(session._life.transfers))
    session.suspend()
    answer = await sending
    assert answer.status == 409
    await until(session, State.SUSPENDED)
    assert left_in(home) == []
    await api.refused("GET", url(session, "f"), 409, "conflict", headers=api.admin)
