"""The one TCP port as the gateway serves it: HTTPS, a redirect, media; certificates; slow and greedy clients."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509

from gateway import app
from gateway.demux import TcpDemux
from gateway.edge.certificate import fingerprint, own_certificate, own_chain, server_context
from gateway.edge.connections import HttpConnections
from gateway.edge.hosts import HostNames
from gateway.edge.places import Places
from gateway.edge.redirect import MAX_HEAD_BYTES, Redirect, redirection
from gateway.edge.tls import speaks_tls
from gateway.errors import ConfigError
from gateway.settings import Settings
from tests.fakes import FakeDriver
from tests.leaks import footprint, grown
from tests.loopback.framed_tcp import framed_end
from tests.loopback.relay_lan import LOOPBACK
from tests.sessions import turns_until
from tests.stun_messages import binding_request

KNOWS = HostNames().knows


# Pure: what plain HTTP is told, and who speaks TLS.


def test_plain_http_is_sent_to_the_same_by_https() -> None:
    answer = redirection(b"GET /s/abc?x=1 HTTP/1.1\r\nHost: localhost:8080\r\nCookie: x", KNOWS)
    assert answer.startswith(b"HTTP/1.1 308 ")
    assert b"\r\nLocation: https://localhost:8080/s/abc?x=1\r\n" in answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: evil.example",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
        b"GET /\r\nX: y HTTP/1.1\r\nHost: localhost",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost",
        b"GET /\xff HTTP/1.1\r\nHost: localhost",
        b"SSH-2.0-x\r\nHost: localhost",
        b"",
    ],
)
def test_what_is_no_request_for_this_gateway_is_sent_nowhere(head: bytes) -> None:
    answer = redirection(head, KNOWS)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Location" not in answer


@pytest.mark.parametrize(
    ("host", "cert", "insecure", "tls"),
    [
        ("127.0.0.1", None, False, False),
        ("::1", None, False, False),
        ("0.0.0.0", None, False, True),
        ("192.0.2.1", None, False, True),
        ("192.0.2.1", None, True, False),
        ("127.0.0.1", Path("cert.pem"), False, True),
    ],
)
def test_tls_is_the_default_off_loopback(host: str, cert: Path | None, insecure: bool, tls: bool) -> None:
    assert speaks_tls(host, cert, insecure=insecure) is tls


# Certificates.


def names_of(chain: Path) -> set[str]:
    cert = x509.load_pem_x509_certificate(chain.read_bytes())
    return {str(name.value) for name in cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value}


def test_a_self_signed_certificate_is_made_once_private_and_for_its_names(tmp_path: Path) -> None:
    made = own_certificate(tmp_path, ["localhost", "127.0.0.1"], ["192.0.2.1", "::1"])
    assert names_of(made.chain) == {"localhost", "127.0.0.1", "192.0.2.1", "::1"}
    for path in (made.chain, made.key):
        assert path.stat().st_mode & 0o777 == 0o600
    before = fingerprint(made.chain)
    assert fingerprint(own_certificate(tmp_path, ["localhost"], ["192.0.2.2"]).chain) == before, "it is kept"
    assert not made.given


def test_it_is_made_anew_for_a_new_name_near_its_end_and_when_broken(tmp_path: Path) -> None:
    seen = {fingerprint(own_certificate(tmp_path, ["localhost"]).chain)}
    seen.add(fingerprint(own_certificate(tmp_path, ["localhost", "box.lan"]).chain))
    later = datetime.now(UTC) + timedelta(days=380)
    seen.add(fingerprint(own_certificate(tmp_path, ["localhost"], now=later).chain))
    own_chain(tmp_path).write_text("broken")
    seen.add(fingerprint(own_certificate(tmp_path, ["localhost"]).chain))
    assert len(seen) == 4


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one = own_certificate(tmp_path / "one", ["localhost"])
    other = own_certificate(tmp_path / "other", ["localhost"])
    with pytest.raises(ConfigError, match="no certificate and its key"):
        server_context(type(one)(one.chain, other.key, given=True))
    with pytest.raises(ConfigError, match="cannot read"):
        server_context(type(one)(tmp_path / "none", one.key, given=True))


# The whole gateway, with real TLS and the real relay; only the machines are doubles.


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    driver = FakeDriver()
    monkeypatch.setattr(app, "make_driver", lambda settings, *, lasting: driver)
    run_dir = Path(f"/tmp/fenster-door-{os.getpid()}")
    yield Settings(port=0, state_dir=tmp_path / "state", cache_dir=tmp_path / "cache", run_dir=run_dir)
    run_dir.rmdir()


def given(settings: Settings, folder: Path) -> Settings:
    """With a certificate of the operator's."""
    files = own_certificate(folder, ["localhost", "127.0.0.1"])
    return settings.model_copy(update={"tls_cert": files.chain, "tls_key": files.key})


async def served_fingerprint(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context)
    try:
        found = writer.get_extra_info("ssl_object")
        return hashlib.sha256(found.getpeercert(binary_form=True)).digest()
    finally:
        writer.transport.abort()


async def test_https_a_redirect_and_ice_tcp_share_the_port(settings: Settings, tmp_path: Path) -> None:
    await asyncio.to_thread(int)
    before = footprint(settings.run_dir)
    chosen = given(settings, tmp_path / "tls")
    assert chosen.tls_cert is not None
    trusting = ssl.create_default_context(cafile=str(chosen.tls_cert))
    async with app.serving(chosen) as gateway:
        port = int(gateway.url.rpartition(":")[2])
        assert gateway.url == f"https://127.0.0.1:{port}"
        assert gateway.fingerprint is None
        headers = {"Authorization": f"Bearer {gateway.services.keys.api_key}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            async with framed_end(port) as viewer:
                viewer.send(binding_request("nobody-here", "p" * 22))
                assert await viewer.ended()
            async with http.get(f"{gateway.url}/v1/host", ssl=trusting) as response:
                assert response.status == 200
                assert response.headers["Strict-Transport-Security"]
                assert (await response.json())["counters"]["tcp_closed_not_admitted"] == 1, "the relay had it"
            async with http.get(f"http://localhost:{port}/healthz?a=b", allow_redirects=False) as response:
                assert response.status == 308
                assert response.headers["Location"] == f"https://localhost:{port}/healthz?a=b"
            async with http.get(f"http://localhost:{port}/healthz", ssl=trusting) as response:
                assert await response.json() == {"status": "ok"}
            headers = {"Host": "evil.example"}
            async with http.get(f"http://127.0.0.1:{port}/", headers=headers, allow_redirects=False) as response:
                assert response.status == 400
            async with http.get(f"{gateway.url}/metrics", ssl=trusting) as response:
                told = await response.text()
        for name, count in (("media", 1), ("redirected", 3)):
            assert f'fenster_connections{{name="{name}"}} {count}.0' in told
    await asyncio.sleep(0)
    assert grown(before, footprint(settings.run_dir)) == {}


async def test_a_self_signed_gateway_is_pinned_by_its_fingerprint(settings: Settings) -> None:
    async with app.serving(settings.model_copy(update={"host": "0.0.0.0"})) as gateway:
        assert gateway.url.startswith("https://127.0.0.1:")
        assert gateway.fingerprint == fingerprint(own_chain(settings.state_dir))
        assert gateway.reload is not None
        async with aiohttp.ClientSession() as http:
            pinned = aiohttp.Fingerprint(gateway.fingerprint)
            async with http.get(f"{gateway.url}/healthz", ssl=pinned) as response:
                assert "Strict-Transport-Security" not in response.headers
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await http.get(f"{gateway.url}/healthz")


async def test_plain_http_off_loopback_is_loud(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async with app.serving(settings.model_copy(update={"host": "0.0.0.0", "insecure_http": True})) as gateway:
        assert gateway.url.startswith("http://")
        assert gateway.reload is None
        assert "PLAIN HTTP on 0.0.0.0" in caplog.text


async def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    chosen = given(settings, tmp_path / "tls")
    renewed = own_certificate(tmp_path / "renewed", ["localhost"])
    assert chosen.tls_cert is not None
    assert chosen.tls_key is not None
    async with app.serving(chosen) as gateway:
        port = int(gateway.url.rpartition(":")[2])
        assert gateway.reload is not None
        first = await served_fingerprint(port)
        assert first == fingerprint(chosen.tls_cert)
        chosen.tls_cert.write_text("half written")
        gateway.reload()
        await turns_until(lambda: "the certificate stays as it was" in caplog.text)
        assert await served_fingerprint(port) == first
        chosen.tls_cert.write_bytes(renewed.chain.read_bytes())
        chosen.tls_key.write_bytes(renewed.key.read_bytes())
        gateway.reload()
        await turns_until(lambda: "the certificate was read again" in caplog.text)
        assert await served_fingerprint(port) == fingerprint(renewed.chain)


# Slow and greedy clients, with short limits.

DONE = web.AppKey("done", asyncio.Event)


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def flood(request: web.Request) -> web.StreamResponse:
    """More than any socket holds, to whoever reads it."""
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b"x" * 65536)
    except ConnectionError:
        request.app[DONE].set()
        raise


class Shop:
    def __init__(self, port: int, demux: TcpDemux, connections: HttpConnections, places: Places) -> None:
        self.port, self.demux, self.connections, self.places = port, demux, connections, places
        self.given_up = asyncio.Event()

    def count(self, name: str) -> int:
        return {**self.demux.counters(), **self.connections.counters()}[name]

    async def answers(self) -> bool:
        url = f"http://{LOOPBACK}:{self.port}/"
        async with asyncio.timeout(5), aiohttp.ClientSession() as http, http.get(url) as response:
            return await response.text() == "hello"


@contextlib.asynccontextmanager
async def shop(
    *, most: int | None = None, exempt: bool = False, tls: ssl.SSLContext | None = None, head_s: float = 30.0,
    max_headless: int = 256, unread_s: float = 30.0, handshake_s: float = 10.0,
) -> AsyncIterator[Shop]:  # fmt: skip
    application = web.Application()

    @web.middleware
    async def front(request: web.Request, handler: aiohttp.typedefs.Handler) -> web.StreamResponse:
        assert request.transport is not None
        connections.head_is_here(request.transport)
        return await handler(request)

    application.middlewares.append(front)
    application.add_routes([web.get("/", hello), web.get("/flood", flood)])
    places = Places(most, exempt=lambda address: exempt)
    connections = HttpConnections(head_s=head_s, max_headless=max_headless, unread_s=unread_s, places=places)
    application[DONE] = asyncio.Event()
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    assert runner.server is not None
    connections.serve_by(runner.server)
    listening = socket.create_server((LOOPBACK, 0), backlog=256)
    listening.setblocking(False)
    redirect = lambda: Redirect(KNOWS, head_s=head_s)  # noqa: E731
    demux = TcpDemux(listening, http=connections, tls=tls, redirect=redirect, places=places, handshake_s=handshake_s)
    made = Shop(listening.getsockname()[1], demux, connections, places)
    made.given_up = application[DONE]
    demux.start()
    try:
        yield made
    finally:
        await demux.close()
        await runner.cleanup()
    await turns_until(lambda: len(places) == 0)


async def test_a_head_that_trickles_is_given_up() -> None:
    async with shop(head_s=0.3) as site, framed_end(site.port) as loris:
        loris.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
        async with asyncio.timeout(10):
            assert await loris.ended()
        assert site.count("head_too_late") == 1
        assert await site.answers()


async def test_a_thousand_lorises_keep_nobody_out() -> None:
    async with shop(max_headless=64) as site, contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(40):
            for number in range(1000):
                loris = await stack.enter_async_context(framed_end(site.port))
                loris.send_raw(b"GET / HTTP/1.1\r\nX: ")
                if number % 100 == 99:
                    assert await site.answers()
            assert site.count("headless") <= 64
            await turns_until(lambda: site.count("head_crowded_out") >= 1000 - 64)


async def test_one_address_has_so_many_connections_and_no_more() -> None:
    async with shop(most=3) as site, contextlib.AsyncExitStack() as stack:
        ends = [await stack.enter_async_context(framed_end(site.port)) for _ in range(3)]
        for end in ends[:2]:
            end.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await end.reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        more = await stack.enter_async_context(framed_end(site.port))
        assert await more.ended()
        assert site.count("too_many") == 1
        ends[0].writer.close()
        await turns_until(lambda: site.places.free(LOOPBACK))
        assert await site.answers()


async def test_a_proxy_has_any_number() -> None:
    async with shop(most=1, exempt=True) as site, contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(framed_end(site.port))
        assert await site.answers()
        assert site.count("too_many") == 0


async def test_a_reader_that_takes_nothing_is_given_up() -> None:
    async with shop(unread_s=0.5) as site:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (LOOPBACK, site.port))
            await asyncio.get_running_loop().sock_sendall(sock, b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(30):
                await site.given_up.wait()


async def test_a_handshake_that_stalls_is_given_up(tmp_path: Path) -> None:
    context = server_context(own_certificate(tmp_path, ["localhost"]))
    async with shop(tls=context, handshake_s=0.3) as site, framed_end(site.port) as stalled:
        stalled.send_raw(b"\x16\x03\x01")
        async with asyncio.timeout(10):
            assert await stalled.ended()


async def test_a_redirect_that_is_never_asked_for_is_given_up(tmp_path: Path) -> None:
    context = server_context(own_certificate(tmp_path, ["localhost"]))
    async with shop(tls=context, head_s=0.3) as site:
        async with framed_end(site.port) as slow, asyncio.timeout(10):
            slow.send_raw(b"GET / HTTP/1.1\r\n")
            assert await slow.ended()
        async with framed_end(site.port) as endless, asyncio.timeout(10):
            endless.send_raw(b"x" * (MAX_HEAD_BYTES + 1))
            assert (await endless.reader.readline()).startswith(b"HTTP/1.1 400 ")
