"""Who gets which encode."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guest_agent.rate import MAX_BPS
from guest_agent.rungs import LAG, MAIN, Rungs


def two() -> Rungs[str]:
    rungs: Rungs[str] = Rungs()
    rungs.add("leader", leads=True)
    rungs.add("watcher", leads=False)
    return rungs


def test_everybody_starts_together() -> None:
    rungs = two()
    assert rungs.update({"leader": MAX_BPS, "watcher": MAX_BPS}, 0.0) == []
    assert rungs.on(MAIN) == ["leader", "watcher"]
    assert rungs.waits_for(MAIN) == ["leader"]
    assert rungs.rates_bps == [MAX_BPS, MAX_BPS]


def test_a_slow_watcher_lags_and_a_slow_leader_does_not() -> None:
    rungs = two()
    assert rungs.update({"leader": MAX_BPS, "watcher": 1e6}, 0.0) == ["watcher"]
    assert rungs.rates_bps == [MAX_BPS, 1e6]
    assert rungs.waits_for(LAG) == ["watcher"]
    assert rungs.update({"leader": 2e6, "watcher": 1e6}, 0.1) == []
    assert rungs.rates_bps == [2e6, 1e6]
    assert rungs.on(MAIN) == ["leader"]


def test_a_watcher_goes_back_when_its_path_has_carried_enough_for_a_while() -> None:
    rungs = two()
    rungs.update({"leader": 4e6, "watcher": 1e6}, 0.0)
    assert rungs.update({"leader": 4e6, "watcher": 3.8e6}, 1.0) == []
    assert rungs.update({"leader": 4e6, "watcher": 3e6}, 2.0) == []
    assert rungs.update({"leader": 4e6, "watcher": 3.8e6}, 3.0) == []
    assert rungs.update({"leader": 4e6, "watcher": 3.8e6}, 5.9) == []
    assert rungs.update({"leader": 4e6, "watcher": 3.8e6}, 6.0) == ["watcher"]
    assert rungs.rung("watcher") == MAIN


def test_a_watcher_that_could_not_take_a_frame_stays_away_for_longer() -> None:
    rungs = two()
    assert not rungs.behind("leader", 0.0)
    assert rungs.behind("watcher", 0.0)
    assert rungs.rung("watcher") == LAG
    carries = {"leader": float(MAX_BPS), "watcher": float(MAX_BPS)}
    assert rungs.update(carries, 1.0) == []
    assert rungs.update(carries, 9.9) == []
    assert rungs.update(carries, 10.0) == ["watcher"]


def test_where_nobody_controls_the_fastest_lead() -> None:
    rungs: Rungs[str] = Rungs()
    for name in ("a", "b", "c"):
        rungs.add(name, leads=False)
    assert rungs.update({"a": 20e6, "b": 1e6, "c": 18e6}, 0.0) == ["b"]
    assert rungs.waits_for(MAIN) == ["a", "c"]
    assert rungs.rates_bps == [18e6, 1e6]
    rungs.remove("b")
    rungs.update({"a": 20e6, "c": 18e6}, 1.0)
    assert rungs.on(LAG) == []


@given(st.lists(st.tuples(st.booleans(), st.floats(3e5, 2e7)), min_size=1, max_size=6), st.lists(st.integers(0, 5)))
def test_main_is_never_empty_and_lag_is_never_faster(viewers: list[tuple[bool, float]], drops: list[int]) -> None:
    rungs: Rungs[int] = Rungs()
    for i, (leads, _) in enumerate(viewers):
        rungs.add(i, leads=leads)
    targets = {i: bps for i, (_, bps) in enumerate(viewers)}
    for step, dropped in enumerate([*drops, 0]):
        if dropped in targets and dropped % 2:
            targets[dropped] /= 2
        rungs.update(targets, float(step))
        assert rungs.waits_for(MAIN)
        assert rungs.rates_bps[LAG] <= max(targets.values())
        assert rungs.rates_bps[MAIN] <= max(targets.values())
