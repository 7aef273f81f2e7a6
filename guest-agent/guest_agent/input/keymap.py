"""Which keycode gives a keysym, and which spare keycode may be made to give it. Pure.

A layout gives a few hundred keysyms; a viewer's keyboard may send any. What the layout lacks, or has only
under other modifiers than those held, is bound to a keycode that the layout leaves empty, with the same keysym
on both levels. So no modifier is ever pressed or lifted on the viewer's behalf: an application sees exactly
the modifiers that the viewer holds, and a key that repeats goes on giving its character.

A client turns a keycode into a character when it gets round to the event, with the map of *that* moment. A
spare keycode is therefore bound anew only when whatever it last typed is known to have been read
(``consumed``); the one used longest ago goes first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from guest_agent.input.keysyms import is_function, is_vendor

__all__ = ["Binding", "Keymap", "runs", "spare_keycodes"]

LEVELS = 2


@dataclass(frozen=True, slots=True)
class Binding:
    keycode: int
    keysym: int


def spare_keycodes(
    first: int, rows: Sequence[Sequence[int]], modifiers: Collection[int], reclaimed: Collection[int] = ()
) -> list[int]:
    """Keycodes free to be bound, lowest first.

    Empty ones, ones that carry only multimedia keys, and ``reclaimed`` ones (bound by an earlier run of this
    program, same keysym on both levels); never the lowest keycode, which toolkits take for "no key", and never a modifier.
    """
    found = []
    for keycode, row in enumerate(rows, first):
        if keycode == first or keycode in modifiers:
            continue
        ours = keycode in reclaimed and len(row) >= LEVELS and row[0] == row[1]
        if ours or all(keysym == 0 or is_vendor(keysym) for keysym in row):
            found.append(keycode)
    return found


def runs(bindings: Iterable[Binding]) -> list[tuple[int, list[int]]]:
    """Bindings as (first keycode, keysyms of it and its successors): one request, one MappingNotify each."""
    ordered = sorted(bindings, key=lambda binding: binding.keycode)
    groups = groupby(enumerate(ordered), key=lambda pair: pair[1].keycode - pair[0])
    found = []
    for _, group in groups:
        members = [binding for _, binding in group]
        found.append((members[0].keycode, [binding.keysym for binding in members]))
    return found


@dataclass(slots=True)
class _Spare:
    keysym: int
    struck: int
    """Serial of its last stroke; 0 when it was bound and never typed."""


class Keymap:
    """The server's map as far as typing needs it.

    Args:
        first: the server's lowest keycode.
        rows: keysyms per keycode in core order: group 1 level 1, group 1 level 2, ... (protocol, 5).
        spare: the keycodes that may be bound.
    """

    def __init__(self, first: int, rows: Sequence[Sequence[int]], spare: Iterable[int]) -> None:
        self._free = sorted(set(spare), reverse=True)
        self._bound: dict[int, _Spare] = {}
        """Keycode to what it is bound to, the one used longest ago first."""
        self._by_keysym: dict[int, int] = {}
        self._plain: dict[int, int] = {}
        self._shifted: dict[int, int] = {}
        self.capacity = len(self._free)
        taken = set(self._free)
        for keycode, row in enumerate(rows, first):
            if keycode not in taken and row:
                self._add(keycode, row)

    def find(self, keysym: int, shift: bool) -> int | None:
        """The keycode that gives ``keysym`` now, with or without Shift held; None when one must be bound.

        A key without a character (Tab, F5) is its own key whatever is held: Shift+Tab is the Tab key with
        Shift, though the layout calls that ISO_Left_Tab.
        """
        if is_function(keysym):
            return self._plain.get(keysym, self._by_keysym.get(keysym))
        layout = self._shifted if shift else self._plain
        return layout.get(keysym, self._by_keysym.get(keysym))

    def struck(self, keycode: int, serial: int) -> bool:
        """Note a stroke. True when the keycode is a spare one, whose stroke must be consumed before it is free."""
        spare = self._bound.pop(keycode, None)
        if spare is None:
            return False
        spare.struck = serial
        self._bound[keycode] = spare
        return True

    def bind(self, keysyms: Iterable[int], down: Collection[int], consumed: int) -> list[Binding]:
        """Bind as many as there is room for, in order; stops at the first for which there is none.

        ``down`` are the keycodes now held, ``consumed`` the last serial known to have been read.
        """
        bindings = []
        for keysym in dict.fromkeys(keysyms):
            keycode = self._take(down, consumed)
            if keycode is None:
                break
            self._by_keysym[keysym] = keycode
            self._bound[keycode] = _Spare(keysym, 0)
            bindings.append(Binding(keycode, keysym))
            # What was bound just now is not given away in the same batch.
            down = {*down, keycode}
        return bindings

    def next_free(self, down: Collection[int]) -> int | None:
        """The serial that must be consumed before another keysym can be bound; None when waiting cannot help."""
        return next((spare.struck for keycode, spare in self._bound.items() if keycode not in down), None)

    def bound(self) -> Mapping[int, int]:
        """Spare keycode to keysym, for tests and logs."""
        return {keycode: spare.keysym for keycode, spare in self._bound.items()}

    def _add(self, keycode: int, row: Sequence[int]) -> None:
        plain = row[0]
        shifted = row[1] if len(row) > 1 and row[1] else plain
        if plain:
            self._plain.setdefault(plain, keycode)
        if shifted:
            self._shifted.setdefault(shifted, keycode)

    def _take(self, down: Collection[int], consumed: int) -> int | None:
        if self._free:
            return self._free.pop()
        for keycode, spare in self._bound.items():
            if keycode not in down and spare.struck <= consumed:
                del self._by_keysym[spare.keysym]
                del self._bound[keycode]
                return keycode
        return None
