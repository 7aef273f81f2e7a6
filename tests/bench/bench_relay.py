"""What a datagram costs in the relay, by UDP and by TCP, beside asyncio's own datagram protocol doing the same.

Run: ``PYTHONPATH=.:guest-agent python tests/bench/bench_relay.py [--rounds 400]``. Judges nothing.

Bursts as a video frame makes them go through each relay in turn, on loopback in this process, both ways. A
burst is sent before the clock starts and read by one plain reader; the same burst sent to that reader without
a relay is subtracted, so what is left is the relay.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import time
from functools import partial
from typing import cast

from gateway.dataplane import IceCredentials
from gateway.relay.relay import Relay
from gateway.relay.sockets import raise_buffers
from tests.stun_messages import binding_request

LOOPBACK = "127.0.0.1"
PWD = "p" * 22
BURST = 48
SIZE_BYTES = 1150
"""A frame of 55 KiB."""
Address = tuple[str, int]


class End:
    """A viewer or a guest: a socket whose datagrams are read and counted."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((LOOPBACK, 0))
        self.sock.setblocking(False)
        raise_buffers(self.sock, 4 << 20)
        self.address: Address = self.sock.getsockname()
        self.heard_from: Address = ("", 0)
        self.missing = 0
        self.complete = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.sock, self._read)

    def expect(self, count: int) -> None:
        self.missing = count
        self.complete.clear()

    def send(self, data: bytes, to: Address) -> None:
        self.sock.sendto(data, to)

    def _read(self) -> None:
        while True:
            try:
                _, self.heard_from = self.sock.recvfrom(65536)
            except BlockingIOError:
                return
            self.missing -= 1
            if self.missing == 0:
                self.complete.set()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()


class FramedEnd:
    """A viewer by TCP; all frames that it is sent are of SIZE_BYTES."""

    def __init__(self, relay: Relay) -> None:
        with socket.create_server((LOOPBACK, 0)) as listening:
            self.sock = socket.create_connection(listening.getsockname())
            relay.take(listening.accept()[0])
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.missing_bytes = 0
        self.complete = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.sock, self._read)

    def expect(self, count: int) -> None:
        self.missing_bytes = count * (2 + SIZE_BYTES)
        self.complete.clear()

    def send(self, data: bytes, to: Address) -> None:
        self.sock.sendall(len(data).to_bytes(2, "big") + data)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while got := len(self.sock.recv(65536)):
                self.missing_bytes -= got
                if self.missing_bytes == 0:
                    self.complete.set()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()


class StockRelay(asyncio.DatagramProtocol):
    """The comparison: a protocol outside, and for the one client a connected protocol inside."""

    def __init__(self) -> None:
        self.inner: dict[Address, asyncio.DatagramTransport] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        raise_buffers(transport.get_extra_info("socket"), 4 << 20)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if (inner := self.inner.get(addr)) is not None:
            inner.sendto(data)


class StockInner(asyncio.DatagramProtocol):
    def __init__(self, relay: StockRelay, client: Address) -> None:
        self.relay, self.client = relay, client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        raise_buffers(transport.get_extra_info("socket"), 1 << 20)
        self.relay.inner[self.client] = self.transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.relay.transport.sendto(data, self.client)


async def burst_us(sender: End | FramedEnd, to: Address, receiver: End | FramedEnd) -> float:
    """Time for each datagram of one burst, in µs."""
    receiver.expect(BURST)
    data = b"\x80" * SIZE_BYTES
    for _ in range(BURST):
        sender.send(data, to)
    started = time.perf_counter()
    await asyncio.wait_for(receiver.complete.wait(), 5)
    return (time.perf_counter() - started) / BURST * 1e6


async def compare(rounds: int) -> dict[str, list[float]]:
    loop = asyncio.get_running_loop()
    viewer, guest = End(), End()

    async def open_socket() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(guest.address)
        return sock

    relay = await Relay.open(0, bind=(LOOPBACK,))
    relay.admit("vm", IceCredentials("ufragone", PWD, guest.address[1]), open_socket)
    ours: Address = (LOOPBACK, relay.port)
    guest.expect(1)
    viewer.sock.sendto(binding_request("ufragone", PWD), ours)
    await guest.complete.wait()
    ours_inside = guest.heard_from
    framed = FramedEnd(relay)
    guest.expect(1)
    framed.send(binding_request("ufragone", PWD), ours)
    await guest.complete.wait()
    tcp_inside = guest.heard_from

    outer, stock = await loop.create_datagram_endpoint(StockRelay, local_addr=(LOOPBACK, 0))
    inner, _ = await loop.create_datagram_endpoint(
        partial(StockInner, stock, viewer.address), remote_addr=guest.address
    )
    theirs: Address = outer.get_extra_info("sockname")
    theirs_inside: Address = inner.get_extra_info("sockname")

    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, sender, to, receiver in (
            ("direct", viewer, guest.address, guest),
            ("ours to guest", viewer, ours, guest),
            ("stock to guest", viewer, theirs, guest),
            ("ours to viewer", guest, ours_inside, viewer),
            ("tcp to guest", framed, ours, guest),
            ("tcp to viewer", guest, tcp_inside, framed),
            ("stock to viewer", guest, theirs_inside, viewer),
        ):
            times.setdefault(name, []).append(await burst_us(sender, to, receiver))
    outer.close()
    inner.close()
    await relay.close()
    viewer.close()
    framed.close()
    guest.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    times = asyncio.run(compare(parser.parse_args().rounds))
    direct = statistics.median(times.pop("direct"))
    cost = {name: statistics.median(values) - direct for name, values in times.items()}
    for way in ("to guest", "to viewer"):
        ours, tcp, stock = (cost[f"{what} {way}"] for what in ("ours", "tcp", "stock"))
        figures = {"ours_us": ours, "tcp_us": tcp, "stock_us": stock, "ratio": stock / ours}
        print(json.dumps({"way": way, **{name: round(figure, 1) for name, figure in figures.items()}}))


if __name__ == "__main__":
    main()
