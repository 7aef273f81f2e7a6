"""Damage planned into rectangles: all of it, inside the display, on the grid."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.rects import GRID_PX, Rect, plan

RECTS = st.lists(
    st.builds(Rect, st.integers(-50, 700), st.integers(-50, 400), st.integers(0, 700), st.integers(0, 400)),
    max_size=12,
)
SIZES = st.tuples(st.integers(1, 350).map(lambda n: 2 * n), st.integers(1, 200).map(lambda n: 2 * n))


@given(RECTS, SIZES)
def test_everything_damaged_is_covered(damaged: list[Rect], size: tuple[int, int]) -> None:
    width, height = size
    wanted = np.zeros((height, width), bool)
    for r in damaged:
        wanted[max(0, r.y) : max(0, r.y + r.height), max(0, r.x) : max(0, r.x + r.width)] = True
    covered = np.zeros_like(wanted)
    for r in plan(damaged, width, height):
        assert r.x >= 0
        assert r.y >= 0
        assert r.x + r.width <= width
        assert r.y + r.height <= height
        assert r.width > 0
        assert r.height > 0
        assert not (r.x | r.y | r.width | r.height) & 1
        assert r.x % GRID_PX == 0
        assert r.y % GRID_PX == 0
        covered[r.y : r.y + r.height, r.x : r.x + r.width] = True
    assert not (wanted & ~covered).any()
    assert wanted.any() or not covered.any()


def test_a_caret_and_a_clock_stay_apart() -> None:
    planned = plan([Rect(17, 500, 8, 16), Rect(1200, 3, 60, 12)], 1280, 720)
    assert planned == [Rect(16, 496, 16, 32), Rect(1200, 0, 64, 16)]


def test_neighbours_become_one() -> None:
    assert plan([Rect(0, 0, 100, 16), Rect(0, 16, 100, 16)], 1280, 720) == [Rect(0, 0, 112, 32)]


def test_many_become_one() -> None:
    assert plan([Rect(x * 100, x * 50, 4, 4) for x in range(12)], 1280, 720) == [Rect(0, 0, 1104 + 16 - 16, 560)]


def test_edges_of_a_display_that_is_no_multiple_of_the_grid() -> None:
    assert plan([Rect(1270, 770, 10, 10)], 1234, 776) == []
    assert plan([Rect(1230, 770, 10, 10)], 1234, 776) == [Rect(1216, 768, 18, 8)]
