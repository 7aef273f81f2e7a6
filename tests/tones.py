"""Tones to play, and what a recording of one sounds like."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["TONE_HZ", "frequency_hz", "tone_pcm"]

TONE_HZ = 997.0
"""A prime, so that no multiple of any frame's length fakes it."""
RATE_HZ = 48_000


def tone_pcm(
    frequency: float, length_s: float, *, left: float = 1.0, right: float = 1.0, amplitude: int = 10_000
) -> bytes:
    """A sine as interleaved s16le at 48 kHz; ``left`` and ``right`` are gains."""
    time = np.arange(int(length_s * RATE_HZ)) / RATE_HZ
    wave = amplitude * np.sin(2 * np.pi * frequency * time)
    return np.column_stack([left * wave, right * wave]).astype("<i2").tobytes()


def frequency_hz(samples: np.ndarray[Any, Any]) -> float:
    """The strongest frequency of one channel at 48 kHz, to a fraction of a bin. Silence is 0."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    peak = int(spectrum.argmax())
    if not spectrum[peak] or peak in (0, spectrum.size - 1):
        return 0.0
    below, at, above = spectrum[peak - 1 : peak + 2]
    return float(peak + (above - below) / (2 * (2 * at - below - above))) * RATE_HZ / samples.size
