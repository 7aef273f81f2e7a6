"""What is recorded becomes even frames of live sound, however unevenly it comes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.audio.frames import FRAME_BYTES, FRAME_SAMPLES, RATE_HZ, Cutter, Gate, SoundFrame

FRAME_S = FRAME_SAMPLES / RATE_HZ


def sound(number: int, count: int = 1) -> bytes:
    """Frames that say which they are."""
    return b"".join((number + at).to_bytes(4, "little") * (FRAME_BYTES // 4) for at in range(count))


def numbers(frames: list[SoundFrame]) -> list[int]:
    return [int.from_bytes(frame.pcm[:4], "little") for frame in frames]


def test_even_sound_passes_whole_and_its_time_is_even() -> None:
    cutter = Cutter(100.0)
    frames = [frame for i in range(200) for frame in cutter.feed(sound(i), 100.0 + (i + 1) * FRAME_S)]
    assert numbers(frames) == list(range(200))
    assert {b.pts - a.pts for a, b in itertools.pairwise(frames)} == {FRAME_SAMPLES}
    assert (cutter.dropped, cutter.gaps) == (0, 0)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_cuts_anywhere_lose_nothing(sizes: list[int]) -> None:
    cutter = Cutter(0.0)
    whole = sound(0, 30)
    out: list[SoundFrame] = []
    at = 0
    for size in sizes:
        part = whole[at : at + size]
        at += len(part)
        out += cutter.feed(part, at / FRAME_BYTES * FRAME_S)
    assert numbers(out) == list(range(at // FRAME_BYTES))


def test_unevenness_of_a_busy_machine_costs_nothing() -> None:
    cutter = Cutter(0.0)
    out: list[SoundFrame] = []
    for i in range(100):
        late = i % 10
        # Ten frames are there at once when the reader runs only every 100 ms.
        out += cutter.feed(sound(i * 10, 10), (i + 1) * 0.1 + late * 0.003)
    assert numbers(out) == list(range(1000))


@pytest.mark.parametrize("stood_still_s", [1.0, 20.0])
def test_after_a_burst_the_sound_is_live_again(stood_still_s: float) -> None:
    cutter = Cutter(0.0)
    now = 0.0
    for i in range(100):
        now += FRAME_S
        cutter.feed(sound(i), now)
    # The clock went on, and then everything comes at once, in pieces.
    now += stood_still_s
    burst = 0
    for piece in range(30):
        now += 0.001
        burst += len(cutter.feed(sound(1000 + piece * 34, 34), now))
    assert burst <= 6 + 30 * 0.001 / FRAME_S + 1
    assert cutter.gaps == 1
    dropped = cutter.dropped
    assert dropped >= 30 * 34 - 10
    # From here each frame that comes is passed on, and its time is the clock's.
    for i in range(100):
        now += FRAME_S
        (frame,) = cutter.feed(sound(5000 + i), now)
        assert numbers([frame]) == [5000 + i]
        assert abs(frame.pts / RATE_HZ - now) < 0.1
    assert cutter.dropped == dropped


chunks = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 40 * FRAME_BYTES)), max_size=60)


@given(chunks)
def test_time_rises_and_never_runs_ahead(deliveries: list[tuple[int, int]]) -> None:
    cutter = Cutter(0.0)
    now_ms = 0
    last = -FRAME_SAMPLES
    for pause_ms, size in deliveries:
        now_ms += pause_ms
        for frame in cutter.feed(bytes(size), now_ms / 1000):
            assert frame.pts >= last + FRAME_SAMPLES
            last = frame.pts
            assert frame.pts + FRAME_SAMPLES <= now_ms * RATE_HZ // 1000 + 6 * FRAME_SAMPLES


def test_half_a_frame_of_a_recorder_that_ended_is_dropped() -> None:
    cutter = Cutter(0.0)
    assert cutter.feed(sound(1)[:1000], 0.01) == []
    cutter.restart()
    assert numbers(cutter.feed(sound(2), 0.02)) == [2]


def test_silence_ends_after_a_while_and_sound_begins_at_once() -> None:
    gate = Gate()
    silent, loud = bytes(FRAME_BYTES), sound(1)
    assert not gate.passes(silent), "nobody has heard anything yet"
    assert gate.passes(loud)
    assert [gate.passes(silent) for _ in range(30)] == [True] * 20 + [False] * 10
    assert gate.passes(loud)
    assert gate.passes(silent)
    assert gate.skipped == 11
