"""x264 through PyAV with the real codec: no delay, keyframes only when asked, small when still, right flags."""

from __future__ import annotations

import itertools
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from guest_agent.convert import Picture
from guest_agent.encode import Encoder, default_threads
from guest_agent.errors import EncoderError
from guest_agent.h264 import split_annexb
from guest_agent.rects import Rect

WIDTH, HEIGHT = 320, 192


def picture_of(seed: int) -> NDArray[np.uint8]:
    """Blocks of different grey, sharp edges."""
    tiles = np.random.default_rng(seed).integers(0, 256, (HEIGHT // 16, WIDTH // 16), np.uint8)
    grey = np.kron(tiles, np.ones((16, 16), np.uint8))
    picture = Picture(WIDTH, HEIGHT)
    picture.update(Rect(0, 0, WIDTH, HEIGHT), np.repeat(grey[..., None], 4, axis=2))
    return picture.array


def decode(units: list[bytes]) -> list[Any]:
    decoder = av.CodecContext.create("h264", "r")
    frames: list[Any] = []
    for unit in [*units, b""]:
        frames += decoder.decode(av.Packet(unit) if unit else None)
    return frames


def kinds(unit: bytes) -> list[int]:
    return [nal[0] & 0x1F for nal in split_annexb(unit)]


def test_one_picture_in_one_unit_out_and_it_decodes() -> None:
    encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1)
    pictures = [picture_of(seed) for seed in range(4)]
    units = [encoder.encode(p, i * 1500, key=False)[0] for i, p in enumerate(pictures)]
    frames = decode(units)
    assert len(frames) == 4
    for frame, picture in zip(frames, pictures, strict=True):
        error = frame.to_ndarray()[:HEIGHT].astype(int) - picture[:HEIGHT]
        assert np.abs(error).mean() < 4


def test_keyframes_only_first_and_on_request() -> None:
    encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1)
    keys = []
    for i in range(400):
        unit, key = encoder.encode(picture_of(i % 3), i * 1500, key=i in (7, 300))
        keys.append(key)
        assert (5 in kinds(unit)) is key
        assert (7 in kinds(unit)) is (8 in kinds(unit)) is key
    assert [i for i, key in enumerate(keys) if key] == [0, 7, 300]


def test_a_still_picture_costs_next_to_nothing() -> None:
    encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1)
    still = picture_of(1)
    sizes = [len(encoder.encode(still, i * 1500, key=False)[0]) for i in range(20)]
    assert sizes[0] > 1000
    assert sizes[-1] < 100


def test_the_stream_says_how_it_is_made() -> None:
    encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1)
    unit, _ = encoder.encode(picture_of(1), 0, key=False)
    sps = next(bytes(nal) for nal in split_annexb(unit) if nal[0] & 0x1F == 7)
    assert sps[1] == 66, "Baseline"
    assert sps[2] & 0x40, "constraint_set1: also Main, so Constrained Baseline"
    frame = decode([unit])[0]
    assert (frame.colorspace, frame.color_range) == (6, 1), "BT.601 (ITU-T H.273), limited range"
    assert (frame.color_primaries, frame.color_trc) == (1, 1), "BT.709's, near sRGB's"


def test_threads_make_slices_and_the_same_picture() -> None:
    encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=2)
    unit, _ = encoder.encode(picture_of(1), 0, key=False)
    assert kinds(unit).count(5) == 2
    assert np.abs(decode([unit])[0].to_ndarray()[:HEIGHT].astype(int) - picture_of(1)[:HEIGHT]).mean() < 4


@pytest.mark.parametrize("max_bps", [20_000_000, 5_000_000, 1_200_000])
def test_the_cap_bounds_the_largest_picture(max_bps: int) -> None:
    encoder = Encoder(1280, 720, max_bps=max_bps, threads=1)
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1280), np.uint8)
    sizes = [len(encoder.encode(np.roll(noise, i * 31), i * 1500, key=i == 5)[0]) for i in range(12)]
    # Noise cannot be coded well in any number of bits; x264's row control keeps near the buffer, not exactly in it.
    assert max(sizes) < max_bps * 0.1 / 8 * 1.5


def test_a_size_that_does_not_work() -> None:
    with pytest.raises(EncoderError, match="321x193"):
        Encoder(321, 193, max_bps=20_000_000, threads=1)


def test_a_picture_of_another_size() -> None:
    encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1)
    with pytest.raises(EncoderError):
        encoder.encode(Picture(WIDTH * 2, HEIGHT).array, 0, key=False)


def test_one_core_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (3, 2), (5, 4), (64, 4)):
        monkeypatch.setattr("os.sched_getaffinity", lambda pid, n=cores: set(range(n)))
        assert default_threads() == threads


@pytest.mark.parametrize("threads", [1, 2])
def test_another_rate_counts_from_the_next_picture_and_takes_no_keyframe(threads: int) -> None:
    encoder = Encoder(1280, 720, max_bps=20_000_000, threads=threads)
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1280), np.uint8)
    made = itertools.count()

    def bytes_of(pictures: int) -> float:
        sizes = []
        for _ in range(pictures):
            i = next(made)
            unit, key = encoder.encode(np.roll(noise, i * 31), i * 3000, key=False)
            assert key is (i == 0)
            sizes.append(len(unit))
        return sum(sizes) / pictures

    full = bytes_of(15)
    for bps in (2_000_000, 8_000_000, 1_000_000):
        assert encoder.retune(bps)
        assert encoder.max_bps == bps
        assert bytes_of(15) * 8 * 30 < bps * 1.15
    assert encoder.retune(20_000_000)
    bytes_of(5)
    assert bytes_of(15) > full * 0.6


def test_a_context_that_looks_different_has_no_live_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with another PyAV: it is not touched, and the caller opens another encoder."""
    encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1)
    assert encoder.retune(5_000_000)
    for at in (0, 8, 32, 40):
        monkeypatch.setattr("guest_agent.avoptions._CONTEXT_AT", at)
        strange = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1)
        assert not strange.retune(5_000_000)
        assert strange.encode(picture_of(1), 0, key=False)[1]
    monkeypatch.undo()
    monkeypatch.setattr("guest_agent.avoptions._METHODS_AT", 24)
    assert not Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1).retune(5_000_000)


@pytest.mark.parametrize("fps", [10, 15, 30])
def test_few_pictures_share_the_rate_as_many_do(fps: int) -> None:
    encoder = Encoder(640, 368, max_bps=1_000_000, threads=1)
    noise = np.random.default_rng(1).integers(0, 256, (552, 640), np.uint8)
    sizes = [len(encoder.encode(np.roll(noise, i * 31), i * 90_000 // fps, key=False)[0]) for i in range(60)]
    assert 0.7e6 < sum(sizes[30:]) / 30 * fps * 8 < 1.15e6


def coloured(full_chroma: bool) -> tuple[NDArray[np.uint8], Picture]:
    """Strokes of one pixel in strong colours on black, as a terminal's text; BGRX and converted."""
    rng = np.random.default_rng(3)
    image = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for left in range(4, WIDTH - 4, 5):
        rows = rng.random(HEIGHT) < 0.5
        image[rows, left, rng.integers(0, 3)] = 255
    picture = Picture(WIDTH, HEIGHT, full_chroma=full_chroma)
    picture.update(Rect(0, 0, WIDTH, HEIGHT), image)
    return image, picture


def test_with_full_chroma_text_keeps_its_colours() -> None:
    psnr_db = {}
    for full_chroma in (False, True):
        image, picture = coloured(full_chroma)
        encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=2, full_chroma=full_chroma)
        units = [encoder.encode(picture.array, i * 1500, key=False) for i in range(4)]
        assert [key for _, key in units] == [True, False, False, False]
        frame = decode([unit for unit, _ in units])[-1]
        assert frame.format.name == ("yuv444p" if full_chroma else "yuv420p")
        assert (frame.color_range, frame.colorspace) == (1, 6)
        shown = frame.reformat(format="bgra", src_colorspace="ITU601", dst_color_range="JPEG").to_ndarray()
        psnr_db[full_chroma] = 10 * np.log10(255**2 / np.mean((shown[..., :3].astype(float) - image[..., :3]) ** 2))
    print(psnr_db)
    assert psnr_db[True] > psnr_db[False] + 10


def test_with_full_chroma_too_it_is_retuned_and_takes_only_its_own_pictures() -> None:
    _, picture = coloured(True)
    encoder = Encoder(WIDTH, HEIGHT, max_bps=20_000_000, threads=1, full_chroma=True)
    encoder.encode(picture.array, 0, key=False)
    assert encoder.retune(1_000_000)
    assert not encoder.encode(picture.array, 1500, key=False)[1]
    with pytest.raises(EncoderError):
        encoder.encode(picture.i420(), 3000, key=False)
