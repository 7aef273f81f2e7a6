"""JSON of which every part can be written again: no lone surrogates, no NaN, no infinity. Pure.

Python reads "\\ud800" as a character that no encoder takes, and NaN and 1e999 as numbers, which JSON does not have.
Whoever hands on what the other side says would fail where it is written, far from the one who sent it.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["MAX_SAID", "dump", "load", "one_line"]

MAX_SAID = 300
"""Characters of the other side's own words that are repeated."""


def dump(value: Any) -> bytes:
    """In ASCII, without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def load(text: bytes) -> Any:
    """Raises ValueError, and RecursionError for what is nested too deeply."""
    value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    # Only an escape can stand for half of a pair, and few texts have one of these.
    if b"\\ud" in text or b"\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def one_line(said: object) -> str:
    """The other side's words, if they are any, as part of one of our own messages and of a line in the log."""
    text = said[:MAX_SAID] if isinstance(said, str) else ""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _finite(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        _refuse(text[:20])
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
