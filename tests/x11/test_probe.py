"""fenster probe against a real session of the ``process`` driver: a real browser, and the peer without one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.keyfiles import read_api_key
from gateway.probe.samples import STAGES

pytestmark = [pytest.mark.x11, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Running:
    """A gateway with a session that is ready."""

    url: str
    sid: str
    state_dir: Path

    async def fenster(self, *argv: str) -> tuple[int, str, str]:
        """The command's status and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", *argv, "--url", self.url, "--state-dir", str(self.state_dir)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environ(),
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return process.returncode, out.decode(), err.decode()

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as http:
            key = read_api_key(self.state_dir)
            async with http.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {key}"}) as response:
                assert response.status == 200
                return await response.text()

    async def probe(self, *argv: str) -> tuple[int, dict[str, Any]]:
        code, out, err = await self.fenster("probe", self.sid, "--json", *argv)
        assert out, err
        found: dict[str, Any] = json.loads(out)
        return code, found


def _environ() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FENSTER_")}
    return kept | {"PYTHONPATH": f"{ROOT}:{ROOT / 'guest-agent'}"}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    with tempfile.TemporaryDirectory(prefix="fen") as run_dir:  # Short: socket paths end at 108 bytes.
        async with _gateway(tmp_path, Path(run_dir)) as found:
            yield found


@contextlib.asynccontextmanager
async def _gateway(tmp_path: Path, run_dir: Path) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "serve", "--open-session", "--json", "--driver", "process"),
        *("--port", "0", "--display", "1280x720"),
        *("--state-dir", str(tmp_path / "state"), "--run-dir", str(run_dir)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=_environ(),
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert process.stdout is not None
            while True:
                line = await process.stdout.readline()
                assert line, "the gateway ended before its session was ready"
                event = json.loads(line)
                assert "error" not in event, event
                if event["event"] == "ready":
                    break
        url, _, rest = event["viewer_url"].partition("/s/")
        yield Running(url, rest.partition("#")[0], tmp_path / "state")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


def check(leg: dict[str, Any], presses: int, stages: tuple[str, ...]) -> None:
    metrics = leg["metrics"]
    assert leg["presses"] + metrics["missed"] == presses
    assert leg["with_stages"] >= 1
    for name in ("total", *stages, "first_frame", "reconnect", "return"):
        assert {f"{name}.{statistic}" for statistic in ("p50", "p95", "p99", "mean")} <= set(metrics)
    assert not any(f"{name}.p50" in metrics for name in STAGES if name not in stages)
    for sample in leg["samples"]:
        parts = {name: ms for name, ms in sample.items() if name != "total_ms"}
        if parts:
            assert tuple(parts) == stages
            assert sum(parts.values()) == pytest.approx(sample["total_ms"], abs=0.1)
    assert metrics["fps"] > 0
    assert metrics["mbps"] > 0


async def test_a_browser_by_both_ways(running: Running, tmp_path: Path) -> None:
    page = tmp_path / "probe.html"
    code, found = await running.probe(
        *("--presses", "6", "--rounds", "1", "--motion-s", "1", "--html", str(page)),
        *("--require", "webrtc.missed<=6", "--require", "novnc.total.p50<0.1"),
    )
    assert code == 3
    assert [verdict["holds"] for verdict in found["limits"]] == [True, False]
    assert found["session"] == running.sid
    check(found["legs"]["webrtc"], 6, STAGES[:7])
    assert "loss_percent" in found["legs"]["webrtc"]["metrics"]
    check(found["legs"]["novnc"], 6, ("input", "x", "rest"))
    assert "loss_percent" not in found["legs"]["novnc"]["metrics"]
    assert page.read_text().count("<svg") == 3
    told = await running.metrics()
    for name, leg in found["legs"].items():
        assert f'fenster_latency_seconds_count{{stage="total",transport="{name}"}} {leg["presses"]}.0' in told


async def test_a_peer_without_a_browser(running: Running) -> None:
    code, found = await running.probe(
        *("--headless-peer", "--presses", "6", "--rounds", "2", "--motion-s", "1", "--press", "key"),
        *("--require", "peer.loss_percent<=100"),
    )
    assert code == 0
    check(found["legs"]["peer"], 6, STAGES[:6])
    code, out, err = await running.fenster("probe", running.sid, "--require", "peer.total.p95<=1")
    assert (code, out) == (1, "")
    assert "peer is not measured" in err
    code, out, err = await running.fenster("probe", "nosuchid", "--headless-peer")
    assert (code, out) == (1, "")
    assert "no such session" in err
