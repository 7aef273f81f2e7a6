"""One-time tickets: what stands in a URL instead of a viewer token. Pure; time is an argument.

A URL ends in histories and screenshots, and a ticket that is found there opens nothing: it is good for 30 s and for
one exchange. Tickets are kept in memory only, as digests, so a look-up tells nothing by the time that it takes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from gateway.errors import CapacityError, Unauthorized
from gateway.tokens import Role

__all__ = ["MAX_OPEN", "TICKET_LIFETIME_S", "TICKET_PREFIX", "Ticket", "Tickets"]

TICKET_PREFIX = "ticket_"
"""Tells it from a key and from a token."""
TICKET_LIFETIME_S = 30
MAX_OPEN = 4096
"""Tickets that wait at once; one more is refused, since whom an older one was given to relies on it."""

_HINT = "a ticket opens once and within 30 s: ask for a new one"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the token will be that a ticket is exchanged for."""

    sid: str
    role: Role
    lifetime_s: int
    """Of the token, from the exchange on."""
    origins: tuple[str, ...]
    expires_at: int
    """Of the ticket, Unix time in seconds."""


class Tickets:
    def __init__(self, limit: int = MAX_OPEN) -> None:
        self._limit = limit
        # All live equally long, so the oldest is the first to expire.
        self._open: OrderedDict[bytes, Ticket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def issue(
        self, *, sid: str, role: Role, lifetime_s: int, origins: tuple[str, ...], now: float
    ) -> tuple[str, Ticket]:
        """A new ticket, and what it says.

        Raises:
            CapacityError: too many wait to be used.
        """
        self._expire(now)
        if len(self._open) >= self._limit:
            raise CapacityError("too many tickets wait to be used", hint="they expire within 30 s; try again then")
        secret = TICKET_PREFIX + secrets.token_urlsafe(32)
        ticket = Ticket(sid, role, lifetime_s, origins, int(now) + TICKET_LIFETIME_S)
        self._open[_digest(secret)] = ticket
        return secret, ticket

    def look(self, secret: str, *, now: float) -> Ticket:
        """What an open ticket says; it stays open.

        Raises:
            Unauthorized: it was used, has expired, or never was.
        """
        self._expire(now)
        ticket = self._open.get(_digest(secret))
        # The clock may have been set back since another was issued.
        if ticket is None or ticket.expires_at <= now:
            raise Unauthorized("the ticket was used already, or has expired", hint=_HINT)
        return ticket

    def use(self, secret: str, *, now: float) -> Ticket:
        """The same, once. Raises Unauthorized."""
        ticket = self.look(secret, now=now)
        del self._open[_digest(secret)]
        return ticket

    def _expire(self, now: float) -> None:
        while self._open and next(iter(self._open.values())).expires_at <= now:
            self._open.popitem(last=False)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
