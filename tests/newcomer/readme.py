"""The commands of a document, as somebody would type them who has just read it."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["filled_in", "shell_lines"]

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(^|\s)#.*")
_TO_FILL_IN = re.compile(r"\b[A-Z][A-Z]+\b")


def shell_lines(text: str, heading: str = "") -> list[str]:
    """The lines of its shell code blocks, without comments.

    Args:
        heading: only of the section with this heading of second level; "" for what stands before the first.
    """
    before, *sections = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    section = dict(zip(sections[::2], sections[1::2], strict=True))[heading] if heading else before
    lines = [_COMMENT.sub("", line).strip() for block in _BLOCK.findall(section) for line in block.splitlines()]
    return [line for line in lines if line]


def filled_in(line: str, values: Mapping[str, str]) -> str:
    """With the reader's own in place of words such as ID. Raises KeyError for one that is not known."""
    return _TO_FILL_IN.sub(lambda found: values[found[0]], line)
