"""The rounds of a probe: each way in turn, in an order left to chance, so that a busy minute hits them alike."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.probe.api import Connection, Session, Way
from gateway.probe.samples import Leg, Results

__all__ = ["Plan", "run"]

PAUSE_S = (0.15, 0.45)
"""Between presses: long enough for a still picture, and never in step with a poll or a heartbeat."""
SETTLE_S = 1.5
"""A connection's first keyframes and refinements are not what is measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Args:
    presses: of each way, in all rounds together.
    motion_s: how long the strip blinks, for each way in each round.
    """

    presses: int
    rounds: int
    motion_s: float
    seed: int = 1


async def run(plan: Plan, session: Session, ways: Sequence[Way], say: Callable[[str], None]) -> Results:
    """Measure every way.

    Args:
        say: told in words what is being done.

    Raises:
        GatewayError: the session went, or a way showed no picture.
    """
    results = Results(session.sid, datetime.now(UTC).isoformat(timespec="seconds"))
    results.legs = {way.name: Leg() for way in ways}
    dice = random.Random(plan.seed)
    for number in range(plan.rounds):
        share = (number + 1) * plan.presses // plan.rounds - number * plan.presses // plan.rounds
        for way in dice.sample(list(ways), len(ways)):
            say(f"round {number + 1} of {plan.rounds}: {way.name}")
            async with way.connect(session) as connection:
                await _round(plan, session, way.name, connection, results.legs[way.name], share, dice)
    for way in ways:
        results.facts |= way.facts()
    return results


async def _round(
    plan: Plan, session: Session, way: str, connection: Connection, leg: Leg, presses: int, dice: random.Random
) -> None:
    leg.first_frame_ms.append(connection.first_frame_ms)
    before = len(leg.presses)
    await asyncio.sleep(SETTLE_S)
    for number in range(presses + 1):
        await asyncio.sleep(dice.uniform(*PAUSE_S))
        await session.mark()
        press = await connection.press()
        if number == 0:
            continue  # It opens the path: caches, focus.
        if press is None:
            leg.missed += 1
        else:
            leg.presses.append(press)
    if plan.motion_s:
        await session.mark(moving=True)
        leg.motion.add(await connection.watch(plan.motion_s))
        await session.mark()
    await session.report(way, leg.presses[before:])
    back_ms, return_ms = await connection.reconnect()
    leg.reconnect_ms.append(back_ms)
    leg.return_ms.append(return_ms)
