"""What a new gateway does with each session that the last one left."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum

from gateway.errors import GatewayError, VmLost
from gateway.sessions.guest import Identity
from gateway.sessions.lifecycle import State
from gateway.sessions.machine import Machine
from gateway.sessions.record import MachineRecord, SessionRecord
from gateway.sessions.session import Session
from gateway.sessions.world import World

__all__ = ["Plan", "plan", "recover"]

logger = logging.getLogger(__name__)


class Plan(Enum):
    ADOPT = "adopt"
    """Its machine runs: go on with it."""
    SLEEP = "sleep"
    """It is whole on disk: wait until it is woken."""
    FAIL = "fail"
    """It cannot be gone on with: release what is left, and say why."""
    FORGET = "forget"
    """Somebody has asked for its end: finish that."""
    KEEP = "keep"
    """It had failed already: keep the reason."""


def plan(state: str, *, alive: bool, sealed: bool, forked: bool) -> tuple[Plan, str]:
    """What to do, and for FAIL why. Pure.

    Args:
        state: where the session last came to rest.
        alive: its machine's process runs.
        sealed: there is a whole suspended state. It is used up before a machine runs, and written before one ends,
            so with it nothing that runs is ahead of it.
        forked: its machine still has another's identity.
    """
    if state in (State.STOPPING.value, State.STOPPED.value):
        return Plan.FORGET, ""
    if state == State.FAILED.value:
        return Plan.KEEP, ""
    if sealed:
        return Plan.SLEEP, ""
    if state == State.CREATING.value or forked:
        return Plan.FAIL, "the gateway was killed while the session started"
    if alive:
        return Plan.ADOPT, ""
    return Plan.FAIL, "its machine ended while no gateway ran"


async def recover(world: World) -> tuple[list[Session], list[str]]:
    """Take over what is to be gone on with and clear away the rest, all at once.

    Returns:
        Every session that people may still ask for, each in its task, oldest first; and the ids of those whose end
        was finished now.

    Raises:
        StoreError: nothing is known of them.
    """
    machines = {record.id: record for record in await world.store.machines()}
    sessions = await world.store.sessions()
    owned = {record.id for record in sessions}
    orphans = [Machine(one.id, one.template, world, (0, 0), uuid=one.uuid) for key, one in machines.items()
               if key not in owned]  # fmt: skip
    found = await asyncio.gather(*(_recover(record, machines.get(record.id), world) for record in sessions))
    await asyncio.gather(*(_clear(machine) for machine in orphans))
    ended = [record.id for record, session in zip(sessions, found, strict=True) if session is None]
    return [session for session in found if session is not None], ended


async def _recover(record: SessionRecord, known: MachineRecord | None, world: World) -> Session | None:
    password = {"vnc_password": record.vnc_password} if record.vnc_password else {}
    identity = Identity(record.machine_id, **password)
    machine = Machine(
        record.id, record.template, world, record.display_px,
        identity=identity, uuid=known.uuid if known is not None else None, forked=record.forked,
    )  # fmt: skip
    alive = known is not None and await asyncio.to_thread(world.driver.find, machine.spec) is not None
    sealed = known is not None and await asyncio.to_thread(world.driver.suspended, machine.spec)
    what, why = plan(record.state, alive=alive, sealed=sealed, forked=record.forked)
    logger.info("= session %s was %s: %s", record.id, record.state, what.value)
    session = Session.recall(record, machine, world)
    match what:
        case Plan.FORGET:
            await _clear(machine)
            await world.store.drop_session(record.id)
            return None
        case Plan.KEEP:
            await _clear(machine)
            session.over()
        case Plan.SLEEP:
            # Also without a process: a run directory that is left would refuse the next resume.
            await machine.end_process()
            session.asleep()
        case Plan.FAIL:
            await session.lost(VmLost(why, hint="create a new session"))
        case Plan.ADOPT:
            try:
                await session.adopt(up=record.state == State.READY.value)
            except GatewayError as exc:
                await session.lost(exc)
    return session


async def _clear(machine: Machine) -> None:
    """Release a machine that nobody wants, and the directory that it ran in."""
    machine.claim_run_dir()
    await machine.release()
