"""Every character, exactly, in a real terminal on a real X server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_agent.input.ops import KeyDown, KeyUp
from guest_agent.input.state import InputState
from guest_agent.input.worker import COMMON, InputWorker
from guest_agent.protocol.messages import Key, Message, Text
from tests.x11.conftest import XServer
from tests.x11.desk import Programs, Terminal, mixed

pytestmark = [pytest.mark.x11, pytest.mark.timeout(120)]

SHIFT, CONTROL, ALT = 0xFFE1, 0xFFE3, 0xFFE9
RATE_HZ = 50


class Typist:
    """A viewer: messages in, through state and worker, to the X server."""

    def __init__(self, worker: InputWorker) -> None:
        self.worker = worker
        self._state = InputState()
        self._seq = 0

    def say(self, *messages: Message) -> None:
        for message in messages:
            self.worker.push(self._state.apply("me", message, 0.0))

    def key(self, keysym: int, down: bool) -> None:
        self._seq += 1
        self.say(Key(self._seq, keysym, down))

    def tap(self, *keysyms: int) -> None:
        for keysym in keysyms:
            self.key(keysym, True)
            self.key(keysym, False)

    def write(self, text: str, rate_hz: float | None = None) -> None:
        """As a browser's key events: one keysym down and up for each character, at a person's or a robot's pace."""
        start = time.monotonic()
        for at, char in enumerate(text, 1):
            self.tap(ord(char) if ord(char) < 0x100 else 0x01000000 | ord(char))
            if rate_hz is not None:
                time.sleep(max(0.0, start + at / rate_hz - time.monotonic()))


@pytest.fixture
def programs(xserver: XServer, tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(xserver, tmp_path)
    yield programs
    programs.close()


@pytest.fixture
def worker(xserver: XServer) -> Iterator[InputWorker]:
    worker = InputWorker(xserver.display, prepare=True)
    worker.start()
    yield worker
    worker.close()


@pytest.fixture
def typist(worker: InputWorker) -> Typist:
    return Typist(worker)


@pytest.fixture
def terminal(worker: InputWorker, programs: Programs) -> Iterator[Terminal]:
    programs.window_manager()
    terminal = Terminal(programs)
    yield terminal
    terminal.close()


def test_500_mixed_characters_at_50_a_second(typist: Typist, terminal: Terminal) -> None:
    text = mixed(500)
    assert len(set(text)) > 200
    typist.write(text, RATE_HZ)
    assert terminal.read(len(text)) == text
    assert typist.worker.counters.silences == 0


def test_500_mixed_characters_at_once(typist: Typist, terminal: Terminal) -> None:
    text = mixed(500, seed=2)
    typist.write(text)
    assert terminal.read(len(text)) == text
    assert typist.worker.counters.silences == 0


def test_composed_text(typist: Typist, terminal: Terminal) -> None:
    text = "Straße, 日本語を入力する, Ελληνικά, עברית, 한국어, ﬁ, 🏴󠁧󠁢󠁳󠁣󠁴󠁿"
    typist.say(Text(1, text), Text(2, "x\n"))
    assert terminal.read(len(text) + 2) == text + "x\r"


def test_a_terminal_that_stands_still_while_we_type_gets_it_all(typist: Typist, terminal: Terminal) -> None:
    """More characters than spare keycodes come while nobody reads; none may be given another's meaning."""
    text = mixed(300, seed=3)
    os.killpg(terminal.program.pid, signal.SIGSTOP)
    try:
        typist.write(text)
    finally:
        os.killpg(terminal.program.pid, signal.SIGCONT)
    assert terminal.read(len(text)) == text
    assert typist.worker.counters.silences == 0


@pytest.mark.parametrize(
    ("keysyms", "expected"),
    [
        ((0xFF0D,), b"\r"),
        ((0xFF09,), b"\t"),
        ((0xFF08,), b"\x7f"),
        ((0xFF1B,), b"\x1b"),
        ((0xFF51, 0xFF52, 0xFF53, 0xFF54), b"\x1b[D\x1b[A\x1b[C\x1b[B"),
        ((0xFFC2,), b"\x1b[15~"),
        ((0xFFFF, 0xFF63), b"\x1b[3~\x1b[2~"),
        ((0xFFB7, 0xFFAB, 0xFF8D), b"7+\r"),
        ((0xFFE5, 0x61, 0xFFE5, 0x41), b"aA"),
    ],
    ids=["Return", "Tab", "BackSpace", "Escape", "arrows", "F5", "editing", "keypad", "Caps_Lock"],
)
def test_control_keys(typist: Typist, terminal: Terminal, keysyms: tuple[int, ...], expected: bytes) -> None:
    typist.tap(*keysyms)
    assert terminal.read_bytes(len(expected)) == expected


@pytest.mark.parametrize(
    ("modifier", "keysym", "expected"),
    [(CONTROL, ord("c"), b"\x03"), (SHIFT, 0xFF09, b"\x1b[Z"), (ALT, ord("x"), b"\x1bx"), (SHIFT, ord("A"), b"A")],
    ids=["Ctrl+C", "Shift+Tab", "Alt+X", "Shift+A"],
)
def test_held_modifiers(typist: Typist, terminal: Terminal, modifier: int, keysym: int, expected: bytes) -> None:
    typist.key(modifier, True)
    typist.tap(keysym)
    typist.key(modifier, False)
    assert terminal.read_bytes(len(expected)) == expected


def test_characters_of_another_layout_under_shift(typist: Typist, terminal: Terminal) -> None:
    """A German keyboard: Shift and the key beside the 1 give a quote, Shift and the comma a semicolon."""
    typist.key(SHIFT, True)
    typist.tap(ord('"'), ord(";"), ord("/"), 0x010020AC, ord("a"))
    typist.key(SHIFT, False)
    typist.tap(ord("Z"), ord("b"))
    assert terminal.read(7) == '";/€aZb'


def test_a_layout_that_somebody_loads_is_used_at_once(typist: Typist, terminal: Terminal, xserver: XServer) -> None:
    typist.write("yz€ж")
    assert terminal.read(4) == "yz€ж"
    subprocess.run(["setxkbmap", "-layout", "de"], env=xserver.env, check=True, stdin=subprocess.DEVNULL)
    typist.write("yzÄß@€ж")
    assert terminal.read(7) == "yzÄß@€ж"


def test_a_successor_and_another_process_type_as_exactly(
    xserver: XServer, terminal: Terminal, typist: Typist
) -> None:
    """They find spare keycodes full of other people's keysyms, and take them for what they are."""
    text = mixed(150, seed=4)
    typist.write(text)
    assert terminal.read(len(text)) == text
    other = InputWorker(xserver.display)
    other.start()
    try:
        for part, who in ((mixed(150, seed=5), Typist(other)), (mixed(150, seed=6), typist)):
            who.write(part)
            assert terminal.read(len(part)) == part
    finally:
        other.close()


def test_common_letters_cost_no_binding_and_no_wait(typist: Typist, terminal: Terminal) -> None:
    before = typist.worker.counters.binding_requests
    typist.write("Съешь ещё, été, año, Größe")
    assert terminal.read(26) == "Съешь ещё, été, año, Größe"
    # Only the capital is not among them.
    assert typist.worker.counters.binding_requests == before + 1
    assert len(COMMON) < 100


def test_when_the_x_server_goes_the_worker_says_so(tmp_path: Path, xserver: XServer) -> None:
    lost_r, lost_w = os.pipe()
    worker = InputWorker(xserver.display, on_lost=lambda: os.write(lost_w, b"x"))
    worker.start()
    os.kill(xserver.pid, signal.SIGTERM)
    assert os.read(lost_r, 1) == b"x"
    worker.push([KeyDown(0x61), KeyUp(0x61)])
    worker.close()
    os.close(lost_r)
    os.close(lost_w)
