"""One frame in, one packet out, and a decoder hears what went in."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from guest_agent.audio.frames import FRAME_SAMPLES, RATE_HZ, SoundFrame
from guest_agent.audio.opus import BIT_RATE_BPS, OpusEncoder
from tests.tones import frequency_hz, tone_pcm


def decode(packets: list[bytes]) -> np.ndarray[Any, Any]:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = RATE_HZ
    decoder.layout = "stereo"
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    assert {frame.samples for frame in frames} == {FRAME_SAMPLES}
    return np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in frames]).astype(float)


def encode(pcm: bytes, pts: list[int]) -> list[bytes]:
    encoder = OpusEncoder()
    size = FRAME_SAMPLES * 4
    packets = [encoder.encode(SoundFrame(t, pcm[i * size : (i + 1) * size])) for i, t in enumerate(pts)]
    assert [packet.pts for packet in packets] == pts
    return [packet.payload for packet in packets]


def test_a_tone_comes_through_on_its_own_channel() -> None:
    packets = encode(tone_pcm(997, 1.0, left=1.0, right=0.0), [i * FRAME_SAMPLES for i in range(100)])
    heard = decode(packets)[RATE_HZ // 10 :]
    assert frequency_hz(heard[:, 0]) == pytest.approx(997, abs=2)
    assert np.abs(heard[:, 0]).mean() > 20 * np.abs(heard[:, 1]).mean()


def test_gaps_are_no_matter_and_the_rate_is_kept() -> None:
    noise = np.random.default_rng(1).integers(-8000, 8000, RATE_HZ * 2, np.int16).tobytes()
    packets = encode(noise, [i * 7 * FRAME_SAMPLES for i in range(100)])
    assert sum(map(len, packets)) * 8 == pytest.approx(BIT_RATE_BPS, rel=0.1)
    # The configuration of RFC 6716 3.1: 30 is CELT, full band, 10 ms; then stereo, one frame.
    assert {packet[0] for packet in packets} == {30 << 3 | 1 << 2}
