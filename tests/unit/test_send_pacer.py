"""When packets and frames may go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guest_agent.pacer import Pacer
from guest_agent.path import LONGEST_WAIT_S, Path


def test_without_a_rate_nothing_waits() -> None:
    pacer = Pacer()
    for _ in range(1000):
        pacer.spend(1200, 0.0)
        assert pacer.packet_wait_s(0.0) == 0.0
    assert pacer.frame_wait_s(0.0) == 0.0


def test_a_small_frame_goes_at_once_and_a_large_one_is_spread() -> None:
    pacer = Pacer()
    pacer.set_rate(4_000_000, 0.0)
    for _ in range(4):
        assert pacer.packet_wait_s(0.0) == 0.0
        pacer.spend(1200, 0.0)
    now, waits = 0.0, []
    for _ in range(40):
        wait_s = pacer.packet_wait_s(now)
        now += wait_s
        waits.append(wait_s)
        pacer.spend(1200, now)
    # 52.8 KB at twice the rate, less what went at once.
    assert 0.04 < now < 0.055
    assert max(waits) < 0.006


def test_the_next_frame_waits_until_the_rate_has_caught_up() -> None:
    pacer = Pacer()
    pacer.set_rate(1_000_000, 0.0)
    pacer.spend(12_500, 0.0)
    assert pacer.frame_wait_s(0.0) == 0.08
    assert pacer.frame_wait_s(0.05) < 0.031
    assert pacer.frame_wait_s(0.081) == 0.0


@given(st.lists(st.tuples(st.floats(0, 0.1), st.integers(1, 1400)), max_size=300), st.integers(300_000, 20_000_000))
def test_over_time_no_more_goes_than_the_rate(packets: list[tuple[float, int]], bps: int) -> None:
    """Whoever waits as told sends at most the rate and a little at once."""
    pacer, now, sent = Pacer(), 0.0, 0
    pacer.set_rate(bps, now)
    for pause_s, size in packets:
        now += pause_s
        while (wait_s := pacer.frame_wait_s(now)) > 0:
            now += wait_s
        pacer.spend(size, now)
        sent += size
    assert sent * 8 <= bps * (now + 0.03) + 1400 * 8 * 2


def test_repetitions_have_a_share_of_the_rate() -> None:
    now = 0.0
    path = Path(lambda: now, lambda: None)
    path.on_loss(0.0)
    granted = sum(path.may_repeat(1200) for _ in range(2000))
    assert granted * 1200 * 8 < 20_000_000 * 0.3
    now = 1.0
    assert path.may_repeat(1200)
    assert path.repeats == granted + 1


def test_a_path_that_was_never_narrow_lets_everything_go() -> None:
    path = Path(lambda: 5.0, lambda: None)
    for _ in range(300):
        path.sent(1200)
        assert path.packet_wait_s() == 0.0
    assert path.frame_wait_s() == 0.0
    assert LONGEST_WAIT_S < 1.0, "the media thread gives a frame in flight up after a second"


def test_malformed_feedback_is_counted_and_changes_nothing() -> None:
    changes: list[int] = []
    path = Path(lambda: 0.0, lambda: changes.append(1))
    path.on_transport_feedback(b"\xff" * 9)
    assert (path.malformed, path.feedbacks, path.transport_cc, changes) == (1, 0, False, [])
