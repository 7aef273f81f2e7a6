"""When a session is due, when its people are warned, and when that may change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.expiry import WARN_S, judge
from gateway.sessions.record import Lifetime

# With whole seconds no sum is rounded, so that a boundary is one instant.
SECONDS = st.integers(0, 10_000).map(float)
LIVES = st.builds(
    Lifetime,
    ends_at=st.none() | SECONDS,
    # Its fifth is whole too.
    idle_timeout_s=st.none() | st.integers(1, 600).map(lambda fives: fives * 5.0),
    idle_action=st.sampled_from(["suspend", "stop"]),
)


@pytest.mark.parametrize(
    ("life", "busy_at", "now", "due", "warning", "look_again_s"),
    [
        ({}, 0, 1e9, None, None, None),
        # Its age.
        ({"ends_at": 1000}, 0, 0, None, None, 880),
        ({"ends_at": 1000}, 0, 879, None, None, 1),
        ({"ends_at": 1000}, 0, 880, None, "ttl", 120),
        ({"ends_at": 1000}, 0, 999, None, "ttl", 1),
        ({"ends_at": 1000}, 0, 1000, "ttl", None, None),
        ({"ends_at": 1000}, 999, 5000, "ttl", None, None),
        # A short life is warned from its beginning.
        ({"ends_at": 60}, 0, 0, None, "ttl", 60),
        # Nobody's use.
        ({"idle_timeout_s": 1000}, 0, 0, None, None, 880),
        ({"idle_timeout_s": 1000}, 0, 880, None, "idle", 120),
        ({"idle_timeout_s": 1000}, 0, 1000, "idle", None, None),
        ({"idle_timeout_s": 1000}, 500, 1000, None, None, 380),
        # A short one is warned of in its last fifth.
        ({"idle_timeout_s": 100}, 0, 79, None, None, 1),
        ({"idle_timeout_s": 100}, 0, 80, None, "idle", 20),
        # Both: the end weighs more than the sleep.
        ({"ends_at": 1000, "idle_timeout_s": 100}, 0, 50, None, None, 30),
        ({"ends_at": 1000, "idle_timeout_s": 100}, 0, 100, "idle", None, 780),
        ({"ends_at": 1000, "idle_timeout_s": 100}, 0, 1000, "ttl", None, None),
        ({"ends_at": 1000, "idle_timeout_s": 100}, 890, 985, None, "ttl", 5),
    ],
)
def test_what_is_due_and_what_is_near(
    life: dict[str, Any],
    busy_at: float,
    now: float,
    due: str | None,
    warning: str | None,
    look_again_s: float | None,
) -> None:
    verdict = judge(Lifetime(**life), busy_at, now)
    assert (verdict.due, verdict.warning, verdict.look_again_s) == (due, warning, look_again_s)


def test_the_times_of_both_ends_are_told() -> None:
    verdict = judge(Lifetime(ends_at=1000.0, idle_timeout_s=60.0), 100.0, 110.0)
    assert (verdict.ends_at, verdict.idle_at) == (1000.0, 160.0)
    verdict = judge(Lifetime(), 100.0, 110.0)
    assert (verdict.ends_at, verdict.idle_at) == (None, None)


def what(verdict: Any) -> tuple[str | None, str | None]:
    return verdict.due, verdict.warning


@given(LIVES, SECONDS, SECONDS)
def test_nothing_is_due_before_its_time(life: Lifetime, busy_at: float, now: float) -> None:
    over = life.ends_at is not None and now >= life.ends_at
    unused = life.idle_timeout_s is not None and now - busy_at >= life.idle_timeout_s
    assert judge(life, busy_at, now).due == ("ttl" if over else "idle" if unused else None)


@given(LIVES, SECONDS, SECONDS)
def test_a_warning_comes_only_before_what_it_warns_of(life: Lifetime, busy_at: float, now: float) -> None:
    verdict = judge(life, busy_at, now)
    if verdict.warning is None:
        return
    assert verdict.due is None
    at = verdict.ends_at if verdict.warning == "ttl" else verdict.idle_at
    assert at is not None
    assert 0 < at - now <= WARN_S
    assert judge(life, busy_at, at).due is not None


@given(LIVES, SECONDS)
def test_nobody_is_sent_to_sleep_without_a_warning(life: Lifetime, busy_at: float) -> None:
    verdict = judge(Lifetime(idle_timeout_s=life.idle_timeout_s), busy_at, busy_at)
    assert verdict.warning is None
    if verdict.look_again_s is not None:
        assert judge(Lifetime(idle_timeout_s=life.idle_timeout_s), busy_at, busy_at + verdict.look_again_s).warning


@given(LIVES, SECONDS, SECONDS, st.floats(0, 1, exclude_max=True))
def test_nothing_changes_before_the_next_look(life: Lifetime, busy_at: float, now: float, share: float) -> None:
    verdict = judge(life, busy_at, now)
    ahead_s = 1e9 if verdict.look_again_s is None else verdict.look_again_s
    assert ahead_s > 0
    # Whole seconds again.
    later = now + float(int(ahead_s * share))
    assert what(judge(life, busy_at, later)) == what(verdict)


@given(LIVES, SECONDS, st.integers(0, 200).map(float))
def test_who_follows_the_looks_meets_each_boundary_and_comes_to_an_end(
    life: Lifetime, busy_at: float, now: float
) -> None:
    looks = [now]
    while (ahead_s := judge(life, busy_at, looks[-1]).look_again_s) is not None:
        looks.append(looks[-1] + ahead_s)
    assert len(looks) <= 5
    for at in (life.ends_at, judge(life, busy_at, now).idle_at):
        assert at is None or at <= now or at in looks
    ends = life.ends_at is not None or life.idle_timeout_s is not None
    assert (judge(life, busy_at, looks[-1]).due is not None) == ends


@given(LIVES, SECONDS, SECONDS, SECONDS)
def test_use_never_brings_an_end_nearer(life: Lifetime, busy_at: float, more_s: float, now: float) -> None:
    if judge(life, busy_at, now).due is None:
        assert judge(life, busy_at + more_s, now).due is None
