"""Requests to a zygote's core, and the states that they lead it to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from guest_agent.protocol.rpc import (
    Failure,
    Notification,
    Request,
    Result,
)
from guest_agent.zygote_core import (
    Action,
    DoExec,
    DoIdentify,
    ForkAgent,
    Send,
    ToAgent,
    ZygoteCore,
)

__all__ = [
    "ANSWER", "ASSIGN", "EXEC", "IDENTIFY", "OFFER", "ask", "failure", "fresh", "hello", "identified", "key_of",
    "only", "ready",
]  # fmt: skip

IDENTIFY = {"entropy": "ab" * 32, "machine_id": "0123456789abcdef" * 2}
ASSIGN = {
    "session_id": "k3v9x2ab",
    "epoch_ns": 1_700_000_000_000_000_000,
    "vnc_password": "s3cr3t!x",
    "proxy": "http://169.254.0.22:3128",
    "display": [1281, 721],
}
EXEC = {"argv": ["id"], "timeout_s": 5, "as_user": True, "stdin": ""}
OFFER = {"peer": "p1", "sdp": "v=0", "role": "control"}
ANSWER = {"sdp": "v=0", "ufrag": "abcdefgh", "pwd": "secret", "port": 40001}


def fresh() -> ZygoteCore:
    return ZygoteCore("9.9", "boot-id")


def ask(core: ZygoteCore, method: str, params: Mapping[str, Any], ident: int = 1, now: float = 1.0) -> list[Action]:
    return core.receive(Request(ident, method, params), now)


T = TypeVar("T")


def only(actions: list[Action], kind: type[T]) -> T:
    (action,) = actions
    assert isinstance(action, kind)
    return action


def failure(actions: list[Action]) -> int:
    refusal = only(actions, Send).message
    assert isinstance(refusal, Failure)
    return refusal.code


def identified() -> ZygoteCore:
    core = fresh()
    asked = only(ask(core, "identify", IDENTIFY), DoIdentify)
    assert core.identified(asked.id, asked.identity, {}, 1.0) == [Send(Result(1, {})), ForkAgent()]
    return core


def ready() -> ZygoteCore:
    core = identified()
    core.forked(77, 1.0)
    up = Notification("agent", {"state": "up", "pid": 77, "code": None})
    assert core.agent_line(Notification("ready", {})) == [Send(up)]
    return core


def key_of(actions: list[Action]) -> int:
    (action,) = actions
    if isinstance(action, DoExec):
        return action.key
    assert isinstance(action, ToAgent)
    assert isinstance(action.message, Request)
    return action.message.id


def hello(core: ZygoteCore, now: float = 1.0) -> Mapping[str, Any]:
    answer = only(ask(core, "hello", {}, now=now), Send).message
    assert isinstance(answer, Result)
    return answer.result
