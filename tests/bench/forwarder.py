"""What forwards datagrams, in a process and on a core of its own, so that what it costs is not mixed with its load.

``relay`` is the data plane with the relay in it, on loopback in place of the guests' networks. ``bare`` is a loop of
recvfrom_into and send for one viewer and one guest: what Python and this kernel can. ``stock`` is the same by
asyncio's datagram protocol.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, cast

from gateway.dataplane import IceCredentials
from gateway.local_dataplane import LocalDataPlane
from gateway.relay.relay import Relay
from gateway.relay.sockets import raise_buffers
from tests.loopback.relay_lan import LOOPBACK, LoopbackLan

__all__ = ["KINDS", "PWD", "Address", "Figures", "Forwarder", "own_core", "ufrag"]

PWD = "p" * 22
ANSWER_S = 30.0
PUBLIC_BUFFER_BYTES = 4 << 20
INNER_BUFFER_BYTES = 1 << 20
Address = tuple[str, int]


def ufrag(number: int) -> str:
    """Of session ``number``."""
    return f"ufrag{number:04}"


@dataclass(frozen=True)
class Figures:
    """What a forwarder says of itself; counts since its start."""

    at_s: float
    cpu_s: float
    """Of all its threads, in the kernel too."""
    ready_s: float
    """How long its threads could have run and had no core: what others on this host take from it."""
    packets: int
    """Forwarded, both ways."""
    dropped: int
    """By its own choice."""
    memory_bytes: int
    """Resident."""
    files: int


def own_core() -> int:
    """Keep this process to the first core that it may use; gives the last one, for the forwarder."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    return cores[-1]


class Forwarder:
    """A context manager: the process runs within it."""

    def __init__(self, kind: str, core: int) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._link, theirs = spawning.Pipe()
        self._process = spawning.Process(
            target=_run, args=(kind, core, theirs), name=f"forwarder {kind}", daemon=True
        )
        self._process.start()
        theirs.close()
        self.address: Address = self._ask("address")

    def add(self, guest_ports: list[int]) -> None:
        """Sessions whose guests are at these ports of loopback, in the order of :func:`ufrag`."""
        self._ask(guest_ports)

    def figures(self) -> Figures:
        figures: Figures = self._ask("figures")
        return figures

    def _ask(self, what: object) -> Any:
        self._link.send(what)
        if not self._link.poll(ANSWER_S):
            raise TimeoutError(f"The forwarder does not answer to {what!r}.")
        return self._link.recv()

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(self, *exc: object) -> None:
        self._link.close()
        self._process.join(ANSWER_S)
        self._process.kill()


class _Served(Protocol):
    address: Address

    def add(self, guest_ports: list[int]) -> None: ...

    def counts(self) -> tuple[int, int]:
        """Packets forwarded, packets dropped."""


class _Bare:
    def __init__(self) -> None:
        self._outer = _bound()
        self.address: Address = self._outer.getsockname()
        self._packets = [0]

    def add(self, guest_ports: list[int]) -> None:
        (port,) = guest_ports
        inner = _towards(port)
        threading.Thread(target=self._forward, args=(inner,), daemon=True).start()

    def _forward(self, inner: socket.socket) -> None:
        buffer, packets, receive, send = bytearray(65536), self._packets, self._outer.recvfrom_into, inner.send
        view = memoryview(buffer)
        while True:
            size, _ = receive(buffer)
            send(view[:size])
            packets[0] += 1

    def counts(self) -> tuple[int, int]:
        return self._packets[0], 0


class _InLoop:
    """Lives in a loop in a thread of its own; what is called here runs there."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def _there(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)


class _Plane(_InLoop):
    def __init__(self) -> None:
        super().__init__()
        self._sessions = 0
        self._there(self._open())

    async def _open(self) -> None:
        relay = await Relay.open(0, bind=(LOOPBACK,))
        self._plane = LocalDataPlane(self._lan, relay)
        self.address: Address = (LOOPBACK, relay.port)

    async def _lan(self, vm_id: str, pid: int | None) -> LoopbackLan:
        return LoopbackLan()

    def add(self, guest_ports: list[int]) -> None:
        self._there(self._add(guest_ports))

    async def _add(self, guest_ports: list[int]) -> None:
        for port in guest_ports:
            vm_id = f"vm{self._sessions}"
            await self._plane.attach(vm_id)
            await self._plane.admit(vm_id, IceCredentials(ufrag(self._sessions), PWD, port))
            self._sessions += 1

    def counts(self) -> tuple[int, int]:
        return cast(tuple[int, int], self._there(self._counts()))

    async def _counts(self) -> tuple[int, int]:
        counters = self._plane.counters()
        dropped = sum(count for name, count in counters.items() if name.startswith("dropped_"))
        return counters["packets_to_guest"] + counters["packets_to_viewer"], dropped


class _StockOuter(asyncio.DatagramProtocol):
    inner: asyncio.DatagramTransport

    def __init__(self) -> None:
        self.packets = 0

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.inner.sendto(data)
        self.packets += 1


class _Stock(_InLoop):
    def __init__(self) -> None:
        super().__init__()
        self._there(self._open())

    async def _open(self) -> None:
        outer = _bound()
        self.address: Address = outer.getsockname()
        outer.setblocking(False)
        _, self._outer = await self._loop.create_datagram_endpoint(_StockOuter, sock=outer)

    def add(self, guest_ports: list[int]) -> None:
        self._there(self._add(guest_ports))

    async def _add(self, guest_ports: list[int]) -> None:
        (port,) = guest_ports
        inner = _towards(port)
        inner.setblocking(False)
        self._outer.inner, _ = await self._loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=inner)

    def counts(self) -> tuple[int, int]:
        return self._outer.packets, 0


KINDS: dict[str, Callable[[], _Served]] = {"relay": _Plane, "bare": _Bare, "stock": _Stock}


def _run(kind: str, core: int, link: Connection) -> None:
    """The process: it forwards, and answers until the other end of ``link`` is closed."""
    os.sched_setaffinity(0, {core})
    served = KINDS[kind]()
    while True:
        try:
            asked = link.recv()
        except EOFError:
            return
        if isinstance(asked, list):
            served.add(asked)
            link.send(None)
        else:
            link.send(served.address if asked == "address" else _figures(served))


def _figures(served: _Served) -> Figures:
    packets, dropped = served.counts()
    tasks = Path("/proc/self/task").iterdir()
    ready_ns = sum(int(task.joinpath("schedstat").read_text().split()[1]) for task in tasks)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Figures(
        at_s=time.monotonic(),
        cpu_s=time.process_time(),
        ready_s=ready_ns / 1e9,
        packets=packets,
        dropped=dropped,
        memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        files=len(os.listdir("/proc/self/fd")),
    )


def _bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOOPBACK, 0))
    raise_buffers(sock, PUBLIC_BUFFER_BYTES)
    return sock


def _towards(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((LOOPBACK, port))
    raise_buffers(sock, INNER_BUFFER_BYTES)
    return sock
