"""Watching from outside what a guest sends: on its tap, on the host, in another VM's namespace, and at listeners."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from gateway.exits import PROXY_PORT
from gateway.netns.lan import GUEST_IP, HOST_IP
from tests.vm.frames import BROADCAST, IPV4, TCP, ethernet, seen

__all__ = [
    "DIVIDER", "Sniffer", "Trap", "Window", "divider", "is_of_proxy", "listeners", "mark", "sniffing", "trap",
    "windows",
]  # fmt: skip

DIVIDER = 0x88B5
"""An ethertype for local experiments (IEEE 802)."""
ETH_P_ALL, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 64 << 20
"""The host's whole traffic passes here, and nothing of it may be missed."""
BURST = 256


def divider(token: bytes, guest_mac: str) -> bytes:
    """The frame that says which attempt comes next, without the number that ends it."""
    return ethernet(BROADCAST, guest_mac, DIVIDER, token)


def mark(token: bytes, number: int) -> bytes:
    return token + number.to_bytes(2, "big")


@dataclass
class Sniffer:
    """Every frame of one namespace that is wanted, in order; True where the namespace itself sent it."""

    wanted: Callable[[bytes], bool]
    frames: list[tuple[bool, bytes]] = field(default_factory=list)
    total: int = 0
    _sock: socket.socket | None = None

    def open(self) -> None:
        """Call it inside the namespace."""
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._sock = sock

    def start(self) -> None:
        assert self._sock is not None
        asyncio.get_running_loop().add_reader(self._sock, self.read)

    def read(self) -> None:
        assert self._sock is not None
        with contextlib.suppress(BlockingIOError):
            for _ in range(BURST):
                data, where = self._sock.recvfrom(65536)
                self.total += 1
                if self.wanted(data):
                    self.frames.append((where[2] == PACKET_OUTGOING, data))

    def close(self) -> int:
        """How many frames it missed."""
        assert self._sock is not None
        sock, self._sock = self._sock, None
        asyncio.get_running_loop().remove_reader(sock)
        _, dropped = struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        sock.close()
        return int(dropped)


@asynccontextmanager
async def sniffing(
    inside: Callable[[Callable[[], None]], object], wanted: Callable[[bytes], bool]
) -> AsyncIterator[Sniffer]:
    """``inside`` runs a function in the namespace, and may give something to await."""
    sniffer = Sniffer(wanted)
    entered = inside(sniffer.open)
    if asyncio.iscoroutine(entered):
        await entered
    sniffer.start()
    try:
        yield sniffer
    finally:
        assert sniffer.close() == 0, "it saw only a part"


@dataclass
class Trap:
    """Listeners of the host, TCP and UDP on one port of every address; what came to them."""

    port: int = 0
    came: list[str] = field(default_factory=list)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, trap: Trap) -> None:
        self._trap = trap

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._trap.came.append(f"UDP from {addr[0]}: {data!r}")


@asynccontextmanager
async def trap() -> AsyncIterator[Trap]:
    made = Trap()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.came.append(f"TCP from {writer.get_extra_info('peername')[0]}")
        writer.close()

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await asyncio.start_server(connected, "0.0.0.0", 0))
        made.port = server.sockets[0].getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(made), ("0.0.0.0", made.port)
        )
        stack.callback(transport.close)
        yield made


@dataclass
class Window:
    """What passed the tap during one attempt."""

    sent: int = 0
    """Frames of the guest."""
    answers: list[str] = field(default_factory=list)
    """What the namespace sent, in the words of frames.seen()."""
    by_proxy: list[str] = field(default_factory=list)
    """Of the proxy to the guest's own address, in the same words. That way is open, and the guest's own programs may
    use it at any moment."""


def is_of_proxy(frame: bytes) -> bool:
    """Whether it is TCP of the session's proxy to the address that the guest has."""
    if frame[12:14] != IPV4.to_bytes(2, "big") or frame[23] != TCP:
        return False
    ports = 14 + (frame[14] & 15) * 4
    ends = socket.inet_aton(HOST_IP), socket.inet_aton(GUEST_IP)
    return (frame[26:30], frame[30:34]) == ends and frame[ports : ports + 2] == PROXY_PORT.to_bytes(2, "big")


def windows(frames: list[tuple[bool, bytes]], divide: bytes, count: int) -> list[Window]:
    """Frames of a tap by the attempt during which they passed. Raises AssertionError: a divider is not there."""
    found = [Window() for _ in range(count)]
    now = -1
    for outgoing, data in frames:
        if data.startswith(divide):
            assert int.from_bytes(data[len(divide) : len(divide) + 2], "big") == now + 1, "a divider was lost"
            now += 1
        elif 0 <= now < count:
            if outgoing:
                told = found[now].by_proxy if is_of_proxy(data) else found[now].answers
                told.append(seen(data))
            else:
                found[now].sent += 1
    assert now == count, f"the guest came to attempt {now} of {count}"
    return found


def listeners(table: str) -> list[str]:
    """Of the text of /proc/net/tcp, who listens: ["169.254.0.22:3128"] (proc_net_tcp(5); addresses as on x86)."""
    found = []
    for line in table.splitlines()[1:]:
        local, _, state = line.split()[1:4]
        if state == "0A":
            address, port = local.split(":")
            found.append(f"{socket.inet_ntoa(bytes.fromhex(address)[::-1])}:{int(port, 16)}")
    return found
