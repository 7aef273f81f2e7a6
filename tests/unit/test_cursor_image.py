"""X's cursor pictures as PNGs: colours, sizes, hotspots."""

from __future__ import annotations

from io import BytesIO

import av
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from guest_agent.cursor_image import HIDDEN, MAX_SIDE_PX, cursor_image
from guest_agent.protocol.messages import MAX_BLOB_BYTES


def decoded(png: bytes) -> NDArray[np.uint8]:
    """(height, width, 4): red, green, blue, alpha."""
    with av.open(BytesIO(png), "r", format="png_pipe") as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgba"))


def argb(*pixels: int) -> bytes:
    return np.array(pixels, np.uint32).tobytes()


def test_colours_are_no_longer_multiplied_by_alpha() -> None:
    image = cursor_image(argb(0xFFFF0000, 0x80008000, 0x00000000, 0x01010000), (2, 2), (1, 0))
    assert decoded(image.png).tolist() == [
        [[255, 0, 0, 255], [0, 255, 0, 128]],
        [[0, 0, 0, 0], [255, 0, 0, 1]],
    ]
    assert (image.hot_x, image.hot_y) == (1, 0)


def test_colours_brighter_than_their_alpha_do_not_wrap() -> None:
    """A client may send nonsense: nothing makes it multiply."""
    assert decoded(cursor_image(argb(0x10FF00FF), (1, 1), (0, 0)).png).tolist() == [[[255, 0, 255, 16]]]


def test_what_is_transparent_is_hidden() -> None:
    assert cursor_image(argb(0x00FFFFFF, 0), (2, 1), (0, 0)) == HIDDEN


def test_too_large_is_made_smaller_with_its_hotspot() -> None:
    image = cursor_image(argb(*[0xFF102030] * (256 * 200)), (256, 200), (255, 100))
    pixels = decoded(image.png)
    assert pixels.shape == (100, 128, 4)
    assert (pixels == [0x10, 0x20, 0x30, 255]).all()
    assert (image.hot_x, image.hot_y) == (127, 50)


def test_noise_keeps_within_a_message() -> None:
    noise = np.random.default_rng(1).integers(0, 1 << 32, MAX_SIDE_PX * MAX_SIDE_PX, dtype=np.uint32)
    image = cursor_image(noise.tobytes(), (MAX_SIDE_PX, MAX_SIDE_PX), (0, 127))
    assert 0 < len(image.png) <= MAX_BLOB_BYTES
    height, width, _ = decoded(image.png).shape
    assert image.hot_y < height <= MAX_SIDE_PX
    assert width == height


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 400), st.integers(0, 400))
def test_any_size_and_hotspot_fit_a_message(width: int, height: int, x: int, y: int) -> None:
    image = cursor_image(argb(*[0xFFFFFFFF] * (width * height)), (width, height), (x, y))
    rows, columns, _ = decoded(image.png).shape
    assert max(rows, columns) <= MAX_SIDE_PX
    assert image.hot_x < columns
    assert image.hot_y < rows


def test_equal_pictures_are_equal() -> None:
    once, again = (cursor_image(argb(0xFF000001, 0), (2, 1), (0, 0)) for _ in range(2))
    assert once == again
    assert once != cursor_image(argb(0xFF000001, 0), (2, 1), (1, 0))
