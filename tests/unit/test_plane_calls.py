"""What control plane and data plane say to each other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Conflict, GatewayError, GuestError, NetnsError
from gateway.exits import ExitCheck, ExitReport, Traffic
from gateway.plane import calls
from gateway.plane.calls import Call, News, Reply


def test_messages_come_as_they_went() -> None:
    for message in (
        Call(7, "attach", {"vm": "ab", "adopt": True}),
        Reply(7, {"media_port": 8443}),
        News("counters", {"counters": {"lans": 1}}),
    ):
        assert calls.decode(calls.encode(message)) == message


@pytest.mark.parametrize(
    "error",
    [
        Conflict("it is taken", hint="wait"),
        NetnsError("no namespace"),
        GuestError("no", code=-32000),
        GatewayError("?"),
    ],
)
def test_an_error_is_the_same_error_on_the_other_side(error: GatewayError) -> None:
    reply = calls.decode(calls.encode(Reply(3, {}, error)))
    assert isinstance(reply, Reply)
    assert reply.error is not None
    assert type(reply.error) is type(error)
    assert (reply.error.message, reply.error.hint, reply.error.kind) == (error.message, error.hint, error.kind)


def test_an_error_of_another_release_is_one_all_the_same() -> None:
    body = {"id": 1, "error": {"type": "Newer", "message": "no", "hint": "hm"}}
    reply = calls.decode(json.dumps(body).encode())
    assert isinstance(reply, Reply)
    assert type(reply.error) is GatewayError
    assert str(reply.error) == "no (hm)"


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
            lambda body: json.dumps(body).encode()
        ),
    )
)
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (json's, or ours)
        calls.decode(data)


def test_reports_keep_all_that_they_say() -> None:
    traffic = Traffic(3, 4, 1, {"example.com": 7}, {"upstream-down": 2})
    check = ExitCheck(1.5, 20.25, "192.0.2.7", None, "", "", "DE", "Europe/Berlin")
    report = ExitReport("failing", "upstream-down", "it is down", check, 2, traffic)
    assert calls.report_of(json.loads(json.dumps(calls.report_to(report)))) == report
    assert calls.traffic_of(json.loads(json.dumps(calls.traffic_to(traffic)))) == traffic
