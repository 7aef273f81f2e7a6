"""What the next gateway makes of each session, after one that left in order and after one that was killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.dataplane import IceCredentials
from gateway.errors import Conflict
from gateway.sessions.lifecycle import State
from gateway.sessions.record import Lifetime
from gateway.sessions.recovery import Plan, plan
from tests.sessions import Stage, recovered, turns_until, until

PEER = {"peer": "p1", "role": "view", "connected": True, "ufrag": "u" * 8, "pwd": "p" * 22, "port": 40001}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()


SLEEP, FAIL, ADOPT, FORGET, KEEP = Plan.SLEEP, Plan.FAIL, Plan.ADOPT, Plan.FORGET, Plan.KEEP
TABLE = {
    # state: the plan when (alive, sealed) is (no, no), (no, yes), (yes, no), (yes, yes)
    "creating": (FAIL, SLEEP, FAIL, SLEEP),
    "ready": (FAIL, SLEEP, ADOPT, SLEEP),
    "suspending": (FAIL, SLEEP, ADOPT, SLEEP),
    "suspended": (FAIL, SLEEP, ADOPT, SLEEP),
    "resuming": (FAIL, SLEEP, ADOPT, SLEEP),
    "stopping": (FORGET, FORGET, FORGET, FORGET),
    "stopped": (FORGET, FORGET, FORGET, FORGET),
    "failed": (KEEP, KEEP, KEEP, KEEP),
}
CASES = [
    (state, alive, sealed, forked, row[2 * alive + sealed])
    for state, row in TABLE.items()
    for alive in (False, True)
    for sealed in (False, True)
    for forked in (False, True)
]


@pytest.mark.parametrize(("state", "alive", "sealed", "forked", "wanted"), CASES)
def test_the_plan(state: str, alive: bool, sealed: bool, forked: bool, wanted: Plan) -> None:
    if forked and wanted is ADOPT:
        wanted = FAIL  # Nobody has told it that it is not its source.
    what, why = plan(state, alive=alive, sealed=sealed, forked=forked)
    assert what is wanted
    assert bool(why) == (what is FAIL)


def test_why_a_session_is_lost() -> None:
    assert "while the session started" in plan("creating", alive=True, sealed=False, forked=False)[1]
    assert "while no gateway ran" in plan("ready", alive=False, sealed=False, forked=False)[1]


@pytest.mark.parametrize("how", ["left", "killed"])
async def test_a_session_that_is_up_goes_on(stage: Stage, how: str) -> None:
    before = await stage.manager.create(lifetime=Lifetime(idle_timeout_s=60.0), metadata={"who": "me"})
    await until(before, State.READY)
    await turns_until(lambda: "complete" in before.timings)
    guest = stage.vm(before).guest
    guest.calls.clear()
    if how == "left":
        assert await stage.manager.leave() == 1
        assert (stage.dataplane.lans, stage.manager.list()) == ({}, [])
        assert not stage.vm(before).ended
        following = stage.next()
    else:
        following = await stage.killed()
    async with recovered(following) as stage:
        (session,) = stage.manager.list()
        told, wanted = session.view(), before.view()
        assert told.state == "ready"
        for name in ("id", "created_at", "timings", "display", "template", "metadata", "idle_action"):
            assert getattr(told, name) == getattr(wanted, name), name
        assert (session.lifetime, session.vnc_password) == (before.lifetime, before.vnc_password)
        assert [method for method, _ in guest.calls] == ["hello"]
        assert len(stage.driver.specs) == (1 if how == "left" else 0)
        await turns_until(lambda: session.view().accelerator == "none")
        assert (await session.exec(["echo", "here"]))["stdout"] == "here\n"
        # It is a session like any other.
        session.suspend()
        await until(session, State.SUSPENDED)
        session.resume()
        await until(session, State.READY)


async def test_its_viewers_go_on(stage: Stage) -> None:
    before = await stage.ready()
    guest = stage.vm(before).guest
    guest.peers = {
        "p1": PEER,
        "p2": {**PEER, "peer": "p2", "role": "control", "connected": False, "ufrag": "v" * 8},
        "p3": {**PEER, "peer": "p3", "role": "owner", "ufrag": "w" * 8},
        "p4": {**PEER, "peer": "p4", "ufrag": "short"},
    }
    async with recovered(await stage.killed()) as stage:
        (session,) = stage.manager.list()
        peers = stage.whep.peers(session.id)
        assert [(one.id, one.role, one.connected) for one in peers] == [
            ("p1", "view", True),
            ("p2", "control", False),
        ]
        assert stage.dataplane.admitted == {
            (session.id, "u" * 8): IceCredentials("u" * 8, "p" * 22, 40001),
            (session.id, "v" * 8): IceCredentials("v" * 8, "p" * 22, 40001),
        }
        assert session.view().viewers == 1
        guest.notify("peer", {"peer": "p1", "state": "closed", "reason": "consent"})
        await turns_until(lambda: len(stage.whep.peers(session.id)) == 1)
        await stage.whep.close(session.id, "p2")
        await stage.whep.aclose()
        assert ("bye", {"peer": "p2"}) in guest.calls
        assert stage.dataplane.admitted == {}


async def test_a_guest_that_forgot_meanwhile_is_told_who_it_is(stage: Stage) -> None:
    before = await stage.ready()
    guest = stage.vm(before).guest
    first = dict(guest.calls)
    following = await stage.killed()
    guest.calls.clear()
    guest.identity = None
    async with recovered(following) as stage:
        assert stage.manager.list()[0].state is State.READY
        again = dict(guest.calls)
        assert again["identify"]["machine_id"] == first["identify"]["machine_id"]
        assert again["assign"]["vnc_password"] == first["assign"]["vnc_password"]
        assert again["assign"]["session_id"] == before.id


async def test_a_machine_that_ended_meanwhile_fails_its_session_alone(stage: Stage) -> None:
    lost, other = await stage.ready(), await stage.ready()
    following = await stage.killed()
    await following.driver.vms[lost.id].crash()
    (following.run_root / lost.id / "serial.log").write_text("Kernel panic")
    async with recovered(following) as stage:
        failed, up = stage.manager.list()
        assert (failed.id, failed.state, up.id, up.state) == (lost.id, State.FAILED, other.id, State.READY)
        assert failed.error is not None
        assert (failed.error.kind, failed.error.message) == ("vm-lost", "its machine ended while no gateway ran")
        assert (stage.logs_dir / lost.id / "serial.log").read_text() == "Kernel panic"
        assert stage.driver.disks == {other.id}
        assert [path.name for path in stage.run_root.iterdir()] == [other.id]
        assert stage.store.kept_sessions[lost.id].state == "failed"
        await stage.manager.destroy(lost.id)


async def test_a_machine_that_does_not_answer_fails_its_session(stage: Stage) -> None:
    before = await stage.ready()
    following = replace(await stage.killed(), timeouts=replace(stage.timeouts, adopt_s=0.05))
    stage.vm(before).guest.silent = True
    async with recovered(following) as stage:
        (session,) = stage.manager.list()
        assert session.state is State.FAILED
        assert session.error is not None
        assert session.error.kind == "agent-silent"
        assert stage.left() == []


async def test_a_machine_that_ends_after_it_was_taken_over_fails_its_session(stage: Stage) -> None:
    await stage.ready()
    async with recovered(await stage.killed()) as stage:
        (session,) = stage.manager.list()
        await stage.vm(session).crash("QEMU was killed by signal 9")
        await session.wait_ended()
        assert session.error is not None
        assert session.error.kind == "vm-lost"
        assert stage.left() == []


@pytest.mark.parametrize("how", ["left", "killed"])
async def test_a_session_that_sleeps_sleeps_on_and_can_be_woken(stage: Stage, how: str) -> None:
    before = await stage.asleep()
    if how == "left":
        assert await stage.manager.leave() == 1
    async with recovered(stage.next() if how == "left" else await stage.killed()) as stage:
        (session,) = stage.manager.list()
        assert (session.id, session.state, session.error) == (before.id, State.SUSPENDED, None)
        assert (stage.dataplane.lans, stage.manager.live()) == ({}, 0)
        await stage.manager.resume(session.id)
        await until(session, State.READY)
        calls = dict(stage.vm(session).guest.calls)
        assert "identify" not in calls
        assert calls["assign"]["vnc_password"] == before.vnc_password


async def test_a_session_whose_vnc_password_cannot_be_read_wakes_with_another(stage: Stage) -> None:
    before = await stage.asleep()
    following = await stage.killed()
    kept = following.store.kept_sessions
    kept[before.id] = kept[before.id].model_copy(update={"vnc_password": ""})
    async with recovered(following) as stage:
        await stage.manager.resume(before.id)
        (session,) = stage.manager.list()
        await until(session, State.READY)
        assigned = dict(stage.vm(session).guest.calls)["assign"]["vnc_password"]
        assert assigned == session.vnc_password
        assert assigned not in ("", before.vnc_password)


async def test_one_that_had_failed_keeps_its_reason(stage: Stage) -> None:
    before = await stage.ready()
    await stage.vm(before).crash("QEMU was killed by signal 9")
    await before.wait_ended()
    async with recovered(await stage.killed()) as stage:
        (session,) = stage.manager.list()
        assert (session.state, session.error) == (State.FAILED, before.error)
        await session.wait_ended()
        await stage.manager.destroy(session.id)
        await stage.manager.destroy(session.id)
        assert stage.store.kept_sessions == {}


async def test_sessions_are_listed_oldest_first_as_before(stage: Stage) -> None:
    first, second, third = await stage.ready(), await stage.asleep(), await stage.ready()
    await stage.vm(third).crash()
    await third.wait_ended()
    async with recovered(await stage.killed()) as stage:
        states = [(one.id, one.state) for one in stage.manager.list()]
        assert states == [
            (first.id, State.READY), (second.id, State.SUSPENDED), (third.id, State.FAILED),
        ]  # fmt: skip


async def test_a_key_gives_the_same_session_also_after_a_restart(stage: Stage) -> None:
    before = await stage.manager.create_once("once", "digest", stage.manager.create)
    other = await stage.manager.create_once("gone", "digest", stage.manager.create)
    await until(before, State.READY)
    await stage.manager.destroy(other.id)
    async with recovered(await stage.killed()) as stage:
        again = await stage.manager.create_once("once", "digest", stage.manager.create)
        assert again.id == before.id
        assert stage.manager.list() == [again]
        for key, asked, why in (("once", "other", "another request"), ("gone", "digest", "has ended")):
            with pytest.raises(Conflict, match=why):
                await stage.manager.create_once(key, asked, stage.manager.create)


async def test_a_gateway_that_leaves_ends_what_is_not_at_rest(stage: Stage) -> None:
    stage.driver.gate.clear()
    starting = await stage.manager.create()
    await stage.driver.starting.wait()
    assert await stage.manager.leave() == 0
    assert starting.state is State.STOPPED
    assert stage.left() == []


async def test_what_is_left_twice_is_still_there(stage: Stage) -> None:
    before = await stage.ready()
    for _ in range(3):
        await stage.manager.leave()
        assert stage.dataplane.lans == {}
        stage = stage.next()
        await stage.manager.recover()
        (session,) = stage.manager.list()
        assert (session.id, session.state) == (before.id, State.READY)
    await stage.manager.close()
    assert stage.left() == []
