"""How commands speak: one line and a hint for a person, or JSON for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

__all__ = ["console", "emit", "fail", "notes"]


def console() -> Console:
    """For answers."""
    return Console(highlight=False)


def notes() -> Console:
    """For progress and remarks: standard error, so that the answer can be piped."""
    return Console(stderr=True, highlight=False)


def emit(body: Mapping[str, Any]) -> None:
    """One JSON document, on one line."""
    print(json.dumps(body, default=str), flush=True)


def fail(kind: str, message: str, hint: str, *, as_json: bool) -> None:
    """An error, without a traceback."""
    if as_json:
        emit({"error": {"kind": kind, "message": message, "hint": hint}})
        return
    out = notes()
    out.print(f"[red]error:[/red] {escape(message)}", soft_wrap=True)
    if hint:
        out.print(f"hint: {escape(hint)}", soft_wrap=True)
    sys.stderr.flush()
