"""The zygote and the agent that it forks: its death, its news, who controls, what the next one is told."""

from __future__ import annotations

from itertools import pairwise

import pytest

from guest_agent.protocol.rpc import (
    NOT_READY,
    BadLine,
    Failure,
    Notification,
    Result,
)
from guest_agent.zygote_core import (
    BACKOFF_S,
    STEADY_S,
    DoIdentify,
    ForkAgent,
    Send,
    ToAgent,
)
from tests.zygote_steps import (
    ANSWER,
    IDENTIFY,
    OFFER,
    ask,
    hello,
    identified,
    key_of,
    ready,
)


def test_a_dead_agent_is_told_and_its_debts_are_paid() -> None:
    core = ready()
    core.agent_line(Result(key_of(ask(core, "offer", OFFER)), ANSWER))
    ask(core, "offer", {**OFFER, "peer": "p2"}, ident=8)
    sent = [action.message for action in core.agent_exited(-9, 2.0) if isinstance(action, Send)]
    assert [type(message).__name__ for message in sent] == ["Failure", *["Notification"] * 3]
    assert sent[0] == Failure(8, NOT_READY, "the agent ended (-9) before it answered")
    assert sent[1] == Notification("peer", {"peer": "p1", "state": "closed", "reason": "the agent ended"})
    assert sent[2] == Notification("desktop", {"windows": []})
    assert sent[3] == Notification("agent", {"state": "down", "pid": 77, "code": -9})
    assert hello(core)["agent"] == {"state": "down", "pid": None}
    assert hello(core)["peers"] == []


def test_an_agent_that_dies_of_starting_is_forked_ever_later_and_a_steady_one_at_once_again() -> None:
    core = identified()
    now, pauses = 1.0, []
    for pid in range(10):
        core.forked(pid, now)
        core.agent_exited(1, now)
        due = core.deadline()
        assert due is not None
        assert core.tick(due - 0.001) == []
        assert core.tick(due) == [ForkAgent()]
        assert core.deadline() is None
        pauses.append(due - now)
        now = due
    assert pauses[0] == pytest.approx(BACKOFF_S[0])
    assert all(later == pytest.approx(min(2 * before, BACKOFF_S[1])) for before, later in pairwise(pauses))
    assert pauses[-1] == pytest.approx(BACKOFF_S[1])
    core.forked(99, now)
    core.agent_exited(0, now + STEADY_S + 1)
    assert core.deadline() == pytest.approx(now + STEADY_S + 1 + BACKOFF_S[0])
    assert core.counters.forks == 11


def test_the_agents_own_news_pass_through() -> None:
    core = ready()
    news = Notification("desktop", {"windows": ["Xfce4-terminal"]})
    assert core.agent_line(news) == [Send(news)]
    assert core.agent_line(BadLine("?")) == []
    assert core.counters.bad_lines == 1


def test_who_controls_is_kept_and_told_to_each_agent() -> None:
    core = ready()
    control = {"peer": "p1", "viewer": "v1"}
    told = ToAgent(Notification("control", control))
    assert ask(core, "control", control, ident=4) == [told, Send(Result(4, {}))]
    assert hello(core)["control"] == control
    core.agent_exited(1, 2.0)
    core.forked(78, 3.0)
    assert told in core.agent_line(Notification("ready", {}))
    # Somebody controls by VNC: no peer's input counts, and the gateway finds out who it was.
    by_vnc = {"peer": None, "viewer": "v2"}
    assert ask(core, "control", by_vnc)[0] == ToAgent(Notification("control", by_vnc))
    assert hello(core)["control"] == {"peer": None, "viewer": "v2"}


def test_control_may_be_told_before_there_is_an_agent() -> None:
    core = identified()
    assert ask(core, "control", {"peer": "p1", "viewer": "v1"}) == [Send(Result(1, {}))]
    core.forked(77, 1.0)
    told = ToAgent(Notification("control", {"peer": "p1", "viewer": "v1"}))
    assert told in core.agent_line(Notification("ready", {}))


def test_a_copy_is_controlled_by_nobody() -> None:
    core = ready()
    ask(core, "control", {"peer": "p1", "viewer": "v1"})
    _, become = ask(core, "identify", {**IDENTIFY, "entropy": "cd" * 32})
    assert isinstance(become, DoIdentify)
    core.identified(become.id, become.identity, {}, 2.0)
    assert hello(core)["control"] == {"peer": None, "viewer": None}


def test_a_new_size_goes_to_this_agent_and_the_next() -> None:
    core = ready()
    told = ToAgent(Notification("display", {"size": [1024, 600]}))
    assert ask(core, "display", {"size": [1025, 601]}, ident=4) == [told, Send(Result(4, {}))]
    core.agent_exited(1, 2.0)
    core.forked(78, 3.0)
    assert told in core.agent_line(Notification("ready", {}))


def test_a_peer_is_remembered_with_who_stands_behind_it() -> None:
    core = ready()
    core.agent_line(Result(key_of(ask(core, "offer", {**OFFER, "viewer": "v1"})), ANSWER))
    (peer,) = hello(core)["peers"]
    assert (peer["peer"], peer["viewer"]) == ("p1", "v1")
