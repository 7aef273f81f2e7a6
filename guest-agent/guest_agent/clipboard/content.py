"""What is copied: text or a PNG, bounded. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

__all__ = ["LIMITS", "BadContent", "Content", "Kind", "Limits", "Ways"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""PNG specification 5.2."""


class Kind(IntEnum):
    """As on the wire (messages.ClipboardOffer)."""

    TEXT = 1
    """UTF-8, lines end in LF."""
    PNG = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Most bytes of each kind; what is larger is not copied."""

    text: int = 1 << 20
    png: int = 8 << 20

    def of(self, kind: Kind) -> int:
        return self.text if kind is Kind.TEXT else self.png


LIMITS = Limits()


class BadContent(ValueError):
    """Not what its kind says, or too large."""


@dataclass(frozen=True, slots=True)
class Content:
    """Made by :meth:`checked` where it comes from outside."""

    kind: Kind
    data: bytes = field(repr=False)
    digest: str = field(init=False)
    """Tells contents apart."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(bytes([self.kind]) + self.data).hexdigest()[:32])

    @classmethod
    def checked(cls, kind: Kind, data: bytes, limits: Limits = LIMITS) -> Self:
        """Raises BadContent."""
        if len(data) > limits.of(kind):
            raise BadContent(f"{len(data)} bytes, at most {limits.of(kind)}")
        if kind is Kind.PNG:
            if not data.startswith(PNG_SIGNATURE):
                raise BadContent("no PNG")
            return cls(kind, data)
        try:
            data.decode()
        except UnicodeDecodeError:
            raise BadContent("no UTF-8") from None
        # Where a terminal pastes, CR LF would be two line ends.
        return cls(kind, data.replace(b"\r\n", b"\n"))

    @classmethod
    def of_text(cls, text: str) -> Self:
        return cls(Kind.TEXT, text.encode())


@dataclass(frozen=True, slots=True)
class Ways:
    """Which ways may be copied."""

    to_guest: bool = False
    to_viewer: bool = False

    @classmethod
    def of_policy(cls, policy: str) -> Self:
        """Of one of link.CLIPBOARD_POLICIES; anything else is off."""
        return _POLICIES.get(policy, cls())  # type: ignore[return-value]


_POLICIES: Mapping[str, Ways] = {
    "to_guest": Ways(to_guest=True),
    "to_viewer": Ways(to_viewer=True),
    "both": Ways(to_guest=True, to_viewer=True),
}
