"""A web server behind a scripted upstream, and a session's proxy in front: all on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.egress.limits import Times
from gateway.egress.proxy import EgressConfig
from gateway.exits import Exit, ExitReport, parse_exit
from gateway.local_dataplane import LocalDataPlane
from gateway.relay.relay import Relay
from gateway.vm.driver import Lan
from tests.loopback.relay_lan import LOOPBACK, LoopbackLan

__all__ = [
    "LOOPBACK", "NAME", "OTHER", "QUICK", "VM", "Certificate", "Gateway", "Reply", "ScriptedUpstream", "Web",
    "both_ways", "fails_closed", "gateway", "reply", "served", "tls_front",
]  # fmt: skip

VM, OTHER = "aaaaaaaa", "bbbbbbbb"

NAME = "web.example.test"
"""Only the upstreams know where that is."""
QUICK = Times(head_s=0.5, keep_alive_s=5, connect_s=2, handshake_s=0.7, answer_s=0.7, idle_s=5, linger_s=0.5)
CHUNK = 1 << 16

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Connections to a port of its own go to ``handler``, each in a task that ends here."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=tls)
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield port
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Web:
    """A web server. ``requests`` has the heads that it saw."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.bodies: list[bytes] = []
        self.address = "203.0.113.50"
        """What /ip says."""
        self.reached = asyncio.Event()
        """Set at a request for /hang, which is not answered."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            self.requests.append(head)
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
            )
            body = await reader.readexactly(length)
            self.bodies.append(body)
            path = head.split()[1]
            if path == b"/hang":
                self.reached.set()
                await reader.read(1)
                return
            if path == b"/cut":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
                await writer.drain()
                return
            if path == b"/away":
                writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
                continue
            text = {b"/ip": self.address.encode(), b"/big": b"x" * 3_000_000}.get(path, b"hello " + path + body)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
            await writer.drain()


@dataclass
class ScriptedUpstream:
    """An HTTP proxy that knows who came, and can be told to fail. ``port`` of the web server behind it."""

    web: int
    users: list[tuple[str, str]] = field(default_factory=list)
    """(user:password, target), as they came."""
    mode: str = "ok"
    """ok, deny (407), silent, cut (no answer), garbage, forbid (403), or unreachable (502)."""
    cut_after: int | None = None
    """So many bytes of what comes back go on, and then the connection ends; None: all."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the first request."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].split()
        given = [line.split()[-1] for line in head.split(b"\r\n") if line.lower().startswith(b"proxy-authorization:")]
        self.came.set()
        self.users.append((base64.b64decode(given[0]).decode() if given else "", target.decode()))
        answers = {
            "deny": b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
            "forbid": b"HTTP/1.1 403 Filtered\r\nContent-Length: 0\r\n\r\n",
            "unreachable": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
            "garbage": b"\x05\xff\r\n\r\n",
            "cut": b"",
        }
        if self.mode == "silent":
            await reader.read()
        if self.mode != "ok":
            writer.write(answers[self.mode])
            await writer.drain()
            return
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self.web)
        try:
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\nX-Padding: 1\r\n\r\n")
            else:
                far_writer.write(head.replace(target, b"/" + target.split(b"/", 3)[3], 1))
            if self.cut_after is not None:
                far_writer.write(await reader.read(CHUNK))
                writer.write(await far_reader.readexactly(self.cut_after))
                await writer.drain()
                return
            await splice((reader, writer), (far_reader, far_writer))
        finally:
            far_writer.transport.abort()


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def splice(one: Ends, other: Ends) -> None:
    """Until either ends."""
    tasks = {asyncio.create_task(pump(one[0], other[1])), asyncio.create_task(pump(other[0], one[1]))}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


class Certificate:
    """A self-signed one for the loopback address, and contexts that go with it."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.IPAddress(ipaddress.ip_address(LOOPBACK)), x509.DNSName(NAME)]
        made = (
            x509.CertificateBuilder()
            .subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.path = folder / "certificate.pem"
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + pem)

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.path))


@asynccontextmanager
async def tls_front(port: int, certificate: Certificate) -> AsyncIterator[int]:
    """TLS in front of a port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, port)
        try:
            await splice((reader, writer), (far_reader, far_writer))
        finally:
            far_writer.transport.abort()

    async with served(serve, certificate.server()) as front:
        yield front


@dataclass
class Reply:
    status: int
    head: bytes
    body: bytes


class Gateway:
    """A data plane whose VMs' proxies are ports of loopback, and a guest's requests to them."""

    def __init__(self, dataplane: LocalDataPlane, lans: dict[str, LoopbackLan]) -> None:
        self.dataplane = dataplane
        self._lans = lans
        self.changes: list[str] = []
        """The VM's id, at every change that it told of."""
        self.changed = asyncio.Event()

    async def start(self, vm: str, exit_url: str | Exit) -> None:
        if vm not in self._lans:
            await self.dataplane.attach(vm)
        out = parse_exit(exit_url) if isinstance(exit_url, str) else exit_url
        await self.dataplane.set_upstream(vm, out, lambda: self._note(vm))

    def _note(self, vm: str) -> None:
        self.changes.append(vm)
        self.changed.set()

    async def until(self, so: Callable[[], bool]) -> None:
        """Wait for a change after which something is so."""
        async with asyncio.timeout(10):
            while not so():
                self.changed.clear()
                await self.changed.wait()

    def report(self, vm: str) -> ExitReport:
        return self.dataplane.egress(vm)

    async def connect(self, vm: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(LOOPBACK, self._lans[vm].listening)

    async def raw(self, vm: str, data: bytes) -> bytes:
        """All that comes back for ``data``."""
        reader, writer = await self.connect(vm)
        try:
            async with asyncio.timeout(10):
                writer.write(data)
                return await reader.read(-1)
        finally:
            writer.transport.abort()

    async def get(self, vm: str, url: str) -> Reply:
        """A plain request by the proxy."""
        host = url.split("/")[2]
        return reply(await self.raw(vm, f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()))

    async def tunnel(self, vm: str, authority: str) -> tuple[Reply, asyncio.StreamReader, asyncio.StreamWriter]:
        """CONNECT; the answer, and the streams, to be closed by the caller."""
        reader, writer = await self.connect(vm)
        writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            body = b"" if head.split()[1] == b"200" else await reader.read(-1)
        return Reply(int(head.split()[1]), head, body), reader, writer

    async def get_tunnelled(self, vm: str, authority: str, path: str = "/") -> Reply:
        """A request inside a tunnel; the proxy's answer where there is no tunnel."""
        answer, reader, writer = await self.tunnel(vm, authority)
        try:
            if answer.status != 200:
                return answer
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split()[0])
                return Reply(int(head.split()[1]), head, await reader.readexactly(length))
        finally:
            writer.transport.abort()


def reply(data: bytes) -> Reply:
    head, _, body = data.partition(b"\r\n\r\n")
    return Reply(int(head.split()[1]), head, body)


@asynccontextmanager
async def gateway(config: EgressConfig | None = None) -> AsyncIterator[Gateway]:
    lans: dict[str, LoopbackLan] = {}

    async def open_lan(vm_id: str, pid: int | None) -> Lan:
        lans[vm_id] = LoopbackLan()
        return lans[vm_id]

    relay = await Relay.open(0, bind=(LOOPBACK,))
    dataplane = LocalDataPlane(open_lan, relay, config if config is not None else EgressConfig(times=QUICK))
    try:
        yield Gateway(dataplane, lans)
    finally:
        await dataplane.close()


async def both_ways(world: Gateway, vm: str, port: int) -> None:
    """A plain request and one in a tunnel get through."""
    assert (await world.get(vm, f"http://{NAME}:{port}/plain")).body == b"hello /plain"
    assert (await world.get_tunnelled(vm, f"{NAME}:{port}", "/tunnel")).body == b"hello /tunnel"


async def fails_closed(world: Gateway, vm: str, port: int, status: int, kind: str) -> None:
    """Both show a page that says what is wrong, and never ask for a password."""
    for answer in (
        await world.get(vm, f"http://{NAME}:{port}/plain"),
        await world.get_tunnelled(vm, f"{NAME}:{port}"),
    ):
        assert answer.status == status, answer
        assert f'details="{kind}"'.encode() in answer.head
        assert b"authenticate" not in answer.head.lower()
        assert len(answer.body) > 40
