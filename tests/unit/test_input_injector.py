"""The injector against a model of an X server whose clients lag: what they read is what was typed.

The model does what real ones do. A client reads its events in order, and turns a keycode into a character with the
map that the *server* has when the client gets round to it (GTK, Xlib), or with the copy that another, slower
connection of the same program last fetched (Chromium and its toolkit).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guest_agent.input.injector import BLIND_S, SILENCE_S, Injector
from guest_agent.input.keymap import Keymap
from guest_agent.input.keysyms import keysym_of
from guest_agent.input.ops import ButtonDown, ButtonUp, KeyDown, KeyTap, KeyUp, Op, OpQueue, PointTo

FIRST = 8
SHIFT_L, CONTROL_L = 0xFFE1, 0xFFE3
SHIFT_KEY, CONTROL_KEY = 50, 37
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WINDOW, TOOLKIT = 100, 200


def keysym(char: str) -> int:
    found = keysym_of(char)
    assert found is not None
    return found


@dataclass
class Server:
    """injector.Wire, with one focused client behind it."""

    spares: int
    answers: bool = True
    two_connections: bool = False
    rows: dict[int, list[int]] = field(default_factory=dict)
    down: set[int] = field(default_factory=set)
    events: deque[tuple[str, int, bool]] = field(default_factory=deque)
    toolkit_events: deque[int | None] = field(default_factory=deque)
    toolkit_rows: dict[int, list[int]] = field(default_factory=dict)
    pongs: deque[tuple[int, int]] = field(default_factory=deque)
    read: list[str] = field(default_factory=list)
    log: list[tuple[str, int, bool]] = field(default_factory=list)
    points: list[tuple[int, int]] = field(default_factory=list)
    owns: bool = False
    bind_requests: int = 0

    def __post_init__(self) -> None:
        self.rows = {keycode: [0, 0] for keycode in range(FIRST, 256)}
        for at, letter in enumerate(LETTERS):
            self.rows[60 + at] = [ord(letter), ord(letter.upper())]
        self.rows[SHIFT_KEY] = [SHIFT_L, 0]
        self.rows[CONTROL_KEY] = [CONTROL_L, 0]
        self.toolkit_rows = dict(self.rows)

    def key(self, keycode: int, down: bool) -> None:
        assert down != (keycode in self.down), "the server drops a press of a key that is down"
        (self.down.add if down else self.down.remove)(keycode)
        self.log.append(("key", keycode, down))
        if down and keycode not in (SHIFT_KEY, CONTROL_KEY):
            self.events.append(("key", keycode, SHIFT_KEY in self.down))

    def button(self, button: int, down: bool) -> None:
        self.log.append(("button", button, down))

    def point(self, x: int, y: int) -> None:
        self.points.append((x, y))

    def bind(self, first: int, keysyms: Sequence[int]) -> None:
        assert self.owns
        self.bind_requests += 1
        for keycode, bound in enumerate(keysyms, first):
            self.rows[keycode] = [bound, bound]
        self.toolkit_events.append(None)

    def owns_spares(self) -> bool:
        return self.owns

    def load(self, take: bool, serial: int) -> Keymap:
        self.owns |= take
        return Keymap(FIRST, [self.rows[code] for code in range(FIRST, 256)], range(100, 100 + self.spares), serial)

    def focused(self) -> Collection[int]:
        return () if not self.answers else (WINDOW, TOOLKIT) if self.two_connections else (WINDOW,)

    def ping(self, window: int, token: int) -> None:
        if window == WINDOW:
            self.events.append(("ping", token, False))
        else:
            self.toolkit_events.append(token)

    def client_reads(self, count: int) -> None:
        """The client gets round to so many events."""
        for _ in range(min(count, len(self.events))):
            kind, detail, shift = self.events.popleft()
            if kind == "ping":
                self.pongs.append((WINDOW, detail))
                continue
            rows = self.toolkit_rows if self.two_connections else self.rows
            row = rows[detail]
            found = row[1] if shift and row[1] else row[0]
            code = found & 0xFFFFFF
            self.read.append(chr(code) if 0 < code <= sys.maxunicode else "\0")

    def toolkit_reads(self, count: int) -> None:
        for _ in range(min(count, len(self.toolkit_events))):
            token = self.toolkit_events.popleft()
            if token is None:
                self.toolkit_rows = dict(self.rows)
            else:
                self.pongs.append((TOOLKIT, token))


class Desk:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.queue = OpQueue()
        self.injector = Injector(server, self.queue)
        self.now = 0.0

    def push(self, *ops: Op) -> None:
        self.queue.push(ops)

    def step(self) -> float | None:
        while self.server.pongs:
            self.injector.pong(*self.server.pongs.popleft())
        return self.injector.step(self.now)

    def settle(self, most: int = 1, toolkit: int = 1) -> None:
        """Let everybody go on, slowly, until nothing is left to do."""
        for _ in range(100_000):
            deadline = self.step()
            if not self.server.events and not self.server.toolkit_events and deadline is None:
                return
            self.server.client_reads(most)
            self.server.toolkit_reads(toolkit)
            if deadline is not None and not self.server.events and not self.server.toolkit_events:
                self.now = max(self.now, deadline)
            else:
                self.now += 0.001
        raise AssertionError("it never settles")


def taps(text: str) -> list[Op]:
    return [op for char in text for op in (KeyDown(keysym(char)), KeyUp(keysym(char)))]


CHARS = st.sampled_from("abcXYZжяЖ漢字あいうエオ😀🚀→€éß")


@given(st.text(CHARS, max_size=120), st.integers(1, 40), st.integers(1, 5), st.booleans(), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_every_character_is_read_as_it_was_typed(
    text: str, spares: int, reads: int, two_connections: bool, toolkit_reads: int
) -> None:
    desk = Desk(Server(spares, two_connections=two_connections))
    desk.push(*taps(text))
    desk.settle(reads, toolkit_reads)
    assert "".join(desk.server.read) == text
    assert desk.server.down == set()
    assert desk.injector.counters.silences == 0


@given(st.text(CHARS, min_size=1, max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
@settings(max_examples=100, deadline=None)
def test_shift_stays_what_the_viewer_holds(text: str, toggles: list[bool]) -> None:
    """The viewer presses and lets go of Shift between characters, and yet each comes out as its keysym says."""
    desk = Desk(Server(spares=10))
    held = False
    for char, toggle in zip(text, toggles, strict=False):
        if toggle:
            desk.push(KeyUp(SHIFT_L) if held else KeyDown(SHIFT_L))
            held = not held
        desk.push(*taps(char))
    desk.settle()
    assert "".join(desk.server.read) == text
    assert desk.server.down == ({SHIFT_KEY} if held else set())


def test_one_request_binds_what_the_queue_needs_next() -> None:
    desk = Desk(Server(spares=40))
    desk.push(*taps("привет, мир"))
    desk.settle()
    assert desk.server.bind_requests == 1
    assert desk.injector.counters.bound == len(set("приветм, "))


def test_latin_text_binds_nothing_and_waits_for_nobody() -> None:
    desk = Desk(Server(spares=0, answers=False))
    desk.push(*taps("HelloWorld"))
    assert desk.step() is None
    desk.server.client_reads(100)
    assert "".join(desk.server.read) == "HelloWorld"
    assert desk.injector.counters.waits == 0
    assert not desk.server.owns


def test_a_program_that_hangs_is_waited_for_once() -> None:
    desk = Desk(Server(spares=1))
    desk.push(*taps("жд"))
    first = desk.step()
    assert first == SILENCE_S
    desk.now = SILENCE_S
    desk.step()
    assert desk.injector.counters.silences == 1
    desk.push(*taps("яю"), PointTo(1, 2))
    # It is mute now: only the blind wait for what was typed is left, and then the pointer moves.
    for _ in range(10):
        deadline = desk.step()
        if deadline is None:
            break
        assert deadline - desk.now <= BLIND_S
        desk.now = deadline
    assert desk.server.points == [(1, 2)]


def test_a_program_without_pings_gets_its_characters_at_once_and_rebinding_waits_a_moment() -> None:
    desk = Desk(Server(spares=2, answers=False))
    desk.push(*taps("жд"))
    assert desk.step() is None
    desk.push(*taps("я"))
    assert desk.step() == BLIND_S
    desk.server.client_reads(100)
    desk.now = BLIND_S
    assert desk.step() is None
    desk.server.client_reads(100)
    assert "".join(desk.server.read) == "ждя"


def test_a_window_that_goes_away_is_as_good_as_an_answer() -> None:
    desk = Desk(Server(spares=1))
    desk.push(*taps("ж"))
    assert desk.step() is not None
    desk.server.answers = False
    desk.injector.pong(WINDOW, None)
    assert desk.step() is None
    assert ("key", 100, True) in desk.server.log


def test_a_repeat_is_a_release_and_a_press() -> None:
    desk = Desk(Server(spares=0))
    desk.push(KeyDown(0x61), KeyDown(0x61), KeyDown(0x61), KeyUp(0x61))
    assert desk.step() is None
    key = 60
    assert [(code, down) for _, code, down in desk.server.log] == [(key, True), (key, False)] * 3


def test_two_characters_of_one_key_do_not_hide_each_other() -> None:
    desk = Desk(Server(spares=0))
    desk.push(KeyDown(ord("a")), KeyDown(ord("A")), KeyUp(ord("a")), KeyUp(ord("A")))
    assert desk.step() is None
    desk.server.client_reads(10)
    assert desk.server.read == ["a", "A"]
    assert desk.server.down == set()


def test_taps_leave_nothing_down() -> None:
    desk = Desk(Server(spares=2))
    desk.push(KeyTap(ord("a")), KeyTap(keysym("ж")), KeyTap(ord("B")))
    desk.settle()
    assert "".join(desk.server.read) == "aжB"
    assert desk.server.down == set()


def test_held_modifiers_are_there_for_a_shortcut() -> None:
    desk = Desk(Server(spares=0))
    desk.push(KeyDown(CONTROL_L), KeyDown(ord("c")), KeyUp(ord("c")), KeyUp(CONTROL_L))
    assert desk.step() is None
    key_c = 62
    assert desk.server.log == [
        ("key", CONTROL_KEY, True),
        ("key", key_c, True),
        ("key", key_c, False),
        ("key", CONTROL_KEY, False),
    ]


def test_when_every_spare_key_is_held_a_character_is_dropped_and_counted() -> None:
    desk = Desk(Server(spares=1))
    desk.push(KeyDown(keysym("ж")))
    desk.settle()
    desk.push(*taps("я"), *taps("a"))
    desk.settle()
    assert desk.server.read == ["ж", "a"]
    assert desk.injector.counters.untypable == 1


def test_release_all_lets_go_of_keys_and_buttons() -> None:
    desk = Desk(Server(spares=1))
    desk.push(KeyDown(ord("a")), KeyDown(SHIFT_L), ButtonDown(1), ButtonDown(3), ButtonUp(3))
    desk.step()
    desk.injector.release_all()
    assert desk.server.down == set()
    assert desk.server.log[-1] == ("button", 1, False)
    desk.injector.release_all()


def test_another_process_may_type_in_between() -> None:
    """It takes the spare keycodes over, binds them, and its bindings are taken over in turn."""
    server = Server(spares=3)
    desk = Desk(server)
    desk.push(*taps("жд"))
    desk.settle()
    server.owns = False
    server.rows[100] = [keysym("ю"), keysym("ю")]
    server.toolkit_events.append(None)
    desk.injector.map_changed()
    desk.push(*taps("ждюabж"))
    desk.settle()
    assert "".join(server.read) == "жд" + "ждюabж"
    assert server.owns


@pytest.mark.parametrize("held", [False, True])
def test_a_new_layout_is_used_from_the_next_key_on(held: bool) -> None:
    server = Server(spares=3)
    desk = Desk(server)
    if held:
        desk.push(KeyDown(ord("q")))
        desk.step()
    server.rows[60], server.rows[76] = server.rows[76], server.rows[60]
    desk.injector.map_changed()
    desk.push(*taps("aq") if not held else [KeyUp(ord("q")), *taps("a")])
    desk.settle()
    assert server.down == set()
    assert "".join(server.read) == ("aq" if not held else "aa")
