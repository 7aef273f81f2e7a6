"""Viewers and guests for a forwarder: sockets of this process, filled and emptied by one loop that never sleeps.

A datagram says when it was sent and which session it is of, so that it is known how old it is and that it came to its
own. A loop that waited for its sockets would add the time that waking takes to every figure.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.relay.sockets import raise_buffers
from tests.bench.forwarder import PWD, Address, ufrag
from tests.loopback.relay_lan import LOOPBACK
from tests.stun_messages import binding_request, binding_response

__all__ = ["HEADER_BYTES", "End", "Ends", "Heard", "paced", "percentile", "saturate"]

_HEADER = struct.Struct("!BxHxxxxq")
"""A first byte as RTP has it, the session, the time in ns."""
HEADER_BYTES = _HEADER.size
_RTP = 0x80
_UDP_SEGMENT = 103
"""linux/udp.h; with SOL_UDP: one call sends many datagrams, so the load costs less than what it loads."""
_BUFFER_BYTES = 4 << 20
_BURST = 32
JOIN_S = 20.0
STUCK_S = 0.5
"""Without a datagram for so long, those on their way are lost."""


@dataclass(slots=True)
class Heard:
    """What came one way."""

    packets: int = 0
    strays: int = 0
    """Of another session."""
    ages_ns: list[int] = field(default_factory=list)


class End:
    """A viewer or a guest. ``to`` is where it sends."""

    def __init__(self, session: int, heard: Heard) -> None:
        self.session = session
        self.heard = heard
        self.to: Address = ("", 0)
        self.from_there = 0
        self.stun = 0
        """Binding requests or responses that came."""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((LOOPBACK, 0))
        self.sock.setblocking(False)
        raise_buffers(self.sock, _BUFFER_BYTES)
        self.port: int = self.sock.getsockname()[1]

    def send(self, packet: bytearray) -> None:
        """With the session's number and the time of now."""
        _HEADER.pack_into(packet, 0, _RTP, self.session, time.perf_counter_ns())
        self.sock.sendto(packet, self.to)

    def burst(self, packet: bytearray, count: int) -> None:
        """``count`` alike at once."""
        _HEADER.pack_into(packet, 0, _RTP, self.session, time.perf_counter_ns())
        size = struct.pack("H", len(packet))
        self.sock.sendmsg([packet] * count, [(socket.SOL_UDP, _UDP_SEGMENT, size)], 0, self.to)


class Ends:
    """All viewers and guests of ``count`` sessions. A context manager."""

    def __init__(self, count: int) -> None:
        self.at_guests, self.at_viewers = Heard(), Heard()
        self.guests = [End(number, self.at_guests) for number in range(count)]
        self.viewers = [End(number, self.at_viewers) for number in range(count)]
        self._poll = select.epoll()
        self._by_fd = {end.sock.fileno(): end for end in (*self.guests, *self.viewers)}
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)
        self._buffer = bytearray(65536)

    def join(self, relay: Address, *, check: bool = True) -> None:
        """Each viewer is heard by its guest, by a binding request (or, without ``check``, by any datagram)."""
        for viewer in self.viewers:
            viewer.to = relay
            first = binding_request(ufrag(viewer.session), PWD) if check else bytes([_RTP]) * HEADER_BYTES
            viewer.sock.sendto(first, relay)
        ends_at = time.monotonic() + JOIN_S
        waiting = {guest.sock.fileno(): guest for guest in self.guests}
        while waiting:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{len(waiting)} guests heard nothing.")
            for fd, _ in self._poll.poll(0.1):
                guest = waiting.pop(fd, None)
                if guest is not None:
                    _, guest.to = guest.sock.recvfrom(65536)

    def direct(self) -> None:
        """Nothing in between."""
        for viewer, guest in zip(self.viewers, self.guests, strict=True):
            viewer.to, guest.to = (LOOPBACK, guest.port), (LOOPBACK, viewer.port)

    def drain(self, *, ages: bool = True) -> int:
        """Read what has come, at most _BURST of each; gives how many."""
        buffer, total = self._buffer, 0
        for fd, _ in self._poll.poll(0):
            end = self._by_fd[fd]
            heard, receive, own = end.heard, end.sock.recv_into, end.session
            for _ in range(_BURST):
                try:
                    receive(buffer)
                except BlockingIOError:
                    break
                total += 1
                if buffer[0] != _RTP:
                    self._stun(end)
                    continue
                _, session, sent_ns = _HEADER.unpack_from(buffer)
                heard.packets += 1
                if session != own:
                    heard.strays += 1
                if ages:
                    heard.ages_ns.append(time.perf_counter_ns() - sent_ns)
                end.from_there += 1
        return total

    def _stun(self, end: End) -> None:
        end.stun += 1
        if end.heard is self.at_guests:
            end.sock.sendto(_RESPONSE, end.to)

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *exc: object) -> None:
        self._poll.close()
        for end in self._by_fd.values():
            end.sock.close()


_RESPONSE = binding_response(PWD)


def saturate(
    ends: Ends, pairs: Sequence[tuple[End, End]], size_bytes: int, seconds: float, *, burst: int, window: int
) -> int:
    """Keep ``window`` datagrams on their way in each pair of sender and receiver; gives how many were lost."""
    packet, lost = bytearray(size_bytes), 0
    sent = [receiver.from_there for _, receiver in pairs]
    now = moved_at = time.monotonic()
    ends_at = now + seconds
    while now < ends_at:
        for number, (sender, receiver) in enumerate(pairs):
            if sent[number] - receiver.from_there <= window - burst:
                sender.burst(packet, burst)
                sent[number] += burst
        now = time.monotonic()
        if ends.drain(ages=False):
            moved_at = now
        elif now - moved_at > STUCK_S:
            lost += sum(sent) - sum(receiver.from_there for _, receiver in pairs)
            sent = [receiver.from_there for _, receiver in pairs]
            moved_at = now
    return lost


def paced(ends: Ends, send: Callable[[int], None], per_s: float, seconds: float) -> tuple[int, float]:
    """Call ``send`` with 0, 1, 2, ... so often, evenly; gives how many calls and how late (s) the latest was.

    Then it reads until nothing has come for STUCK_S.
    """
    began = time.monotonic()
    calls, total, latest_s = 0, round(per_s * seconds), 0.0
    while calls < total:
        now = time.monotonic()
        due = began + calls / per_s
        if now >= due:
            latest_s = max(latest_s, now - due)
            send(calls)
            calls += 1
        ends.drain()
    ends_at = time.monotonic() + STUCK_S
    while time.monotonic() < ends_at:
        if ends.drain():
            ends_at = time.monotonic() + STUCK_S
    return calls, latest_s


def percentile(values: Sequence[int], share: float) -> float:
    """Of unsorted values."""
    return float(sorted(values)[min(len(values) - 1, int(len(values) * share))])
