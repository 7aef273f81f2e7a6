"""What is made of a guest's report on itself, also of one that lies."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.exits import NO_EXIT, ExitCheck, ExitReport, parse_exit
from gateway.sessions.egress import egress_view
from gateway.sessions.health import Health

WELL = egress_view(NO_EXIT, ExitReport())


def kinds(desktop: dict[str, Any]) -> list[str]:
    health = Health()
    health.examined({"desktop": desktop})
    return [reason.kind for reason in health.view(WELL).reasons]


@pytest.mark.parametrize(
    ("desktop", "found"),
    [
        ({}, []),
        ({"parts": {"x": "ok", "wm": "busy", "vnc": "gone"}}, ["wm-busy", "vnc-gone"]),
        ({"parts": {"chromium": "gone"}}, []),
        ({"parts": {"chromium": "hung"}}, ["chromium-hung"]),
        ({"disk_percent": 94, "memory_percent": 95}, ["memory-full"]),
        ({"disk_percent": 100, "black": True}, ["disk-full", "picture-black"]),
        # Nonsense is nothing.
        ({"parts": {"x": "<b>", "y": "hung"}, "disk_percent": 10**9, "black": "yes"}, []),
        ({"parts": [1], "repairs": 7, "memory_percent": True}, []),
    ],
)
def test_reasons_are_names_that_are_known(desktop: dict[str, Any], found: list[str]) -> None:
    assert kinds(desktop) == found


def test_repairs_are_told_as_they_grow_and_from_zero_after_a_new_start() -> None:
    health = Health()

    def say(x: object, hangs: object) -> dict[str, int]:
        return health.examined({"agent": {"hangs": hangs}, "desktop": {"repairs": {"x": x}}})

    assert say(4, 1) == {}
    assert say(5, 1) == {"x": 1}
    assert say(1, 3) == {"x": 1, "agent": 2}
    assert say(-5, "9") == {}
    assert health.view(WELL).repairs["x"] == 0


def test_a_picture_is_frozen_only_for_those_who_watch_and_told_once_each_time() -> None:
    health = Health()
    assert [health.counted({"frames": 5, "viewers": 0}) for _ in range(5)] == [False] * 5
    assert [health.counted({"frames": 6, "viewers": 1}) for _ in range(3)] == [False, False, True]
    assert health.counted({"frames": 6, "viewers": 1}) is False


@pytest.mark.parametrize(("silent", "kind"), [(True, "guest-silent"), (False, "agent-down")])
def test_no_answer_is_a_reason_until_there_is_one(silent: bool, kind: str) -> None:
    health = Health()
    health.missed(silent=silent)
    assert [reason.kind for reason in health.view(WELL).reasons] == [kind]
    health.counted({"frames": 1, "viewers": 0})
    assert health.view(WELL).ok


def test_an_exit_that_fails_or_leaks_is_a_reason() -> None:
    out = parse_exit("http://proxy.example:3128")

    def kinds_of(report: ExitReport) -> list[str]:
        return [reason.kind for reason in Health().view(egress_view(out, report)).reasons]

    assert kinds_of(ExitReport(state="failing", kind="upstream-cut", message="It went.")) == ["egress-failing"]
    assert kinds_of(ExitReport(state="ok", check=ExitCheck(1.0, 2.0, "192.0.2.1", ours=True))) == ["egress-leak"]
    assert kinds_of(ExitReport(state="ok")) == []
