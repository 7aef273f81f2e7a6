"""Ops into X requests, at the right moment. Pure: the X connection is a Protocol, time is an argument.

Two things may hold an op back. A keysym without a keycode needs a binding; one request binds what the queue
will need next as well, because each costs every client a new copy of the map. And with no spare keycode left,
the one used longest ago must first be known to be read: the focused window is pinged (EWMH _NET_WM_PING), and
since a client reads its events in order, its answer says that it has read all that was typed before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from guest_agent.input.keymap import Binding, Keymap, runs
from guest_agent.input.keysyms import SHIFTS
from guest_agent.input.ops import ButtonDown, ButtonUp, KeyDown, KeyTap, KeyUp, OpQueue, PointTo

__all__ = ["Injector", "InjectorCounters", "Wire"]

LOOK_AHEAD = 64
PING_EVERY = 24
"""Strokes of spare keycodes between pings, so that answers are there before they are needed."""
SILENCE_S = 2.0
"""A window that has answered nothing for so long is not waited for any more: it may hang."""
BLIND_S = 0.3
"""How long to wait where nobody can be asked (no focus, or a client that knows no ping)."""


class Wire(Protocol):
    """The X server, as far as input needs it. Requests are carried out in order."""

    def key(self, keycode: int, down: bool) -> None: ...
    def button(self, button: int, down: bool) -> None: ...
    def point(self, x: int, y: int) -> None:
        """Move the pointer to fractions of the display."""

    def bind(self, first: int, keysyms: Sequence[int]) -> None:
        """Make consecutive keycodes give these keysyms, whatever the modifiers."""

    def focused(self) -> int | None:
        """The window with the focus that answers pings, if there is one."""

    def ping(self, window: int, token: int) -> None: ...


@dataclass(slots=True)
class InjectorCounters:
    """Since start."""

    strokes: int = 0
    bound: int = 0
    binding_requests: int = 0
    pings: int = 0
    waits: int = 0
    """Times a binding had to wait for a window to read what was typed."""
    silences: int = 0
    """Waits that ended without an answer; a character may have come out wrong."""
    untypable: int = 0
    """Keysyms dropped because every spare keycode was held down."""


@dataclass(slots=True)
class _Ping:
    serial: int
    """The last stroke before it."""
    windows: set[int]
    """Still to answer."""


class Injector:
    """Carries out a queue.

    Call :meth:`step` after pushing to ``queue``, after :meth:`pong`, and when the time it returned has come.
    """

    def __init__(self, wire: Wire, keymap: Keymap, queue: OpQueue) -> None:
        self.counters = InjectorCounters()
        self.keymap = keymap
        self._wire = wire
        self._queue = queue
        self._down: dict[int, int] = {}
        """Keysym to the keycode that was pressed for it."""
        self._buttons: set[int] = set()
        self._serial = 0
        self._consumed = 0
        self._ping: _Ping | None = None
        self._pinged_serial = 0
        self._last_window: int | None = None
        self._mute: set[int] = set()
        self._wait_since: float | None = None

    def prepare(self, keysyms: Iterable[int]) -> None:
        """Bind what is likely to come, in as few requests as it takes, while nobody types."""
        wanted = [keysym for keysym in keysyms if self.keymap.find(keysym, False) is None]
        self._bind(self.keymap.bind(wanted, set(self._down.values()), self._consumed))

    def step(self, now: float) -> float | None:
        """Carry out what can be; the time of the next step if nothing else happens, None for never."""
        while (op := self._queue.head()) is not None:
            match op:
                case KeyDown(keysym) | KeyTap(keysym):
                    keycode = self._keycode(keysym)
                    if keycode is None:
                        deadline = self._wait(now)
                        if deadline is not None:
                            return deadline
                        continue
                    self._press(keysym, keycode)
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
        """A window answered a ping (others' pings have other tokens), or is gone (no token)."""
        self._mute.discard(window)
        ping = self._ping
        if ping is None or token not in (ping.serial, None) or window not in ping.windows:
            return
        ping.windows.discard(window)
        if not ping.windows:
            self._consumed = ping.serial
            # A sign of life: what still has to wait waits anew.
            self._ping = self._wait_since = None

    def remap(self, keymap: Keymap) -> None:
        """Somebody loaded another layout: what is held goes up, on the keycodes it went down on."""
        self.release_all()
        self.keymap = keymap
        self._consumed, self._ping, self._wait_since = self._serial, None, None

    def release_all(self) -> None:
        for keysym in tuple(self._down):
            self._lift(keysym)
        for button in tuple(self._buttons):
            self._wire.button(button, False)
        self._buttons.clear()

    def _keycode(self, keysym: int) -> int | None:
        if keysym in self._down:
            return self._down[keysym]
        found = self.keymap.find(keysym, not SHIFTS.isdisjoint(self._down))
        if found is not None:
            return found
        bindings = self.keymap.bind(self._wanted(), set(self._down.values()), self._consumed)
        self._bind(bindings)
        return bindings[0].keycode if bindings else None

    def _wanted(self) -> list[int]:
        """Keysyms at the head of the queue that have no keycode, under the Shift they will meet."""
        shifts = SHIFTS.intersection(self._down)
        wanted: dict[int, None] = {}
        for op in self._queue.ahead(LOOK_AHEAD):
            match op:
                case KeyDown(keysym) | KeyTap(keysym) | KeyUp(keysym) if keysym in SHIFTS:
                    shifts = shifts | {keysym} if isinstance(op, KeyDown) else shifts - {keysym}
                case KeyDown(keysym) | KeyTap(keysym):
                    if keysym not in self._down and self.keymap.find(keysym, bool(shifts)) is None:
                        wanted[keysym] = None
                case _:
                    pass
        return list(wanted)

    def _bind(self, bindings: Sequence[Binding]) -> None:
        self.counters.bound += len(bindings)
        for first, keysyms in runs(bindings):
            self.counters.binding_requests += 1
            self._wire.bind(first, keysyms)

    def _press(self, keysym: int, keycode: int) -> None:
        self._wait_since = None
        for other, its in tuple(self._down.items()):
            # Two keysyms of one key: the server knows only whether the key is down.
            if its == keycode and other != keysym:
                self._lift(other)
        if keysym in self._down:
            # A repeat. The server drops a fake press of a key that is down; release and press at one time is
            # how it reports its own repeats to most clients.
            self._wire.key(keycode, False)
        self._down[keysym] = keycode
        self._wire.key(keycode, True)
        self.counters.strokes += 1
        if self.keymap.struck(keycode, self._serial + 1):
            self._serial += 1
            if self._ping is None and self._serial - self._pinged_serial >= PING_EVERY:
                self._send_ping()

    def _lift(self, keysym: int) -> None:
        keycode = self._down.pop(keysym, None)
        if keycode is not None:
            self._wire.key(keycode, False)

    def _wait(self, now: float) -> float | None:
        """Nothing can be bound yet. The deadline, or None when the step should try again at once."""
        if self.keymap.next_free(set(self._down.values())) is None:
            self.counters.untypable += 1
            self._queue.pop()
            return None
        if self._wait_since is None:
            self._wait_since = now
            self.counters.waits += 1
        if self._ping is None:
            self._send_ping()
        limit_s = SILENCE_S if self._ping is not None else BLIND_S
        if now - self._wait_since < limit_s:
            return self._wait_since + limit_s
        self.counters.silences += 1
        if self._ping is not None:
            self._mute |= self._ping.windows
        self._consumed, self._ping, self._wait_since = self._serial, None, None
        return None

    def _send_ping(self) -> None:
        """Ask the focused window, and the one asked before it: strokes since then may have gone to either."""
        window = self._wire.focused()
        windows = {w for w in (window, self._last_window) if w is not None and w not in self._mute}
        self._last_window = window
        self._pinged_serial = self._serial
        if windows:
            self._ping = _Ping(self._serial, windows)
            for target in windows:
                self.counters.pings += 1
                self._wire.ping(target, self._serial)
