"""The brake and the rungs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guest_agent.rate import RUNGS_BPS, Brake, choose_rung

TOP = RUNGS_BPS[0]


def test_an_estimate_alone_brakes_nothing() -> None:
    """Chromium estimates a tenth of a megabit for a still desktop on a fast link."""
    brake = Brake()
    for second in range(100):
        brake.on_estimate(100_000, float(second))
        brake.on_loss(0.0, sent_bps=5_000_000, now=float(second))
    assert brake.ceiling_bps(100.0) == TOP


def test_loss_brakes_at_once() -> None:
    brake = Brake()
    brake.on_loss(0.2, sent_bps=10_000_000, now=0.0)
    assert brake.ceiling_bps(0.0) == 9_000_000


def test_an_estimate_says_where_to_but_by_no_more_than_half() -> None:
    one, two, stale = Brake(), Brake(), Brake()
    one.on_estimate(8_000_000, 0.0)
    one.on_loss(0.1, sent_bps=10_000_000, now=1.0)
    assert one.ceiling_bps(1.0) == 6_800_000
    two.on_estimate(100_000, 0.0)
    two.on_loss(0.1, sent_bps=10_000_000, now=1.0)
    assert two.ceiling_bps(1.0) == 5_000_000
    stale.on_estimate(100_000, 0.0)
    stale.on_loss(0.1, sent_bps=10_000_000, now=100.0)
    assert stale.ceiling_bps(100.0) == 9_500_000


def test_a_little_loss_or_a_quiet_stream_brakes_nothing() -> None:
    brake = Brake()
    brake.on_loss(0.02, sent_bps=10_000_000, now=0.0)
    brake.on_loss(0.5, sent_bps=100_000, now=0.0)
    assert brake.ceiling_bps(0.0) == TOP


def test_the_ceiling_comes_back_by_itself() -> None:
    brake = Brake()
    brake.on_loss(0.5, sent_bps=4_000_000, now=0.0)
    values = [brake.ceiling_bps(float(t)) for t in range(60)]
    assert values == sorted(values)
    assert values[10] < TOP
    assert values[-1] == TOP


def test_it_never_brakes_below_the_last_rung() -> None:
    brake = Brake()
    brake.on_loss(1.0, sent_bps=1_000_000, now=0.0)
    assert brake.ceiling_bps(0.0) == RUNGS_BPS[-1]


def test_down_at_once_and_up_one_rung_at_a_time() -> None:
    assert choose_rung(TOP, 0.0, [3_000_000], 0.1) == 2_500_000
    assert choose_rung(2_500_000, 0.1, [TOP], 1.0) == 2_500_000
    assert choose_rung(2_500_000, 0.1, [TOP], 3.2) == 5_000_000
    assert choose_rung(2_500_000, 0.1, [5_100_000], 10.0) == 2_500_000
    assert choose_rung(10_000_000, 0.0, [TOP], 10.0) == TOP


def test_the_slowest_viewer_decides() -> None:
    assert choose_rung(TOP, 0.0, [TOP, 5_500_000, 11_000_000], 0.0) == 5_000_000
    assert choose_rung(TOP, 0.0, [], 0.0) == TOP


@given(st.sampled_from(RUNGS_BPS), st.lists(st.floats(0, 1e9), max_size=5), st.floats(0, 1e6), st.floats(0, 1e6))
def test_always_a_rung(current: int, ceilings: list[float], changed_at: float, now: float) -> None:
    chosen = choose_rung(current, changed_at, ceilings, now)
    assert chosen in RUNGS_BPS
    assert chosen <= max([*RUNGS_BPS[-1:], min(ceilings, default=float(TOP))]) or chosen == current
