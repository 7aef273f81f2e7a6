"""The checks, one function each: they look into the guest and at its process, and judge nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from gateway.errors import GatewayError, VncError
from gateway.sessions.guest import COMPLETE_WINDOWS
from gateway.sessions.session import Session
from gateway.sessions.waiting import rfb_banner
from guest_agent.protocol.link import VNC_PORT

__all__ = [
    "CLIS",
    "UNITS",
    "Failed",
    "HasProcess",
    "Seen",
    "cli",
    "cpu_ticks",
    "idle",
    "in_guest",
    "node",
    "restarts",
    "session_id",
    "sound",
    "vnc_active",
    "vnc_returns",
    "windows",
]

CLIS = ("codex", "claude", "gemini")
UNITS = (
    "fenster-x",
    "fenster-agent",
    "fenster-vnc",
    "fenster-desktop",
    "fenster-chromium",
    "fenster-sound",
    "fenster-sound-links",
)

CLI_TIMEOUT_S = 240.0
"""Emulated on a busy host, a Node program may take minutes to say its version."""
BANNER_LIMIT_S = 10.0
WINDOWS_LIMIT_S = 120.0
IDLE_S = 60.0
IDLE_TRIES = 5
"""A freshly booted desktop is not idle at once: the first minute that is counts."""
MAX_DAMAGE_PER_S = 1.0
MAX_CPU_PERCENT = 20.0

_USER_ENV = (
    "env", "-i", "HOME=/home/user", "USER=user", "LOGNAME=user", "SHELL=/bin/bash", "TERM=dumb", "LANG=C.UTF-8",
    "PATH=/usr/local/bin:/usr/bin:/bin",
)  # fmt: skip
_GUEST_PYTHON = "/opt/fenster/bin/python"


class Failed(Exception):
    """A check did not see what it must; the text says what it saw."""


class Seen(dict[str, float]):
    """Figures of a check, and in ``detail`` what it saw."""

    def __init__(self, detail: str, **figures: float) -> None:
        super().__init__(figures)
        self.detail = detail


class _Pid(Protocol):
    @property
    def pid(self) -> int: ...


@runtime_checkable
class HasProcess(Protocol):
    """A machine that is one process of this host."""

    @property
    def process(self) -> _Pid: ...


async def in_guest(session: Session, command: str, *, timeout_s: float = CLI_TIMEOUT_S) -> tuple[int, str]:
    """As _user(), its status and its output, whatever they are."""
    done = await session.exec([*_USER_ENV, "bash", "-lc", command], as_user=True, timeout_s=timeout_s)
    return int(done.get("code", -1)), str(done.get("stdout", "")).strip()


async def _user(session: Session, command: str, *, timeout_s: float = CLI_TIMEOUT_S) -> str:
    """The output of a command in a fresh login shell of the desktop's user; nothing of the caller's environment."""
    return await _run(session, [*_USER_ENV, "bash", "-lc", command], as_user=True, timeout_s=timeout_s)


async def _run(session: Session, argv: list[str], *, as_user: bool = False, timeout_s: float = 30.0) -> str:
    done: Mapping[str, Any] = await session.exec(argv, as_user=as_user, timeout_s=timeout_s)
    out, err = str(done.get("stdout", "")).strip(), str(done.get("stderr", "")).strip()
    if done.get("code") != 0:
        raise Failed(f"{argv[-1][:60]}: status {done.get('code')}: {(err or out)[-200:]}")
    return out


async def node(session: Session) -> Seen:
    """Node 20, as the mission names it."""
    version = await _user(session, "node --version")
    if not version.startswith("v20."):
        raise Failed(version)
    return Seen(version)


async def cli(session: Session, name: str) -> Seen:
    """One of the command line tools is found by the desktop's user and answers."""
    version = await _user(session, f"{name} --version")
    if not any(character.isdigit() for character in version):
        raise Failed(f"{name} --version printed {version[:100]!r}")
    return Seen(version.splitlines()[-1][:100])


async def vnc_active(session: Session) -> Seen:
    state = await _run(
        session, ["systemctl", "show", "--property=ActiveState,SubState", "--value", "fenster-vnc.service"]
    )
    if state.split() != ["active", "running"]:
        raise Failed(" ".join(state.split()))
    return Seen("active, running")


async def vnc_returns(session: Session) -> Seen:
    """x11vnc, killed inside, serves its banner again: by systemd, with nobody's help."""
    before = await _main_pid(session)
    await _run(session, ["kill", "-KILL", str(before)])
    killed = time.monotonic()
    try:
        await rfb_banner(session.vm.dial, VNC_PORT, timeout_s=BANNER_LIMIT_S)
    except VncError as exc:
        raise Failed(exc.message) from exc
    took_s = round(time.monotonic() - killed, 2)
    after = await _main_pid(session)
    if after == before:
        raise Failed(f"process {before} is still there")
    return Seen(f"banner again after {took_s:g} s", seconds=took_s)


async def _main_pid(session: Session) -> int:
    text = await _run(session, ["systemctl", "show", "--property=MainPID", "--value", "fenster-vnc.service"])
    if not text.isdecimal() or text == "0":
        raise Failed("fenster-vnc.service has no main process")
    return int(text)


async def windows(session: Session) -> Seen:
    """Terminal and Chromium are mapped on the display."""
    with session.updates.watch() as updates:
        try:
            async with asyncio.timeout(WINDOWS_LIMIT_S):
                while (view := await updates.get()) is not None and "complete" not in view.timings:
                    pass
        except TimeoutError:
            raise Failed(
                f"mapped: {', '.join(session.windows) or 'nothing'}; wanted {', '.join(COMPLETE_WINDOWS)}"
            ) from None
    if "complete" not in session.timings:
        raise Failed("the session ended")
    return Seen(f"after {session.timings['complete']:g} s: {', '.join(session.windows)}")


async def session_id(session: Session) -> Seen:
    """A shell knows which session it is in."""
    value = await _user(session, "echo $SESSION_ID")
    if value != session.id:
        raise Failed(f"$SESSION_ID is {value!r}")
    return Seen(value)


async def sound(session: Session) -> Seen:
    """Programs of the desktop's user find a sound server, and it has the sink that the agent records."""
    said = await _user(session, "pactl info")
    lines = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    if lines.get("Default Sink") != "desktop":
        raise Failed(f"the default sink is {lines.get('Default Sink', 'missing')}")
    return Seen(lines.get("Server Name", ""))


async def restarts(session: Session) -> Seen:
    """systemd starts every part again when it fails."""
    wrong = []
    for unit in UNITS:
        policy = await _run(session, ["systemctl", "show", "--property=Restart", "--value", f"{unit}.service"])
        if policy != "on-failure":
            wrong.append(f"{unit}: {policy or 'no such unit'}")
    if wrong:
        raise Failed(", ".join(wrong))
    return Seen(f"{len(UNITS)} units, Restart=on-failure")


async def idle(session: Session, *, span_s: float = IDLE_S, tries: int = IDLE_TRIES) -> Seen:
    """A desktop that nobody uses draws nothing and costs little; the first of ``tries`` spans that is so counts."""
    seen = Seen("")
    for attempt in range(1, tries + 1):
        seen = await _measure(session, span_s)
        if seen["damage_per_s"] < MAX_DAMAGE_PER_S and seen.get("cpu_percent", 0.0) < MAX_CPU_PERCENT:
            seen["spans"] = attempt
            return seen
    raise Failed(f"{seen.detail}, in each of {tries} spans of {span_s:g} s or the last of them")


async def _measure(session: Session, span_s: float) -> Seen:
    pid = session.vm.process.pid if isinstance(session.vm, HasProcess) else None
    before, began = _ticks(pid), time.monotonic()
    script = Path(__file__).with_name("damage_count.py").read_text()
    argv = [*_USER_ENV, "DISPLAY=:1", "XAUTHORITY=/run/fenster/xauth", _GUEST_PYTHON, "-c", script, f"{span_s:g}"]
    out = await _run(session, argv, as_user=True, timeout_s=span_s + CLI_TIMEOUT_S)
    count = int(out.split()[-1])
    elapsed_s = time.monotonic() - began
    rate = count / span_s
    figures = {"damage_per_s": round(rate, 3), "span_s": span_s}
    detail = f"{rate:.2f} damage events a second"
    if pid is not None:
        percent = 100 * (_ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / elapsed_s
        figures["cpu_percent"] = round(percent, 1)
        detail += f", {percent:.1f} % of a core"
    return Seen(detail, **figures)


def _ticks(pid: int | None) -> int:
    if pid is None:
        return 0
    with contextlib.suppress(OSError):
        return cpu_ticks(Path(f"/proc/{pid}/stat").read_text())
    raise GatewayError("the machine's process is gone")


def cpu_ticks(stat: str) -> int:
    """User and system time of /proc/<pid>/stat, in clock ticks (proc_pid_stat(5), fields 14 and 15)."""
    # The second field is the name, in parentheses, and may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
