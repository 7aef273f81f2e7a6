"""Every error a build raises on purpose.

::

    GoldenError
    ├── RecipeError      recipe.toml is wrong
    ├── HostError        this host lacks a tool, a permission or room
    ├── StageError       a stage's program failed; carries its last lines and the log's path
    ├── BusyError        another build holds the cache
    └── ManifestError    an image directory is incomplete or was changed

``hint`` tells a person what to do.
"""

from __future__ import annotations

__all__ = ["BusyError", "GoldenError", "HostError", "ManifestError", "RecipeError", "StageError"]


class GoldenError(Exception):
    """Base of the tree: one sentence on what happened and, in ``hint``, what can be done about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class RecipeError(GoldenError):
    pass


class HostError(GoldenError):
    pass


class StageError(GoldenError):
    def __init__(self, message: str, *, tail: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.tail = tail


class BusyError(GoldenError):
    pass


class ManifestError(GoldenError):
    pass
