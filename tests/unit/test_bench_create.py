"""The create benchmark on doubles: modes, medians, ratios; and that it leaves nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.bench.create import MODES, CreateReport, Gateway, measure
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


@asynccontextmanager
async def gateway(root: Path, mode: str) -> AsyncIterator[Gateway]:
    stage = Stage(root / mode / "run", root / mode / "logs", pool_size=1 if mode == "pool" else 0)
    if mode == "cold" and (root / "broken").exists():
        stage.driver.start_error = VmBootFailed("no")
    stage.manager.pool.start()
    yield stage
    await stage.manager.close()
    assert stage.left() == []


async def test_every_mode_is_measured(tmp_path: Path) -> None:
    made = report()
    seen: list[str] = []
    await measure(
        {mode: partial(gateway, tmp_path, mode) for mode in MODES}, 2, made, lambda mode, timings: seen.append(mode)
    )
    assert seen == ["pool", "pool", "clone", "clone", "cold", "cold"]
    assert all("resume" in run and "spawn" not in run for run in made.runs["pool"])
    assert all("spawn" in run for run in made.runs["clone"])
    assert set(made.as_json()["medians_s"]) == set(MODES)


async def test_a_session_that_fails_ends_it_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(GatewayError, match="no"):
        await measure(
            {mode: partial(gateway, tmp_path, mode) for mode in MODES}, 1, report(), lambda mode, timings: None
        )
