"""One-time tickets: once, in time, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CapacityError, Unauthorized
from gateway.tickets import TICKET_LIFETIME_S, TICKET_PREFIX, Ticket, Tickets

NOW = 1_700_000_000.5


def issue(tickets: Tickets, now: float = NOW) -> str:
    secret, _ = tickets.issue(sid="abcdefgh", role="view", lifetime_s=60, origins=("https://a.example",), now=now)
    return secret


def test_a_ticket_says_what_was_put_into_it_once() -> None:
    tickets = Tickets()
    secret = issue(tickets)
    said = Ticket("abcdefgh", "view", 60, ("https://a.example",), expires_at=1_700_000_030)
    assert secret.startswith(TICKET_PREFIX)
    assert tickets.look(secret, now=NOW) == tickets.look(secret, now=NOW) == said
    assert tickets.use(secret, now=NOW) == said
    for again in (tickets.look, tickets.use):
        with pytest.raises(Unauthorized, match="used already"):
            again(secret, now=NOW)
    assert len(tickets) == 0


def test_a_ticket_ends_at_its_second_and_leaves_nothing() -> None:
    tickets = Tickets()
    secret = issue(tickets)
    assert tickets.look(secret, now=1_700_000_029.999).role == "view"
    with pytest.raises(Unauthorized, match="expired"):
        tickets.use(secret, now=1_700_000_030)
    assert len(tickets) == 0


def test_a_clock_that_is_set_back_prolongs_nothing() -> None:
    tickets = Tickets()
    late, early = issue(tickets, NOW + 1000), issue(tickets, NOW)
    with pytest.raises(Unauthorized):
        tickets.use(early, now=NOW + TICKET_LIFETIME_S)
    assert tickets.use(late, now=NOW + 1000).sid == "abcdefgh"


def test_one_too_many_is_refused_and_none_is_pushed_out() -> None:
    tickets = Tickets(limit=3)
    secrets = [issue(tickets, NOW + at) for at in range(3)]
    with pytest.raises(CapacityError):
        issue(tickets, NOW + 3)
    for secret in secrets:
        tickets.use(secret, now=NOW + 3)
    issue(tickets, NOW + 3)


@given(st.text(max_size=80))
def test_what_was_never_issued_opens_nothing(guess: str) -> None:
    tickets = Tickets()
    issue(tickets)
    for said in (guess, TICKET_PREFIX + guess):
        with pytest.raises(Unauthorized):
            tickets.use(said, now=NOW)
    assert len(tickets) == 1
