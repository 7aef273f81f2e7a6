"""The health service's loop: a look every LOOK_S, judged; what hangs is repaired, and all of it written down."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from guest_agent.errors import DisplayError
from guest_agent.health.display import Display, Seen
from guest_agent.health.judge import Judge, Part, Remedy, Sight
from guest_agent.health.processes import belongs, find, first_of, read_stat, waits_unread
from guest_agent.health.report import disk_percent, memory_percent, write_report
from guest_agent.protocol.link import VNC_PORT
from guest_agent.watchdog import Watchdog

__all__ = ["LOOK_S", "Watch"]

logger = logging.getLogger(__name__)

LOOK_S = 2.0
FULL_EVERY = 8
"""Looks, and what changes slowly is looked at too: each costs an emulated processor milliseconds."""
X_ANSWER_S = 3.0
"""For one look at the display, of which half is the programs' to answer."""
SYSTEMCTL_S = 20.0
UNITS = {
    Part.X: "fenster-x.service",
    Part.WM: "fenster-desktop.service",
    Part.CHROMIUM: "fenster-chromium.service",
    Part.VNC: "fenster-vnc.service",
}
WINDOW_MANAGERS = ("xfwm4", "openbox")


class Watch:
    """Args:
    display: ":1".
    run: where the report is written.
    """

    def __init__(self, display: str, run: Path) -> None:
        self._display_name = display
        self._run = run
        self._judges = {part: Judge(needed=part is not Part.CHROMIUM) for part in Part}
        self._thread = ThreadPoolExecutor(1, "display")
        """What talks to the X server: it waits as long as that hangs."""
        self._display: Display | None = None
        self._asking: Future[Seen] | None = None
        self._unread: frozenset[str] = frozenset()
        self._pids: dict[Part, int] = {}
        """Found before; asked for again when they are gone."""
        self._chromium = False
        """It was there when the X server last was: a person has not closed it."""
        self._x_starts = 0
        self._looks = 0
        self._slow: dict[str, Any] = {}
        self._written: dict[str, Any] = {}
        self._watchdog = Watchdog()

    def run(self) -> None:
        """Until a signal ends the process."""
        next_at = time.monotonic()
        while True:
            self._watchdog.feed(time.monotonic())
            seen, x_answers = self._ask_display()
            sights = self._sights(seen, x_answers)
            now = time.monotonic()
            for part, sight in sights.items():
                if sight is not None and (remedy := self._judges[part].saw(sight, now)) is not None:
                    self._repair(part, sight.pid, remedy)
            self._bring_chromium(seen)
            self._report(seen)
            next_at = max(next_at + LOOK_S, time.monotonic())
            time.sleep(max(0.0, next_at - time.monotonic()))

    def _ask_display(self) -> tuple[Seen | None, bool]:
        """What was seen, and whether the X server has answered."""
        if self._asking is None:
            self._asking = self._thread.submit(self._look, self._looks % FULL_EVERY == 0)
        try:
            seen = self._asking.result(X_ANSWER_S)
        except TimeoutError:
            return None, False  # Still asked at the next look.
        except DisplayError:
            seen = None
        self._asking = None
        return seen, seen is not None

    def _look(self, full: bool) -> Seen:
        """On the thread."""
        try:
            if self._display is None:
                self._display = Display(self._display_name)
            return self._display.look(full=full, ours=lambda pid: belongs(pid, UNITS[Part.CHROMIUM]))
        except DisplayError:
            if self._display is not None:
                self._display.close()
                self._display = None
            raise

    def _sights(self, seen: Seen | None, x_answers: bool) -> dict[Part, Sight | None]:
        """None: nothing can be said of it now."""
        x = _sight(self._pid_of(Part.X), x_answers)
        if seen is None:
            clients = {part: _sight(self._pid_of(part), False) for part in (Part.WM, Part.CHROMIUM)}
            stopped: dict[Part, Sight | None] = {part: at for part, at in clients.items() if at.scheduled == "T"}
            # The server may answer nobody else because one of these holds it (XGrabServer).
            return stopped or {Part.X: x, Part.VNC: self._see_vnc()}
        manager = self._pid_of(Part.WM)
        if manager is None:
            wm: Sight | None = Sight(None, False, unit=first_of(UNITS[Part.WM]))
        else:
            wm = None if seen.wm is None else _sight(manager, seen.wm)
        chromium = Sight(None, False) if seen.chromium is None else _sight(seen.chromium_pid, seen.chromium)
        return {Part.X: x, Part.WM: wm, Part.CHROMIUM: chromium, Part.VNC: self._see_vnc()}

    def _see_vnc(self) -> Sight:
        """Hung, it leaves unread what viewers send, and unaccepted who comes; without any of them nobody misses it.

        Asking for its banner instead would have it poll the screen, and write a log, for every look.
        """
        listens, unread = waits_unread(Path("/proc/net/tcp").read_text(), VNC_PORT)
        still, self._unread = self._unread & unread, unread
        return _sight(self._pid_of(Part.VNC) if listens else None, not still)

    def _pid_of(self, part: Part) -> int | None:
        pid = self._pids.get(part)
        if pid is None or not belongs(pid, UNITS[part]):
            pid = find(UNITS[part], WINDOW_MANAGERS) if part is Part.WM else first_of(UNITS[part])
            self._pids.pop(part, None)
            if pid is not None:
                self._pids[part] = pid
        return pid

    def _repair(self, part: Part, pid: int | None, remedy: Remedy) -> None:
        judge = self._judges[part]
        logger.error("! %s is %s and is %s (%d)", part.value, judge.state.value, remedy.value, judge.repairs)
        # Killed, a window manager is started again by its session, and the windows stay.
        if pid is not None and (part is Part.WM or remedy is Remedy.CONTINUE):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT if remedy is Remedy.CONTINUE else signal.SIGKILL)
            return
        # Nothing that hangs ends by being asked, and a restart alone would ask for a while.
        if pid is not None:
            _systemctl("kill", "--signal=SIGKILL", UNITS[part])
        _systemctl("restart", "--no-block", UNITS[part])

    def _bring_chromium(self, seen: Seen | None) -> None:
        """Chromium ends in order with its X server, so that systemd does not start it again; nobody has closed it."""
        starts = self._judges[Part.X].starts
        if starts != self._x_starts:
            self._x_starts = starts
            if self._chromium:
                _systemctl("reset-failed", UNITS[Part.CHROMIUM])
                # One that is not yet at its end would make of a mere start nothing.
                _systemctl("restart", "--no-block", UNITS[Part.CHROMIUM])
        elif seen is not None and seen.wm:
            self._chromium = first_of(UNITS[Part.CHROMIUM]) is not None

    def _report(self, seen: Seen | None) -> None:
        if self._looks % FULL_EVERY == 0 or not self._slow:
            self._slow = {
                "disk_percent": disk_percent(),
                "memory_percent": memory_percent(Path("/proc/meminfo").read_text()),
                "black": seen is not None and seen.black is True,
            }
        self._looks += 1
        judges = self._judges
        report: dict[str, Any] = {
            "parts": {part.value: judge.state.value for part, judge in judges.items()},
            "repairs": {part.value: judge.repairs for part, judge in judges.items()},
            "starts": {part.value: judge.starts for part, judge in judges.items()},
            **self._slow,
        }
        if report == self._written:
            return
        try:
            write_report(self._run, report)
        except OSError as exc:
            logger.warning("x no report: %s", exc)
        else:
            self._written = report


def _sight(pid: int | None, answers: bool) -> Sight:
    stat = read_stat(pid) if pid is not None else None
    if pid is None or stat is None:
        return Sight(None, answers)
    return Sight(pid, answers, stat[1], stat[0])


def _systemctl(*argv: str) -> None:
    try:
        subprocess.run(["systemctl", *argv], check=True, capture_output=True, text=True, timeout=SYSTEMCTL_S)
    except subprocess.CalledProcessError as exc:
        logger.error("x systemctl %s: %s", " ".join(argv), exc.stderr.strip())
    except (OSError, subprocess.TimeoutExpired) as exc:
        logger.error("x systemctl %s: %s", " ".join(argv), exc)
