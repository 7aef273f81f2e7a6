"""Requests and answers made to be read in two ways, by sockets, before an upstream that sees what comes."""

from __future__ import annotations

import asyncio
import random
import re

import pytest

from tests.loopback.egress_world import LOOPBACK, NAME, VM, Gateway, ScriptedUpstream, Web, served
from tests.unit.test_fuzz_egress import draw

HOST = f"{NAME}:WEB"
HIDDEN = f"GET http://{HOST}/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
POST = f"POST http://{HOST}/x HTTP/1.1\r\nHost: a\r\n"

REFUSED = {
    "CL.TE": f"{POST}Content-Length: 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "TE.CL": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n{HIDDEN}0\r\n\r\n",
    "TE.TE, one hidden": f"{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n{HIDDEN}",
    "TE that is none": f"{POST}Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{HIDDEN}",
    "TE with a tab": f"{POST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "TE of 1.0": f"POST http://{HOST}/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
    "two lengths": f"{POST}Content-Length: 0\r\nContent-Length: 60\r\n\r\n{HIDDEN}",
    "two lengths in one": f"{POST}Content-Length: 0, 60\r\n\r\n{HIDDEN}",
    "a signed length": f"{POST}Content-Length: +0\r\n\r\n{HIDDEN}",
    "two hosts": f"GET http://{HOST}/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{HIDDEN}",
    "a folded line": f"GET http://{HOST}/ HTTP/1.1\r\nHost: a\r\nX: y\r\n z: 1\r\n\r\n{HIDDEN}",
    "a folded first line": f"GET http://{HOST}/ HTTP/1.1\r\n Host: a\r\n\r\n{HIDDEN}",
    "a bare LF": f"{POST}X: y\nContent-Length: 60\r\n\r\n{HIDDEN}",
    "a bare CR": f"{POST}X: y\rContent-Length: 60\r\n\r\n{HIDDEN}",
    "a NUL": f"GET http://{HOST}/ HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n{HIDDEN}",
    "CRLF in a CONNECT authority": f"CONNECT {HOST}\r\nX: y HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}",
    "LF in a CONNECT authority": f"CONNECT {HOST}\nX:1 HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}",
    "CRLF in a CONNECT authority, coded": f"CONNECT {NAME}%0d%0aX:WEB HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}",
    "a user in a CONNECT authority": f"CONNECT u@{HOST} HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}",
    "CONNECT with a body": f"CONNECT {HOST} HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n{HIDDEN}",
    "CRLF in a URL": f"GET http://{HOST}/a\r\nX: y HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}",
    "HTTP/2's preface": f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{HIDDEN}",
}
"""Requests with another behind them that shows if the first ends elsewhere than it seems."""


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED.keys())
async def test_a_second_reading_is_refused_and_ends_the_connection(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int], message: str
) -> None:
    got = await world.raw(VM, message.replace("WEB", str(web[1])).encode("latin-1"))
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"HTTP/1.1 ") == 1
    assert (web[0].requests, upstream[0].users) == ([], [])


PASSED = {
    "another Host than the URL's": ("", "Host: 169.254.169.254", ()),
    "an upgrade to WebSocket": ("", "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket", (b"upgrade",)),
    "an upgrade to HTTP/2": (
        "", "Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM",
        (b"upgrade", b"http2-settings"),
    ),
    "Connection that names Host and a cookie": ("", "Host: a\r\nCookie: c\r\nConnection: host, cookie", (b"cookie",)),
    "credentials for another proxy": ("", "Host: a\r\nProxy-Authorization: Basic eA==", (b"Basic eA==",)),
    "coded CRLF in the path": ("%0d%0aX-In:%20jected", "Host: a", (b"\r\nx-in",)),
}  # fmt: skip
"""More of the path, the headers, and what must not go on."""


@pytest.mark.parametrize(("path", "headers", "never"), PASSED.values(), ids=PASSED.keys())
async def test_what_goes_on_is_written_anew(
    world: Gateway, web: tuple[Web, int], path: str, headers: str, never: tuple[bytes, ...]
) -> None:
    await world.raw(VM, f"GET http://{NAME}:{web[1]}/p{path} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + STOP)
    (head,) = web[0].requests
    lowered = head.lower()
    assert head.startswith(f"GET /p{path} HTTP/1.1\r\nHost: {NAME}:{web[1]}\r\n".encode())
    assert lowered.count(b"\r\nhost:") == 1
    assert not any(word.lower() in lowered for word in never)


STOP = b"STOP\r\n\r\n"
"""No request: the proxy says so and ends the connection."""


async def test_nothing_behind_a_refused_connect_is_taken_for_a_request(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    hidden = HIDDEN.replace("WEB", str(web[1]))
    for target, mode, status in (
        ("127.0.0.1:80", "ok", b"403"), (f"{NAME}:443", "deny", b"502"), (f"{NAME}:443", "cut", b"502"),
        (f"{NAME}:443", "unreachable", b"502"),
    ):  # fmt: skip
        upstream[0].mode = mode
        got = await world.raw(VM, f"CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n{hidden}".encode())
        assert got.split()[1] == status
        assert got.count(b"HTTP/1.1 ") == 1
    assert web[0].requests == []
    assert [target for _, target in upstream[0].users] == [f"{NAME}:443"] * 3


async def test_what_comes_with_a_connect_goes_into_its_tunnel(world: Gateway, web: tuple[Web, int]) -> None:
    """It is the target's business: the proxy reads no request there, and adds none of its credentials."""
    inner = "GET http://127.0.0.1/x HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
    reader, writer = await world.connect(VM)
    writer.write(f"CONNECT {NAME}:{web[1]} HTTP/1.1\r\nHost: a\r\n\r\n{inner}".encode())
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
    writer.transport.abort()
    assert web[0].requests == [inner.encode()]


GET = f"GET http://{NAME}/one HTTP/1.1\r\nHost: a\r\n\r\n".encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


async def answered(world: Gateway, answer: bytes, request: bytes = GET + GET + STOP) -> bytes:
    """What the guest gets when its upstream answers each connection with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        await reader.read(-1)

    async with served(serve) as port:
        await world.start(VM, f"http://anna:word@{LOOPBACK}:{port}")
        return await world.raw(VM, request)


async def test_a_second_answer_behind_the_first_reaches_nobody(world: Gateway) -> None:
    got = await answered(world, OK + b"HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 4\r\n\r\nevil")
    assert (got.count(b"HTTP/1.1 200 "), got.count(b"\r\n\r\nhi"), b"oison" in got) == (2, 2, False)


async def test_informational_answers_come_before_the_one_that_they_announce(world: Gateway) -> None:
    got = await answered(world, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
    codes = re.findall(rb"HTTP/1\.1 (\d{3}) ", got)
    assert codes == [b"100", b"103", b"200", b"100", b"103", b"200", b"400"]
    tunnel = f"CONNECT {NAME}:443 HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    got = await answered(world, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello", tunnel + b"x")
    assert got.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nhello")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
    ],
    ids=[
        "101",
        "two lengths",
        "a negative length",
        "gzip",
        "a NUL",
        "a NUL in the reason",
        "two digits",
        "endless 100s",
    ],
)
async def test_an_answer_with_a_second_reading_is_none(world: Gateway, answer: bytes) -> None:
    got = await answered(world, answer)
    final = [code for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", got) if code != b"100"]
    assert final in ([b"502"], [b"504"])
    assert world.report(VM).kind in ("upstream-cut", "upstream-slow")


async def test_fuzzed_requests_through_a_socket(world: Gateway, upstream: tuple[ScriptedUpstream, int]) -> None:
    """Some of the 100,000, in earnest: each is answered or closed, and the proxy serves the next."""
    upstream[0].mode = "forbid"
    rng = random.Random(21)
    for _ in range(400):
        head, body = draw(rng)
        got = await world.raw(VM, head + body + b"\r\n\r\n")
        assert got == b"" or got.startswith(b"HTTP/1.1 ")
    for user, target in upstream[0].users:
        assert user == "anna:pa:ss"
        assert not any(word in target for word in ("169.254", "127.", "localhost", "metadata", "10.0"))
