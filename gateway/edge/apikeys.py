"""API keys: what one is, and which one a caller has. Pure; time is an argument.

A key is ``fenster_`` and 256 random bits, of which only a SHA-256 digest is kept: with that much randomness there is
nothing to guess, so a slow hash would only slow the gateway. Its id is the beginning of its digest; whoever finds a
leaked key can tell which it is, and nobody can tell the key by its id.

Sessions belong to an owner, and so do keys: several keys may be one owner's, which is how a key is rotated.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from gateway.tokens import API_KEY_PREFIX

__all__ = ["ALL_SCOPES", "OWNER_NAME", "ApiKey", "Scope", "digest", "find", "key_id", "new_secret"]

OWNER_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
"""Pattern of the whole name."""


class Scope(StrEnum):
    SESSIONS_READ = "sessions:read"
    """See sessions, their events and traffic, and the templates."""
    SESSIONS_WRITE = "sessions:write"
    """Create, change, suspend, resume, fork, save and destroy them."""
    TOKENS_ISSUE = "tokens:issue"
    """Make viewer tokens and tickets."""
    DESKTOPS_USE = "desktops:use"
    """What a viewer may with the role control, without a token: picture, input, files, clipboard."""
    HOST_READ = "host:read"
    """Capacity and health of the host."""
    METRICS_READ = "metrics:read"
    """/metrics."""
    ADMIN = "admin"
    """All of these, on every owner's sessions."""


ALL_SCOPES = frozenset(Scope)


class ApiKey(BaseModel):
    """All that is kept of a key. Times are Unix, in s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    digest: str = Field(repr=False, pattern="^[0-9a-f]{64}$")
    owner: str = Field(pattern=f"^{OWNER_NAME}$")
    scopes: frozenset[Scope]
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    max_sessions: int | None = Field(default=None, ge=0)
    """Live sessions of its owner beyond which it creates none."""
    creates_per_min: int | None = Field(default=None, ge=1)
    """The gateway's own limit unless given."""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def sees_all(self) -> bool:
        """Whether it reaches every owner's sessions."""
        return Scope.ADMIN in self.scopes

    def usable(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_secret() -> str:
    return API_KEY_PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def key_id(secret: str) -> str:
    return digest(secret)[:8]


def find(secret: str, keys: Iterable[ApiKey], now: float) -> ApiKey | None:
    """The usable key that this secret is. Each comparison takes the same time, and all of them are made."""
    given, found = digest(secret), None
    for key in keys:
        same = hmac.compare_digest(given, key.digest)
        found = key if same and key.usable(now) else found
    return found
