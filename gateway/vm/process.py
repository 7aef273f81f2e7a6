"""Child processes: started by a Lan or here, without rights they do not need, and always reaped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["UNKNOWN_STATUS", "Process", "Stranger", "describe_exit", "drop_privileges"]

UNKNOWN_STATUS = 1 << 16
"""Return code of a process that was not our child: only its parent is told."""
CAP_SETPCAP = 8
"""linux/capability.h: what PR_CAPBSET_DROP asks for."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A process that an earlier gateway started."""

    pid: int

    def wait(self) -> int:
        return UNKNOWN_STATUS


class Process:
    """A child and its end. Make it at once after the spawn, inside the loop that will see it end.

    The pidfd keeps the number from being reused under a signal, and tells the end without SIGCHLD.
    """

    def __init__(self, popen: subprocess.Popen[bytes] | Stranger, name: str) -> None:
        """Raises ProcessLookupError: the stranger has ended."""
        self.pid = popen.pid
        self.name = name
        self._popen = popen
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        self._pidfd = os.pidfd_open(popen.pid)
        loop.add_reader(self._pidfd, self._reap)

    @property
    def returncode(self) -> int | None:
        """Exit status, minus the signal's number, or None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """The return code. May be awaited by many, and cancelled."""
        return await asyncio.shield(self._ended)

    def on_end(self, done: Callable[[], object]) -> None:
        """Call ``done`` in the loop once it has ended; never after let_go()."""
        self._ended.add_done_callback(lambda ended: None if ended.cancelled() else done())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def stop(self, grace_s: float) -> int:
        """SIGTERM, and SIGKILL after ``grace_s``; with 0 SIGKILL at once. Idempotent.

        Cancelled, it kills before it lets go: the kernel then ends the process without anyone waiting.
        """
        try:
            if grace_s > 0:
                self.signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace_s):
                        return await self.wait()
            self.signal(signal.SIGKILL)
            return await self.wait()
        except asyncio.CancelledError:
            self.signal(signal.SIGKILL)
            raise

    def let_go(self) -> None:
        """Watch it no longer; it runs on. Nothing else may be asked of it then."""
        if self.returncode is None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._ended.cancel()
            if isinstance(self._popen, subprocess.Popen):
                self._popen.returncode = 0  # Or it would complain that its child still runs.

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # Does not block: a pidfd is readable when the process is a zombie (pidfd_open(2)).
        self._ended.set_result(self._popen.wait())


def describe_exit(name: str, returncode: int) -> tuple[str, str]:
    """What a person reads about an end: (sentence, hint)."""
    if returncode == UNKNOWN_STATUS:
        return f"{name} ended", ""
    if returncode >= 0:
        return f"{name} ended with status {returncode}", ""
    number = -returncode
    try:
        label = f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        label = f"signal {number}"
    hint = ""
    if number == signal.SIGKILL:
        hint = "if nobody killed it, the host ran out of memory: see dmesg, lower memory_mib or max_sessions"
    elif number == signal.SIGSYS:
        hint = "its seccomp sandbox refused a system call: report the QEMU version"
    return f"{name} was killed by {label}", hint


def drop_privileges(
    argv: Sequence[str], uid: int | None, *, die_with_parent: bool = False, status: str | None = None
) -> list[str]:
    """``argv`` under setpriv(1), with no capability and no way to gain one.

    Args:
        uid: user and group to become; None keeps the present ones.
        die_with_parent: the kernel kills it when the thread that started it ends (PR_SET_PDEATHSIG).
        status: the text of /proc/self/status.
    """
    command = ["setpriv"]
    if die_with_parent:
        command.append("--pdeathsig=KILL")
    if uid is not None:
        command += [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    text = Path("/proc/self/status").read_text() if status is None else status
    effective = next(int(line.split()[1], 16) for line in text.splitlines() if line.startswith("CapEff:"))
    if effective >> CAP_SETPCAP & 1:
        # Who may not do that, an ordinary user outside of a namespace of its own, has nothing that it would take.
        command.append("--bounding-set=-all")
    return [*command, "--inh-caps=-all", "--no-new-privs", "--", *argv]
