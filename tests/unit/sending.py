"""A desktop's stream over a bad path, in simulated time: the agent's real path.py, pacer and rate control, a model of
the encoder, a lossy link, and a receiver that sends transport-wide feedback. Nothing waits, so a minute takes a
moment and the same seed gives the same run.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from guest_agent.path import LONGEST_WAIT_S, Path
from tests.lossy_link import Impairment, LossyLink
from tests.twcc_feedback import FeedbackGenerator

__all__ = ["Frame", "Simulation", "idle", "paging", "scrolling", "start", "typing", "video"]

PACKET_BYTES = 1226
FPS = 60
FEEDBACK_S = 0.1


@dataclass(slots=True)
class Frame:
    made_s: float
    missing: int
    size_bytes: int
    seen_s: float | None = None
    """When its last packet came."""


def scrolling(rate_bps: float, number: int) -> int:
    """A frame of a page that scrolls: as much as the encoder may spend, up to 5 Mb/s at 60 frames a second."""
    return int(min(rate_bps / 30 / 8, 5_000_000 / FPS / 8 * 2))


def video(rate_bps: float, number: int) -> int:
    """Everything moves: the encoder spends what it has."""
    return int(rate_bps / 30 / 8)


def paging(rate_bps: float, number: int) -> int:
    """Fifteen pictures a second with nothing in common: each takes what the rate gives it, up to 2 Mb/s in all."""
    return int(min(rate_bps * 0.93, 2_000_000) / 15 / 8) if number % 4 == 0 else 0


def typing(rate_bps: float, number: int) -> int:
    """A few characters eight times a second."""
    return 300 if number % 8 == 0 else 0


def idle(rate_bps: float, number: int) -> int:
    """A heartbeat every 1.5 s."""
    return 60 if number % 90 == 0 else 0


@dataclass
class Simulation:
    """``content`` may be changed at any time, and so may ``link.impairment``."""

    link: LossyLink
    content: Callable[[float, int], int]
    back: LossyLink = field(default_factory=lambda: LossyLink(Impairment(), 1))

    def __post_init__(self) -> None:
        self.now = 0.0
        self.frames: list[Frame] = []
        self.targets: list[tuple[float, float]] = []
        self.path = Path(lambda: self.now, self._noted)
        self._receiver = FeedbackGenerator()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._offset = 1000.0
        """The receiver's clock is another."""
        self._sender = self._send()
        self._at(0.0, self._wake)
        self._at(FEEDBACK_S, self._tell)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    def ages(self, since: float, until: float) -> list[float]:
        """How old frames were when they had come, of those made in a span; a frame that never came is not here."""
        return sorted(f.seen_s - f.made_s for f in self.frames if since <= f.made_s < until and f.seen_s is not None)

    def longest_gap_s(self, since: float, until: float) -> float:
        """Between frames that came whole."""
        seen = sorted(f.seen_s for f in self.frames if f.seen_s is not None and since <= f.seen_s < until)
        return max((b - a for a, b in itertools.pairwise([since, *seen, until])), default=until - since)

    def sent_bps(self, since: float, until: float) -> float:
        return sum(f.size_bytes for f in self.frames if since <= f.made_s < until) * 8 / (until - since)

    def _noted(self) -> None:
        self.targets.append((self.now, self.path.target_bps))

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _wake(self) -> None:
        self._at(self.now + next(self._sender), self._wake)

    def _send(self) -> Iterator[float]:
        """What rtp.py's loop and the media thread do; yields how long to sleep."""
        for number in itertools.count():
            began = self.now
            size = self.content(self.path.target_bps, number)
            frame = Frame(self.now, -(-size // PACKET_BYTES), size)
            if size:
                self.frames.append(frame)
            for _ in range(frame.missing):
                if (wait_s := self.path.packet_wait_s()) > 0:
                    yield wait_s
                seq = self.path.sent(PACKET_BYTES)
                for arrives in self.link.offer(PACKET_BYTES, self.now):
                    self._at(arrives, partial(self._arrive, seq, frame))
            waited_s = 0.0
            while waited_s < LONGEST_WAIT_S and (wait_s := self.path.frame_wait_s()) > 0:
                waited_s += wait_s
                yield wait_s
            # The next slot that is not over.
            yield max(1 / FPS - (self.now - began), 0.0001)

    def _arrive(self, seq: int, frame: Frame) -> None:
        self._receiver.arrived(seq, self.now + self._offset)
        frame.missing -= 1
        if frame.missing == 0:
            frame.seen_s = self.now

    def _tell(self) -> None:
        message = self._receiver.message()
        if message is not None:
            for arrives in self.back.offer(len(message), self.now):
                self._at(arrives, lambda: self.path.on_transport_feedback(message))
        self._at(self.now + FEEDBACK_S, self._tell)


def start(impairment: Impairment, content: Callable[[float, int], int], *, seed: int = 7) -> Simulation:
    back = LossyLink(Impairment(delay_s=impairment.delay_s), seed + 1)
    return Simulation(LossyLink(impairment, seed), content, back)
