"""Who holds what: several viewers, leases, stale moves, the wheel, text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.input.ops import ButtonDown, ButtonUp, KeyDown, KeyTap, KeyUp, Op, OpQueue, PointTo
from guest_agent.input.state import LEASE_S, MAX_NOTCHES, InputState
from guest_agent.protocol.messages import (
    MAX_HELD,
    Button,
    Held,
    Key,
    Message,
    Move,
    Ping,
    ReleaseAll,
    Text,
    Wheel,
)

A, B, SHIFT, CAPS, NUM, ALTGR = 0x61, 0x62, 0xFFE1, 0xFFE5, 0xFF7F, 0xFE03
ME, YOU = "me", "you"


def test_a_key_goes_down_and_up() -> None:
    state = InputState()
    assert state.apply(ME, Key(1, A, True), 0.0) == [KeyDown(A)]
    assert state.apply(ME, Key(2, A, False), 0.0) == [KeyUp(A)]
    assert state.apply(ME, Key(3, A, False), 0.0) == []
    assert state.deadline() is None


def test_a_press_of_a_held_key_is_a_repeat() -> None:
    state = InputState()
    state.apply(ME, Key(1, A, True), 0.0)
    assert state.apply(ME, Key(2, A, True), 0.0) == [KeyDown(A)]
    assert state.apply(ME, Key(3, A, False), 0.0) == [KeyUp(A)]


def test_a_key_that_two_hold_goes_up_with_the_last_of_them() -> None:
    state = InputState()
    state.apply(ME, Key(1, A, True), 0.0)
    state.apply(YOU, Key(1, A, True), 0.0)
    assert state.apply(ME, Key(2, A, False), 0.0) == []
    assert state.gone(YOU) == [KeyUp(A)]


def test_who_controls_no_more_holds_nothing_and_may_come_back() -> None:
    state = InputState()
    state.apply(ME, Key(5, SHIFT, True), 0.0)
    state.apply(ME, Button(6, 1, True, 5, 6), 0.0)
    assert state.release(ME) == [KeyUp(SHIFT), ButtonUp(1)]
    assert state.deadline() is None
    assert state.release(ME) == []
    assert state.release(YOU) == []
    # What it did before stays before.
    assert state.apply(ME, Move(4, 1, 1), 0.0) == []
    assert state.apply(ME, Key(7, A, True), 0.0) == [KeyDown(A)]


def test_a_button_that_two_hold_is_pressed_once() -> None:
    state = InputState()
    assert state.apply(ME, Button(1, 1, True, 5, 6), 0.0) == [PointTo(5, 6), ButtonDown(1)]
    assert state.apply(YOU, Button(1, 1, True, 7, 8), 0.0) == [PointTo(7, 8)]
    assert state.apply(YOU, Button(2, 1, False, 7, 8), 0.0) == [PointTo(7, 8)]
    assert state.apply(ME, Button(2, 1, False, 9, 9), 0.0) == [PointTo(9, 9), ButtonUp(1)]


@pytest.mark.parametrize("button", [0, 4, 5, 6, 7, 10, 255])
def test_other_buttons_are_refused(button: int) -> None:
    state = InputState()
    assert state.apply(ME, Button(1, button, True, 0, 0), 0.0) == [PointTo(0, 0)]
    assert state.apply(ME, Button(2, button, False, 0, 0), 0.0) == [PointTo(0, 0)]
    assert state.counters.refused == 1
    assert state.deadline() is None


@pytest.mark.parametrize("keysym", [CAPS, NUM, ALTGR])
def test_keys_that_only_choose_characters_are_ignored(keysym: int) -> None:
    state = InputState()
    assert state.apply(ME, Key(1, keysym, True), 0.0) == []
    assert state.apply(ME, Key(2, keysym, False), 0.0) == []
    assert state.deadline() is None


def test_keysyms_have_one_form() -> None:
    state = InputState()
    assert state.apply(ME, Key(1, 0x010000E9, True), 0.0) == [KeyDown(0xE9)]
    assert state.apply(ME, Key(2, 0xE9, False), 0.0) == [KeyUp(0xE9)]


def test_release_all_lets_go_latest_first_of_ones_own() -> None:
    state = InputState()
    state.apply(YOU, Key(1, B, True), 0.0)
    state.apply(ME, Key(1, SHIFT, True), 0.0)
    state.apply(ME, Key(2, A, True), 0.0)
    state.apply(ME, Button(3, 3, True, 0, 0), 0.0)
    assert state.apply(ME, ReleaseAll(4), 0.0) == [KeyUp(A), KeyUp(SHIFT), ButtonUp(3)]
    assert state.apply(ME, ReleaseAll(5), 0.0) == []
    assert state.gone(YOU) == [KeyUp(B)]


def test_held_releases_what_it_does_not_name() -> None:
    state = InputState()
    for seq, keysym in enumerate((SHIFT, A, 0xE9)):
        state.apply(ME, Key(seq, keysym, True), 0.0)
    state.apply(ME, Button(5, 1, True, 0, 0), 0.0)
    state.apply(ME, Button(6, 3, True, 0, 0), 0.0)
    assert state.apply(ME, Held(7, 1 << 3, (SHIFT, 0x010000E9, 0x99)), 0.0) == [KeyUp(A), ButtonUp(1)]
    assert state.apply(ME, Held(8, 1 << 3, (SHIFT, 0xE9)), 0.0) == []


def test_a_lease_ends_and_every_message_renews_it() -> None:
    state = InputState()
    state.apply(ME, Key(1, A, True), 10.0)
    assert state.deadline() == 10.0 + LEASE_S
    state.apply(ME, Held(2, 0, (A,)), 11.0)
    assert state.expire(12.5) == []
    state.apply(ME, Move(3, 0, 0), 12.9)
    assert state.deadline() == 13.0
    assert state.expire(13.0) == [KeyUp(A)]
    assert state.deadline() is None
    assert state.expire(99.0) == []
    assert state.counters.leases_ended == 1


def test_a_lease_is_each_viewers_own() -> None:
    state = InputState()
    state.apply(ME, Key(1, A, True), 0.0)
    state.apply(YOU, Key(1, B, True), 1.0)
    assert state.expire(2.0) == [KeyUp(A)]
    assert state.deadline() == 3.0


def test_moves_that_arrive_late_are_dropped() -> None:
    state = InputState()
    assert state.apply(ME, Move(5, 1, 1), 0.0) == [PointTo(1, 1)]
    assert state.apply(ME, Move(4, 2, 2), 0.0) == []
    assert state.apply(ME, Move(5, 2, 2), 0.0) == []
    state.apply(ME, Button(7, 1, True, 3, 3), 0.0)
    assert state.apply(ME, Move(6, 4, 4), 0.0) == []
    assert state.apply(ME, Move(8, 4, 4), 0.0) == [PointTo(4, 4)]
    assert state.apply(YOU, Move(1, 9, 9), 0.0) == [PointTo(9, 9)]
    assert state.counters.stale_moves == 3


def test_a_move_that_overtook_a_key_does_not_make_it_late() -> None:
    state = InputState()
    state.apply(ME, Move(9, 1, 1), 0.0)
    assert state.apply(ME, Key(8, A, True), 0.0) == [KeyDown(A)]
    assert state.apply(ME, Move(8, 2, 2), 0.0) == []


def test_sequence_numbers_wrap() -> None:
    state = InputState()
    state.apply(ME, Move(0xFFFFFFFF, 1, 1), 0.0)
    assert state.apply(ME, Move(0, 2, 2), 0.0) == [PointTo(2, 2)]
    assert state.apply(ME, Move(0xFFFFFFFE, 3, 3), 0.0) == []


def clicks(ops: list[Op]) -> list[int]:
    assert isinstance(ops[0], PointTo)
    down = [op.button for op in ops if isinstance(op, ButtonDown)]
    assert down == [op.button for op in ops if isinstance(op, ButtonUp)]
    return down


def test_the_wheel_clicks_once_a_notch_and_keeps_the_rest() -> None:
    state = InputState()
    assert clicks(state.apply(ME, Wheel(1, 0, 120, 4, 5), 0.0)) == [5]
    assert clicks(state.apply(ME, Wheel(2, 0, -240, 4, 5), 0.0)) == [4, 4]
    assert clicks(state.apply(ME, Wheel(3, 120, 0, 4, 5), 0.0)) == [7]
    assert clicks(state.apply(ME, Wheel(4, -120, 0, 4, 5), 0.0)) == [6]
    assert clicks(state.apply(ME, Wheel(5, 0, 70, 4, 5), 0.0)) == []
    assert clicks(state.apply(ME, Wheel(6, 0, 70, 4, 5), 0.0)) == [5]
    assert clicks(state.apply(ME, Wheel(7, 0, -119, 4, 5), 0.0)) == []
    assert clicks(state.apply(ME, Wheel(8, 0, 119, 4, 5), 0.0)) == []
    assert clicks(state.apply(ME, Wheel(9, 0, 32767, 4, 5), 0.0)) == [5] * MAX_NOTCHES


def test_text_is_typed_and_its_line_ends_are_keys() -> None:
    state = InputState()
    assert state.apply(ME, Text(1, "aЖ\n\té\x00😀"), 0.0) == [
        KeyTap(0x61),
        KeyTap(0x01000416),
        KeyTap(0xFF0D),
        KeyTap(0xFF09),
        KeyTap(0xE9),
        KeyTap(0x0101F600),
    ]
    assert state.deadline() is None


def test_so_many_keys_and_no_more() -> None:
    state = InputState()
    for keysym in range(0x100, 0x100 + MAX_HELD):
        assert state.apply(ME, Key(1, keysym, True), 0.0) == [KeyDown(keysym)]
    assert state.apply(ME, Key(1, 0x500, True), 0.0) == []
    assert state.apply(ME, Key(1, 0, True), 0.0) == []
    assert state.counters.refused == 2
    assert state.apply(ME, Key(1, 0x100, True), 0.0) == [KeyDown(0x100)]


def test_what_is_not_input_does_nothing() -> None:
    assert InputState().apply(ME, Ping(7), 0.0) == []
    assert InputState().gone("never seen") == []


KEYSYMS = st.sampled_from([A, B, SHIFT, CAPS, 0x010000E9])
SEQS = st.integers(0, 50)
PLACES = st.integers(0, 65535)
MESSAGES = st.one_of(
    st.builds(Key, SEQS, KEYSYMS, st.booleans()),
    st.builds(Button, SEQS, st.integers(0, 10), st.booleans(), PLACES, PLACES),
    st.builds(Move, SEQS, PLACES, PLACES),
    st.builds(Wheel, SEQS, st.integers(-500, 500), st.integers(-500, 500), PLACES, PLACES),
    st.builds(Text, SEQS, st.text(max_size=5)),
    st.builds(ReleaseAll, SEQS),
    st.builds(Held, SEQS, st.integers(0, 1023), st.lists(KEYSYMS, max_size=3).map(tuple)),
)


@given(st.lists(st.tuples(st.sampled_from([ME, YOU]), MESSAGES, st.floats(0, 3)), max_size=60))
def test_nothing_stays_down_when_everybody_is_gone(script: list[tuple[str, Message, float]]) -> None:
    """And nothing goes up that is not down, whatever comes in whatever order."""
    state, down, now = InputState(), set[tuple[str, int]](), 0.0

    def follow(ops: list[Op]) -> None:
        for op in ops:
            match op:
                case KeyDown(keysym):
                    down.add(("key", keysym))
                case ButtonDown(button):
                    assert ("button", button) not in down
                    down.add(("button", button))
                case KeyUp(keysym):
                    down.remove(("key", keysym))
                case ButtonUp(button):
                    down.remove(("button", button))
                case _:
                    pass

    for peer, message, passed in script:
        now += passed
        follow(state.expire(now))
        follow(state.apply(peer, message, now))
        assert (state.deadline() is not None) == bool(down)
    follow(state.gone(ME))
    follow(state.gone(YOU))
    assert down == set()


def test_the_queue_keeps_the_newest_move_and_all_else_in_order() -> None:
    queue = OpQueue()
    queue.push([PointTo(1, 1), PointTo(2, 2), ButtonDown(1), PointTo(3, 3)])
    queue.push([PointTo(4, 4), ButtonUp(1)])
    assert queue.take() == [PointTo(2, 2), ButtonDown(1), PointTo(4, 4), ButtonUp(1)]
    assert (queue.coalesced, len(queue), queue.head()) == (2, 0, None)


def test_a_full_queue_drops_presses_and_never_a_release() -> None:
    queue = OpQueue(limit=2)
    queue.push([KeyDown(A), ButtonDown(1), KeyDown(B), KeyTap(B), PointTo(1, 1), KeyUp(A), ButtonUp(1)])
    assert queue.dropped == 3
    assert list(queue.ahead(3)) == [KeyDown(A), ButtonDown(1), KeyUp(A)]
    assert [queue.pop() for _ in range(len(queue))] == [KeyDown(A), ButtonDown(1), KeyUp(A), ButtonUp(1)]
