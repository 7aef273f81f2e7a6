"""The comparison's arithmetic: figures, the interval of a ratio, and when a bound holds."""

from __future__ import annotations

import random

import pytest

from tests.bench.photon.results import Cost, Presses, Results
from tests.bench.photon.stats import ratio, summary


def sample(centre: float, count: int = 200, seed: int = 1) -> list[float]:
    dice = random.Random(seed)
    return [dice.gauss(centre, 4.0) for _ in range(count)]


def results(ours: list[float], theirs: list[float], height_px: int = 720) -> Results:
    found = Results((1280, height_px), "2026-01-01T00:00:00+00:00", {})
    found.presses["click"] = {"fenster": Presses(ours), "selkies-webrtc": Presses(theirs)}
    return found


def test_figures_of_a_sample() -> None:
    assert summary([3.0, 1.0, 2.0]) == {"p50": 2.0, "mean": 2.0, "p95": pytest.approx(2.9)}


@pytest.mark.parametrize("statistic", ["p50", "mean", "p95"])
def test_the_interval_of_a_ratio_holds_the_truth(statistic: str) -> None:
    twice = [2 * ms for ms in sample(20.0, seed=2)]
    found = ratio(statistic, sample(20.0, seed=1), twice)
    assert found.low < found.value < found.high
    assert found.low < 0.5 < found.high


def test_more_presses_make_a_narrower_interval() -> None:
    few, many = (ratio("mean", sample(20, count, 1), sample(40, count, 2)) for count in (20, 2000))
    assert many.high - many.low < (few.high - few.low) / 3


def test_a_bound_holds_only_with_its_whole_interval() -> None:
    clear = {v.bound.statistic: v.holds for v in results(sample(20), sample(40, seed=2)).verdicts()}
    assert clear == {"p50": True, "mean": True, "p95": True}
    # 0.65 in truth: half of all intervals reach over it.
    near = [v for v in results(sample(26.0), sample(40.0, seed=2)).verdicts() if v.bound.statistic == "p50"]
    assert near[0].ratio.high > 0.65
    assert not near[0].holds


def test_bounds_are_for_their_size_and_for_rivals_that_ran() -> None:
    assert [v.bound.statistic for v in results(sample(20), sample(40), height_px=1080).verdicts()] == ["mean"]
    assert not list(results(sample(20), sample(40), height_px=600).verdicts())
    assert not list(results([], sample(40)).verdicts())


def test_work_is_compared_with_the_rival_in_the_same_run_and_idleness_by_itself() -> None:
    found = results([20.0], [40.0])
    for name, cpu_s in (("fenster", 3.0), ("selkies-webrtc", 5.0)):
        found.presses["click"][name].cpu_s, found.presses["click"][name].elapsed_s = cpu_s, 10.0
    found.costs["idle"] = {"fenster": Cost(0.3, 60.0)}
    click, idle = found.work_verdicts()
    assert click.value == pytest.approx(0.6)
    assert not click.holds
    assert idle.value == pytest.approx(0.005)
    assert idle.holds
    assert not list(results([20.0], [40.0], height_px=600).work_verdicts())


def test_rounds_add_up() -> None:
    presses = Presses()
    presses.add(Presses([1.0, 2.0], missed=1, cpu_s=1.0, elapsed_s=4.0))
    presses.add(Presses([3.0], missed=0, cpu_s=1.0, elapsed_s=4.0))
    assert (presses.ms, presses.missed, presses.rounds, presses.cores) == ([1.0, 2.0, 3.0], 1, [2, 1], 0.25)
    cost = Cost()
    cost.add(Cost(1.0, 2.0, 1_000_000, 60))
    cost.add(Cost(1.0, 2.0, 1_000_000, 60))
    assert (cost.cores, cost.fps, cost.mbps) == (0.5, 30.0, 4.0)


def test_the_json_has_what_the_page_shows() -> None:
    found = results(sample(20), sample(40, seed=2)).as_json()
    assert found["presses"]["click"]["fenster"]["p50"] == pytest.approx(20, abs=1)
    assert found["ratios"]["click"]["selkies-webrtc"]["p50"]["value"] == pytest.approx(0.5, abs=0.05)
    assert [bound["holds"] for bound in found["bounds"]] == [True] * 3
