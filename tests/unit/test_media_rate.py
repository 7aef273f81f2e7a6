"""The brake of a viewer without transport-wide feedback."""

from __future__ import annotations

from guest_agent.rate import MAX_BPS, MIN_BPS, Brake


def test_an_estimate_alone_brakes_nothing() -> None:
    """Chromium estimates a tenth of a megabit for a still desktop on a fast link."""
    brake = Brake()
    for second in range(100):
        brake.on_estimate(100_000, float(second))
        brake.on_loss(0.0, sent_bps=5_000_000, now=float(second))
    assert brake.ceiling_bps(100.0) == MAX_BPS


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
    assert brake.ceiling_bps(0.0) == MAX_BPS


def test_the_ceiling_comes_back_by_itself() -> None:
    brake = Brake()
    brake.on_loss(0.5, sent_bps=4_000_000, now=0.0)
    values = [brake.ceiling_bps(float(t)) for t in range(90)]
    assert values == sorted(values)
    assert values[10] < MAX_BPS
    assert values[-1] == MAX_BPS


def test_it_never_brakes_below_the_least() -> None:
    brake = Brake()
    brake.on_loss(1.0, sent_bps=400_000, now=0.0)
    assert brake.ceiling_bps(0.0) == MIN_BPS
