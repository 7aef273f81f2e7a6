"""A browser's machine at the end of a slow line: every packet either way goes through a model of it.

The kernel's own (tc netem) is not on every machine. Here both ends of the cable are TUN devices, and a thread carries
the packets from one to the other when the line (tests/lossy_link.py) says that they are due.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import select
import struct
import threading
import time

from tests.e2e.browser_host import BrowserHost, run
from tests.lossy_link import Impairment, LossyLink

__all__ = ["SlowBrowserHost"]

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x0001 | 0x1000
"""linux/if_tun.h: layer 3, and nothing before the packet."""
MAX_PACKET_BYTES = 65536


def _tun(name: str) -> int:
    """A new device of this namespace that lives as long as the descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    except BaseException:
        os.close(fd)
        raise
    return fd


class _Line(threading.Thread):
    """Carries packets between two descriptors until stopped."""

    def __init__(self, one: int, other: int, impairment: Impairment) -> None:
        super().__init__(name="slow cable", daemon=True)
        self._ways = {one: (other, LossyLink(impairment, 1)), other: (one, LossyLink(impairment, 2))}
        self._stop_r, self._stop_w = os.pipe()

    def run(self) -> None:
        due: list[tuple[float, int, int, bytes]] = []
        order = itertools.count()
        while True:
            wait_s = None if not due else max(0.0, due[0][0] - time.monotonic())
            ready, _, _ = select.select([*self._ways, self._stop_r], [], [], wait_s)
            if self._stop_r in ready:
                return
            now = time.monotonic()
            for fd in ready:
                other, link = self._ways[fd]
                packet = os.read(fd, MAX_PACKET_BYTES)
                for at in link.offer(len(packet), now):
                    heapq.heappush(due, (at, next(order), other, packet))
            while due and due[0][0] <= now:
                _, _, fd, packet = heapq.heappop(due)
                os.write(fd, packet)

    def stop(self) -> None:
        os.write(self._stop_w, b"x")
        self.join()
        for fd in (*self._ways, self._stop_r, self._stop_w):
            os.close(fd)


class SlowBrowserHost(BrowserHost):
    """``impairment`` holds for each direction."""

    def __init__(self, impairment: Impairment) -> None:
        self._impairment = impairment
        self._line: _Line | None = None
        super().__init__()

    def _cable(self, inner: str) -> None:
        one = _tun(self._outer)
        try:
            other = _tun(inner)
        except BaseException:
            os.close(one)
            raise
        self._line = _Line(one, other, self._impairment)
        self._line.start()
        run("ip", "link", "set", inner, "netns", self.name)

    def close(self) -> None:
        if self._line is not None:
            self._line.stop()
            self._line = None
        super().close()
