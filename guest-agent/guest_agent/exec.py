"""Commands the gateway has run in the guest, as children of a select loop that they must not hold up."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping
from typing import Any, Protocol

from guest_agent.account import Account
from guest_agent.requests import ExecCommand

__all__ = ["MAX_OUTPUT_BYTES", "ExecJob", "Watcher"]

MAX_OUTPUT_BYTES = 64 * 1024
"""Of each output; the rest is read and thrown away, so that the command does not stand still."""
READ_BYTES = 64 * 1024


class Watcher(Protocol):
    """The select loop. A callback gets no argument."""

    def watch(self, fd: int, events: int, callback: Any) -> None: ...
    def unwatch(self, fd: int) -> None: ...


class ExecJob:
    """One command. ``result`` is set when it has ended, and then nothing of it is left in the loop.

    The command is its own session. It has ended when its first process has: what that left running in the background
    goes on. After ``timeout_s`` its whole process group is killed.

    Raises OSError when it cannot be started.
    """

    def __init__(
        self, command: ExecCommand, account: Account | None, env: Mapping[str, str], now: float, watcher: Watcher
    ) -> None:
        self.deadline = now + command.timeout_s
        self.result: dict[str, Any] | None = None
        self._watcher = watcher
        self._timed_out = False
        as_user: dict[str, Any] = {}
        if account is not None:
            as_user = {"user": account.uid, "group": account.gid, "extra_groups": account.groups}
        self._popen = subprocess.Popen(
            command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=account.home if account is not None and os.path.isdir(account.home) else "/",
            start_new_session=True,
            bufsize=0,
            **as_user,
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._stdin: int | None = self._popen.stdin.fileno()
        self._unwritten = command.stdin
        self._outputs = {self._popen.stdout.fileno(): bytearray(), self._popen.stderr.fileno(): bytearray()}
        self._stdout, self._stderr = self._outputs
        self._open = set(self._outputs)
        for fd in (self._stdin, *self._outputs):
            os.set_blocking(fd, False)
        watcher.watch(self._pidfd, selectors.EVENT_READ, self._ended)
        watcher.watch(self._stdin, selectors.EVENT_WRITE, self._write)
        watcher.watch(self._stdout, selectors.EVENT_READ, lambda: self._read(self._stdout))
        watcher.watch(self._stderr, selectors.EVENT_READ, lambda: self._read(self._stderr))

    def expire(self) -> None:
        """It ran out of time. Its end follows."""
        self._timed_out = True
        self.deadline = float("inf")
        self.kill()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    def _write(self) -> None:
        assert self._stdin is not None
        with contextlib.suppress(BlockingIOError):
            try:
                written = os.write(self._stdin, self._unwritten) if self._unwritten else 0
            except BrokenPipeError:
                written = len(self._unwritten)
            self._unwritten = self._unwritten[written:]
        if not self._unwritten:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin is not None and self._popen.stdin is not None:
            self._watcher.unwatch(self._stdin)
            self._popen.stdin.close()
            self._stdin = None

    def _read(self, fd: int) -> bool:
        """Take what is there; False when there is no more for now, or ever."""
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._watcher.unwatch(fd)
            self._open.discard(fd)
            return False
        kept = self._outputs[fd]
        kept += data[: MAX_OUTPUT_BYTES - len(kept)]
        return True

    def _ended(self) -> None:
        code = self._popen.wait()
        self._watcher.unwatch(self._pidfd)
        os.close(self._pidfd)
        self._close_stdin()
        for fd in tuple(self._open):
            # A child left behind may hold the pipe open and write on for ever; what is in it now is the command's.
            for _ in range(2 * MAX_OUTPUT_BYTES // READ_BYTES):
                if not self._read(fd):
                    break
            if fd in self._open:
                self._watcher.unwatch(fd)
        for stream in (self._popen.stdout, self._popen.stderr):
            if stream is not None:
                stream.close()
        self.result = {
            "code": code,
            "stdout": self._outputs[self._stdout].decode(errors="replace"),
            "stderr": self._outputs[self._stderr].decode(errors="replace"),
        }
        if self._timed_out:
            self.result["timed_out"] = True
