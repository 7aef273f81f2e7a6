"""The guest's root process: owns the agent link for life, gives the guest its identity, forks the agent.

Synchronous, one thread, one select loop around the pure core (zygote_core.py). Everything the agent needs is
imported here first, so that a fork is a fraction of a start; nothing random is drawn before a fork, or two clones
of one snapshot would draw the same.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guest_agent import __version__
from guest_agent.account import Account, desktop_environment
from guest_agent.assign import assign, variables
from guest_agent.exec import ExecJob
from guest_agent.identity import become
from guest_agent.port import LOOK_S, Port
from guest_agent.protocol.rpc import LineDecoder, Notification, Request, encode
from guest_agent.requests import Assignment
from guest_agent.zygote_core import Action, DoAssign, DoExec, DoIdentify, ForkAgent, Send, ToAgent, ZygoteCore

__all__ = ["Options", "Zygote"]

logger = logging.getLogger(__name__)

PRELOAD = ("numpy", "cryptography.x509", "xcffib.xproto", "av", "aioice", "aiortc", "guest_agent.agent")
"""Imported one at a time between rounds of the loop, so that the link is answered meanwhile."""
READ_BYTES = 64 * 1024
MAX_AGENT_BYTES = 1024 * 1024
"""What may wait for the agent to read it. One that lets more gather hangs, and is replaced."""
AGENT_END_S = 2.0
PR_SET_PDEATHSIG = 1

AgentMain = Callable[[socket.socket, str], int]
"""The forked agent: its end of the line to the zygote, the display; returns the exit status."""


@dataclass(frozen=True, slots=True)
class Options:
    display: str = ":1"
    account: Account | None = None
    """Whom the agent and the user's commands run as; None for whoever runs the zygote."""
    etc: Path = Path("/etc")
    preload: Sequence[str] = PRELOAD


@dataclass(slots=True)
class _Agent:
    pid: int
    pidfd: int
    sock: socket.socket
    decoder: LineDecoder = field(default_factory=LineDecoder)
    unsent: bytearray = field(default_factory=bytearray)
    kill_at: float = float("inf")


def run_agent(sock: socket.socket, display: str) -> int:
    """The real agent."""
    module = importlib.import_module("guest_agent.agent")
    return int(module.run(sock, display))


class Zygote:
    """Args:
    port: to the gateway.
    agent_main: what a forked child does.
    """

    def __init__(self, port: Port, options: Options, agent_main: AgentMain = run_agent) -> None:
        self._port = port
        self._options = options
        self._agent_main = agent_main
        self._core = ZygoteCore(__version__, Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        self._selector = selectors.DefaultSelector()
        self._decoder = LineDecoder()
        self._agent: _Agent | None = None
        self._jobs: dict[int, ExecJob] = {}
        self._variables: dict[str, str] = {}
        self._preload = deque(options.preload)
        self._fork_wanted = False
        self._host_here = False
        self._look_at = 0.0
        self._port_watched = (-1, 0)
        self._wake_r, self._wake_w = socket.socketpair()
        self._stopping = False

    def run(self) -> int:
        """Serve until SIGTERM."""
        for end in (self._wake_r, self._wake_w):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_w.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_term)
        self.watch(self._wake_r.fileno(), selectors.EVENT_READ, lambda: self._wake_r.recv(64))
        while not self._stopping:
            self.serve_once()
        if self._agent is not None:
            signal.pidfd_send_signal(self._agent.pidfd, signal.SIGKILL)
        for job in self._jobs.values():
            job.kill()
        signal.set_wakeup_fd(-1)
        self.close()
        return 0

    def close(self) -> None:
        """Let go of the port and the loop's own files."""
        self._port.close()
        self._selector.close()
        self._wake_r.close()
        self._wake_w.close()

    def watch(self, fd: int, events: int, callback: Callable[[], Any]) -> None:
        self._selector.register(fd, events, callback)

    def unwatch(self, fd: int) -> None:
        self._selector.unregister(fd)

    def _on_term(self, signum: int, frame: object) -> None:
        self._stopping = True

    def serve_once(self) -> None:
        """One round: what is due, then what comes, waiting for it as long as nothing is due."""
        now = time.monotonic()
        if self._host_here and not self._port.connected:
            self._host_left(now)
        if not self._host_here and now >= self._look_at:
            self._look_at = now + LOOK_S
            if self._port.look():
                self._host_here = True
                logger.info("= the gateway is there")
                self._carry_out(self._core.opened(now))
        self._watch_port()
        for key, _ in self._selector.select(self._timeout_s(now)):
            # One callback may have taken away what another was about.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        now = time.monotonic()
        self._carry_out(self._core.tick(now))
        if self._agent is not None and self._agent.kill_at <= now:
            self._agent.kill_at = float("inf")
            signal.pidfd_send_signal(self._agent.pidfd, signal.SIGKILL)
        for job in self._jobs.values():
            if job.deadline <= now:
                job.expire()
        for ident, job in [(ident, job) for ident, job in self._jobs.items() if job.result is not None]:
            del self._jobs[ident]
            self._carry_out(self._core.executed(ident, job.result or {}))
        self._load_next()

    def _timeout_s(self, now: float) -> float | None:
        if self._preload:
            return 0.0
        deadlines = [job.deadline for job in self._jobs.values()]
        deadlines += [] if self._agent is None else [self._agent.kill_at]
        deadlines += [] if self._host_here else [self._look_at]
        fork_at = self._core.deadline()
        deadlines += [] if fork_at is None else [fork_at]
        nearest = min(deadlines, default=float("inf"))
        return None if nearest == float("inf") else max(0.0, nearest - now)

    def _load_next(self) -> None:
        """Import one module; once all are there, fork the agent that had to wait for them."""
        if self._preload:
            name = self._preload.popleft()
            start = time.monotonic()
            importlib.import_module(name)
            logger.debug("= %s imported in %.2f s", name, time.monotonic() - start)
            if not self._preload:
                # What is there now is left alone by the collector, so that children go on sharing it.
                gc.collect()
                gc.freeze()
        if not self._preload and self._fork_wanted:
            self._fork_wanted = False
            self._fork()

    def _watch_port(self) -> None:
        wanted = (-1, 0)
        if self._port.connected:
            write = selectors.EVENT_WRITE if self._port.wants_write else 0
            wanted = (self._port.fileno(), selectors.EVENT_READ | write)
        if wanted == self._port_watched:
            return
        if self._port_watched[0] >= 0:
            self._selector.unregister(self._port_watched[0])
        if wanted[0] >= 0:
            self.watch(*wanted, self._serve_port)
        self._port_watched = wanted

    def _host_left(self, now: float) -> None:
        logger.info("= the gateway is away")
        self._host_here = False
        self._look_at = now + LOOK_S
        # Before another socket can get the number of one that is closed by now.
        self._watch_port()
        self._decoder = LineDecoder()
        self._core.host_away()

    def _serve_port(self) -> None:
        self._port.flush()
        data = self._port.read() if self._port.connected else None
        for message in self._decoder.feed(data or b""):
            self._carry_out(self._core.receive(message, time.monotonic()))

    def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(message):
                    self._port.send(encode(message))
                case ToAgent(message):
                    self._tell_agent(message)
                case DoIdentify(ident, identity):
                    skipped = become(identity, self._options.etc)
                    logger.info("= identified%s", f", without {skipped}" if skipped else "")
                    self._carry_out(self._core.identified(ident, identity, skipped, time.monotonic()))
                case DoAssign(ident, assignment):
                    self._assign(ident, assignment)
                case DoExec():
                    self._exec(action)
                case ForkAgent():
                    self._fork_wanted = True

    def _assign(self, ident: int, assignment: Assignment) -> None:
        try:
            outcome: dict[str, str] | str = assign(assignment, self._options.etc)
        except OSError as exc:
            outcome = f"the session's files could not be written: {exc}"
        else:
            self._variables = variables(assignment)
            logger.info("= assigned to session %s", assignment.session_id)
        self._carry_out(self._core.assigned(ident, assignment, outcome))

    def _exec(self, action: DoExec) -> None:
        account = self._options.account if action.command.as_user else None
        env = desktop_environment(account, self._options.display, {**os.environ, **self._variables})
        try:
            self._jobs[action.key] = ExecJob(action.command, account, env, time.monotonic(), self)
        except OSError as exc:
            self._carry_out(self._core.executed(action.key, f"{action.command.argv[0]}: {exc.strerror}"))

    def _tell_agent(self, message: Request | Notification) -> None:
        if self._agent is None:
            return
        self._agent.unsent += encode(message)
        self._write_agent()

    def _write_agent(self) -> None:
        agent = self._agent
        if agent is None:
            return
        try:
            sent = agent.sock.send(agent.unsent) if agent.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(agent.unsent)  # It is gone; its end follows.
        del agent.unsent[:sent]
        if len(agent.unsent) > MAX_AGENT_BYTES:
            logger.error("x the agent reads nothing any more")
            signal.pidfd_send_signal(agent.pidfd, signal.SIGKILL)
            agent.unsent.clear()
        if agent.sock.fileno() not in self._selector.get_map():
            agent.unsent.clear()
            return
        write = selectors.EVENT_WRITE if agent.unsent else 0
        self._selector.modify(agent.sock.fileno(), selectors.EVENT_READ | write, self._serve_agent)

    def _serve_agent(self) -> None:
        agent = self._agent
        if agent is None:
            return
        self._write_agent()
        try:
            data = agent.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # It is ending, which the pidfd tells. Whoever closes the line and does not end is of no use.
            self.unwatch(agent.sock.fileno())
            agent.kill_at = time.monotonic() + AGENT_END_S
            return
        for message in agent.decoder.feed(data):
            self._carry_out(self._core.agent_line(message))

    def _fork(self) -> None:
        mine, its = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            mine.close()
            _child(self, its, parent)
        its.close()
        mine.setblocking(False)
        self._agent = _Agent(pid, os.pidfd_open(pid), mine)
        self.watch(self._agent.pidfd, selectors.EVENT_READ, self._agent_ended)
        self.watch(mine.fileno(), selectors.EVENT_READ, self._serve_agent)
        self._core.forked(pid, time.monotonic())
        logger.info("= agent %d forked", pid)

    def _agent_ended(self) -> None:
        agent = self._agent
        if agent is None:
            return
        _, status = os.waitpid(agent.pid, 0)
        self._drain_agent(agent)
        self.unwatch(agent.pidfd)
        if agent.sock.fileno() in self._selector.get_map():
            self.unwatch(agent.sock.fileno())
        os.close(agent.pidfd)
        agent.sock.close()
        self._agent = None
        code = os.waitstatus_to_exitcode(status)
        logger.warning("! agent %d ended: %d", agent.pid, code)
        self._carry_out(self._core.agent_exited(code, time.monotonic()))

    def _drain_agent(self, agent: _Agent) -> None:
        """Its last words, which say why it ended."""
        while True:
            try:
                data = agent.sock.recv(READ_BYTES)
            except OSError:
                return
            if not data:
                return
            for message in agent.decoder.feed(data):
                self._carry_out(self._core.agent_line(message))

    def in_child(self, sock: socket.socket, parent: int) -> int:
        """Let go of everything of the zygote's, become the user, be the agent."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for fd in [key.fd for key in self._selector.get_map().values()]:
            if fd not in (self._port.fileno(), self._wake_r.fileno()):
                os.close(fd)
        self.close()
        options = self._options
        os.setsid()
        if options.account is not None:
            options.account.enter()
            os.chdir(options.account.home if os.path.isdir(options.account.home) else "/")
        _die_with(parent)
        os.environ.update(desktop_environment(options.account, options.display, os.environ))
        return self._agent_main(sock, options.display)


def _child(zygote: Zygote, sock: socket.socket, parent: int) -> None:
    """Never returns: a child that did would serve the port a second time."""
    status = 70  # EX_SOFTWARE
    try:
        status = zygote.in_child(sock, parent)
    except BaseException:
        logger.exception("x the agent failed")
    finally:
        logging.shutdown()
        os._exit(status)


def _die_with(parent: int) -> None:
    """End with the zygote. Set last: a change of user clears it (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
