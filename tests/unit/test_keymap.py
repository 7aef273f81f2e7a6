"""Which key types a keysym: layout, spare keycodes, and what may be bound anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.input.keymap import OBEYED, Binding, Keymap, Stroke, runs, spare_keycodes
from guest_agent.input.keysyms import canonical, keysym_of

FIRST = 8
SHIFT_L, TAB, BACKTAB, KP_END, KP_1, F5, VOLUME = 0xFFE1, 0xFF09, 0xFE20, 0xFF9C, 0xFFB1, 0xFFC2, 0x1008FF11

LAYOUT: dict[int, list[int]] = {
    10: [0x31, 0x21],  # 1 !
    23: [TAB, BACKTAB],
    38: [0x61, 0x41],  # a A
    47: [0x3B, 0x3A],  # ; :
    50: [SHIFT_L, 0],
    71: [F5, F5],
    87: [KP_END, KP_1],
    122: [VOLUME, 0],
}


def rows(layout: dict[int, list[int]] = LAYOUT) -> list[list[int]]:
    return [layout.get(keycode, [0, 0]) for keycode in range(FIRST, 256)]


def keymap(spare: list[int]) -> Keymap:
    return Keymap(FIRST, rows(), spare)


def code(char: str) -> int:
    keysym = keysym_of(char)
    assert keysym is not None
    return keysym


def test_empty_and_multimedia_keycodes_are_spare() -> None:
    spare = spare_keycodes(FIRST, rows(), {50, 200})
    assert {92, 122, 255} <= set(spare)
    assert not {FIRST, 10, 38, 50, 200} & set(spare)
    assert not OBEYED & set(spare)
    assert spare == sorted(spare)


def test_what_one_of_us_bound_is_spare_again_and_what_a_new_layout_put_there_is_not() -> None:
    full = rows({**LAYOUT, 93: [0x01000436, 0x01000436], 94: [0x3C, 0x3E]})
    assert 93 not in spare_keycodes(FIRST, full, set())
    assert {93} == {93, 94} & set(spare_keycodes(FIRST, full, set(), {93, 94}))


@pytest.mark.parametrize(
    ("keysym", "shift", "stroke"),
    [
        (0x61, False, Stroke(38)),
        (0x41, True, Stroke(38)),
        (0x41, False, Stroke(38, shift=True)),
        (0x61, True, Stroke(38, shift=False)),
        (0x21, False, Stroke(10, shift=True)),
        (0x3B, True, Stroke(47, shift=False)),
        (TAB, False, Stroke(23)),
        (TAB, True, Stroke(23)),
        (F5, True, Stroke(71)),
        (SHIFT_L, True, Stroke(50)),
        (KP_END, False, Stroke(87)),
        (KP_1, False, None),
        (KP_1, True, None),
        (0x01000436, False, None),
    ],
)
def test_the_layout_comes_first(keysym: int, shift: bool, stroke: Stroke | None) -> None:
    assert keymap([93]).find(keysym, shift) == stroke


def test_a_bound_keysym_comes_out_whatever_shift_is() -> None:
    keys = keymap([93, 94])
    assert keys.bind([code("ж"), KP_1], set(), 0) == [Binding(93, code("ж")), Binding(94, KP_1)]
    for shift in (False, True):
        assert keys.find(code("ж"), shift) == Stroke(93)
        assert keys.find(KP_1, shift) == Stroke(94)


def test_the_one_used_longest_ago_goes_and_only_when_it_was_read() -> None:
    keys = keymap([93, 94])
    keys.bind([1001, 1002], set(), 0)
    keys.struck(94, 1)
    keys.struck(93, 2)
    assert keys.bind([1003], set(), consumed=0) == []
    assert keys.bind([1003], set(), consumed=1) == [Binding(94, 1003)]
    assert keys.find(1002, False) is None
    assert keys.find(1001, False) == Stroke(93)


def test_a_held_keycode_is_never_bound_anew() -> None:
    keys = keymap([93])
    keys.bind([1001], set(), 0)
    assert keys.bind([1002], {93}, consumed=99) == []
    assert not keys.can_free({93})
    assert keys.can_free(set())


def test_a_batch_does_not_give_away_what_it_bound_itself() -> None:
    keys = keymap([93, 94])
    assert len(keys.bind([1001, 1002, 1003], set(), 0)) == 2


def test_what_others_bound_is_taken_over() -> None:
    bound = rows({**LAYOUT, 93: [1001, 1001], 94: [VOLUME, VOLUME], 95: [1001, 1001]})
    keys = Keymap(FIRST, bound, [93, 94, 95, 96], serial=5)
    assert keys.find(1001, False) is not None
    assert (keys.capacity, keys.free, keys.bound()) == (4, 2, {95: 1001, 93: 1001})
    assert keys.bind([1002, 1003], set(), 0) == [Binding(94, 1002), Binding(96, 1003)]
    # What the other one typed with the rest may not have been read.
    assert keys.bind([1005], {94, 96}, consumed=4) == []
    assert keys.bind([1005], {94, 96}, consumed=5) == [Binding(95, 1005)]
    assert keys.bind([1006], {94, 95, 96}, consumed=5) == [Binding(93, 1006)]
    assert keys.find(1001, False) is None


def test_neighbours_are_bound_by_one_request() -> None:
    assert runs([Binding(95, 3), Binding(93, 1), Binding(99, 9), Binding(94, 2)]) == [(93, [1, 2, 3]), (99, [9])]
    assert runs([]) == []


@given(st.characters(exclude_categories=["Cs"]))
def test_every_character_has_a_keysym_in_one_form(char: str) -> None:
    keysym = keysym_of(char)
    if ord(char) < 0x20 or ord(char) == 0x7F:
        assert keysym in (None, 0xFF08, 0xFF09, 0xFF0D, 0xFF1B, 0xFFFF)
    else:
        assert keysym == canonical(0x01000000 | ord(char)) == canonical(keysym or 0)
        if 0x20 <= ord(char) < 0x7F or 0xA0 <= ord(char) < 0x100:
            assert keysym == ord(char)


@given(
    st.lists(st.tuples(st.integers(0x100, 0x140), st.booleans()), max_size=200),
    st.integers(1, 6),
    st.integers(0, 5),
)
def test_a_binding_in_use_is_never_taken(uses: list[tuple[int, bool]], spares: int, lag: int) -> None:
    """Whatever is typed, a keycode changes only when its last stroke has been consumed."""
    keys = keymap(list(range(93, 93 + spares)))
    struck: dict[int, int] = {}
    for serial, (keysym, shift) in enumerate(uses, 1):
        consumed = serial - 1 - lag
        if keys.find(keysym, shift) is None:
            for binding in keys.bind([keysym], set(), consumed):
                assert struck.get(binding.keycode, 0) <= max(consumed, 0)
        stroke = keys.find(keysym, shift)
        if stroke is not None:
            assert keys.bound()[stroke.keycode] == keysym
            keys.struck(stroke.keycode, serial)
            struck[stroke.keycode] = serial
    assert len(keys.bound()) + keys.free == spares
