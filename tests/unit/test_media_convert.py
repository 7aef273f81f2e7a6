"""Pixels to YUV: the right colours, and a band converted alone equals the whole converted at once.

By libyuv and by swscale, whichever this machine would take.
"""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from guest_agent import libyuv as libyuv_module
from guest_agent.convert import Picture
from guest_agent.libyuv import Libyuv, libyuv
from guest_agent.rects import Rect, plan
from guest_agent.swscale import OVERREAD_BYTES, Swscale
from guest_agent.yuv import Converter

WIDTH, HEIGHT = 128, 72
BT601 = {
    (255, 255, 255): (235, 128, 128),
    (0, 0, 0): (16, 128, 128),
    (255, 0, 0): (81, 90, 240),
    (0, 255, 0): (145, 54, 34),
    (0, 0, 255): (41, 240, 110),
    (128, 128, 128): (126, 128, 128),
}
"""ITU-R BT.601, limited range."""


KINDS: list[type[Converter]] = [Libyuv, Swscale]


def pixels(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full_chroma", [False, True], ids=["420", "444"])
@pytest.mark.parametrize("rgb", BT601)
def test_colours_are_bt601_limited_range(rgb: tuple[int, int, int], full_chroma: bool, kind: type[Converter]) -> None:
    image = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    image[..., :3] = rgb[::-1]
    image[..., 3] = 77
    picture = Picture(WIDTH, HEIGHT, full_chroma=full_chroma, converter=kind())
    picture.update(Rect(0, 0, WIDTH, HEIGHT), image)
    y, u, v = planes(picture)
    for plane, wanted in zip((y, u, v), BT601[rgb], strict=True):
        assert plane.min() == plane.max()
        assert abs(int(plane[0, 0]) - wanted) <= 1


def planes(picture: Picture) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    if picture.full_chroma:
        y, u, v = np.split(picture.array, 3)
        return y, u, v
    flat = picture.array.reshape(-1)
    luma, chroma = picture.width_px * picture.height_px, picture.width_px * picture.height_px // 4
    half = (picture.height_px // 2, picture.width_px // 2)
    y = flat[:luma].reshape(picture.height_px, picture.width_px)
    return y, flat[luma : luma + chroma].reshape(half), flat[luma + chroma :].reshape(half)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, WIDTH - 1),
    st.integers(0, HEIGHT - 1),
    st.integers(1, WIDTH),
    st.integers(1, HEIGHT),
    st.booleans(),
    st.sampled_from(KINDS),
)
def test_a_damaged_rectangle_equals_the_whole(
    x: int, y: int, width: int, height: int, full_chroma: bool, kind: type[Converter]
) -> None:
    before, after = pixels(WIDTH, HEIGHT, 1), pixels(WIDTH, HEIGHT, 2)
    whole = Rect(0, 0, WIDTH, HEIGHT)
    partly, fully = (Picture(WIDTH, HEIGHT, full_chroma=full_chroma, converter=kind()) for _ in range(2))
    partly.update(whole, before)
    screen = before.copy()
    for rect in plan([Rect(x, y, width, height)], WIDTH, HEIGHT):
        part = (slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width))
        screen[part] = after[part]
        partly.update(rect, np.ascontiguousarray(screen[part]))
    fully.update(whole, screen)
    assert np.array_equal(partly.array, fully.array)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 20), st.integers(0, 2**32 - 1), st.booleans())
def test_both_converters_make_one_picture(half_width: int, half_height: int, seed: int, full_chroma: bool) -> None:
    """Of any size, within rounding. In 4:2:0 of squares of four like pixels: of others each has its own mean."""
    width, height = half_width * 2, half_height * 2
    if full_chroma:
        image = pixels(width, height, seed)
    else:
        image = np.ascontiguousarray(pixels(half_width, half_height, seed).repeat(2, axis=0).repeat(2, axis=1))
    made = []
    for kind in KINDS:
        picture = Picture(width, height, full_chroma=full_chroma, converter=kind())
        picture.update(Rect(0, 0, width, height), readable_behind(image))
        made.append(picture.array.astype(int))
    assert np.abs(made[0] - made[1]).max() <= 1


def readable_behind(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    memory = np.zeros(image.size + OVERREAD_BYTES, np.uint8)
    memory[: image.size] = image.reshape(-1)
    return memory[: image.size].reshape(image.shape)


def test_libyuv_takes_the_mean_of_four_pixels_colours() -> None:
    image = pixels(WIDTH, HEIGHT, 3)
    picture = Picture(WIDTH, HEIGHT, converter=Libyuv())
    picture.update(Rect(0, 0, WIDTH, HEIGHT), image)
    squares = image[..., :3].reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))
    blue, green, red = np.moveaxis(squares, 2, 0)
    _, u, v = planes(picture)
    assert np.abs(u - (128 + 0.439 * blue - 0.291 * green - 0.148 * red)).max() < 2
    assert np.abs(v - (128 + 0.439 * red - 0.368 * green - 0.071 * blue)).max() < 2


def test_pixels_of_another_size_never_reach_libyuv() -> None:
    image = pixels(WIDTH, HEIGHT, 3)
    for wrong in (image[:, :-2], image[:-2], np.asfortranarray(image)):
        with pytest.raises(ValueError, match="pixels of"):
            Picture(WIDTH, HEIGHT, converter=Libyuv()).update(Rect(0, 0, WIDTH, HEIGHT), wrong)


@pytest.mark.parametrize("library", ["libyuv.so.none", "libc.so.6"], ids=["none", "another"])
def test_without_libyuv_swscale_converts_and_it_is_said(
    library: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(libyuv_module, "_LIBRARY", library)
    libyuv.cache_clear()
    try:
        with caplog.at_level(logging.INFO):
            assert Picture(WIDTH, HEIGHT).converter.name == "swscale"
            assert Picture(WIDTH, HEIGHT).converter.name == "swscale"
    finally:
        monkeypatch.undo()
        libyuv.cache_clear()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "install libyuv0" in caplog.text
    assert Picture(WIDTH, HEIGHT).converter.name == "libyuv"


def test_full_chroma_keeps_the_colour_of_every_pixel_and_is_still_there_as_i420() -> None:
    """One column in four is red: 4:2:0 has one colour for two columns."""
    image = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    image[:, ::4, 2] = 255
    full = Picture(WIDTH, HEIGHT, full_chroma=True)
    full.update(Rect(0, 0, WIDTH, HEIGHT), image)
    y, u, v = planes(full)
    assert np.all(np.abs(v[:, ::4].astype(int) - 240) <= 1)
    assert np.all(v[:, 1::4] == 128)
    halved = full.i420()
    assert halved.shape == (HEIGHT * 3 // 2, WIDTH)
    assert np.array_equal(halved[:HEIGHT], y)
    chroma = halved[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    assert np.array_equal(chroma, np.stack([u[::2, ::2], v[::2, ::2]]))
    plain = Picture(WIDTH, HEIGHT)
    assert plain.i420() is plain.array


def test_more_sizes_than_swscale_keeps() -> None:
    picture = Picture(WIDTH, HEIGHT, converter=Swscale())
    for size in range(2, 72, 2):
        picture.update(Rect(0, 0, size, size), np.full((size, size, 4), 255, np.uint8))
    assert planes(picture)[0][:70, :70].min() == 235
    assert planes(picture)[0][70:, :].max() == 16


def test_a_new_picture_is_black() -> None:
    y, u, v = planes(Picture(WIDTH, HEIGHT))
    assert set(np.unique(y)) == {16}
    assert set(np.unique(u)) == set(np.unique(v)) == {128}


BEHIND_A_GUARD_PAGE = """
import ctypes, mmap, sys
import numpy as np
from guest_agent.convert import Picture
from guest_agent.libyuv import Libyuv
from guest_agent.rects import Rect
from guest_agent.swscale import Swscale

slack = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
page = mmap.PAGESIZE
for width, height in [(1280, 720), (1024, 32), (66, 34), (34, 6), (18, 2), (2, 2), (4096, 16)]:
    size = width * height * 4
    pages = -(-(size + slack) // page)
    memory = mmap.mmap(-1, (pages + 1) * page)
    start = ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(start + pages * page), page, 0) == 0
    first = pages * page - slack - size
    pixels = np.frombuffer(memory, np.uint8, size, first).reshape(height, width, 4)
    for converter in (Libyuv(), Swscale()):
        Picture(width, height, converter=converter).update(Rect(0, 0, width, height), pixels)
"""


def test_the_converters_read_no_further_than_they_say() -> None:
    """A page that may not be read lies behind the slack; the agent's capture once ended at such a page."""
    run = subprocess.run([sys.executable, "-c", BEHIND_A_GUARD_PAGE, str(OVERREAD_BYTES)], check=False, timeout=60)
    assert run.returncode == 0
