"""Who gets which encode."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guest_agent.rate import MAX_BPS
from guest_agent.rungs import LAG, MAIN, Rungs
from guest_agent.videocodec import Codec


def two() -> Rungs[str]:
    rungs: Rungs[str] = Rungs()
    rungs.add("leader")
    rungs.add("watcher")
    rungs.leader = "leader"
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
        rungs.add(name)
    assert rungs.update({"a": 20e6, "b": 1e6, "c": 18e6}, 0.0) == ["b"]
    assert rungs.waits_for(MAIN) == ["a", "c"]
    assert rungs.rates_bps == [18e6, 1e6]
    rungs.remove("b")
    rungs.update({"a": 20e6, "c": 18e6}, 1.0)
    assert rungs.on(LAG) == []


def test_who_leads_and_does_not_watch_is_as_nobody() -> None:
    rungs = two()
    rungs.leader = "by noVNC"
    rungs.update({"leader": 2e6, "watcher": 8e6}, 0.0)
    assert rungs.on(LAG) == ["leader"]
    assert rungs.rates_bps == [8e6, 2e6]


def test_the_lead_goes_over_at_once_and_those_who_fall_behind_it_lag() -> None:
    rungs = two()
    rungs.update({"leader": 8e6, "watcher": 2e6}, 0.0)
    assert (rungs.on(MAIN), rungs.on(LAG)) == (["leader"], ["watcher"])
    rungs.leader = "watcher"
    assert rungs.update({"leader": 8e6, "watcher": 2e6}, 0.1) == ["watcher"]
    assert rungs.on(MAIN) == ["leader", "watcher"]
    assert rungs.waits_for(MAIN) == ["watcher"]
    assert rungs.rates_bps[MAIN] == 2e6, "the desktop is for the one on the slow path now"
    rungs.leader = "leader"
    assert rungs.update({"leader": 8e6, "watcher": 2e6}, 0.2) == ["watcher"]
    assert rungs.rates_bps == [8e6, 2e6]


def test_who_leads_decides_on_the_codec() -> None:
    rungs: Rungs[str] = Rungs()
    rungs.add("h264")
    rungs.add("vp8", codecs=(Codec.VP8,))
    carries = {"h264": 8e6, "vp8": 4e6}
    rungs.leader = "h264"
    assert rungs.update(carries, 0.0) == ["vp8"]
    rungs.leader = "vp8"
    assert set(rungs.update(carries, 0.1)) == {"h264", "vp8"}
    assert (rungs.on(MAIN), rungs.on(LAG)) == (["vp8"], ["h264"])
    assert (rungs.codec(MAIN), rungs.codec(LAG)) == (Codec.VP8, Codec.H264)


_VIEWERS = st.lists(st.floats(3e5, 2e7), min_size=1, max_size=6)
_STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7) | st.none()))


@given(_VIEWERS, _STEPS)
def test_main_is_never_empty_and_lag_is_never_faster(
    viewers: list[float], steps: list[tuple[int, int | None]]
) -> None:
    """Whoever slows down, and whoever leads: one of them, nobody, or one who is not among them."""
    rungs: Rungs[int] = Rungs()
    targets = dict(enumerate(viewers))
    for i in targets:
        rungs.add(i)
    for step, (dropped, leader) in enumerate([*steps, (0, None)]):
        if dropped in targets and dropped % 2:
            targets[dropped] /= 2
        rungs.leader = leader
        rungs.update(targets, float(step))
        assert rungs.waits_for(MAIN)
        assert rungs.rates_bps[LAG] <= max(targets.values())
        assert rungs.rates_bps[MAIN] <= max(targets.values())
        if leader in targets:
            assert rungs.rates_bps[MAIN] == targets[leader]
            assert rungs.waits_for(MAIN) == [leader]
