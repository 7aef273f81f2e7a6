"""fenster probe's arithmetic: clocks, stages, figures, limits, the page."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.probe.api import Place
from gateway.probe.clocks import WINDOW_MS, Clock, Ping
from gateway.probe.limits import judge, parse_limit
from gateway.probe.report import render
from gateway.probe.samples import STAGES, Leg, Motion, Press, Results, figures, percentile, split_frame
from guest_agent.marker import PATCH_PX, STRIP_PX, place
from guest_agent.protocol.messages import FrameTimes

WRAP_US = 1 << 32


def frame(injected: int, damaged: int, captured: int, encoded: int) -> FrameTimes:
    received, sent = injected - 1000, encoded + 100
    return FrameTimes(1, 1, *(at % WRAP_US for at in (received, injected, damaged, captured, encoded, sent)))


@given(st.integers(0, WRAP_US - 1), st.integers(-60_000_000, 60_000_000), st.floats(0, 1e9))
def test_a_clock_is_joined_over_its_wrap(at_us: int, apart_us: int, sent_ms: float) -> None:
    clock = Clock()
    clock.add(Ping(sent_ms, sent_ms + 2, at_us))
    joined = clock.to_ms((at_us + apart_us) % WRAP_US, sent_ms)
    assert joined == pytest.approx(sent_ms + 1 + apart_us / 1000, abs=0.01)
    assert clock.error_ms(sent_ms) == pytest.approx(1)


def test_the_quickest_ping_nearby_counts() -> None:
    clock = Clock()
    assert clock.to_ms(0, 0.0) is None
    assert clock.error_ms(0.0) is None
    clock.add(Ping(0, 0.5, 1_000_000))
    far = WINDOW_MS * 2
    clock.add(Ping(far, far + 20, 2_000_000))
    clock.add(Ping(far + 30, far + 34, 3_000_000))
    assert clock.to_ms(3_000_000, far) == far + 32
    assert clock.to_ms(1_000_000, 0.0) == 0.25


@given(st.lists(st.floats(0, 1000), min_size=7, max_size=7))
def test_stages_add_up(spans: list[float]) -> None:
    clock = Clock()
    clock.add(Ping(99.9, 100.1, 5_000_000))
    ends = [100 + sum(spans[: n + 1]) for n in range(7)]
    injected, damaged, captured, encoded = (5_000_000 + round((ms - 100) * 1000) for ms in ends[:4])
    found = split_frame(
        frame(injected, damaged, captured, encoded), clock,
        pressed_ms=100, received_ms=ends[4], decoded_ms=ends[5], seen_ms=ends[6],
    )  # fmt: skip
    assert list(found) == list(STAGES[:7])
    assert list(found.values()) == pytest.approx(spans, abs=0.01)
    assert sum(found.values()) == pytest.approx(ends[6] - 100)


def test_a_frame_of_an_older_press_has_no_stages() -> None:
    clock = Clock()
    clock.add(Ping(99.9, 100.1, 5_000_000))
    old = frame(4_900_000, 5_001_000, 5_002_000, 5_003_000)
    assert split_frame(old, clock, pressed_ms=100, received_ms=104, decoded_ms=105, seen_ms=106) == {}
    assert split_frame(old, Clock(), pressed_ms=100, received_ms=104, decoded_ms=105, seen_ms=106) == {}


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_lie_among_the_values(values: list[float]) -> None:
    found = [percentile(values, percent) for percent in (0, 50, 95, 99, 100)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(values), max(values))


def test_figures() -> None:
    assert figures([]) == {}
    assert figures([1, 2, 3, 4]) == pytest.approx({"p50": 2.5, "p95": 3.85, "p99": 3.97, "mean": 2.5})


def leg() -> Leg:
    spans = dict(zip(STAGES[:7], (2, 1, 0.5, 2, 1, 1, 6), strict=True))
    made = Leg(presses=[Press(13.5, spans), Press(40)], missed=1, first_frame_ms=[500], reconnect_ms=[900])
    made.motion.add(Motion(2, 100, 50_000, 99, 1))
    made.motion.add(Motion(2, 120, 50_000, 100, 0))
    return made


def results() -> Results:
    vnc = Leg(presses=[Press(90, {"input": 40, "x": 1, "rest": 49})])
    return Results("abcd", "2026-01-01T00:00:00+00:00", {"Display": "<b>"}, {"webrtc": leg(), "novnc": vnc})


def test_metrics_leave_out_what_was_not_measured() -> None:
    found = leg().metrics()
    assert found["total.p50"] == 26.75
    assert found["encode.p99"] == 2
    assert (found["fps"], found["mbps"], found["loss_percent"]) == pytest.approx((55, 0.2, 0.5))
    assert found["missed"] == 1
    assert not any(name.startswith(("rest", "return")) for name in found)
    assert Leg().metrics() == {"missed": 0}
    told = results().as_json()["legs"]["webrtc"]
    assert (told["presses"], told["with_stages"]) == (2, 1)
    assert told["samples"][1] == {"total_ms": 40}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("webrtc.total.p50<=26.75", True),
        ("webrtc.total.p50 < 26.75", False),
        ("webrtc.fps>=55", True),
        ("webrtc.missed<=0", False),
        ("novnc.rest.mean>48", True),
        ("novnc.loss_percent<=1", False),
    ],
)
def test_limits(text: str, holds: bool) -> None:
    (verdict,) = judge([parse_limit(text, ("webrtc", "novnc"))], results())
    assert verdict.holds is holds
    assert str(verdict.limit) == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "webrtc",
        "webrtc.total.p95",
        "peer.total.p95<=1",
        "webrtc.total.p96<=1",
        "webrtc.fps.p50<=1",
        "webrtc.fps<=x",
    ],
)
def test_a_limit_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_limit(text, ("webrtc", "novnc"))
    assert refused.value.hint


def test_the_page_needs_nothing_else() -> None:
    page = render(results(), judge([parse_limit("novnc.fps>=1", ("novnc",))], results()))
    assert "&lt;b&gt;" in page
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="?(?:https?:)?//', page)
    assert "not measured" in page


def test_the_page_of_nothing() -> None:
    assert "<svg" not in render(Results("abcd", "now", {}, {"webrtc": Leg()}), [])


def test_the_marker_is_in_the_middle() -> None:
    patch, strip = place(1280, 720)
    assert (patch.x, patch.y, patch.width, patch.height) == (544, 240, *PATCH_PX)
    assert (strip.x, strip.y, strip.width, strip.height) == (544, 432, *STRIP_PX)
    assert Place.middle(patch.as_list(), [1280, 720]) == Place(0.5, 336 / 720)
