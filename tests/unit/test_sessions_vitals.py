"""Agents are looked at: what they count is told, and who does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.sessions import vitals
from gateway.sessions.vitals import Vitals
from tests.fake_guest import FakeGuest
from tests.sessions import Stage, turns_until


class Told:
    def __init__(self) -> None:
        self.saws: list[tuple[str, dict[str, Any]]] = []
        self.misses: list[str] = []
        self.kept: set[str] = set()
        self.repairs: list[dict[str, int]] = []

    def saw(self, sid: str, told: Mapping[str, Any], took_s: float, now: float) -> None:
        assert 0 <= took_s < 10
        self.saws.append((sid, dict(told)))

    def missed(self, result: str) -> None:
        self.misses.append(result)

    def keep(self, sids: set[str]) -> None:
        self.kept = sids

    def repaired(self, parts: Mapping[str, int]) -> None:
        self.repairs.append(dict(parts))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()


async def test_what_an_agent_counts_is_told(stage: Stage) -> None:
    stage.driver.guest = lambda: FakeGuest(handlers={"counters": lambda params: {"frames": 3}})
    session, told = await stage.ready(), Told()
    await Vitals(stage.manager.list, told, told).look()
    assert (told.saws, told.misses, told.kept) == ([(session.id, {"frames": 3})], [], {session.id})


async def test_an_older_images_agent_refuses(stage: Stage) -> None:
    await stage.ready()
    told = Told()
    await Vitals(stage.manager.list, told, told).look()
    assert told.misses == ["refused"]


async def test_a_silent_one_is_missed_and_holds_up_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "ANSWER_S", 0.05)

    async def hang(params: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    guests = [FakeGuest(handlers={"counters": hang}), FakeGuest(handlers={"counters": lambda params: {"frames": 1}})]
    stage.driver.guest = lambda: guests.pop(0)
    await stage.ready()
    well, told = await stage.ready(), Told()
    await Vitals(stage.manager.list, told, told).look()
    assert (told.misses, [sid for sid, _ in told.saws]) == (["silent"], [well.id])


async def test_what_is_not_up_is_not_asked(stage: Stage) -> None:
    session = await stage.ready()
    await session.stop()
    told = Told()
    await Vitals(stage.manager.list, told, told).look()
    assert (told.saws, told.misses, told.kept) == ([], [], set())


async def test_it_looks_again_and_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "LOOK_S", 0.0)
    monkeypatch.setattr(vitals, "COUNT_EVERY", 1)
    await stage.ready()
    told = Told()
    looking = Vitals.begin(stage.manager.list, told, told)
    await turns_until(lambda: len(told.misses) > 2)
    await looking.close()
    await looking.close()


def health(x: str, repairs: int) -> dict[str, Any]:
    return {"agent": {"forks": 1, "hangs": 0}, "desktop": {"parts": {"x": x}, "repairs": {"x": repairs}}}


async def test_what_a_guest_says_of_its_desktop_is_the_sessions_health(stage: Stage) -> None:
    says = [health("hung", 2), health("hung", 3), health("ok", 3)]
    stage.driver.guest = lambda: FakeGuest(handlers={"health": lambda params: says.pop(0)})
    session, told = await stage.ready(), Told()
    looking = Vitals(stage.manager.list, told, told)
    await looking.examine()
    view = session.updates.latest.health
    assert (view.ok, [reason.kind for reason in view.reasons], view.repairs["x"]) == (False, ["x-hung"], 2)
    await looking.examine()
    await looking.examine()
    assert session.updates.latest.health.ok
    # What was before the first look is nothing that this gateway saw.
    assert told.repairs == [{}, {"x": 1}, {}]


async def test_a_frozen_picture_has_its_agent_started_again(stage: Stage) -> None:
    ran: list[list[str]] = []

    def run(params: Mapping[str, Any]) -> Mapping[str, Any]:
        ran.append(params["argv"])
        return {"code": 0, "stdout": "", "stderr": ""}

    counters = {"frames": 7, "viewers": 1}
    guest = FakeGuest(handlers={"counters": lambda params: counters, "exec": run})
    stage.driver.guest = lambda: guest
    session, told = await stage.ready(), Told()
    looking = Vitals(stage.manager.list, told, told)
    for _ in range(3):
        await looking.look()
    assert [reason.kind for reason in session.updates.latest.health.reasons] == ["picture-frozen"]
    assert [argv[:2] for argv in ran] == [["kill", "-KILL"]]
    assert told.repairs == [{"picture": 1}]
    counters["frames"] = 9
    await looking.look()
    assert session.updates.latest.health.ok
