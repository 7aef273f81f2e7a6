"""How much a session may carry: a token bucket, and the numbers. Pure; times are seconds of a monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits", "Times", "TokenBucket"]


class TokenBucket:
    """Lets ``rate`` tokens a second through, and ``burst`` at once after a pause.

    What is taken may exceed what is there: the debt is waited for before the next. So a reader who cannot know how
    much will come takes what came, and waits.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        if rate <= 0 or burst <= 0:
            raise ValueError("rate and burst are above 0")
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, tokens: float, now: float) -> float:
        """Take them, and get for how many seconds to wait before taking more."""
        # A clock that stood still, or was read in another order, adds nothing.
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        self._tokens -= tokens
        return max(0.0, -self._tokens / self._rate)

    def allows(self, tokens: float, now: float) -> bool:
        """Take them only if they are there."""
        self.take(0.0, now)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one session."""

    connections: int = 256
    """Of the guest to its proxy, at once. Chromium alone opens 32 to a proxy."""
    connects_per_s: float = 50.0
    """To the outside; ten seconds' worth at once."""
    bytes_per_s: float | None = None
    """Each way; None: no limit."""
    quota_bytes: int | None = None
    """Both ways together, for the session's life; None: no limit."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long each stage may take, in s."""

    head_s: float = 15.0
    """From a request's first byte to the end of its head."""
    keep_alive_s: float = 60.0
    """A guest's connection between requests."""
    connect_s: float = 10.0
    """TCP to the upstream, and TLS with it."""
    handshake_s: float = 20.0
    """From CONNECT to the upstream's answer, which waits for the target."""
    answer_s: float = 120.0
    """From a plain request's last byte to the answer's first."""
    idle_s: float = 900.0
    """A connection on which nothing moves either way."""
    linger_s: float = 5.0
    """For the last bytes of a connection that ends."""
