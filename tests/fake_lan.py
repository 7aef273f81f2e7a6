"""A VM's network without a namespace, and the guest's ends of its streams: socketpairs, no port is opened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.errors import NetnsError
from gateway.vm.driver import Command, Lan

__all__ = ["RFB_BANNER", "FakeLan", "PortHandler", "Streams", "rfb"]

RFB_BANNER = b"RFB 003.008\n"

PortHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def rfb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(RFB_BANNER)
    with contextlib.suppress(ConnectionError):
        await reader.read(65536)


@dataclass(slots=True)
class Streams:
    """The guest's ends of streams, each served by a stored task; all ended together."""

    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)
    closed: bool = False

    async def serve(self, sock: socket.socket, handler: PortHandler, name: str) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=sock)
        except BaseException:
            sock.close()
            raise

        if self.closed:
            # Meanwhile, so that nobody would end this one.
            writer.transport.abort()
            raise NetnsError("the machine is gone")

        async def run() -> None:
            try:
                await handler(reader, writer)
            finally:
                writer.close()

        self.serving[asyncio.create_task(run(), name=name)] = writer

    async def close(self) -> None:
        self.closed = True
        if self.serving:
            for task in self.serving:
                task.cancel()
            await asyncio.wait(self.serving)
        for writer in self.serving.values():
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        self.serving.clear()


class FakeLan:
    """A namespace without a namespace: ``ports`` says who answers on the guest's TCP ports."""

    def __init__(self) -> None:
        self.host_ip = "169.254.0.22"
        self.guest_ip = "169.254.0.21"
        self.ports: dict[int, PortHandler] = {}
        self.datagrams: dict[int, socket.socket] = {}
        """The guest's end of every udp() by guest port; non-blocking."""
        self.closed = False
        self.spawned: list[Command] = []
        self._streams = Streams()

    async def open_tap(self) -> int:
        self._check()
        return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    async def open_loopback_guest(self) -> None:
        self._check()

    async def spawn(self, command: Command) -> subprocess.Popen[bytes]:
        self._check()
        self.spawned.append(command)
        return await asyncio.to_thread(
            subprocess.Popen,
            list(command.argv),
            stdin=command.stdin,
            stdout=command.stdout,
            stderr=command.stderr,
            pass_fds=command.pass_fds,
            env=None if command.env is None else dict(command.env),
            cwd=command.cwd,
            start_new_session=True,
        )

    async def tcp(self, port: int) -> socket.socket:
        self._check()
        handler = self.ports.get(port)
        if handler is None:
            raise NetnsError(f"the guest refused a connection to port {port}")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            await self._streams.serve(theirs, handler, f"fake-guest-port-{port}")
        except BaseException:
            ours.close()
            raise
        return ours

    async def udp(self, guest_port: int) -> socket.socket:
        self._check()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        theirs.setblocking(False)
        old = self.datagrams.pop(guest_port, None)
        if old is not None:
            old.close()
        self.datagrams[guest_port] = theirs
        return ours

    async def listen(self, port: int) -> socket.socket:
        self._check()
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        return sock

    async def close(self) -> None:
        self.closed = True
        await self._streams.close()
        for sock in self.datagrams.values():
            sock.close()
        self.datagrams.clear()

    def _check(self) -> None:
        if self.closed:
            raise NetnsError("the namespace is closed")


_lan: type[Lan] = FakeLan
