"""The guest's root process: owns the agent link for life, gives the guest its identity, has the agent forked.

Synchronous, one thread, one select loop around the pure core (zygote_core.py). It imports little and so answers at
once; the process that agents are forked from stands beside it (nest.py). Nothing random is drawn in either before an
agent is forked, or two clones of one snapshot would draw the same.
"""

from __future__ import annotations

import importlib
import logging
import os
import select
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guest_agent import __version__
from guest_agent.account import desktop_environment
from guest_agent.exec import ExecJob
from guest_agent.health.processes import read_stat
from guest_agent.health.report import read_report
from guest_agent.identity import become
from guest_agent.nest import AgentMain, Exited, Forked, Nest, Options
from guest_agent.port import LOOK_S, Port
from guest_agent.protocol.rpc import LineDecoder, Notification, Request, encode
from guest_agent.requests import Assignment, Place
from guest_agent.watchdog import Watchdog
from guest_agent.zygote_core import (
    Action,
    DoAssign,
    DoExec,
    DoHealth,
    DoIdentify,
    DoSettle,
    ForkAgent,
    KillAgent,
    LookAtAgent,
    Send,
    ToAgent,
    ZygoteCore,
)

__all__ = ["Zygote"]

logger = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
MAX_AGENT_BYTES = 1024 * 1024
"""What may wait for the agent to read it. One that lets more gather hangs, and is replaced."""
AGENT_END_S = 2.0


@dataclass(slots=True)
class _Agent:
    """An agent that was asked for; ``pid`` and ``pidfd`` are negative until it has been forked."""

    sock: socket.socket
    pid: int = -1
    pidfd: int = -1
    decoder: LineDecoder = field(default_factory=LineDecoder)
    unsent: bytearray = field(default_factory=bytearray)
    kill_at: float = float("inf")
    watched: bool = True


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
        self._nest: Nest | None = None
        self._agent: _Agent | None = None
        self._jobs: dict[int, ExecJob] = {}
        self._variables: dict[str, str] = {}
        self._host_here = False
        self._look_at = 0.0
        self._port_watched = (-1, 0)
        self._wake_r, self._wake_w = socket.socketpair()
        self._stopping = False
        self._watchdog = Watchdog()

    def run(self) -> int:
        """Serve until SIGTERM."""
        for end in (self._wake_r, self._wake_w):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_w.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_term)
        self.watch(self._wake_r.fileno(), selectors.EVENT_READ, lambda: self._wake_r.recv(64))
        self._build_nest()
        while not self._stopping:
            self.serve_once()
        if self._nest is not None:
            self._nest.kill()
            self._nest.close()
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

    def serve_once(self) -> None:
        """One round: what is due, then what comes, waiting for it as long as nothing is due."""
        now = time.monotonic()
        self._watchdog.feed(now)
        if self._host_here and not self._port.connected:
            self._host_left(now)
        if not self._host_here and now >= self._look_at:
            self._look_at = now + LOOK_S
            if self._port.look():
                self._host_here = True
                logger.info("= the gateway is there")
                self._carry_out(self._core.opened(now))
                # It brings a cryptography library along: after the first hello, which need not wait for it, and
                # before a snapshot is taken, whose clones then need not either.
                importlib.import_module("guest_agent.assign")
        self._watch_port()
        for key, _ in self._selector.select(self._timeout_s(now)):
            # One callback may have taken away what another was about.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        now = time.monotonic()
        self._carry_out(self._core.tick(now))
        if self._agent is not None and self._agent.kill_at <= now:
            self._kill_agent(self._agent)
        for job in self._jobs.values():
            if job.deadline <= now:
                job.expire()
        for ident, job in [(ident, job) for ident, job in self._jobs.items() if job.result is not None]:
            del self._jobs[ident]
            self._carry_out(self._core.executed(ident, job.result or {}))

    def watch(self, fd: int, events: int, callback: Callable[[], Any]) -> None:
        self._selector.register(fd, events, callback)

    def unwatch(self, fd: int) -> None:
        self._selector.unregister(fd)

    def _on_term(self, signum: int, frame: object) -> None:
        self._stopping = True

    def _timeout_s(self, now: float) -> float | None:
        deadlines = [job.deadline for job in self._jobs.values()]
        deadlines += [] if self._agent is None else [self._agent.kill_at]
        deadlines += [] if self._host_here else [self._look_at]
        core_at = self._core.deadline()
        deadlines += [self._watchdog.due_at] if core_at is None else [self._watchdog.due_at, core_at]
        nearest = min(deadlines, default=float("inf"))
        return None if nearest == float("inf") else max(0.0, nearest - now)

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
                case DoSettle(ident, place):
                    self._settle(ident, place)
                case DoHealth(ident):
                    self._carry_out(self._core.examined(ident, read_report(self._options.run)))
                case DoExec():
                    self._exec(action)
                case ForkAgent():
                    self._hatch()
                case LookAtAgent():
                    self._look_at_agent()
                case KillAgent():
                    if self._agent is not None:
                        self._kill_agent(self._agent)

    def _look_at_agent(self) -> None:
        stat = read_stat(self._agent.pid) if self._agent is not None else None
        if stat is not None:
            scheduled, ticks, _ = stat
            self._carry_out(self._core.agent_seen(scheduled, ticks, time.monotonic()))

    def _assign(self, ident: int, assignment: Assignment) -> None:
        from guest_agent.assign import assign, variables

        try:
            outcome: dict[str, str] | str = assign(assignment, self._options.etc)
        except OSError as exc:
            outcome = f"the session's files could not be written: {exc}"
        else:
            self._variables = variables(assignment)
            logger.info("= assigned to session %s", assignment.session_id)
        self._carry_out(self._core.assigned(ident, assignment, outcome))

    def _settle(self, ident: int, place: Place) -> None:
        from guest_agent.place import settle

        try:
            outcome: dict[str, str] | str = settle(place, self._options.etc)
        except OSError as exc:
            outcome = f"the time zone or the language could not be written: {exc}"
        self._carry_out(self._core.settled(ident, outcome))

    def _exec(self, action: DoExec) -> None:
        account = self._options.account if action.command.as_user else None
        env = desktop_environment(account, self._options.display, {**os.environ, **self._variables})
        try:
            self._jobs[action.key] = ExecJob(action.command, account, env, time.monotonic(), self)
        except OSError as exc:
            self._carry_out(self._core.executed(action.key, f"{action.command.argv[0]}: {exc.strerror}"))

    def _build_nest(self) -> None:
        self._nest = Nest(self._options, self._agent_main, self._let_go)
        self.watch(self._nest.fileno(), selectors.EVENT_READ, self._hear_nest)

    def _let_go(self) -> None:
        """In the nest: everything that is the zygote's alone."""
        for fd in [key.fd for key in self._selector.get_map().values()]:
            if fd not in (self._port.fileno(), self._wake_r.fileno()):
                os.close(fd)
        self.close()

    def _hatch(self) -> None:
        if self._nest is None:
            self._build_nest()
        assert self._nest is not None
        try:
            sock = self._nest.hatch()
        except OSError:
            # It has ended, which its line tells; asked again then.
            self._agent_ended(-1)
            return
        self._agent = _Agent(sock)
        self.watch(sock.fileno(), selectors.EVENT_READ, self._serve_agent)

    def _hear_nest(self) -> None:
        nest = self._nest
        if nest is None:
            return
        news = nest.news()
        if news is None:
            self.unwatch(nest.fileno())
            self._nest = None
            code = nest.close()
            logger.error("x the nest ended: %d", code)
            if self._agent is not None:
                self._agent_ended(code)
            return
        for event in news:
            match event:
                case Forked(pid):
                    self._agent_forked(pid)
                case Exited(pid, code):
                    if self._agent is not None and self._agent.pid == pid:
                        self._agent_ended(code)

    def _agent_forked(self, pid: int) -> None:
        if self._agent is not None:
            self._agent.pid = pid
            try:
                self._agent.pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                self._agent.pidfd = -1  # It is gone already; its end follows.
        self._core.forked(pid, time.monotonic())
        logger.info("= agent %d forked", pid)

    def _tell_agent(self, message: Request | Notification) -> None:
        if self._agent is not None and self._agent.watched:
            self._agent.unsent += encode(message)
            self._write_agent(self._agent)

    def _write_agent(self, agent: _Agent) -> None:
        try:
            sent = agent.sock.send(agent.unsent) if agent.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(agent.unsent)  # It is gone; its end follows.
        del agent.unsent[:sent]
        if len(agent.unsent) > MAX_AGENT_BYTES:
            logger.error("x the agent reads nothing any more")
            agent.unsent.clear()
            self._kill_agent(agent)
        write = selectors.EVENT_WRITE if agent.unsent else 0
        self._selector.modify(agent.sock.fileno(), selectors.EVENT_READ | write, self._serve_agent)

    def _serve_agent(self) -> None:
        agent = self._agent
        if agent is None:
            return
        self._write_agent(agent)
        if not self._read_agent(agent):
            # It is ending, which the nest tells. Whoever closes the line and does not end is of no use.
            self.unwatch(agent.sock.fileno())
            agent.watched = False
            agent.kill_at = time.monotonic() + AGENT_END_S

    def _read_agent(self, agent: _Agent) -> bool:
        """Take what it says; False when its end of the line is closed."""
        try:
            data = agent.sock.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for message in agent.decoder.feed(data):
            self._carry_out(self._core.agent_line(message))
        return bool(data)

    def _kill_agent(self, agent: _Agent) -> None:
        agent.kill_at = float("inf")
        if agent.pidfd >= 0:
            signal.pidfd_send_signal(agent.pidfd, signal.SIGKILL)

    def _agent_ended(self, code: int) -> None:
        agent, self._agent = self._agent, None
        if agent is not None:
            # Its last words may say why it ended; nobody writes any more, so this comes to an end.
            agent.sock.setblocking(False)
            if agent.watched:
                self.unwatch(agent.sock.fileno())
                while self._read_agent(agent) and self._has_more(agent):
                    pass
            agent.sock.close()
            if agent.pidfd >= 0:
                os.close(agent.pidfd)
            logger.warning("! agent %d ended: %d", agent.pid, code)
        self._carry_out(self._core.agent_exited(code, time.monotonic()))

    def _has_more(self, agent: _Agent) -> bool:
        return bool(select.select([agent.sock], [], [], 0)[0])
