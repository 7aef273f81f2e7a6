"""The zygote's state machine: every request in every state, and lost hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from guest_agent.protocol.link import MAX_LINE_BYTES
from guest_agent.protocol.rpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    NOT_READY,
    BadLine,
    Failure,
    Notification,
    Result,
    encode,
)
from guest_agent.requests import Place
from guest_agent.zygote_core import (
    MAX_EXECS,
    MAX_PENDING,
    DoAssign,
    DoHealth,
    DoIdentify,
    DoSettle,
    ForkAgent,
    KillAgent,
    LookAtAgent,
    Send,
    State,
    ToAgent,
)
from tests.zygote_steps import (
    ANSWER,
    ASSIGN,
    EXEC,
    IDENTIFY,
    OFFER,
    ask,
    failure,
    fresh,
    hello,
    identified,
    key_of,
    only,
    ready,
)


def test_the_open_port_is_greeted() -> None:
    greeting = fresh().opened(2.5)
    expected = {
        "protocol": 1,
        "version": "9.9",
        "boot_id": "boot-id",
        "uptime_s": 2.5,
        "state": "fresh",
        "agent": {"state": "down", "pid": None},
        "peers": [],
        "control": {"peer": None, "viewer": None},
    }
    assert greeting == [Send(Notification("hello", expected))]


def test_hello_is_answered_again_and_again_in_every_state() -> None:
    for core in (fresh(), identified(), ready()):
        first = hello(core, now=3.0)
        assert first == hello(core, now=3.0)
        assert first["uptime_s"] == 3.0
    assert hello(ready())["agent"] == {"state": "up", "pid": 77}


def test_assign_waits_for_identify() -> None:
    core = fresh()
    assert failure(ask(core, "assign", ASSIGN)) == NOT_READY
    assert core.state is State.FRESH


def test_what_could_not_be_done_is_in_the_answer() -> None:
    core = fresh()
    asked = only(ask(core, "identify", IDENTIFY), DoIdentify)
    actions = core.identified(asked.id, asked.identity, {"entropy": "not permitted"}, 0.0)
    assert actions[0] == Send(Result(1, {"skipped": {"entropy": "not permitted"}}))


def test_assign_runs_the_session_and_sets_the_display_once_the_agent_is_there() -> None:
    core = identified()
    match ask(core, "assign", ASSIGN, ident=9):
        case [DoAssign(9, assignment)]:
            pass
        case other:
            raise AssertionError(other)
    assert assignment.display_px == (1280, 720)
    assert core.assigned(9, assignment, {}) == [Send(Result(9, {}))]
    assert core.state is State.RUNNING
    core.forked(7, 1.0)
    display = ToAgent(Notification("display", {"size": [1280, 720]}))
    assert core.agent_line(Notification("ready", {}))[0] == display
    assert core.assigned(9, assignment, {})[1] == display
    failed = core.assigned(9, assignment, "no space")
    assert failed == [Send(Failure(9, INTERNAL_ERROR, "no space"))]


def test_a_place_is_settled_at_any_time_and_with_the_assignment() -> None:
    core = fresh()
    there = {"timezone": "America/Argentina/Buenos_Aires", "locale": "es-AR"}
    settle = only(ask(core, "settle", there, ident=4), DoSettle)
    assert (settle.place.timezone, settle.place.locale) == (there["timezone"], "es-AR")
    assert core.settled(4, {}) == [Send(Result(4, {}))]
    assert core.settled(4, {"timezone": "no"}) == [Send(Result(4, {"skipped": {"timezone": "no"}}))]
    assert core.settled(4, "no space") == [Send(Failure(4, INTERNAL_ERROR, "no space"))]
    assert only(ask(core, "settle", {}, ident=5), DoSettle).place == Place()
    assignment = only(ask(identified(), "assign", {**ASSIGN, **there}), DoAssign).assignment
    assert assignment.place == settle.place


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("identify", {}),
        ("identify", {**IDENTIFY, "entropy": "xy" * 32}),
        ("identify", {**IDENTIFY, "machine_id": 3}),
        ("assign", {**ASSIGN, "session_id": "a/b"}),
        ("assign", {**ASSIGN, "session_id": "a\nb"}),
        ("assign", {**ASSIGN, "epoch_ns": -1}),
        ("assign", {**ASSIGN, "epoch_ns": True}),
        ("assign", {**ASSIGN, "vnc_password": ""}),
        ("assign", {**ASSIGN, "vnc_password": "over eight"}),
        ("assign", {**ASSIGN, "vnc_password": "ninechars"}),
        ("assign", {**ASSIGN, "proxy": "http://x\nLD_PRELOAD=y"}),
        ("assign", {**ASSIGN, "proxy": "http://$(id)"}),
        ("assign", {**ASSIGN, "display": [319, 720]}),
        ("assign", {**ASSIGN, "display": [1280]}),
        ("assign", {**ASSIGN, "display": [1280, 3842]}),
        ("assign", {**ASSIGN, "display": [1280, 239]}),
        ("assign", {**ASSIGN, "timezone": "../../etc/passwd"}),
        ("settle", {"timezone": "/etc/passwd"}),
        ("settle", {"timezone": "Europe/../Berlin"}),
        ("settle", {"timezone": "Europe/Berlin\n"}),
        ("settle", {"timezone": "A" * 65}),
        ("settle", {"timezone": None}),
        ("settle", {"locale": "de_DE"}),
        ("settle", {"locale": 'de-DE"'}),
        ("display", {}),
        ("display", {"size": [1280, 239]}),
        ("display", {"size": [3842, 720]}),
        ("display", {"size": ["1280", 720]}),
        ("control", {"peer": 7}),
        ("control", {"peer": "p1", "viewer": ["a"]}),
        ("control", {"peer": ""}),
        ("control", {"peer": "p" * 65}),
        ("exec", {**EXEC, "argv": []}),
        ("exec", {**EXEC, "argv": ["a\0b"]}),
        ("exec", {**EXEC, "argv": "id"}),
        ("exec", {**EXEC, "timeout_s": 0}),
        ("exec", {**EXEC, "timeout_s": float("nan")}),
        ("exec", {**EXEC, "timeout_s": True}),
        ("exec", {**EXEC, "as_user": 1}),
        ("exec", {**EXEC, "stdin": 7}),
    ],
)
def test_bad_parameters_are_the_callers_fault(method: str, params: Mapping[str, Any]) -> None:
    core = identified() if method == "assign" else fresh()
    before = core.state
    assert failure(ask(core, method, params)) == INVALID_PARAMS
    assert core.state is before


def test_secrets_are_not_in_what_is_logged() -> None:
    shown = repr(only(ask(fresh(), "identify", IDENTIFY), DoIdentify))
    assert IDENTIFY["entropy"] not in shown
    assert repr(bytes.fromhex(IDENTIFY["entropy"])) not in shown
    assert "s3cr3t!x" not in repr(only(ask(identified(), "assign", ASSIGN), DoAssign))


def test_the_same_identity_again_changes_nothing() -> None:
    core = ready()
    assert ask(core, "identify", IDENTIFY, ident=5) == [Send(Result(5, {}))]
    assert core.state is State.IDENTIFIED


@pytest.mark.parametrize("other", [{"entropy": "cd" * 32}, {"machine_id": "f" * 32}])
def test_another_identity_kills_the_copied_agent_first(other: dict[str, str]) -> None:
    core = ready()
    core.agent_line(Result(key_of(ask(core, "offer", OFFER)), ANSWER))
    kill, become = ask(core, "identify", {**IDENTIFY, **other}, ident=5)
    assert kill == KillAgent()
    assert isinstance(become, DoIdentify)
    # The copy is still ending: no second agent beside it.
    assert core.identified(5, become.identity, {}, 2.0) == [Send(Result(5, {}))]
    assert core.deadline() is None
    *told, fork = core.agent_exited(-9, 2.1)
    assert fork == ForkAgent()
    assert Send(Notification("agent", {"state": "down", "pid": 77, "code": -9})) in told
    assert hello(core)["peers"] == []


def test_another_identity_without_an_agent_forks_one() -> None:
    core = ready()
    core.agent_exited(-9, 1.5)
    become = only(ask(core, "identify", {**IDENTIFY, "machine_id": "f" * 32}), DoIdentify)
    assert core.identified(1, become.identity, {}, 1.6) == [Send(Result(1, {})), ForkAgent()]


def test_unknown_methods_and_lines_disturb_nothing() -> None:
    core = fresh()
    assert failure(ask(core, "reboot", {})) == METHOD_NOT_FOUND
    for line in (BadLine("not JSON"), Result(3, {}), Failure(3, 1, ""), Notification("x", {})):
        assert core.receive(line, 1.0) == []
    assert core.counters.bad_lines == 4
    assert core.state is State.FRESH


def test_offers_go_to_the_agent_and_come_back_under_the_gateways_ids() -> None:
    core = ready()
    key = key_of(ask(core, "offer", OFFER, ident=41))
    assert core.agent_line(Result(key, ANSWER)) == [Send(Result(41, ANSWER))]
    ice = {"ufrag": "abcdefgh", "pwd": "secret", "port": 40001}
    peer = {"peer": "p1", "role": OFFER["role"], "viewer": "", "connected": False, **ice}
    assert hello(core)["peers"] == [peer]
    core.agent_line(Notification("peer", {"peer": "p1", "state": "connected", "reason": ""}))
    peer["connected"] = True
    assert hello(core)["peers"] == [peer]
    refused = key_of(ask(core, "offer", {**OFFER, "peer": "p2"}, ident=42))
    assert core.agent_line(Failure(refused, INVALID_PARAMS, "bad")) == [Send(Failure(42, INVALID_PARAMS, "bad"))]
    assert hello(core)["peers"] == [peer]
    key = key_of(ask(core, "bye", {"peer": "p1"}, ident=43))
    assert core.agent_line(Result(key, {})) == [Send(Result(43, {}))]
    assert hello(core)["peers"] == []
    assert core.agent_line(Result(999, {})) == []


def test_an_agents_counters_are_its_own_answer() -> None:
    core = ready()
    key = key_of(ask(core, "counters", {}, ident=50))
    assert core.agent_line(Result(key, {"frames": 7})) == [Send(Result(50, {"frames": 7}))]


def test_a_closed_peer_is_forgotten_and_told() -> None:
    core = ready()
    core.agent_line(Result(key_of(ask(core, "offer", OFFER)), ANSWER))
    closed = Notification("peer", {"peer": "p1", "state": "closed", "reason": "bye"})
    assert core.agent_line(closed) == [Send(closed)]
    assert hello(core)["peers"] == []


@pytest.mark.parametrize("method", ["offer", "bye", "counters"])
def test_without_an_agent_there_is_nobody_to_ask(method: str) -> None:
    for core in (fresh(), identified()):
        assert failure(ask(core, method, OFFER)) == NOT_READY


def test_a_request_that_is_being_worked_on_is_not_done_twice() -> None:
    core = ready()
    ask(core, "offer", OFFER, ident=5)
    assert ask(core, "offer", OFFER, ident=5) == []
    ask(core, "exec", EXEC, ident=6)
    assert ask(core, "exec", EXEC, ident=6) == []
    assert core.counters.repeated_requests == 2


def test_both_kinds_of_work_are_bounded() -> None:
    core = ready()
    for ident in range(MAX_PENDING):
        key_of(ask(core, "offer", OFFER, ident=ident))
    assert failure(ask(core, "offer", OFFER, ident=1000)) == NOT_READY
    for ident in range(MAX_EXECS):
        key_of(ask(core, "exec", EXEC, ident=ident))
    assert failure(ask(core, "exec", EXEC, ident=1000)) == NOT_READY


def test_exec_answers_with_its_result_or_with_what_went_wrong() -> None:
    core = fresh()
    key = key_of(ask(core, "exec", EXEC, ident=4))
    result = {"code": 0, "stdout": "x", "stderr": ""}
    assert core.executed(key, result) == [Send(Result(4, result))]
    key = key_of(ask(core, "exec", EXEC, ident=5))
    assert core.executed(key, "no such file") == [Send(Failure(5, INTERNAL_ERROR, "no such file"))]


def test_a_result_fits_the_line_whatever_json_makes_of_it() -> None:
    core = fresh()
    key = key_of(ask(core, "exec", EXEC))
    match core.executed(key, {"code": 0, "stdout": "\x01" * 65536, "stderr": "é" * 65536}):
        case [Send(Result() as result)]:
            assert len(encode(result)) <= MAX_LINE_BYTES
            assert min(len(result.result["stdout"]), len(result.result["stderr"])) > 10_000
        case other:
            raise AssertionError(other)


def test_a_host_that_left_gets_no_answer_that_its_successor_could_take_for_its_own() -> None:
    core = ready()
    call = key_of(ask(core, "offer", OFFER, ident=1))
    job = key_of(ask(core, "exec", EXEC, ident=2))
    core.host_away()
    again = key_of(ask(core, "offer", {**OFFER, "peer": "p2"}, ident=1))
    assert again != call
    assert core.agent_line(Result(call, ANSWER)) == []
    assert core.executed(job, {"code": 0, "stdout": "", "stderr": ""}) == []
    assert core.agent_line(Result(again, ANSWER)) == [Send(Result(1, ANSWER))]
    assert {peer["peer"] for peer in hello(core)["peers"]} == {"p1", "p2"}


def test_an_agent_that_hangs_is_killed_and_another_forked() -> None:
    core = ready()
    now = 100.0
    core.forked(7, now)
    killed = None
    while killed is None:
        deadline = core.deadline()
        assert deadline is not None
        now = deadline
        if now < 120.0:
            core.agent_line(Notification("beat", {}))
        for action in core.tick(now):
            assert action == LookAtAgent()
            if core.agent_seen("S", 31, now) == [KillAgent()]:
                killed = now
    assert killed == 121.5, "2 s after its last sign"
    assert core.counters.hangs == 1
    core.agent_exited(-9, killed)
    assert core.tick(killed + 0.1) == [ForkAgent()]
    assert ask(core, "health", {}) == [DoHealth(1)]
    assert core.examined(1, {"black": False}) == [
        Send(Result(1, {"agent": {"forks": core.counters.forks, "hangs": 1}, "desktop": {"black": False}}))
    ]
