"""Who gets which encode. Pure: time is an argument, in seconds, monotonic.

There are at most two: MAIN, made for the viewer that leads (who controls now; all lead while that is none of these),
and LAG for those whose path carries less or who know another codec. A viewer that only watches never slows MAIN down;
a leader on a slow path does, since it is the one whom the desktop is for.

MAIN has full chroma (4:4:4) when a leader asks for it, all leaders can decode it, and those who cannot can share LAG,
which never has it: who lags is short of bits.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from guest_agent.rate import MAX_BPS
from guest_agent.videocodec import Codec

__all__ = ["LAG", "MAIN", "Rungs"]

MAIN, LAG = 0, 1

_BEHIND = 0.7
"""Of MAIN's rate: whoever carries less lags."""
_ABREAST = 0.9
_ABREAST_S = 3.0
"""So long must its path carry enough before a viewer goes back: each change costs a keyframe."""
_PENALTY_S = 10.0
"""And so long after it could not take a frame in time."""


@dataclass(slots=True)
class _Place:
    codecs: Sequence[Codec]
    """What it decodes, first what it has without full chroma."""
    crisp: bool
    rung: int = MAIN
    abreast_since: float | None = None
    not_before: float = float("-inf")


V = TypeVar("V", bound=Hashable)
"""Whatever stands for a viewer."""


class Rungs(Generic[V]):
    """:meth:`update` alone decides. It is due when a viewer came, asked or went, and when another leads."""

    def __init__(self) -> None:
        self._places: dict[V, _Place] = {}
        self.leader: V | None = None
        """Who controls, whether it watches yet or not."""
        self.rates_bps = [float(MAX_BPS), float(MAX_BPS)]
        """What MAIN and LAG may take."""
        self._codecs = (Codec.H264, Codec.H264)

    def add(self, viewer: V, *, codecs: Sequence[Codec] = (Codec.H264,), crisp: bool = False) -> None:
        """A new viewer. It starts on MAIN; one who cannot decode what the leaders have goes on to LAG.

        Args:
            codecs: what it decodes, first what it has without full chroma.
            crisp: as of ``ask``.
        """
        self._places[viewer] = _Place(codecs, crisp)

    def ask(self, viewer: V, *, crisp: bool) -> None:
        """Whether a viewer asks for full chroma."""
        self._places[viewer].crisp = crisp

    def codec(self, rung: int) -> Codec:
        """MAIN has the codec of who came first of the leaders, LAG another where somebody needs that."""
        return self._codecs[rung]

    def remove(self, viewer: V) -> None:
        self._places.pop(viewer, None)

    def rung(self, viewer: V) -> int:
        return self._places[viewer].rung

    def on(self, rung: int) -> list[V]:
        """The viewers of a rung."""
        return [viewer for viewer, place in self._places.items() if place.rung == rung]

    def leaders(self) -> list[V]:
        """Those for whom MAIN is made."""
        return [viewer for viewer in self._places if self._leads(viewer)]

    def waits_for(self, rung: int) -> list[V]:
        """The viewers without whom the next frame of a rung is not made."""
        if rung == LAG:
            return self.on(LAG)
        return [viewer for viewer in self.on(MAIN) if self._leads(viewer)]

    def behind(self, viewer: V, now: float) -> bool:
        """It did not take its last frame of MAIN before the next was there. True: it lags from now on."""
        place = self._places[viewer]
        if self._leads(viewer) or self.codec(LAG) not in place.codecs:
            return False
        place.rung, place.abreast_since, place.not_before = LAG, None, now + _PENALTY_S
        return True

    def update(self, targets_bps: Mapping[V, float], now: float) -> list[V]:
        """What every viewer's path carries now. Sets codecs and rates; returns those who changed their rung."""
        self._codecs = self._chosen_codecs()
        codec = self.codec(MAIN)
        leaders = [viewer for viewer in self.leaders() if codec in self._places[viewer].codecs]
        main = max((targets_bps[viewer] for viewer in leaders), default=float(MAX_BPS))
        moved = [viewer for viewer in self._places if self._moves(viewer, targets_bps[viewer], main, now)]
        if leaders and not any(self.rung(viewer) == MAIN for viewer in leaders):
            best = max(leaders, key=lambda viewer: targets_bps[viewer])
            self._places[best].rung = MAIN
            moved = [viewer for viewer in moved if viewer is not best] + [best]
        # Leaders that share MAIN share the slowest's rate; a slower one than that lags by now.
        sharing = [targets_bps[viewer] for viewer in self.on(MAIN) if self._leads(viewer)]
        lagging = [targets_bps[viewer] for viewer in self.on(LAG)]
        self.rates_bps = [min(sharing, default=main), min(lagging, default=main)]
        return moved

    def _moves(self, viewer: V, target_bps: float, main_bps: float, now: float) -> bool:
        place = self._places[viewer]
        foreign = self.codec(MAIN) not in place.codecs
        if place.rung == MAIN:
            # With another codec on LAG there is no second encode for who lags: it shares MAIN as well as it can.
            if not foreign and (target_bps >= main_bps * _BEHIND or self.codec(LAG) not in place.codecs):
                return False
            place.rung, place.abreast_since = LAG, None
            return True
        if foreign:
            return False
        if self.codec(LAG) not in place.codecs:
            place.rung = MAIN
            return True
        if target_bps < main_bps * _ABREAST:
            place.abreast_since = None
            return False
        place.abreast_since = now if place.abreast_since is None else place.abreast_since
        if now < max(place.abreast_since + _ABREAST_S, place.not_before):
            return False
        place.rung = MAIN
        return True

    def _chosen_codecs(self) -> tuple[Codec, Codec]:
        places = self._places.values()
        leading = [self._places[viewer] for viewer in self.leaders()]
        plain = leading[0].codecs[0] if leading else Codec.H264
        main = Codec.H264_444 if self._may_be_crisp(leading) else plain
        other = next((place.codecs[0] for place in places if main not in place.codecs), plain)
        return main, other

    def _may_be_crisp(self, leading: Sequence[_Place]) -> bool:
        if not any(place.crisp for place in leading) or any(Codec.H264_444 not in place.codecs for place in leading):
            return False
        without = [place for place in self._places.values() if Codec.H264_444 not in place.codecs]
        return len({place.codecs[0] for place in without}) <= 1

    def _leads(self, viewer: V) -> bool:
        return viewer == self.leader or self.leader not in self._places
