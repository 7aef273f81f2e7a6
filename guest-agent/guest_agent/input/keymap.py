"""Which key types a keysym, and which spare keycode may be made to type it. Pure.

A layout gives a few hundred keysyms; a viewer's keyboard may send any. One that the layout has only under the other
Shift is typed with Shift pressed or lifted around the press. One that it lacks is bound to a keycode that the
layout leaves empty, the same keysym on both levels, so that it comes out whatever is held.

A client turns a keycode into a character when it gets round to the event, with the map of *that* moment. A spare
keycode is therefore bound anew only when whatever it last typed is known to have been read (``consumed``); the one
used longest ago goes first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from guest_agent.input.keysyms import SHIFT_L, is_function, is_keypad, is_vendor

__all__ = ["OBEYED", "Binding", "Keymap", "Stroke", "runs", "spare_keycodes"]

LEVELS = 2
BROWSER_KEYS = frozenset({136, 164, 166, 167, 180, 181, 225})
"""Stop, favourites, back, forward, home, reload, search (evdev codes + 8)."""
EDITING_KEYS = frozenset({9, 22, 23, 36, 104, 107, *range(110, 120), 127, 135})
"""Escape, Backspace, Tab, Enter and that of the keypad, Print, Home to Delete, Pause, Menu (evdev codes + 8)."""
OBEYED = BROWSER_KEYS | EDITING_KEYS
"""Chromium looks at the keycode first, whatever character the key gives: it deletes, moves or leaves the page. A
layout for another kind of keyboard may have these empty."""


@dataclass(frozen=True, slots=True)
class Stroke:
    keycode: int
    shift: bool | None = None
    """What Shift must be while the key goes down; None where it does not matter."""


@dataclass(frozen=True, slots=True)
class Binding:
    keycode: int
    keysym: int


def spare_keycodes(
    first: int, rows: Sequence[Sequence[int]], modifiers: Collection[int], reclaimed: Collection[int] = ()
) -> list[int]:
    """Keycodes that may be bound, lowest first.

    Empty ones, ones that carry only multimedia keys, and ``reclaimed`` ones (bound by one of us, the same keysym on
    both levels); never the lowest keycode, which toolkits take for "no key", never a modifier or one that is OBEYED.
    """
    found = []
    for keycode, row in enumerate(rows, first):
        if keycode == first or keycode in modifiers or keycode in OBEYED:
            continue
        ours = keycode in reclaimed and len(row) >= LEVELS and row[0] == row[1]
        if ours or all(keysym == 0 or is_vendor(keysym) for keysym in row):
            found.append(keycode)
    return found


def runs(bindings: Iterable[Binding]) -> list[tuple[int, list[int]]]:
    """Bindings as (first keycode, keysyms of it and its successors): one request, one MappingNotify each."""
    ordered = sorted(bindings, key=lambda binding: binding.keycode)
    found = []
    for _, group in groupby(enumerate(ordered), key=lambda pair: pair[1].keycode - pair[0]):
        members = [binding for _, binding in group]
        found.append((members[0].keycode, [binding.keysym for binding in members]))
    return found


@dataclass(slots=True)
class _Spare:
    keysym: int
    struck: int
    """Serial of its last stroke."""


class Keymap:
    """The server's map as far as typing needs it.

    Args:
        first: the server's lowest keycode.
        rows: keysyms per keycode in core order: group 1 level 1, group 1 level 2, ... (X protocol, 5).
        spare: the keycodes that may be bound. Those that are bound already (by one of us) stay so until needed.
        serial: taken for the last stroke of those.
    """

    def __init__(self, first: int, rows: Sequence[Sequence[int]], spare: Iterable[int], serial: int = 0) -> None:
        spares = sorted(set(spare))
        self.capacity = len(spares)
        self._free: list[int] = []
        """Highest first, so that the lowest is taken first."""
        self._bound: dict[int, _Spare] = {}
        """By keycode, the one used longest ago first."""
        self._by_keysym: dict[int, int] = {}
        self._plain: dict[int, int] = {}
        self._shifted: dict[int, int] = {}
        for keycode, row in enumerate(rows, first):
            if keycode not in spares:
                self._add(keycode, row)
        for keycode in reversed(spares):
            row = rows[keycode - first]
            keysym = row[0] if row else 0
            if keysym == 0 or is_vendor(keysym):
                self._free.append(keycode)
            else:
                self._bound[keycode] = _Spare(keysym, serial)
                self._by_keysym[keysym] = keycode

    def find(self, keysym: int, shift: bool) -> Stroke | None:
        """How to type ``keysym`` now, with Shift held or not; None when it must be bound first.

        A key without a character (Tab, F5) is its own key whatever is held: Shift+Tab is the Tab key with Shift,
        though the layout calls that ISO_Left_Tab.
        """
        if is_function(keysym):
            keycode = self._plain.get(keysym, self._by_keysym.get(keysym))
            return None if keycode is None else Stroke(keycode)
        here, there = (self._shifted, self._plain) if shift else (self._plain, self._shifted)
        if keysym in here:
            return Stroke(here[keysym])
        if keysym in self._by_keysym:
            return Stroke(self._by_keysym[keysym])
        if keysym in there and SHIFT_L in self._plain and not is_keypad(keysym):
            return Stroke(there[keysym], shift=not shift)
        return None

    @property
    def shift(self) -> int:
        """The left Shift key, which :meth:`find` asks for only where there is one."""
        return self._plain[SHIFT_L]

    def is_spare(self, keycode: int) -> bool:
        return keycode in self._bound

    def struck(self, keycode: int, serial: int) -> None:
        """Note a stroke of a spare keycode: it is used last, and is not free until ``serial`` is consumed."""
        spare = self._bound.pop(keycode)
        spare.struck = serial
        self._bound[keycode] = spare

    def bind(self, keysyms: Iterable[int], down: Collection[int], consumed: int) -> list[Binding]:
        """Bind as many as there is room for, in order; stops at the first for which there is none.

        ``down`` are the keycodes now held, ``consumed`` the last serial known to have been read.
        """
        bindings: list[Binding] = []
        kept = set(down)
        for keysym in dict.fromkeys(keysyms):
            keycode = self._take(kept, consumed)
            if keycode is None:
                break
            self._by_keysym[keysym] = keycode
            self._bound[keycode] = _Spare(keysym, 0)
            kept.add(keycode)
            bindings.append(Binding(keycode, keysym))
        return bindings

    def can_free(self, down: Collection[int]) -> bool:
        """Will there be room for a binding once all is consumed?"""
        return any(keycode not in down for keycode in (*self._free, *self._bound))

    @property
    def free(self) -> int:
        """How many keysyms can be bound before one has to go."""
        return len(self._free)

    def bound(self) -> Mapping[int, int]:
        """Spare keycode to keysym."""
        return {keycode: spare.keysym for keycode, spare in self._bound.items()}

    def _add(self, keycode: int, row: Sequence[int]) -> None:
        plain = row[0] if row else 0
        shifted = row[1] if len(row) > 1 and row[1] else plain
        if plain:
            self._plain.setdefault(plain, keycode)
        # Keypad keys choose their level by Num Lock as well.
        if shifted and not is_keypad(shifted):
            self._shifted.setdefault(shifted, keycode)

    def _take(self, kept: Collection[int], consumed: int) -> int | None:
        if self._free:
            return self._free.pop()
        for keycode, spare in self._bound.items():
            if keycode not in kept and spare.struck <= consumed:
                if self._by_keysym[spare.keysym] == keycode:
                    del self._by_keysym[spare.keysym]
                del self._bound[keycode]
                return keycode
        return None
