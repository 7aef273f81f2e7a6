"""x11vnc's -pipeinput lines (as x11vnc 0.9.16 writes them) into ops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.input.ops import ButtonDown, ButtonUp, KeyDown, KeyUp, PointTo
from guest_agent.input.vnc import VncInput

SIZE = (1280, 720)


def test_keys() -> None:
    vnc = VncInput()
    assert vnc.line("Keysym 1 1 16778303 U043F KeyPress\n", SIZE) == [KeyDown(0x0100043F)]
    assert vnc.line("Keysym 1 1 16778303 U043F KeyPress\n", SIZE) == [KeyDown(0x0100043F)]
    assert vnc.line("Keysym 1 0 16778303 U043F KeyRelease\n", SIZE) == [KeyUp(0x0100043F)]
    assert vnc.line("Keysym 1 1 49 1 KeyPress\n", SIZE) == [KeyDown(0x31)]
    assert vnc.line("Keysym 1 1 65509 Caps_Lock KeyPress\n", SIZE) == []
    assert vnc.bad_lines == 0


def test_the_pointer_and_its_buttons() -> None:
    vnc = VncInput()
    down = vnc.line("Pointer 1 100 200 1 ButtonPress-1\n", SIZE)
    assert [type(op) for op in down] == [PointTo, PointTo, ButtonDown]
    assert down[-1] == ButtonDown(1)
    both = vnc.line("Pointer 1 101 200 5 ButtonPress-3\n", SIZE)
    assert both[-1] == ButtonDown(3)
    assert vnc.line("Pointer 1 101 200 0 ButtonRelease-1,ButtonRelease-3\n", SIZE)[-1] == ButtonUp(3)
    assert vnc.line("Pointer 1 101 200 8 ButtonPress-4\n", SIZE)[-2:] == [ButtonDown(4), ButtonUp(4)]
    assert [type(op) for op in vnc.line("Pointer 1 101 200 0 ButtonRelease-4\n", SIZE)] == [PointTo]


def test_a_watcher_does_nothing() -> None:
    vnc = VncInput()
    assert vnc.line("Keysym -2 1 97 a KeyPress\n", SIZE) == []
    assert vnc.line("Pointer -2 1 1 1 None\n", SIZE) == []
    assert vnc.bad_lines == 0


@pytest.mark.parametrize(
    "line", ["Keysym", "Keysym 1 2 97 a None", "Keysym x 1 97 a None", "Pointer 1 2 3", "Clipboard 1", "Keysym 1 1"]
)
def test_odd_lines_are_counted(line: str) -> None:
    vnc = VncInput()
    assert vnc.line(line, SIZE) == []
    assert vnc.bad_lines == 1


def test_comments_and_empty_lines_are_not() -> None:
    vnc = VncInput()
    assert [vnc.line(line, SIZE) for line in ("# Keysym 1 1 97", "", "\n")] == [[], [], []]
    assert vnc.bad_lines == 0


@given(st.integers(1, 4096), st.integers(1, 4096), st.data())
def test_a_pixel_is_that_pixel_again(width: int, height: int, data: st.DataObject) -> None:
    """x11vnc's pixels become fractions and the wire makes pixels of them (xtest.XtestWire.point)."""
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    match VncInput().line(f"Pointer 1 {x} {y} 0 None", (width, height)):
        case [PointTo(at_x, at_y)]:
            assert (at_x * width >> 16, at_y * height >> 16) == (x, y)
        case other:
            raise AssertionError(other)
