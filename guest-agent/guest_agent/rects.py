"""Damaged rectangles, planned into what is worth grabbing one by one. Pure. Units are px."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["GRID_PX", "Rect", "plan"]

GRID_PX = 16
"""A macroblock: the encoder looks at nothing smaller, chroma needs even edges, and few sizes mean that a converter
made for one is found again."""
_MAX_RECTS = 6


class Rect(NamedTuple):
    x: int
    y: int
    width: int
    height: int

    @property
    def area_px(self) -> int:
        return self.width * self.height


def plan(damaged: Sequence[Rect], width_px: int, height_px: int) -> list[Rect]:
    """Rectangles on the grid, inside width_px x height_px (both even), that cover all of ``damaged``.

    One bounding rectangle, unless a few separate ones are less than half of it (a caret and a clock).
    """
    aligned = {r for r in (_align(d, width_px, height_px) for d in damaged) if r.area_px}
    if not aligned:
        return []
    x, y = min(r.x for r in aligned), min(r.y for r in aligned)
    right, bottom = max(r.x + r.width for r in aligned), max(r.y + r.height for r in aligned)
    bounding = Rect(x, y, right - x, bottom - y)
    if len(aligned) <= _MAX_RECTS and sum(r.area_px for r in aligned) * 2 < bounding.area_px:
        return sorted(aligned)
    return [bounding]


def _align(rect: Rect, width_px: int, height_px: int) -> Rect:
    left, top = max(0, rect.x), max(0, rect.y)
    right, bottom = min(width_px, rect.x + rect.width), min(height_px, rect.y + rect.height)
    if right <= left or bottom <= top:
        return Rect(0, 0, 0, 0)
    left, top = left // GRID_PX * GRID_PX, top // GRID_PX * GRID_PX
    right, bottom = -(-right // GRID_PX) * GRID_PX, -(-bottom // GRID_PX) * GRID_PX
    right, bottom = min(width_px, right), min(height_px, bottom)
    return Rect(left, top, right - left, bottom - top)
