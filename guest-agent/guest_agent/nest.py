"""The process that agents hatch from: everything imported, one thread, nothing random drawn.

Importing the agent's libraries takes a busy guest many seconds, in which nothing else gets done; so this is a process
of its own beside the zygote, which goes on answering the gateway. A fork of it is a fraction of a start. Both speak
in datagrams: ``fork`` with the agent's end of its line, and back ``forked PID`` and ``exited PID CODE``.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from guest_agent.account import Account, desktop_environment

__all__ = ["PRELOAD", "AgentMain", "Exited", "Forked", "Nest", "Options"]

logger = logging.getLogger(__name__)

PRELOAD = ("guest_agent.agent",)
PR_SET_PDEATHSIG = 1
EX_SOFTWARE = 70
MAX_DATAGRAM_BYTES = 256
OOM_SCORE = "-800"

AgentMain = Callable[[socket.socket, str], int]
"""The forked agent: its end of the line to the zygote, the display; returns the exit status."""


@dataclass(frozen=True, slots=True)
class Options:
    display: str = ":1"
    account: Account | None = None
    """Whom the agent and the user's commands run as; None for whoever runs the zygote."""
    etc: Path = Path("/etc")
    preload: Sequence[str] = PRELOAD
    """What the nest imports."""
    run: Path = Path("/run/fenster")
    """Where the health service writes down how the desktop is."""


@dataclass(frozen=True, slots=True)
class Forked:
    pid: int


@dataclass(frozen=True, slots=True)
class Exited:
    pid: int
    code: int
    """Exit status, or minus the signal that killed it."""


class Nest:
    """The zygote's handle on it; made by forking.

    Args:
        let_go: closes in the child what is the zygote's alone.
    """

    def __init__(self, options: Options, agent_main: AgentMain, let_go: Callable[[], None]) -> None:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            mine.close()
            _run(lambda: _serve(its, options, agent_main, let_go, parent))
        its.close()
        mine.setblocking(False)
        self._sock = mine

    def fileno(self) -> int:
        return self._sock.fileno()

    def hatch(self) -> socket.socket:
        """Ask for an agent; the zygote's end of the line to it. Raises OSError when the nest is gone."""
        mine, its = socket.socketpair()
        with its:
            try:
                socket.send_fds(self._sock, [b"fork"], [its.fileno()])
            except OSError:
                mine.close()
                raise
        mine.setblocking(False)
        return mine

    def news(self) -> list[Forked | Exited] | None:
        """What happened; None when the nest has ended, and then :meth:`close` is due."""
        found: list[Forked | Exited] = []
        while True:
            try:
                words = self._sock.recv(MAX_DATAGRAM_BYTES).decode().split()
            except BlockingIOError:
                return found
            except OSError:
                words = []
            match words:
                case ["forked", pid]:
                    found.append(Forked(int(pid)))
                case ["exited", pid, code]:
                    found.append(Exited(int(pid), int(code)))
                case _:
                    return found or None

    def kill(self) -> None:
        """End it and, with it, its agents."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> int:
        """Reap it; its exit code."""
        self._sock.close()
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def _run(main: Callable[[], int]) -> NoReturn:
    """A child's life. It never returns: one that did would go on being its parent."""
    status = EX_SOFTWARE
    try:
        status = main()
    except BaseException:
        logger.exception("x process %d failed", os.getpid())
    finally:
        logging.shutdown()
        os._exit(status)


def _die_with(parent: int) -> None:
    """End with the parent. A change of user clears it (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _serve(
    sock: socket.socket, options: Options, agent_main: AgentMain, let_go: Callable[[], None], zygote: int
) -> int:
    """Be the nest until the zygote is gone."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    let_go()
    _die_with(zygote)
    start = time.monotonic()
    for name in options.preload:
        importlib.import_module(name)
    # What is there now is left alone by the collector, so that agents go on sharing its memory.
    gc.collect()
    gc.freeze()
    logger.info("= everything imported in %.1f s", time.monotonic() - start)
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                _reap(sock, selector, key.fd, key.data)
                continue
            data, fds, _, _ = socket.recv_fds(sock, MAX_DATAGRAM_BYTES, 1)
            if not data:
                return 0
            _hatch(sock, selector, fds[0], options, agent_main)


def _hatch(
    sock: socket.socket, selector: selectors.BaseSelector, line: int, options: Options, agent_main: AgentMain
) -> None:
    nest = os.getpid()
    pid = os.fork()
    if pid == 0:
        # Other agents' pidfds too: at most one, of an agent that is ending.
        for key in list(selector.get_map().values()):
            if key.fd != sock.fileno():
                os.close(key.fd)
        selector.close()
        sock.close()
        _run(lambda: _be_agent(socket.socket(fileno=line), options, agent_main, nest))
    os.close(line)
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
    sock.send(f"forked {pid}".encode())


def _reap(sock: socket.socket, selector: selectors.BaseSelector, pidfd: int, pid: int) -> None:
    selector.unregister(pidfd)
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    sock.send(f"exited {pid} {os.waitstatus_to_exitcode(status)}".encode())


def _be_agent(sock: socket.socket, options: Options, agent_main: AgentMain, nest: int) -> int:
    os.setsid()
    account = options.account
    if account is not None:
        # The picture is nobody's hog: whoever is, goes first (proc_pid_oom_score_adj(5)).
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
        account.enter()
        os.chdir(account.home if os.path.isdir(account.home) else "/")
    _die_with(nest)
    os.environ.update(desktop_environment(account, options.display, os.environ))
    return agent_main(sock, options.display)
