"""When the media thread captures, repeats a frame, or waits. Pure: time is an argument, in seconds, monotonic.

The rules, strongest first:

1. Nobody watches: nothing happens at all.
2. One frame in flight: until the loop has taken the last frame, no new one is made. Damage meanwhile collects in
   the X server, so the next capture shows the newest picture and no frame ever queues.
3. A keyframe that was asked for goes out at once, but at most one per ``IDR_EVERY_S``.
4. Damage is captured at once, at most ``fps`` times a second. Frames that show nothing new do not count: a press
   that comes just after one would wait for its slot.
5. After motion the same picture is encoded again a few times, each time at better quality; new damage aborts it.
6. A viewer that hears nothing for 3 s asks for a keyframe (seen in Chromium), so an idle screen still sends a
   small frame every ``HEARTBEAT_S``.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["HEARTBEAT_S", "IDR_EVERY_S", "IN_FLIGHT_S", "REFINE_AFTER_S", "Action", "Schedule"]

IDR_EVERY_S = 0.5
HEARTBEAT_S = 1.5
REFINE_AFTER_S = (0.1, 0.35, 0.8)
"""Spaced, because back-to-back refinements cost the next key press its place on a small machine."""
_CUT_S = 0.1
"""Between refinements on a narrow path, which takes a second or more to get a page of text sharp."""
IN_FLIGHT_S = 1.0
"""A frame not taken by then is given up, so that a stuck viewer cannot freeze the others."""


class Action(Enum):
    CAPTURE = "capture"
    """Grab what was damaged and encode."""
    REFINE = "refine"
    """Encode the last picture again."""
    HEARTBEAT = "heartbeat"
    """The same, because nothing was sent for a while."""


class Schedule:
    def __init__(self, fps: int = 60) -> None:
        self._frame_s = 1.0 / fps
        self._watched = False
        self._damaged = False
        self._key_wanted = False
        self._repeat_wanted = False
        self._key_at = float("-inf")
        self._sent_at = float("-inf")
        self._captured_at = float("-inf")
        self._moved_at = float("-inf")
        self._refined = len(REFINE_AFTER_S)
        self._in_flight_since: float | None = None
        self.expired = 0
        """Frames in flight that were given up."""

    @property
    def watched(self) -> bool:
        return self._watched

    def watch(self, on: bool) -> None:
        """Somebody watches, or nobody does any more. The first frame for a new audience is a keyframe."""
        if on and not self._watched:
            self._damaged = self._key_wanted = True
            self._key_at = self._sent_at = self._captured_at = float("-inf")
        if not on:
            self._in_flight_since = None
        self._watched = on

    def damage(self) -> None:
        self._damaged = True

    def want_key(self) -> None:
        """A viewer cannot decode any more, or is new."""
        self._key_wanted = True

    def want_repeat(self) -> None:
        """A viewer wonders whether there is anything left to come: any frame will do."""
        self._repeat_wanted = True

    def taken(self) -> None:
        """The loop has handed the frame in flight to the senders."""
        self._in_flight_since = None

    def next(self, now: float) -> tuple[Action, bool] | None:
        """What to do now and whether as a keyframe, or None: wait for ``timeout_s``."""
        if not self._watched or self._blocked(now):
            return None
        key = self._key_wanted and now >= self._key_at + IDR_EVERY_S
        if now < self._slot():
            return None
        if self._damaged:
            return Action.CAPTURE, key
        if key or (self._refined < len(REFINE_AFTER_S) and now >= self._moved_at + REFINE_AFTER_S[self._refined]):
            return Action.REFINE, key
        if self._repeat_wanted or now >= self._sent_at + HEARTBEAT_S:
            return Action.HEARTBEAT, False
        return None

    def did(self, action: Action, key: bool, now: float, *, cut: bool = False) -> None:
        """A frame was made at ``now`` and is on its way to the loop. ``cut``: the rate kept it from being better, so
        more will follow until none is."""
        self._sent_at = self._in_flight_since = now
        self._repeat_wanted = False
        if action is Action.CAPTURE:
            self._damaged = False
            self._captured_at = now
        elif action is Action.REFINE:
            self._refined += 1
            if cut and self._refined == len(REFINE_AFTER_S):
                self._refined -= 1
                self._moved_at = now + _CUT_S - REFINE_AFTER_S[-1]
        if key:
            self._key_wanted = False
            self._key_at = now
        if key or action is Action.CAPTURE:
            self._moved_at = now
            self._refined = 0

    def nothing_changed(self) -> None:
        """A capture found no damage: there is no frame."""
        self._damaged = False

    def timeout_s(self, now: float) -> float | None:
        """How long ``next`` will stay None if nothing else happens; None is for ever."""
        if not self._watched:
            return None
        if self._in_flight_since is not None:
            return max(0.0, self._in_flight_since + IN_FLIGHT_S - now)
        due = self._sent_at + HEARTBEAT_S
        if self._damaged or self._repeat_wanted:
            due = now
        elif self._refined < len(REFINE_AFTER_S):
            due = min(due, self._moved_at + REFINE_AFTER_S[self._refined])
        if self._key_wanted:
            due = min(due, self._key_at + IDR_EVERY_S)
        return max(0.0, max(due, self._slot()) - now)

    def _slot(self) -> float:
        """No frame before it."""
        return (self._captured_at if self._damaged else self._sent_at) + self._frame_s

    def _blocked(self, now: float) -> bool:
        if self._in_flight_since is None:
            return False
        if now < self._in_flight_since + IN_FLIGHT_S:
            return True
        self._in_flight_since = None
        self.expired += 1
        return False
