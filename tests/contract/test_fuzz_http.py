"""Requests as no HTTP library would send them: any bytes in headers, and whatever in a trickled fragment.

And what a guest's notifications may do to the API that everybody uses.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from gateway.sessions.world import Timeouts
from tests.contract.api import Api, api_on
from tests.fake_guest import FakeGuest, GuestRefusal
from tests.fakes import FakeDriver
from tests.fuzzing import changed, drawn, nearly_json
from tests.sessions import LONG_S, turns_until

REQUESTS = 1_500
FRAGMENTS = 300
EVENTS = 3_000
FRAGMENT = (
    b"a=ice-ufrag:EsAw\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    b"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n"
    b"a=end-of-candidates\r\n"
)
"""RFC 8840 9."""


class Raw:
    """One keep-alive connection, opened anew when the gateway has closed it."""

    def __init__(self, api: Api) -> None:
        self._where = (api.client.host, api.client.port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, head: bytes, body: bytes = b"") -> int:
        """The status. Raises TimeoutError when there is none."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where)
        reader, writer = self._streams
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(10):
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(answer.split(b" ", 2)[1])
            if b"content-length:" in answer:
                await reader.readexactly(int(answer.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
        if status == 400 or b"connection: close" in answer or b"content-length:" not in answer:
            await self.close()
        return status

    async def __aenter__(self) -> Raw:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            await writer.wait_closed()


def headers(api: Api, session: Session) -> Mapping[bytes, list[bytes]]:
    key, token = api.admin["Authorization"].encode(), api.token(session).encode()
    credentials = [key, b"Bearer " + token, b"Bearer fenster_ticket_x", b"Basic eDp5", b"Bearer a.b.c", key + b"\xff"]
    return {
        b"Authorization": credentials,
        b"Origin": [b"http://127.0.0.1", b"null", b"https://[::1]:8", b"http://[", b"\xff://\xfe"],
        b"Host": [b"127.0.0.1", b"[::1]:80", b"[", b"a:b:c", b"\xff"],
        b"Sec-WebSocket-Protocol": [b"binary, fenster.token." + token, b"fenster.viewer." + b"0" * 32, b",,;"],
        b"Fenster-Viewer": [b"0" * 32, b"\xff" * 32, "٣".encode() * 32],
        b"Idempotency-Key": [b"k", b"\xff", b"x" * 300],
        b"Range": [
            b"bytes=0-1",
            b"bytes=-",
            b"bytes=99999999999999999999-",
            b"bytes=5-1",
            b"bytes=-99999999999999999999",
        ],
        b"If-Range": [b'"1-1"', b"\xff"],
        b"If-None-Match": [b"*", b'"' + b"0" * 32 + b'"', b"\xed\xa0\x80"],
        b"Prefer": [b"wait=0", b"wait=999999", "wait=٣".encode()],
        b"Content-Type": [
            b"application/json",
            b"application/sdp",
            b"text/plain; charset=\xff",
            b"a/b;;c",
            b"image/png",
        ],
    }


async def test_headers(api: Api) -> None:
    rng = random.Random(20)
    session = await api.stage.ready()
    choices = headers(api, session)
    targets = [
        (method, path.replace(b"SID", session.id.encode()))
        for path in (
            b"/v1/sessions", b"/v1/sessions/SID", b"/v1/sessions/SID/files/x", b"/v1/sessions/SID/clipboard",
            b"/v1/sessions/SID/control", b"/v1/sessions/SID/whep", b"/v1/sessions/SID/screenshot?width=1",
            b"/v1/sessions/SID/vnc", b"/v1/sessions/%ff%00/vnc", b"/v1/host", b"/v1/tickets/exchange",
            b"/embed/SID?frame=%ff%ed%a0%80", b"/openapi.json",
        )
        for method in (b"GET", b"POST", b"PUT", b"OPTIONS")
    ]  # fmt: skip
    statuses: dict[int, int] = {}
    own = f"{api.client.host}:{api.client.port}".encode()
    async with Raw(api) as raw:
        for _ in range(REQUESTS):
            method, path = rng.choice(targets)
            chosen = {b"Host": own, b"Authorization": choices[b"Authorization"][0]}
            for name in rng.sample(list(choices), rng.randint(1, 4)):
                value = rng.choice(choices[name])
                value = changed(rng, value) if rng.random() < 0.4 else value
                chosen[name] = bytes(byte for byte in value if byte not in b"\r\n\0")
            head = method + b" " + path + b" HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % one for one in chosen.items())
            status = await raw.ask(head, rng.choice((b"", b"{}", b"\xff")))
            statuses[status] = statuses.get(status, 0) + 1
            # 502: this desktop has no services; 503: no web client was built.
            assert status < 500 or status in (502, 503), (head, status)
    assert {200, 201, 400, 401, 403, 404, 405, 415, 502} <= set(statuses), statuses
    await api.call("GET", f"/v1/sessions/{session.id}", 200)


async def test_trickled_fragments(api: Api) -> None:
    """They are accepted and ignored, whatever is in them."""
    rng = random.Random(20)
    session = await api.stage.ready()
    head = f"PATCH /v1/sessions/{session.id}/whep/x HTTP/1.1\r\nHost: {api.client.host}:{api.client.port}\r\n"
    head += f"Authorization: {api.admin['Authorization']}\r\nContent-Type: application/trickle-ice-sdpfrag\r\n"
    async with Raw(api) as raw:
        for data in drawn(rng, [FRAGMENT, FRAGMENT * 20], FRAGMENTS):
            assert await raw.ask(head.encode(), data) == 204
    assert session.state is State.READY


PEER: Mapping[str, Any] = {"peer": "p1", "state": "connected", "reason": ""}
NOTIFICATIONS: Mapping[str, Mapping[str, Any]] = {
    "peer": PEER,
    "agent": {"state": "up", "pid": 42, "code": None},
    "desktop": {"windows": ["Xfce4-panel", "Xfce4-terminal", "Chromium"]},
    "hello": {"protocol": 1, "state": "running", "peers": [PEER], "control": {"peer": "p1", "viewer": "0" * 32}},
}


async def test_a_guests_notifications_are_its_own_affair(api: Api) -> None:
    rng = random.Random(20)
    session, other = await api.stage.ready(), await api.stage.ready()
    guest = api.stage.vm(session).guest
    for number in range(EVENTS):
        method = rng.choice(list(NOTIFICATIONS))
        params = nearly_json(rng, NOTIFICATIONS[method])
        # A fresh zygote is one that has to be told again who it is, which is tried elsewhere.
        guest.notify(method, params if isinstance(params, dict) and params.get("state") != "fresh" else {})
        if number % 50 == 0:
            await turns_until(api.stage.vm(session).link.events.empty)
            listing = await (await api.call("GET", "/v1/sessions", 200)).json()
            assert [one["state"] for one in listing["sessions"]] == ["ready", "ready"]
    assert (await (await api.call("GET", f"/v1/sessions/{other.id}", 200)).json())["viewers"] == 0


@pytest.mark.parametrize("said", ["\ud800", "x" * 200_000, "a\nb\x1b[2Jc", ""])
@pytest.mark.parametrize("method", ["identify", "assign"])
async def test_a_guest_that_refuses_in_strange_words_fails_alone(tmp_path: Any, said: str, method: str) -> None:
    def refuse(params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise GuestRefusal(-1, said)

    first = [FakeGuest(handlers={method: refuse})]
    driver = FakeDriver(guest=lambda: first.pop() if first else FakeGuest())
    # Who says what is no text has said nothing, and is waited for.
    async with api_on(tmp_path, driver=driver, timeouts=Timeouts(LONG_S, 1.0, LONG_S, LONG_S)) as api:
        session = await api.stage.manager.create()
        await turns_until(lambda: session.state is State.FAILED)
        await api.stage.ready()
        listing = await (await api.call("GET", "/v1/sessions", 200)).json()
        assert [one["state"] for one in listing["sessions"]] == ["failed", "ready"]
        message = listing["sessions"][0]["error"]["message"]
        assert len(message) < 400
        assert message.isprintable()
