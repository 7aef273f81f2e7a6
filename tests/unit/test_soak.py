"""The soak's own judgement: slopes, floors, gaps, and that each bound can be broken."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak.gateway import read_log
from tests.soak.judge import MAX_ANSWER_GAP_S, MAX_GAP_S, PRESS_EVERY_S, judge, slope_bound, warm_up_s
from tests.soak.person import note_look
from tests.soak.plots import MOST_POINTS, thinned
from tests.soak.processor import Look, between, look
from tests.soak.record import Cores, Create, Gap, Log, Record, Sample, Series, Trouble, ViewerRecord, parse_samples
from tests.soak.report import as_html, as_markdown
from tests.soak.stats import least_squares, theil_sen, thirds

HALF_HOUR_S = 1800.0


def samples(
    *, mb_per_min: float = 0.0, fds_per_min: float = 0.0, busy_fds: int = 0, elapsed_s: float = HALF_HOUR_S
) -> list[Sample]:
    """One every ten seconds; every sixth while a session comes or goes."""
    found = []
    for number in range(int(elapsed_s / 10)):
        at_s, busy = number * 10.0, number % 6 == 0
        fds = 30 + int(fds_per_min * at_s / 60) + (busy_fds if busy else 0)
        found.append(Sample(at_s, 7, 80 + mb_per_min * at_s / 60, 60.0, fds, 4, busy))
    return found


def good() -> Record:
    """A run of half an hour in which every bound holds."""
    viewer = ViewerRecord("WebRTC", "webrtc", frames=9000, answers=1590, presses=1600)
    viewer.frame_gaps, viewer.answer_gaps = [Gap(60, 1.0)], [Gap(60, 4.0)]
    viewer.did.update(typed=900, scrolled=900, pages=20)
    viewer.shown_s = [2.0]
    return Record(
        "2026-01-02T03:04:05+00:00",
        HALF_HOUR_S,
        facts={"Processor": "2 cores"},
        series={"gateway": Series("gateway", samples())},
        viewers=[viewer],
        creates=[Create(60, 2.0, 6.0)],
        machines={"clones": 4, "boots": 0, "clone_failures": 0},
        logs={"gateway": Log()},
    )


def broken(record: Record) -> list[str]:
    return [verdict.what for verdict in judge(record) if not verdict.holds]


def test_a_slope_is_a_line_and_not_its_noise() -> None:
    line = [(x * 60.0, 5 + 2.0 * x) for x in range(20)]
    assert least_squares(line) == pytest.approx(2.0)
    assert theil_sen(line) == pytest.approx(2.0)
    odd = [*line[:-1], (line[-1][0], 1000.0)]
    assert least_squares(odd) > 10
    assert theil_sen(odd) == pytest.approx(2.0)
    assert least_squares([]) == theil_sen([]) == least_squares([(1.0, 2.0)]) == 0.0


def test_thirds_are_of_time_and_not_of_number() -> None:
    points = [(float(x), 0.0) for x in (0, 1, 2, 3, 89, 90)]
    first, last = thirds(points)
    assert [x for x, _ in first] == [0, 1, 2, 3]
    assert [x for x, _ in last] == [89, 90]
    assert thirds([]) == ([], [])


def test_short_runs_warm_up_for_a_third_and_may_settle() -> None:
    assert warm_up_s(HALF_HOUR_S) == 300
    assert warm_up_s(180) == 60
    assert slope_bound(HALF_HOUR_S) == 1.0
    # Two minutes are left of three: ten MB in all.
    assert slope_bound(180) == 5.0


def test_a_good_run_holds() -> None:
    assert broken(good()) == []


def test_memory_that_grows_is_found_and_the_first_five_minutes_left_out() -> None:
    record = good()
    record.series["gateway"] = Series("gateway", samples(mb_per_min=1.01))
    assert broken(record) == ["gateway: memory"]
    warm = [replace(s, rss_mb=s.rss_mb + (s.at_s if s.at_s < 300 else 300)) for s in samples(mb_per_min=0.9)]
    record.series["gateway"] = Series("gateway", warm)
    assert broken(record) == []


def test_descriptors_are_a_floor() -> None:
    record = good()
    record.series["gateway"] = Series("gateway", samples(busy_fds=9))
    assert broken(record) == []
    # One in ten minutes.
    record.series["gateway"] = Series("gateway", samples(busy_fds=9, fds_per_min=0.1))
    assert broken(record) == ["gateway: descriptors"]


def test_a_process_that_was_started_again_or_not_looked_at_is_found() -> None:
    record = good()
    many = samples()
    record.series["gateway"] = Series("gateway", [*many[:-1], replace(many[-1], pid=8)])
    assert broken(record) == ["gateway: one process throughout"]
    record.series["gateway"] = Series("gateway", many[::7])
    assert broken(record) == ["gateway: looked at"]


def test_gaps_are_found_in_frames_and_in_answers() -> None:
    record = good()
    record.viewers[0].frame_gaps.append(Gap(90, MAX_GAP_S + 0.01))
    record.viewers[0].answer_gaps.append(Gap(90, MAX_ANSWER_GAP_S + 0.01))
    assert broken(record) == ["WebRTC: longest gap in frames", "WebRTC: longest gap in answers to presses"]


def test_presses_without_an_answer_are_found() -> None:
    record = good()
    record.viewers[0].answers = 1583
    assert broken(record) == ["WebRTC: presses answered"]


def test_a_viewer_that_did_nothing_proves_nothing() -> None:
    record = good()
    record.viewers[0].presses = int(HALF_HOUR_S / PRESS_EVERY_S) - 1
    record.viewers[0].did["pages"] = 0
    assert broken(record) == ["WebRTC: presses", "WebRTC: typed, scrolled, browsed"]


def test_whatever_else_went_wrong_is_found() -> None:
    record = good()
    record.viewers[0].troubles = [Trouble(5, "peer failed")]
    record.creates.append(Create(120, None, 9.0, "no room"))
    record.machines["boots"] = 1
    record.troubles = [Trouble(9, "the data plane has ended")]
    record.logs["gateway"] = Log(errors=("Traceback",))
    record.left = ["/run/x"]
    assert broken(record) == [
        "WebRTC: peers failed, disconnects, errors",
        "failed creates and removals",
        "machines cloned",
        "sessions and processes",
        "errors in the log of the gateway",
        "left after the end",
    ]
    assert broken(replace(good(), creates=[])) == ["failed creates and removals"]


def test_what_a_page_saw_is_on_the_runs_clock() -> None:
    record = ViewerRecord("a", "novnc")
    seen = {
        "frames": {"count": 3, "longest": 250.0, "at": 1_002_500},
        "answers": {"count": 1, "longest": 900.0, "at": 1_003_000},
        "frozen": 2,
        "troubles": [{"at": 1_004_000, "what": "peer failed"}],
    }
    note_look(record, seen, began_epoch_s=1000.0)
    assert (record.frames, record.answers, record.frozen) == (3, 1, 2)
    assert record.frame_gaps == [Gap(2.5, 0.25)]
    assert record.troubles == [Trouble(4.0, "peer failed")]


def test_lines_of_a_guest_are_read_but_not_half_of_one() -> None:
    text = "1010.5 42 1000 500 17 5\n1015.5 42 1000 500 1"
    assert parse_samples(text, 1000.0) == [Sample(10.5, 42, 1.024, 0.512, 17, 5)]


def test_a_log_is_its_warnings_and_errors_each_once() -> None:
    lines = [
        json.dumps({"level": "info", "event": "= news"}),
        json.dumps({"level": "warning", "event": "! 0123abcd is slow"}),
        json.dumps({"level": "warning", "event": "! 4567cdef is slow"}),
        json.dumps({"level": "error", "event": "x", "exception": "Traceback\n  File\nValueError: no"}),
        "Task exception was never retrieved",
        "",
    ]
    assert read_log(lines) == Log(
        ("! … is slow (2 times)",), ("x (ValueError: no)", "Task exception was never retrieved")
    )


def test_who_has_the_processor() -> None:
    before = Look(10.0, 100.0, 1.0, {5: 10.0, 6: 4.0})
    # 5 goes on, 6 has ended, 7 is new.
    after = Look(20.0, 118.0, 2.0, {5: 16.0, 7: 2.0})
    assert between(before, after) == Cores(20.0, ours=0.8, others=1.0, stolen=0.1)


def test_this_process_is_ours_and_its_parent_is_not() -> None:
    seen = look(0.0, Path("/nowhere/at-all"))
    assert os.getpid() in seen.ours_s
    assert os.getppid() not in seen.ours_s


def test_no_peak_is_lost_where_a_plot_has_fewer_points() -> None:
    points = [(float(x), 9.0 if x == 777 else 0.0) for x in range(2000)]
    assert len(thinned(points)) <= MOST_POINTS
    assert (777.0, 9.0) in thinned(points)


def test_reports_say_what_broke() -> None:
    record = good()
    verdicts = judge(record)
    assert "every bound held" in as_html(record, verdicts)
    assert "every bound held" in as_markdown(record, verdicts)
    record.viewers[0].troubles = [Trouble(5, "peer <failed>")]
    assert json.loads(json.dumps(record.as_json()))["viewers"][0]["did"] == record.viewers[0].did
    page, text = as_html(record, judge(record)), as_markdown(record, judge(record))
    assert "bounds broken" in page
    assert "peer &lt;failed&gt;" in page
    assert page.count("<svg") == 6
    assert "1 bounds BROKEN" in text
    assert "| BROKEN | WebRTC: peers failed, disconnects, errors | 5 s: peer <failed> | none |" in text
