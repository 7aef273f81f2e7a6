"""How far the keys of whoever controls have come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from guest_agent.protocol.messages import Button, Held, Key, Message, ReleaseAll, Taken, Text, Wheel
from guest_agent.taken import TELL_S, TakenKeys


class Clock:
    """The loop's timers, which run when a test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        assert delay_s == TELL_S
        self.due.append(callback)
        return cast(asyncio.TimerHandle, self)

    def cancel(self) -> None:
        self.due.clear()

    def run(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()


def made() -> tuple[TakenKeys, Clock, list[Taken]]:
    clock, told = Clock(), list[Taken]()
    return TakenKeys(clock.call_later, told.append), clock, told


def test_keys_that_come_together_share_an_answer() -> None:
    taken, clock, told = made()
    messages: list[Message] = [Key(7, 97, True), Key(8, 97, False), Text(9, "x"), ReleaseAll(10), Key(11, 98, True)]
    for message in messages:
        taken.took(message)
    assert told == []
    clock.run()
    assert told == [Taken(11)]
    taken.took(Key(12, 98, False))
    clock.run()
    assert told == [Taken(11), Taken(12)]


def test_other_input_needs_no_answer() -> None:
    taken, clock, _ = made()
    for message in (Button(3, 1, True, 0, 0), Wheel(4, 0, 120, 0, 0), Held(5, 0, ())):
        taken.took(message)
    assert (clock.due, taken.message) == ([], Taken(0))


def test_the_count_goes_with_the_viewer_and_not_with_its_connections() -> None:
    taken, _, _ = made()
    taken.follow("ann")
    taken.took(Key(7, 97, True))
    taken.follow(None)
    taken.follow("ann")
    assert taken.message == Taken(7)
    taken.follow("ben")
    assert taken.message == Taken(0)


def test_nothing_is_told_after_the_end() -> None:
    taken, clock, told = made()
    taken.took(Key(7, 97, True))
    taken.close()
    clock.run()
    assert told == []
