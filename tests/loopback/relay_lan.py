"""A VM's network without a VM: the guest's ports are this machine's loopback ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from typing import cast

from gateway.errors import NetnsError
from gateway.vm.driver import Command, Lan

__all__ = ["LOOPBACK", "LoopbackLan", "UdpEnd", "open_files", "udp_end"]

LOOPBACK = "127.0.0.1"


class LoopbackLan:
    """Sockets only. ``gate`` holds back udp() while it is unset; ``udp_error`` makes it fail."""

    def __init__(self) -> None:
        self.host_ip = LOOPBACK
        self.guest_ip = LOOPBACK
        self.closed = False
        self.opened = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.udp_error: NetnsError | None = None
        self.listening = 0
        """The port that listen() took in place of the one asked for."""

    async def open_tap(self) -> int:
        raise NetnsError("no tap here")

    async def open_loopback_guest(self) -> None:
        """Loopback is the guest already."""

    async def spawn(self, command: Command) -> subprocess.Popen[bytes]:
        raise NetnsError("no child process here")

    async def tcp(self, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (LOOPBACK, port))
        except OSError as exc:
            sock.close()
            raise NetnsError(f"no answer on port {port}: {exc.strerror}") from exc
        except BaseException:
            sock.close()
            raise
        return sock

    async def udp(self, guest_port: int) -> socket.socket:
        await self.gate.wait()
        if self.udp_error is not None:
            raise self.udp_error
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((LOOPBACK, guest_port))
        self.opened += 1
        return sock

    async def listen(self, port: int) -> socket.socket:
        sock = socket.create_server((LOOPBACK, 0))
        sock.setblocking(False)
        self.listening = sock.getsockname()[1]
        return sock

    async def close(self) -> None:
        self.closed = True


_lan: type[Lan] = LoopbackLan


class UdpEnd(asyncio.DatagramProtocol):
    """A UDP socket of a test: a viewer, or the guest's agent."""

    def __init__(self) -> None:
        self.rcvd: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.rcvd.put_nowait((data, addr))

    @property
    def port(self) -> int:
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.transport.sendto(data, to)

    async def get(self) -> bytes:
        return (await self.rcvd.get())[0]


@contextlib.asynccontextmanager
async def udp_end(host: str = LOOPBACK, port: int = 0) -> AsyncIterator[UdpEnd]:
    loop = asyncio.get_running_loop()
    transport, end = await loop.create_datagram_endpoint(UdpEnd, local_addr=(host, port))
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    try:
        yield end
    finally:
        transport.close()


def open_files() -> set[str]:
    """What this process has open, sockets by their inode, so that two moments can be compared."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return found
