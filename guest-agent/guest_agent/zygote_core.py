"""What the zygote does, as a state machine: lines in, actions out. Pure.

::

    FRESH --identify--> IDENTIFIED --assign--> RUNNING --assign--> RUNNING

``hello`` and ``exec`` are answered in every state. The agent is forked at ``identify``, because only then do the
kernel's random numbers differ from those of a clone's twin, and again whenever it ends. ``offer`` and ``bye`` go to
it and its answers back under the gateway's ids. ``control`` and ``display`` are kept, and told to each agent. A
second ``identify`` with other values makes the copy of a running guest a machine of its own: the copied agent, which
holds its twin's keys, is killed before anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from guest_agent.liveness import Silence
from guest_agent.protocol.link import LINK_VERSION, MAX_LINE_BYTES
from guest_agent.protocol.rpc import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    NOT_READY,
    BadLine,
    Failure,
    Incoming,
    Notification,
    Request,
    Result,
    encode,
)
from guest_agent.requests import (
    Assignment,
    BadParams,
    Controller,
    ExecCommand,
    Identity,
    Place,
    clipboard_policy,
    display_size,
)
from guest_agent.zygote_actions import (
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
)

__all__ = [
    "Action",
    "DoAssign",
    "DoExec",
    "DoHealth",
    "DoIdentify",
    "DoSettle",
    "ForkAgent",
    "KillAgent",
    "LookAtAgent",
    "Send",
    "State",
    "ToAgent",
    "ZygoteCore",
    "ZygoteCounters",
]

MAX_PENDING = 64
"""Requests the agent may leave unanswered; one more is refused."""
MAX_EXECS = 8
BACKOFF_S = (0.1, 5.0)
"""First and longest pause before an agent that died is forked again; doubled each time."""
STEADY_S = 10.0
"""An agent that lived so long did not die of starting."""


class State(Enum):
    FRESH = "fresh"
    IDENTIFIED = "identified"
    RUNNING = "running"


@dataclass(slots=True)
class ZygoteCounters:
    """Since start."""

    bad_lines: int = 0
    repeated_requests: int = 0
    """Requests with the id of one that is being worked on: the gateway asked again."""
    forks: int = 0
    hangs: int = 0
    """Agents that were killed because they gave no sign of life."""


@dataclass(slots=True)
class _Pending:
    ident: int | None
    """The gateway's id; None when the gateway that asked is gone."""
    method: str
    peer: str
    role: str
    viewer: str


class ZygoteCore:
    """Args:
        version: of the guest agent.
        boot_id: of the kernel.

    ``now`` is seconds since the guest booted (CLOCK_MONOTONIC).
    """

    def __init__(self, version: str, boot_id: str) -> None:
        self.state = State.FRESH
        self.counters = ZygoteCounters()
        self._version = version
        self._boot_id = boot_id
        self._identity: Identity | None = None
        self._display_px: tuple[int, int] | None = None
        self._clipboard = "off"
        self._control = Controller(None, None)
        self._agent_pid: int | None = None
        self._agent_ready = False
        self._agent_doomed = False
        self._silence = Silence()
        self._forked_at = 0.0
        self._fork_at: float | None = None
        self._backoff_s = BACKOFF_S[0]
        self._peers: dict[str, dict[str, Any]] = {}
        self._calls: dict[int, _Pending] = {}
        self._execs: dict[int, int | None] = {}
        self._last_key = 0

    def opened(self, now: float) -> list[Action]:
        """The port is open and the gateway on it."""
        return [Send(Notification("hello", self._hello(now)))]

    def host_away(self) -> None:
        """Nobody waits for the answers any more, and another gateway may number its requests alike."""
        for pending in self._calls.values():
            pending.ident = None
        self._execs = dict.fromkeys(self._execs)

    def receive(self, message: Incoming, now: float) -> list[Action]:
        """A line from the gateway."""
        match message:
            case BadLine():
                self.counters.bad_lines += 1
                return []
            case Request(ident, method, params):
                try:
                    return self._request(ident, method, params, now)
                except BadParams as exc:
                    return [Send(Failure(ident, exc.code, str(exc)))]
            case _:
                # The zygote asks nothing, and no notification goes this way.
                self.counters.bad_lines += 1
                return []

    def identified(self, ident: int, identity: Identity, skipped: Mapping[str, str], now: float) -> list[Action]:
        """The identity is in place; ``skipped`` says what could not be done, and why."""
        self._identity = identity
        self.state = State.IDENTIFIED
        self._control = Controller(None, None)  # Whose the copied one was.
        if not self._agent_doomed:
            self._fork_at = now
        return [Send(Result(ident, _skipped(skipped))), *self.tick(now)]

    def assigned(self, ident: int, assignment: Assignment, outcome: Mapping[str, str] | str) -> list[Action]:
        """The session's files are written; ``outcome`` is what was skipped, or a sentence on what failed."""
        if isinstance(outcome, str):
            return [Send(Failure(ident, INTERNAL_ERROR, outcome))]
        self.state = State.RUNNING
        self._display_px, self._clipboard = assignment.display_px, assignment.clipboard
        return [Send(Result(ident, _skipped(outcome))), *self._tell_display(), *self._tell_clipboard()]

    def settled(self, ident: int, outcome: Mapping[str, str] | str) -> list[Action]:
        """The place is written down; ``outcome`` as of assigned()."""
        if isinstance(outcome, str):
            return [Send(Failure(ident, INTERNAL_ERROR, outcome))]
        return [Send(Result(ident, _skipped(outcome)))]

    def examined(self, ident: int, report: Mapping[str, Any]) -> list[Action]:
        """What the guest's health service has written down last; empty when it has not."""
        agent = {"forks": self.counters.forks, "hangs": self.counters.hangs}
        return [Send(Result(ident, {"agent": agent, "desktop": dict(report)}))]

    def executed(self, key: int, result: Mapping[str, Any] | str) -> list[Action]:
        """A command ended, or could not be started (a sentence)."""
        ident = self._execs.pop(key)
        if ident is None:
            return []
        if isinstance(result, str):
            return [Send(Failure(ident, INTERNAL_ERROR, result))]
        return [Send(_fitting(ident, result))]

    def forked(self, pid: int, now: float) -> None:
        self.counters.forks += 1
        self._agent_pid = pid
        self._forked_at = now
        self._silence.begin(now)

    def agent_line(self, message: Incoming) -> list[Action]:
        """A line from the agent."""
        self._silence.heard()
        match message:
            case Notification("beat", _):
                return []
            case Notification("ready", _):
                self._agent_ready = True
                up = Notification("agent", {"state": "up", "pid": self._agent_pid, "code": None})
                # It begins with "off", and with nobody.
                clipboard = self._tell_clipboard() if self._clipboard != "off" else []
                control = self._tell_control() if self._control.peer else []
                return [*self._tell_display(), *clipboard, *control, Send(up)]
            case Notification(method, params):
                if method == "peer":
                    self._follow_peer(str(params.get("peer")), params.get("state"))
                return [Send(message)]
            case Result(key, result) if key in self._calls:
                return self._answered(self._calls.pop(key), result)
            case Failure(key, code, text) if key in self._calls:
                pending = self._calls.pop(key)
                return [] if pending.ident is None else [Send(Failure(pending.ident, code, text))]
            case _:
                self.counters.bad_lines += 1
                return []

    def agent_exited(self, code: int, now: float) -> list[Action]:
        """The agent ended; ``code`` is its exit status, or minus the signal that killed it."""
        pid, was_ready = self._agent_pid, self._agent_ready
        self._agent_pid, self._agent_ready = None, False
        self._silence.end()
        actions: list[Action] = [
            Send(Failure(pending.ident, NOT_READY, f"the agent ended ({code}) before it answered"))
            for pending in self._calls.values()
            if pending.ident is not None
        ]
        self._calls.clear()
        for peer in self._peers:
            actions.append(Send(Notification("peer", {"peer": peer, "state": "closed", "reason": "the agent ended"})))
        self._peers.clear()
        if was_ready:
            actions.append(Send(Notification("desktop", {"windows": []})))
        actions.append(Send(Notification("agent", {"state": "down", "pid": pid, "code": code})))
        if self._agent_doomed:
            self._agent_doomed = False
            self._fork_at = now
            return [*actions, *self.tick(now)]
        if now - self._forked_at >= STEADY_S:
            self._backoff_s = BACKOFF_S[0]
        self._fork_at = now + self._backoff_s
        self._backoff_s = min(self._backoff_s * 2, BACKOFF_S[1])
        return actions

    def agent_seen(self, scheduled: str, ticks: int, now: float) -> list[Action]:
        """The state of its main thread and the processor time that it has taken (proc_pid_stat(5))."""
        if not self._silence.see(scheduled, ticks, now):
            return []
        self.counters.hangs += 1
        return [KillAgent()]

    def tick(self, now: float) -> list[Action]:
        """What is due."""
        if self._silence.look(now):
            return [LookAtAgent()]
        if self._fork_at is None or self._fork_at > now:
            return []
        self._fork_at = None
        return [ForkAgent()]

    def deadline(self) -> float | None:
        """When :meth:`tick` has something to do."""
        return min((at for at in (self._fork_at, self._silence.deadline()) if at is not None), default=None)

    def _request(self, ident: int, method: str, params: Mapping[str, Any], now: float) -> list[Action]:
        match method:
            case "hello":
                return [Send(Result(ident, self._hello(now)))]
            case "identify":
                return self._identify(ident, Identity.parse(params))
            case "assign":
                assignment = Assignment.parse(params)
                if self._identity is None:
                    return [Send(Failure(ident, NOT_READY, "identify comes before assign"))]
                return [DoAssign(ident, assignment)]
            case "exec":
                return self._exec(ident, ExecCommand.parse(params))
            case "clipboard":
                self._clipboard = clipboard_policy(params.get("policy"))
                # The agent hears of it before anything that the gateway asks after this answer.
                return [*self._tell_clipboard(), Send(Result(ident, {}))]
            case "display":
                self._display_px = display_size(params.get("size"))
                return [*self._tell_display(), Send(Result(ident, {}))]
            case "control":
                self._control = Controller.parse(params)
                return [*self._tell_control(), Send(Result(ident, {}))]
            case "health":
                return [DoHealth(ident)]
            case "settle":
                return [DoSettle(ident, Place.parse(params))]
            case "offer" | "bye" | "warm" | "marker" | "counters":
                return self._pass_on(ident, method, params)
            case _:
                return [Send(Failure(ident, METHOD_NOT_FOUND, f"no method {method[:64]!r}"))]

    def _identify(self, ident: int, identity: Identity) -> list[Action]:
        if identity == self._identity:
            return [Send(Result(ident, {}))]
        if self._agent_pid is None:
            return [DoIdentify(ident, identity)]
        self._agent_doomed = True
        self._silence.end()
        return [KillAgent(), DoIdentify(ident, identity)]

    def _exec(self, ident: int, command: ExecCommand) -> list[Action]:
        if ident in self._execs.values():
            self.counters.repeated_requests += 1
            return []
        if len(self._execs) >= MAX_EXECS:
            return [Send(Failure(ident, NOT_READY, f"{MAX_EXECS} commands run already"))]
        self._last_key += 1
        self._execs[self._last_key] = ident
        return [DoExec(self._last_key, command)]

    def _pass_on(self, ident: int, method: str, params: Mapping[str, Any]) -> list[Action]:
        if any(pending.ident == ident for pending in self._calls.values()):
            self.counters.repeated_requests += 1
            return []
        if not self._agent_ready:
            return [Send(Failure(ident, NOT_READY, "no agent runs yet"))]
        if len(self._calls) >= MAX_PENDING:
            return [Send(Failure(ident, NOT_READY, f"the agent has {MAX_PENDING} requests to answer"))]
        self._last_key += 1
        names = (str(params.get(name, "")) for name in ("peer", "role", "viewer"))
        self._calls[self._last_key] = _Pending(ident, method, *names)
        return [ToAgent(Request(self._last_key, method, params))]

    def _answered(self, pending: _Pending, result: Mapping[str, Any]) -> list[Action]:
        if pending.method == "offer":
            identity = {name: result.get(name) for name in ("ufrag", "pwd", "port")}
            self._peers[pending.peer] = {
                "peer": pending.peer, "role": pending.role, "viewer": pending.viewer, "connected": False, **identity
            }  # fmt: skip
        elif pending.method == "bye":
            self._peers.pop(pending.peer, None)
        return [] if pending.ident is None else [Send(Result(pending.ident, result))]

    def _follow_peer(self, peer: str, state: object) -> None:
        if state == "closed":
            self._peers.pop(peer, None)
        elif state == "connected" and peer in self._peers:
            self._peers[peer]["connected"] = True

    def _tell_display(self) -> list[Action]:
        if self._display_px is None or not self._agent_ready:
            return []
        return [ToAgent(Notification("display", {"size": list(self._display_px)}))]

    def _tell_clipboard(self) -> list[Action]:
        return [ToAgent(Notification("clipboard", {"policy": self._clipboard}))] if self._agent_ready else []

    def _tell_control(self) -> list[Action]:
        if not self._agent_ready:
            return []
        return [ToAgent(Notification("control", {"peer": self._control.peer, "viewer": self._control.viewer}))]

    def _hello(self, now: float) -> dict[str, Any]:
        return {
            "protocol": LINK_VERSION,
            "version": self._version,
            "boot_id": self._boot_id,
            "uptime_s": round(now, 3),
            "state": self.state.value,
            "agent": {"state": "up" if self._agent_ready else "down", "pid": self._agent_pid},
            "peers": list(self._peers.values()),
            "control": {"peer": self._control.peer, "viewer": self._control.viewer},
        }


def _skipped(skipped: Mapping[str, str]) -> dict[str, Any]:
    return {"skipped": dict(skipped)} if skipped else {}


def _fitting(ident: int, result: Mapping[str, Any]) -> Result:
    """A result whose line the gateway accepts: JSON makes six bytes of many a character."""
    fitted = dict(result)
    while len(encode(Result(ident, fitted))) > MAX_LINE_BYTES:
        longer = max(("stdout", "stderr"), key=lambda name: len(fitted[name]))
        fitted[longer] = fitted[longer][: len(fitted[longer]) * 3 // 4]
    return Result(ident, fitted)
