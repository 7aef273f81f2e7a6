"""Ops into X requests, at the right moment. Pure: the X connection is a Protocol, time is an argument.

Two things hold a key back. A keysym without a keycode is bound to a spare one, and typed when the focused program
has seen the binding; with no spare keycode left, the one used longest ago must first be known to have been read
(pings.py). One request binds what the queue will need next as well, because each costs every client a new copy of
the map; so the longer things take, the fewer requests there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from guest_agent.input.keymap import Keymap, Stroke, runs
from guest_agent.input.keysyms import SHIFTS
from guest_agent.input.ops import ButtonDown, ButtonUp, KeyDown, KeyTap, KeyUp, OpQueue, PointTo
from guest_agent.input.pings import Pings

__all__ = ["Injector", "InjectorCounters", "Wire"]

LOOK_AHEAD = 128
PING_EVERY = 16
"""Strokes of spare keycodes between pings, so that answers are there before they are needed."""
SILENCE_S = 2.0
"""A program that has answered nothing for so long is not waited for any more: it may hang."""
BLIND_S = 0.3
"""How long to wait for what was typed to be read where nobody can be asked (no focus, a client without pings)."""
SETTLED_S = 5.0
"""A binding that old has been seen by everyone."""


class Wire(Protocol):
    """The X server, as far as input needs it. Requests are carried out in order."""

    def key(self, keycode: int, down: bool) -> None: ...
    def button(self, button: int, down: bool) -> None: ...
    def point(self, x: int, y: int) -> None:
        """Move the pointer to fractions of the display."""

    def bind(self, first: int, keysyms: Sequence[int]) -> None:
        """Make consecutive keycodes give these keysyms, whatever the modifiers."""

    def owns_spares(self) -> bool:
        """May this process bind spare keycodes? False at first, and after another took them over."""

    def load(self, take: bool, serial: int) -> Keymap:
        """The map as it is now, after taking over the spare keycodes if ``take``; see Keymap for ``serial``."""

    def focused(self) -> Collection[int]:
        """One window of each connection of the program that has the focus; empty when it answers no pings."""

    def ping(self, window: int, token: int) -> None: ...


@dataclass(slots=True)
class InjectorCounters:
    """Since start."""

    strokes: int = 0
    bound: int = 0
    binding_requests: int = 0
    pings: int = 0
    waits: int = 0
    """Times a key had to wait for a program to read what came before."""
    silences: int = 0
    """Waits that ended without an answer; a character may have come out wrong."""
    untypable: int = 0
    """Keysyms dropped because every spare keycode was held down, or there is none."""


class Injector:
    """Carries out a queue. Call :meth:`step` after pushing to ``queue``, after :meth:`pong`, and when the time it
    returned has come."""

    def __init__(self, wire: Wire, queue: OpQueue) -> None:
        self.counters = InjectorCounters()
        self.keymap = wire.load(False, 0)
        self._stale = False
        self._wire = wire
        self._queue = queue
        self._down: dict[int, Stroke] = {}
        """By keysym."""
        self._buttons: set[int] = set()
        self._serial = 0
        self._pings = Pings()
        self._fresh: dict[int, tuple[int, float]] = {}
        """Spare keycodes bound of late: by which serial, and when."""
        self._waiting_since: float | None = None

    def prepare(self, keysyms: Iterable[int], now: float) -> None:
        """Bind what is likely to come, before anybody has to wait for it; nothing goes for it."""
        self._load(True, now)
        wanted = [keysym for keysym in keysyms if self.keymap.find(keysym, False) is None]
        self._bind(wanted[: self.keymap.free], now)

    def step(self, now: float) -> float | None:
        """Carry out what can be; the time of the next step if nothing else happens, None for never."""
        while (op := self._queue.head()) is not None:
            match op:
                case KeyDown(keysym) | KeyTap(keysym):
                    stroke = self._stroke(keysym, now)
                    if isinstance(stroke, float):
                        return stroke
                    if stroke is not None:
                        self._press(keysym, stroke)
                    if isinstance(op, KeyTap):
                        self._lift(keysym)
                case KeyUp(keysym):
                    self._lift(keysym)
                case PointTo(x, y):
                    self._wire.point(x, y)
                case ButtonDown(button):
                    self._buttons.add(button)
                    self._wire.button(button, True)
                case ButtonUp(button):
                    self._buttons.discard(button)
                    self._wire.button(button, False)
            self._queue.pop()
        return None

    def pong(self, window: int, token: int | None) -> None:
        """A window answered a ping, or is gone (no token)."""
        if self._pings.pong(window, token):
            self._waiting_since = None

    def map_changed(self) -> None:
        """Somebody else changed the keyboard map. What is held goes up later on the keycodes it went down on."""
        self._stale = True

    def release_all(self) -> None:
        for keysym in tuple(self._down):
            self._lift(keysym)
        for button in tuple(self._buttons):
            self._wire.button(button, False)
        self._buttons.clear()

    def _stroke(self, keysym: int, now: float) -> Stroke | float | None:
        """How to type it now; or when to try again; or None when it cannot be typed at all."""
        if self._stale:
            self._load(self._wire.owns_spares(), now)
        while True:
            stroke = self._down.get(keysym) or self.keymap.find(keysym, self._shifted())
            if stroke is not None and not self.keymap.is_spare(stroke.keycode):
                return stroke
            if not self._wire.owns_spares():
                self._load(True, now)
                continue
            if stroke is not None:
                deadline = self._unseen(stroke.keycode, now)
                return stroke if deadline is None else deadline
            if self._bind(self._wanted(), now):
                continue
            if not self.keymap.can_free({stroke.keycode for stroke in self._down.values()}):
                self.counters.untypable += 1
                return None
            deadline = self._unread(now)
            if deadline is not None:
                return deadline

    def _load(self, take: bool, now: float) -> None:
        self._stale = False
        # Another process may have bound and typed what the spare keycodes give just now.
        self._serial += 1
        self.keymap = self._wire.load(take, self._serial)
        self._fresh = dict.fromkeys(self.keymap.bound(), (self._serial, now))

    def _bind(self, keysyms: Iterable[int], now: float) -> bool:
        """Bind as many as there is room for. False when that is none."""
        down = {stroke.keycode for stroke in self._down.values()}
        bindings = self.keymap.bind(keysyms, down, self._pings.consumed)
        if not bindings:
            return False
        self._serial += 1
        self.counters.bound += len(bindings)
        for first, keysyms in runs(bindings):
            self.counters.binding_requests += 1
            self._wire.bind(first, keysyms)
        for binding in bindings:
            self._fresh[binding.keycode] = (self._serial, now)
        return True

    def _wanted(self) -> list[int]:
        """Keysyms at the head of the queue that nothing gives, under the Shift they will meet."""
        shifts = SHIFTS.intersection(self._down)
        wanted: dict[int, None] = {}
        for op in self._queue.ahead(LOOK_AHEAD):
            match op:
                case KeyDown(keysym) if keysym in SHIFTS:
                    shifts |= {keysym}
                case KeyUp(keysym):
                    shifts -= {keysym}
                case KeyDown(keysym) | KeyTap(keysym):
                    if keysym not in self._down and self.keymap.find(keysym, bool(shifts)) is None:
                        wanted[keysym] = None
                case _:
                    pass
        return list(wanted)

    def _unseen(self, keycode: int, now: float) -> float | None:
        """When to try again, if the focused program may not know yet what this spare keycode gives."""
        serial, since = self._fresh.get(keycode, (0, 0.0))
        if serial == 0:
            return None
        if now - since >= SETTLED_S:
            del self._fresh[keycode]
            return None
        windows = self._wire.focused()
        if self._pings.has_seen(windows, serial):
            return None
        if not self._pings.asked(windows, serial):
            self._ping(windows)
        return self._wait(now, SILENCE_S)

    def _unread(self, now: float) -> float | None:
        """When to try again, until what the spare keycodes typed has been read."""
        if not self._pings.waiting:
            self._ping(self._wire.focused())
        return self._wait(now, SILENCE_S if self._pings.waiting else BLIND_S)

    def _wait(self, now: float, limit_s: float) -> float | None:
        if self._waiting_since is None:
            self._waiting_since = now
            self.counters.waits += 1
        deadline = self._waiting_since + limit_s
        if now < deadline:
            return deadline
        self.counters.silences += 1
        self._waiting_since = None
        self._pings.give_up(self._serial)
        return None

    def _ping(self, windows: Collection[int]) -> None:
        token, asked = self._pings.send(windows, self._serial)
        for window in asked:
            self.counters.pings += 1
            self._wire.ping(window, token)

    def _press(self, keysym: int, stroke: Stroke) -> None:
        self._waiting_since = None
        for other, its in tuple(self._down.items()):
            # A repeat, or two keysyms of one key: the server drops a fake press of a key that is down. Release and
            # press at one time is how it reports its own repeats.
            if its.keycode == stroke.keycode:
                self._lift(other)
        lifted = [s.keycode for k, s in self._down.items() if k in SHIFTS] if stroke.shift is False else []
        for keycode in lifted:
            self._wire.key(keycode, False)
        if stroke.shift:
            self._wire.key(self.keymap.shift, True)
        self._wire.key(stroke.keycode, True)
        if stroke.shift:
            self._wire.key(self.keymap.shift, False)
        for keycode in lifted:
            self._wire.key(keycode, True)
        self._down[keysym] = stroke
        self.counters.strokes += 1
        if self.keymap.is_spare(stroke.keycode):
            self._serial += 1
            self.keymap.struck(stroke.keycode, self._serial)
            if not self._pings.waiting and self._serial - self._pings.sent_serial >= PING_EVERY:
                self._ping(self._wire.focused())

    def _lift(self, keysym: int) -> None:
        stroke = self._down.pop(keysym, None)
        if stroke is not None:
            self._wire.key(stroke.keycode, False)

    def _shifted(self) -> bool:
        return not SHIFTS.isdisjoint(self._down)
