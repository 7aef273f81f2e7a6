"""One port for HTTP, TLS and media: who gets which connection, and that the silent hold nobody up."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway.demux import TcpDemux, is_media
from gateway.relay.flows import Flows
from gateway.relay.table import RelayTable
from gateway.relay.tcp import TcpSide
from tests.leaks import footprint, grown
from tests.loopback.framed_tcp import framed_end
from tests.loopback.relay_lan import LOOPBACK
from tests.stun_messages import binding_request

JUNK = [b"\x00", b"\x00\x50\x00\x01", b"\xff" * 40, b"\x16\x03", b"GET / HT", b"\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"]


END = web.AppKey("end", asyncio.Event)


class Site:
    """A web application behind a demux, and a relay beside it."""

    def __init__(self, demux: TcpDemux, media: TcpSide, port: int) -> None:
        self.demux, self.media, self.port = demux, media, port
        self.url = f"http://{LOOPBACK}:{port}"

    def count(self, name: str) -> int:
        return self.demux.counters()[name]

    async def answers(self) -> bool:
        """Whether a new connection is served, at once."""
        async with asyncio.timeout(2), aiohttp.ClientSession() as http, http.get(self.url) as response:
            return await response.text() == "hello"


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(str(message.data))
    return socket


async def events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(3):
        await response.write(b"data: %d\n\n" % number)
    await request.app[END].wait()
    await response.write(b"data: end\n\n")
    return response


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    before = footprint()
    yield
    await asyncio.sleep(0)
    assert grown(before, footprint()) == {}


@contextlib.asynccontextmanager
async def serving(*, tls: ssl.SSLContext | None = None, ice_tcp: bool = True, **limits: float) -> AsyncIterator[Site]:
    app = web.Application()
    app[END] = asyncio.Event()
    app.add_routes([web.get("/", hello), web.get("/socket", echo), web.get("/events", events)])

    async def end(app: web.Application) -> None:
        app[END].set()

    app.on_shutdown.append(end)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    assert runner.server is not None
    flows = Flows(RelayTable())
    media = TcpSide(flows)
    listening = socket.create_server((LOOPBACK, 0), backlog=128)
    listening.setblocking(False)
    port = listening.getsockname()[1]
    take = media.take if ice_tcp else None
    demux = TcpDemux(listening, http=runner.server, media=take, tls=tls, **limits)  # type: ignore[arg-type]
    demux.start()
    try:
        yield Site(demux, media, port)
    finally:
        await demux.close()
        await demux.close()
        await runner.cleanup()
        media.close()
        await flows.close()


@given(st.integers(1, 1023))
def test_the_length_of_a_binding_request_is_never_the_start_of_http_or_tls(size: int) -> None:
    assert is_media(size.to_bytes(2, "big")[0])


def test_http_and_tls_are_not_media() -> None:
    assert not any(is_media(junk[0]) for junk in (b"GET", b"get", b"PRI * HTTP/2.0", b"\r\n", b"\n", b"\x16\x03\x01"))
    assert is_media(len(binding_request("ufragone", "p" * 22)).to_bytes(2, "big")[0])


async def test_keep_alive_websockets_and_event_streams() -> None:
    async with serving() as site, aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.get(site.url) as response:
                assert await response.text() == "hello"
        assert site.count("http") == 1, "one connection, kept alive"
        async with http.ws_connect(f"{site.url}/socket") as ws:
            await ws.send_str("one")
            assert await ws.receive_str() == "one"
        async with http.get(f"{site.url}/events") as response:
            got = [await response.content.readuntil(b"\n\n") for _ in range(3)]
            assert got == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


async def test_a_request_that_comes_byte_by_byte() -> None:
    async with serving() as site:
        reader, writer = await asyncio.open_connection(LOOPBACK, site.port)
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            assert await site.answers()
        assert (await reader.read()).endswith(b"hello")
        writer.close()
        await writer.wait_closed()


async def test_open_requests_end_well_at_shutdown() -> None:
    async with aiohttp.ClientSession() as http:
        async with serving() as site:
            response = await http.get(f"{site.url}/events")
            await response.content.readuntil(b"data: 2\n\n")
        assert await response.read() == b"data: end\n\n"


async def test_media_goes_to_the_relay_and_nothing_of_it_is_lost() -> None:
    async with serving() as site:
        async with framed_end(site.port) as viewer:
            viewer.send(binding_request("ufragone", "p" * 22))
            assert await viewer.ended()
        assert site.media.counters()["tcp_closed_not_admitted"] == 1
        assert (site.count("media"), site.count("http")) == (1, 0)


async def test_without_ice_tcp_http_answers_that_it_is_none() -> None:
    async with serving(ice_tcp=False) as site:
        async with framed_end(site.port) as viewer:
            viewer.send(binding_request("ufragone", "p" * 22))
            assert (await viewer.reader.readline()).startswith(b"HTTP/1.0 400 ")
        assert site.count("media") == 0


@pytest.mark.parametrize("junk", JUNK)
async def test_junk_holds_nobody_up(junk: bytes) -> None:
    async with serving() as site, contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            end = await stack.enter_async_context(framed_end(site.port))
            end.send_raw(junk)
        assert await site.answers()


async def test_half_open_connections_end() -> None:
    async with serving() as site:
        for said in (b"", b"\x00"):
            async with framed_end(site.port) as end:
                end.send_raw(said)
                end.writer.write_eof()
                assert await end.ended()
        assert site.count("left") == 1
        assert site.media.counters()["tcp_connections"] == 0


async def test_a_thousand_silent_ones_hold_nobody_up_and_end_by_themselves() -> None:
    async with serving(first_byte_s=1.0) as site, contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(20):
            ends = []
            for number in range(1000):
                ends.append(await stack.enter_async_context(framed_end(site.port)))
                if number % 100 == 99:
                    assert await site.answers()
            assert site.count("silent") <= 256
            assert all([await end.ended() for end in ends])
        assert site.count("crowded_out") + site.count("too_late") == 1000
        assert site.count("too_late") > 0
        assert site.count("silent") == 0


async def test_a_process_without_descriptors_goes_on_when_it_has_some(caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving() as site:
        reader, writer = await asyncio.open_connection(LOOPBACK, site.port)
        later = socket.socket()
        later.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (later.fileno() + 1, hard))
        try:
            await asyncio.get_running_loop().sock_connect(later, (LOOPBACK, site.port))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "no connection can be accepted" in caplog.text
        assert await site.answers()
        later.close()
        writer.close()
        await writer.wait_closed()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed one for the loopback address: certificate and key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=fenster", "-addext", f"subjectAltName=IP:{LOOPBACK}"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*make, "-keyout", key, "-out", cert, "-days", "1", *subject], check=True, capture_output=True)
    return cert, key


async def test_tls_and_media_on_one_port(certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    async with serving(tls=context) as site, aiohttp.ClientSession() as http:
        url = f"https://{LOOPBACK}:{site.port}"
        async with framed_end(site.port) as plain, framed_end(site.port) as viewer, framed_end(site.port) as stalled:
            stalled.send_raw(b"\x16\x03\x01")
            plain.send_raw(b"GET / HTTP/1.1\r\n\r\n")
            viewer.send(binding_request("ufragone", "p" * 22))
            assert await viewer.ended()
            assert await plain.ended()
            for _ in range(2):
                async with http.get(url, ssl=trusting) as response:
                    assert await response.text() == "hello"
            async with http.ws_connect(f"{url}/socket", ssl=trusting) as ws:
                await ws.send_str("one")
                assert await ws.receive_str() == "one"
        assert (site.count("media"), site.count("http")) == (1, 3)
