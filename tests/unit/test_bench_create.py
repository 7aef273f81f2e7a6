"""The create benchmark on doubles: modes, medians, ratios; and that it leaves nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.bench import create
from gateway.bench.create import MODES, CreateReport, Gateway, ViewerPage, measure
from gateway.bench.facts import cpu_model
from gateway.errors import GatewayError, VmBootFailed
from tests.sessions import Stage


def report(**runs: list[dict[str, float]]) -> CreateReport:
    made = CreateReport({"qemu": "10"}, "tcg")
    made.runs.update(runs)
    return made


def test_medians_are_of_the_runs_that_reached_the_stage() -> None:
    made = report(cold=[{"disk": 2.0, "ready": 22.0}, {"disk": 4.0, "ready": 30.0}, {"ready": 21.0}])
    assert made.median_s("cold") == 22.0
    assert made.median_s("cold", "disk") == 3.0
    assert made.median_s("pool") is None
    assert made.without_disk_s("cold") == 21.0
    assert made.stages("cold") == ["disk", "ready"]


def test_ratios_leave_the_disk_copy_out_and_modes_without_runs_too() -> None:
    made = report(cold=[{"disk": 5.0, "ready": 25.0}], clone=[{"disk": 5.0, "ready": 7.0}])
    assert made.ratios() == {"clone": 10.0}
    assert json.loads(json.dumps(made.as_json()))["cold_over"] == {"clone": 10.0}


class Page:
    """A browser's page on a manager, which shows the session once it is ready, or never."""

    def __init__(self, stage: Stage, paints: bool = True) -> None:
        self.stage = stage
        self.paints = paints
        self.open = False
        self.task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ViewerPage]:
        self.open = True
        try:
            yield self
        finally:
            self.open = False
            if self.task is not None:
                self.task.cancel()
                await asyncio.wait({self.task})

    async def ask(self) -> str:
        assert self.open
        session = await self.stage.manager.create()

        async def look() -> None:
            await session.wait_ready()
            session.mark("painted")

        if self.paints:
            self.task = asyncio.create_task(look())
        return session.id

    async def says(self) -> Mapping[str, str]:
        return {"transport": "webrtc", "painted": str(self.paints).lower()}


@asynccontextmanager
async def gateway(root: Path, mode: str, *, looks: bool = False, paints: bool = True) -> AsyncIterator[Gateway]:
    stage = Stage(root / mode / "run", root / mode / "logs", pool_size=1 if mode == "pool" else 0)
    if mode == "cold" and (root / "broken").exists():
        stage.driver.start_error = VmBootFailed("no")
    stage.manager.pool.start()
    page = Page(stage, paints)
    try:
        yield Gateway(stage.manager, page.opened if looks else None)
    finally:
        await stage.manager.close()
    assert stage.left() == []


def gateways(
    root: Path, *, looks: bool = False, paints: bool = True
) -> dict[str, Callable[[], AbstractAsyncContextManager[Gateway]]]:
    return {mode: partial(gateway, root, mode, looks=looks, paints=paints) for mode in MODES}


async def test_every_mode_is_measured(tmp_path: Path) -> None:
    made = report()
    seen: list[str] = []
    await measure(gateways(tmp_path), 2, made, lambda mode, timings: seen.append(mode))
    assert seen == ["pool", "pool", "clone", "clone", "cold", "cold"]
    assert all("resume" in run and "spawn" not in run for run in made.runs["pool"])
    assert all("spawn" in run for run in made.runs["clone"])
    assert set(made.as_json()["medians_s"]) == set(MODES)
    assert made.as_json()["browser"] is None
    assert made.transports == {mode: [] for mode in MODES}


async def test_a_browser_adds_painted(tmp_path: Path) -> None:
    made = report()
    await measure(gateways(tmp_path, looks=True), 2, made, lambda mode, timings: None)
    assert all(run["ready"] <= run["painted"] for mode in MODES for run in made.runs[mode])
    assert made.transports == {mode: ["webrtc"] * 2 for mode in MODES}
    body = json.loads(json.dumps(made.as_json()))
    assert all("painted" in body["medians_s"][mode] for mode in MODES)
    assert body["transports"]["pool"] == ["webrtc", "webrtc"]


async def test_a_browser_without_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the benchmark with what the page says of itself."""
    monkeypatch.setattr(create, "PAINT_LIMIT_S", 0.0)
    with pytest.raises(GatewayError, match=r"no picture.*painted=false"):
        await measure(gateways(tmp_path, looks=True, paints=False), 1, report(), lambda mode, timings: None)


async def test_a_session_that_fails_ends_it_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(GatewayError, match="no"):
        await measure(gateways(tmp_path), 1, report(), lambda mode, timings: None)


def test_ratios_to_a_stage_count_the_disk_copy() -> None:
    made = report(cold=[{"disk": 5.0, "ready": 25.0}], clone=[{"disk": 5.0, "ready": 10.0}])
    assert made.stage_ratios("ready") == {"clone": 2.5}
    assert made.stage_ratios("painted") == {}


def test_the_processor_is_named_where_proc_names_it() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: A CPU: fast\n\nmodel name\t: B\n") == "A CPU: fast"
    assert cpu_model("processor\t: 0\nBogoMIPS\t: 50.00\n") == ""
