"""Who listens: the recorder runs from the first listener to the last, and its packets go to all. Runs on the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

from guest_agent.audio.opus import SoundPacket
from guest_agent.audio.track import SoundTrack

__all__ = ["RecordingCounters", "Sound", "SoundSource"]


@dataclass(slots=True)
class RecordingCounters:
    """Written by the sound thread, read anywhere."""

    recorders: int = 0
    """Started, the first included."""
    recorder_failures: int = 0
    sound_late: int = 0
    """Frames dropped because they came faster than real time."""
    sound_silent: int = 0
    """Frames of silence that were not encoded."""


class SoundSource(Protocol):
    """The sound thread, seen from the loop (capture.Capture)."""

    counters: RecordingCounters

    def listen(self, on: bool) -> None:
        """Somebody listens. Does not block."""

    async def close(self) -> None: ...


class Sound:
    """All viewers' ends of the sound.

    Args:
        make: the source, which calls what it is given on the loop with each packet.
    """

    def __init__(self, make: Callable[[Callable[[SoundPacket], None]], SoundSource]) -> None:
        self._listeners: set[SoundTrack] = set()
        self._packets = self._bytes = self._unsent = 0
        self._source = make(self.deliver)

    def track(self) -> SoundTrack:
        """A track for a new viewer, who does not listen yet."""
        return SoundTrack(self._listen)

    def deliver(self, packet: SoundPacket) -> None:
        """A packet from the sound thread; late ones, when nobody listens any more, go nowhere."""
        self._packets += 1
        self._bytes += len(packet.payload)
        for track in self._listeners:
            self._unsent += not track.offer(packet)

    def counters(self) -> Mapping[str, int]:
        """Since start; ``listeners`` is momentary."""
        return {
            "listeners": len(self._listeners),
            "sound_packets": self._packets,
            "sound_bytes": self._bytes,
            "sound_unsent": self._unsent,
            **asdict(self._source.counters),
        }

    async def close(self) -> None:
        await self._source.close()

    def _listen(self, track: SoundTrack, on: bool) -> None:
        before = bool(self._listeners)
        if on:
            self._listeners.add(track)
        else:
            self._listeners.discard(track)
        if bool(self._listeners) != before:
            self._source.listen(not before)
