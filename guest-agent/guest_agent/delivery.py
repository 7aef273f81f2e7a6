"""What a path did with the packets it was given: how fast they came out, how long they queued, how many were lost.

Pure. Fed with the arrivals of transport-wide feedback (twcc.py).

A desktop sends little most of the time, so what arrives in a second says nothing about the path. Two things do, since
both look at packets that follow each other closely: a *train* (a frame of many packets) came out at least as fast as
it arrived, and packets that had to *queue* behind each other came out exactly as fast as the bottleneck lets them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from statistics import median

from guest_agent.twcc import Arrival

__all__ = ["LOSS_S", "Delivery"]

_RATE_S = 0.5
LOSS_S = 1.0
"""What ``loss`` looks back on."""
_LOSS_PACKETS = 20
"""Fewer say nothing about loss."""
_BASE_S = 10.0
"""The least delay of the last 10 to 20 s is the path's own; longer, and drifting clocks would show."""
_RTT_S = 2.0
_BEHIND_S = 0.001
_BUSY_PACKETS, _RUN_PACKETS, _RUN_S = 5, 8, 0.0005
_TRAIN_GAP_S = 0.012
_TRAIN_PACKETS, _TRAIN_S = 3, 0.0005
"""A train's least length, and the least time that it is taken to have needed: arrival times come in 0.25 ms."""
_TRAINS, _TRAIN_FRESH_S = 5, 3.0


class Delivery:
    def __init__(self) -> None:
        self.queue_s = 0.0
        """How long the packets of the last message waited in the path, beyond its own delay: the luckiest of them."""
        self.queued_packets = 0
        """How many packets that judgement rests on."""
        self.rtt_s = 0.0
        """From a packet to the message that tells of it: at least the round trip."""
        self._bases: list[tuple[float, float]] = []
        self._last_arrived_s: float | None = None
        self._arrived: deque[tuple[float, int]] = deque()
        self._busy: deque[tuple[float, float, int, int]] = deque()
        """Packets that had to queue: arrival, time since the packet before, size, and which arrival it was."""
        self._ordinal = 0
        self._losses: deque[tuple[float, int, int]] = deque()
        self._rtts: deque[tuple[float, float]] = deque()
        self._train: tuple[float, float, float, int, int] | None = None
        self._trains: deque[tuple[float, float]] = deque(maxlen=_TRAINS)

    def add(self, arrivals: Sequence[Arrival], now: float) -> None:
        """What one message told."""
        come = sorted(((a.arrived_s, a) for a in arrivals if a.arrived_s is not None), key=itemgetter(0))
        told = sum(not a.late for a in arrivals)
        lost = sum(a.arrived_s is None for a in arrivals) - sum(a.late for a in arrivals)
        self._losses.append((now, told, lost))
        while self._losses[0][0] < now - LOSS_S:
            self._losses.popleft()
        if not come:
            return
        queues: list[float] = []
        for arrived_s, packet in come:
            base_s = self._base(arrived_s - packet.sent_s, now)
            queues.append(arrived_s - packet.sent_s - base_s)
            self._note(arrived_s, packet, base_s)
            self._continue_train(arrived_s, packet, now)
        self.queue_s, self.queued_packets = min(queues), len(queues)
        self._rtts.append((now, now - max(a.sent_s for _, a in come)))
        while self._rtts[0][0] < now - _RTT_S:
            self._rtts.popleft()
        self.rtt_s = min(rtt for _, rtt in self._rtts)

    def _base(self, delay_s: float, now: float) -> float:
        """The path's own delay, of which only changes mean anything: the clocks differ."""
        if not self._bases or now - self._bases[-1][0] >= _BASE_S:
            self._bases = [*self._bases[-1:], (now, delay_s)]
        elif delay_s < self._bases[-1][1]:
            self._bases[-1] = (self._bases[-1][0], delay_s)
        return min(base for _, base in self._bases)

    def _note(self, arrived_s: float, packet: Arrival, base_s: float) -> None:
        last_s, self._last_arrived_s = self._last_arrived_s, arrived_s
        self._ordinal += 1
        self._arrived.append((arrived_s, packet.size_bytes))
        while self._arrived[0][0] < arrived_s - _RATE_S:
            self._arrived.popleft()
        if last_s is not None and packet.sent_s + base_s < last_s - _BEHIND_S:
            self._busy.append((arrived_s, max(0.0, arrived_s - last_s), packet.size_bytes, self._ordinal))
        while self._busy and self._busy[0][0] < arrived_s - _RATE_S:
            self._busy.popleft()

    def _continue_train(self, arrived_s: float, packet: Arrival, now: float) -> None:
        train = self._train
        if train is not None and 0 <= packet.sent_s - train[0] <= _TRAIN_GAP_S:
            _, first_s, last_s, count, size = train
            train = (packet.sent_s, first_s, max(last_s, arrived_s), count + 1, size + packet.size_bytes)
        else:
            if train is not None and train[3] >= _TRAIN_PACKETS:
                _, first_s, last_s, _, size = train
                self._trains.append((now, size * 8 / max(last_s - first_s, _TRAIN_S)))
            train = (packet.sent_s, arrived_s, arrived_s, 1, 0)
        self._train = train

    def lost_packets(self) -> int:
        """How many of the last second's packets are missing."""
        return max(0, sum(lost for _, _, lost in self._losses))

    def loss(self) -> float:
        """The same as a fraction; 0 of too few to say."""
        told = sum(count for _, count, _ in self._losses)
        return self.lost_packets() / told if told >= _LOSS_PACKETS else 0.0

    def arrived_bps(self) -> float:
        """Of the last half second in which anything came."""
        return sum(size for _, size in self._arrived) * 8 / _RATE_S

    def bottleneck_bps(self) -> float | None:
        """How fast packets came out that had to queue, in the last half second: the fastest few of them in a row.

        A narrow link lets them out evenly, so that any dozen tells. A machine that was busy elsewhere (the guest's,
        the relay's or the viewer's) holds everything back and then lets it all out at once, and nothing is narrow
        there. None where hardly any had to queue.
        """
        busy = list(self._busy)
        best = 0.0
        for last in range(_BUSY_PACKETS - 1, len(busy)):
            first = max(0, last - _RUN_PACKETS + 1)
            # In a row: no packet came between that had not to queue.
            while busy[last][3] - busy[first][3] != last - first:
                first += 1
            if last - first + 1 < min(_RUN_PACKETS, len(busy)):
                continue
            took_s = sum(busy[i][1] for i in range(first, last + 1))
            size = sum(busy[i][2] for i in range(first, last + 1))
            best = max(best, size * 8 / max(took_s, _RUN_S))
        return best or None

    def sustained_bps(self) -> float | None:
        """The same over all of them, pauses included."""
        took_s = sum(gap for _, gap, _, _ in self._busy)
        if len(self._busy) < _BUSY_PACKETS or took_s < _RUN_S:
            return None
        return sum(size for _, _, size, _ in self._busy) * 8 / took_s

    def train_bps(self, now: float) -> float:
        """What the frames of the last seconds show that the path carries; 0 where there were none of enough
        packets."""
        fresh = [bps for at, bps in self._trains if at >= now - _TRAIN_FRESH_S]
        return median(fresh) if fresh else 0.0
