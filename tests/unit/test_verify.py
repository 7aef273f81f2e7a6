"""The checks of fenster verify, on a guest whose commands are scripted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.exits import ExitCheck, ExitReport, parse_exit
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from gateway.verify import checks
from gateway.verify.egress import way_out
from gateway.verify.report import Check, Report
from gateway.verify.run import plan, verify
from tests.fakes import FakeGuest, boot_failure
from tests.sessions import Stage, until

GOOD = {
    "node --version": "v20.19.2",
    "codex --version": "codex-cli 0.169.0",
    "claude --version": "2.1.197 (Claude Code)",
    "gemini --version": "0.61.0",
    "--property=ActiveState,SubState": "active\nrunning",
    "--property=Restart": "on-failure",
    "fenster.invalid": "503",
    "pactl info": "Server Name: PulseAudio (on PipeWire 1.4.2)\nDefault Sink: desktop\nCookie: 1:2\n",
}


class Script:
    """Answers exec by what stands in the command; ``answers`` may be changed by a test."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = dict(GOOD)
        self.pid = 100
        self.damage = ["counting\n3"]
        self.commands: list[tuple[str, bool]] = []
        self.guest = FakeGuest(handlers={"exec": self})

    def __call__(self, params: Mapping[str, Any]) -> dict[str, Any]:
        command = " ".join(params["argv"])
        self.commands.append((command, params["as_user"]))
        out = self._answer(command)
        return {
            "code": 0 if out is not None else 1,
            "stdout": out or "",
            "stderr": "" if out is not None else "not found",
        }

    def _answer(self, command: str) -> str | None:
        if "$SESSION_ID" in command:
            return self.answers.get("$SESSION_ID", str((self.guest.assigned or {})["session_id"])) + "\n"
        if "kill -KILL" in command:
            self.pid += 1
            return ""
        if "MainPID" in command:
            return str(self.pid)
        if "/opt/fenster/bin/python" in command:
            return self.damage.pop(0) if len(self.damage) > 1 else self.damage[0]
        return next((answer for part, answer in self.answers.items() if part in command), None)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def stage(tmp_path: Path, script: Script) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    stage.driver.guest = lambda: script.guest
    yield stage
    await stage.manager.close()
    assert stage.left() == []


@pytest.fixture
async def session(stage: Stage) -> Session:
    return await stage.ready()


async def test_everything_passes_on_a_good_machine_and_nothing_is_left(stage: Stage, script: Script) -> None:
    states: list[str] = []
    done: list[Check] = []
    report = await verify(stage.manager, progress=lambda view: states.append(view.state), checked=done.append)
    assert report.ok, report
    assert [check.name for check in report.checks] == [name for name, _ in plan()]
    assert done == report.checks
    assert states[-1] == "ready"
    assert {"ready", "complete"} <= set(report.timings)
    assert stage.manager.list() == []
    tools = [as_user for command, as_user in script.commands if command.endswith("--version")]
    assert tools == [True] * 4


async def test_one_failed_check_fails_the_report_and_the_others_still_run(stage: Stage, script: Script) -> None:
    script.answers["node --version"] = "v18.0.0"
    del script.answers["gemini --version"]
    report = await verify(stage.manager, progress=lambda view: None, checked=lambda check: None)
    assert not report.ok
    failed = {check.name: check.detail for check in report.checks if not check.ok}
    assert failed["Node 20"] == "v18.0.0"
    assert "not found" in failed["gemini"]
    assert len(failed) == 2
    assert len(report.checks) == len(plan())


async def test_the_way_out_is_its_proxy_alone(session: Session, script: Script) -> None:
    assert "nothing gets out" in (await way_out(session)).detail
    script.answers["fenster.invalid"] = "200"
    with pytest.raises(checks.Failed, match="not 503"):
        await way_out(session)
    script.answers["--noproxy"] = ""
    with pytest.raises(checks.Failed, match="past the proxy"):
        await way_out(session)


async def test_the_way_out_is_what_the_exit_check_saw(stage: Stage) -> None:
    session = await stage.manager.create(out=parse_exit("http://proxy.example:8080"))
    await until(session, State.READY)
    assert "not looked at" in (await way_out(session)).detail
    seen = ExitCheck(1_700_000_000.0, 81.5, "203.0.113.50", ours=False)
    for report, said in (
        (ExitReport("failing", "upstream-auth", "wrong password", replace(seen, kind="x")), "wrong password"),
        (ExitReport("ok", check=replace(seen, ours=True)), "203.0.113.50: leak"),
    ):
        stage.dataplane.report(session.id, report)
        with pytest.raises(checks.Failed, match=said):
            await way_out(session, looked_at=True)
    looking = asyncio.create_task(way_out(session, looked_at=True))
    stage.dataplane.report(session.id, ExitReport("ok", check=seen))
    found = await looking
    assert found.detail == "http: the internet sees 203.0.113.50 after 82 ms (ok)"
    assert found["latency_ms"] == 81.5


async def test_a_machine_that_does_not_boot_is_an_error(stage: Stage) -> None:
    stage.driver.start_error = boot_failure()
    with pytest.raises(GatewayError, match="QEMU ended at once"):
        await verify(stage.manager, progress=lambda view: None, checked=lambda check: None)
    assert stage.manager.list() == []


async def test_an_x11vnc_that_does_not_come_back(
    stage: Stage, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "BANNER_LIMIT_S", 0.05)
    del stage.dataplane.lans[session.id].ports[5901]
    with pytest.raises(checks.Failed, match="no VNC banner"):
        await checks.vnc_returns(session)


async def test_a_kill_that_killed_nothing(session: Session, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "_answer", lambda command: "100")
    with pytest.raises(checks.Failed, match="still there"):
        await checks.vnc_returns(session)


async def test_x11vnc_without_a_process(session: Session, script: Script) -> None:
    script.pid = 0
    with pytest.raises(checks.Failed, match="no main process"):
        await checks.vnc_returns(session)
    script.answers["--property=ActiveState,SubState"] = "activating\nauto-restart"
    with pytest.raises(checks.Failed, match="activating auto-restart"):
        await checks.vnc_active(session)


async def test_another_sessions_id(session: Session, script: Script) -> None:
    script.answers["$SESSION_ID"] = ""
    with pytest.raises(checks.Failed, match="SESSION_ID"):
        await checks.session_id(session)


async def test_a_sound_server_without_its_sink(session: Session, script: Script) -> None:
    assert (await checks.sound(session)).detail == "PulseAudio (on PipeWire 1.4.2)"
    script.answers["pactl info"] = "Server Name: PulseAudio (on PipeWire 1.4.2)\nDefault Sink: @DEFAULT_SINK@\n"
    with pytest.raises(checks.Failed, match="default sink is @DEFAULT_SINK@"):
        await checks.sound(session)


async def test_units_that_do_not_restart(session: Session, script: Script) -> None:
    script.answers["--property=Restart"] = "no"
    with pytest.raises(checks.Failed, match="fenster-vnc: no"):
        await checks.restarts(session)


async def test_a_busy_desktop_has_some_spans_to_become_idle(session: Session, script: Script) -> None:
    script.damage = ["counting\n600", "counting\n120", "counting\n59"]
    seen = await checks.idle(session, span_s=60, tries=3)
    assert (seen["spans"], seen["damage_per_s"]) == (3, round(59 / 60, 3))
    script.damage = ["counting\n60"]
    with pytest.raises(checks.Failed, match=r"1\.00 damage events a second"):
        await checks.idle(session, span_s=60, tries=2)


async def test_a_desktop_that_is_never_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "WINDOWS_LIMIT_S", 0.05)
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    stage.driver.guest = lambda: FakeGuest(handlers={"assign": lambda params: {}})
    session = await stage.ready()
    with pytest.raises(checks.Failed, match="mapped: nothing"):
        await checks.windows(session)
    await session.stop()


async def test_this_processs_own_time_is_read() -> None:
    stat = await asyncio.to_thread(Path("/proc/self/stat").read_text)
    ticks = os.sysconf("SC_CLK_TCK")
    assert abs(checks.cpu_ticks(stat) / ticks - sum(os.times()[:2])) < 1


def test_a_name_with_parentheses_and_spaces_does_not_mislead() -> None:
    rest = " ".join(["S"] + ["1"] * 10 + ["70", "7"] + ["0"] * 30)
    assert checks.cpu_ticks(f"42 (a) b (c d) {rest}") == 77


def test_a_report_without_checks_is_no_pass() -> None:
    assert not Report("abcdefgh").ok
