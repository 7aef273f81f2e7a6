"""Rate control and pacing over bad paths, in simulated time: figures that no machine's load can move."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guest_agent.rate import MAX_BPS, MIN_BPS
from tests.lossy_link import Impairment
from tests.unit.sending import Simulation, idle, paging, scrolling, start, typing, video

GOOD = Impairment(delay_s=0.01)
SEEDS = [1, 2, 3]


def narrow(mbps: float, **more: float) -> Impairment:
    return replace(GOOD, rate_bps=mbps * 1e6, **more)


def adaptation_s(simulation: Simulation, limit_bps: float, since: float) -> float:
    """How long until the target was below a limit."""
    return next(at for at, bps in simulation.targets if at >= since and bps <= limit_bps) - since


@pytest.mark.parametrize("seed", SEEDS)
def test_a_good_path_is_used_as_if_there_were_no_control(seed: int) -> None:
    simulation = start(GOOD, video, seed=seed)
    simulation.run(5)
    assert simulation.path.target_bps == MAX_BPS
    assert simulation.ages(0, 4.9)[-1] == pytest.approx(0.01, abs=0.001), "no packet waits for the pacer"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("content", [video, scrolling])
@pytest.mark.parametrize("mbps", [8.0, 2.0, 1.0])
def test_a_drop_is_followed_within_two_seconds_and_forgotten_when_it_is_over(
    seed: int, content: object, mbps: float
) -> None:
    assert callable(content)
    simulation = start(GOOD, content, seed=seed)
    simulation.run(3)
    simulation.link.impairment = narrow(mbps)
    simulation.run(10)
    if content is scrolling and mbps == 8.0:
        # It asks for 10 Mb/s and is cut a little.
        assert adaptation_s(simulation, mbps * 1.15e6, 3.0) < 2.0
    else:
        assert adaptation_s(simulation, mbps * 1e6, 3.0) < 1.0
    assert mbps * 0.6e6 < simulation.sent_bps(7, 13) < mbps * 1.02e6, "most of it, and no more, is used"
    ages = simulation.ages(6, 12.5)
    assert ages[int(len(ages) * 0.95)] < 0.15
    assert simulation.longest_gap_s(6, 12.5) < 0.5
    simulation.link.impairment = GOOD
    simulation.run(12)
    assert simulation.path.target_bps > 0.9 * MAX_BPS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mbps", [0.6, 0.9])
def test_few_small_frames_are_evidence_enough_to_come_back(seed: int, mbps: float) -> None:
    """At half a megabit and fifteen frames a second, a frame has three packets."""
    simulation = start(GOOD, paging, seed=seed)
    simulation.run(3)
    simulation.link.impairment = narrow(mbps)
    simulation.run(10)
    assert mbps * 0.5e6 < simulation.sent_bps(7, 13) < mbps * 1.02e6
    simulation.link.impairment = GOOD
    simulation.run(12)
    assert simulation.sent_bps(20, 24) > 1.9e6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_viewer_that_starts_on_one_megabit(seed: int) -> None:
    simulation = start(narrow(1.0), scrolling, seed=seed)
    simulation.run(10)
    assert adaptation_s(simulation, 1e6, 0.0) < 1.0
    assert 0.5e6 < simulation.sent_bps(5, 10) < 1e6
    assert simulation.longest_gap_s(1, 9.9) < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_random_loss_alone_lowers_nothing(seed: int) -> None:
    simulation = start(replace(GOOD, loss=0.05, jitter_s=0.01), scrolling, seed=seed)
    simulation.run(10)
    assert simulation.path.target_bps == MAX_BPS


@pytest.mark.parametrize(("stall_s", "every_s"), [(0.1, 0.25), (0.15, 0.4), (0.2, 0.5), (0.3, 1.1)])
@pytest.mark.parametrize("content", [scrolling, paging, typing])
def test_a_machine_that_is_busy_elsewhere_is_no_narrow_path(stall_s: float, every_s: float, content: object) -> None:
    """It holds everything back and lets it go at once: a lower rate would help nobody."""
    assert callable(content)
    simulation = start(replace(GOOD, stall_s=stall_s, stall_every_s=every_s, jitter_s=0.002), content)
    simulation.run(8)
    assert simulation.path.target_bps == MAX_BPS


def test_heavy_loss_lowers_what_is_in_use() -> None:
    simulation = start(replace(GOOD, loss=0.3), video)
    simulation.run(5)
    assert simulation.path.target_bps < MAX_BPS / 2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("content", [typing, idle])
def test_a_jittery_path_does_not_sink_a_quiet_desktop(seed: int, content: object) -> None:
    assert callable(content)
    simulation = start(replace(GOOD, jitter_s=0.06), content, seed=seed)
    simulation.run(60)
    assert simulation.path.target_bps == MAX_BPS


@pytest.mark.parametrize("seed", SEEDS)
def test_who_sends_little_neither_rises_without_evidence_nor_sinks(seed: int) -> None:
    simulation = start(narrow(2.0), scrolling, seed=seed)
    simulation.run(5)
    before = simulation.path.target_bps
    assert before < 2.2e6
    simulation.content = idle
    simulation.run(30)
    simulation.link.impairment = GOOD
    simulation.content = typing
    simulation.run(30)
    assert 0.99 * before <= simulation.path.target_bps <= 1.1 * before
    simulation.content = scrolling
    simulation.run(6)
    assert simulation.path.target_bps > 0.9 * MAX_BPS, "a few seconds of scrolling show what the path carries"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bottleneck_without_a_queue_is_found_by_its_loss(seed: int) -> None:
    simulation = start(narrow(3.0, queue_s=0.03), scrolling, seed=seed)
    simulation.run(15)
    assert 1.8e6 < simulation.sent_bps(5, 15) < 3.3e6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_long_way_and_a_deep_queue(seed: int) -> None:
    """160 ms of round trip and half a second of queue: the age stays near the way's own."""
    simulation = start(narrow(8.0, delay_s=0.08, queue_s=0.5), video, seed=seed)
    simulation.run(20)
    ages = simulation.ages(5, 19)
    assert ages[int(len(ages) * 0.95)] < 0.08 + 0.25
    assert simulation.sent_bps(5, 19) > 4.5e6


def test_a_path_that_lets_nothing_through_is_sent_little() -> None:
    simulation = start(GOOD, video)
    simulation.run(2)
    simulation.link.impairment = replace(GOOD, loss=1.0)
    simulation.run(10)
    assert simulation.path.target_bps < 0.2 * MAX_BPS
    assert simulation.path.target_bps >= MIN_BPS
    simulation.link.impairment = GOOD
    simulation.run(15)
    assert simulation.path.target_bps > 0.9 * MAX_BPS


def test_the_same_seed_gives_the_same_run() -> None:
    one, two = (start(narrow(2.0, jitter_s=0.02, loss=0.03), scrolling, seed=9) for _ in range(2))
    one.run(5)
    two.run(5)
    assert one.targets == two.targets
