"""What the fuzz tests share: bytes that are nearly right, drawn from a seed, and a watch on work and memory.

Of what is drawn some is random, some valid, some valid with something wrong: bytes changed, cut off, glued together.
A failure comes again by its seed.
"""

from __future__ import annotations

import copy
import gc
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["Worst", "changed", "drawn", "nearly_json", "pieces", "steady", "volumes"]

SEED = 20
MORE = 20
"""How many times more inputs the slow runs take."""
EDGES = (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFE, 0xFF)
MOST_BLOCKS = 3_000
"""Objects that may have come to be in the second half of a run; one for each input would be many times this."""
MOST_WORK_S = 1.0
"""Processor time for one input: far from what any takes, and far below what a hang would."""


def volumes(count: int) -> pytest.MarkDecorator:
    """Parameters ``count`` and ``seed``: the ordinary run, and one that is longer and other."""
    longer = pytest.param(count * MORE, SEED + 1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])
    return pytest.mark.parametrize(("count", "seed"), [(count, SEED), longer])


def changed(rng: random.Random, data: bytes) -> bytes:
    """``data`` with one to four things wrong."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(7):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                out[at : at + 1] = bytes([rng.choice(EDGES)])
            case 2 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 3:
                out[at : at + 2] = rng.choice((b"\0\0", b"\xff\xff", b"\0\1", b"\x7f\xff", b"\x80\0"))
            case 4:
                del out[at : at + rng.randint(1, 8)]
            case 5:
                out[at:at] = rng.randbytes(rng.randint(1, 8))
            case _:
                out[at:at] = out[at : at + rng.randint(1, 40)]
    return bytes(out)


def drawn(rng: random.Random, valid: Sequence[bytes], count: int, most_random: int = 120) -> Iterator[bytes]:
    """``count`` inputs."""
    for _ in range(count):
        one, other = rng.choice(valid), rng.choice(valid)
        choice = rng.random()
        if choice < 0.1:
            yield rng.randbytes(rng.randint(0, most_random))
        elif choice < 0.2:
            yield one
        elif choice < 0.3:
            yield one[: rng.randint(0, len(one))]
        elif choice < 0.4:
            yield one + other[: rng.randint(0, len(other))]
        elif choice < 0.5:
            yield one[: rng.randint(0, len(one))] + other[rng.randint(0, len(other)) :]
        else:
            yield changed(rng, one)


def pieces(rng: random.Random, data: bytes) -> Iterator[bytes]:
    """The same bytes, as a stream may bring them."""
    while data:
        size = rng.choice((1, 2, 3, 7, 64, 1500, len(data)))
        yield data[:size]
        data = data[size:]


_STRANGE: tuple[Callable[[random.Random], Any], ...] = (
    lambda rng: None, lambda rng: rng.random() < 0.5, lambda rng: rng.choice((-1, 0, 1, 2**31, 2**63, 10**40)),
    lambda rng: rng.choice((0.5, -0.0, 1e308, math.nan, math.inf)), lambda rng: "", lambda rng: "\0",
    lambda rng: "\ud800", lambda rng: "x" * rng.randint(1, 5000), lambda rng: "🦀ß\u2028", lambda rng: [],
    lambda rng: {}, lambda rng: [[[[]]]] * 9, lambda rng: {"": {"state": "up"}}, lambda rng: "connected",
)  # fmt: skip


def nearly_json(rng: random.Random, valid: Any) -> Any:
    """A copy of a JSON value with one to three parts replaced, removed or added."""
    root = [copy.deepcopy(valid)]
    for _ in range(rng.randint(1, 3)):
        at: Any = root
        while True:
            keys: list[Any] = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.8:
                at = at[key]
                continue
            if at is not root and rng.random() < 0.2:
                del at[key]
            elif isinstance(at, dict) and rng.random() < 0.1:
                at["more"] = rng.choice(_STRANGE)(rng)
            else:
                at[key] = rng.choice(_STRANGE)(rng)
            break
    return json.loads(json.dumps(root[0]))


class Worst:
    """The most processor time that one input has taken."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def of(self) -> Iterator[None]:
        begun = time.process_time()
        yield
        self.seconds = max(self.seconds, time.process_time() - begun)


def _allocated() -> int:
    # An exception that is kept and the frame it was raised in hold each other until they are looked for.
    gc.collect()
    return sys.getallocatedblocks()


@contextmanager
def steady(count: int) -> Iterator[Callable[[int], Any]]:
    """Within it, call what it gives with each input's number, ``with``, around the work: no input may hang, and the
    second half of them may leave nothing behind."""
    worst = Worst()
    blocks = 0

    def at(number: int) -> Any:
        nonlocal blocks
        if number == count // 2:
            blocks = _allocated()
        return worst.of()

    yield at
    assert blocks, f"fewer than {count} inputs were tried"
    assert _allocated() - blocks < MOST_BLOCKS
    assert worst.seconds < MOST_WORK_S
