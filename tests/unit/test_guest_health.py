"""Which part of a desktop hangs: judged from what looks show, in simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from guest_agent.health.judge import BUSY_S, GONE_S, HUNG_LOOKS, START_S, Judge, Remedy, Sight, State
from guest_agent.health.processes import belongs, find, first_of, read_stat, waits_unread
from guest_agent.health.report import memory_percent, read_report, write_report
from guest_agent.liveness import BEAT_S, STILL_LOOKS, Silence
from guest_agent.liveness import BUSY_S as LATE_S

LOOK_S = 2.0


def looks(judge: Judge, sights: list[Sight], at: float = 100.0) -> list[int]:
    """Numbers of the sights, one each LOOK_S, at which a restart was asked for."""
    said = [judge.saw(sight, at + number * LOOK_S) for number, sight in enumerate(sights)]
    assert Remedy.CONTINUE not in said
    return [number for number, remedy in enumerate(said) if remedy is Remedy.RESTART]


def well(ticks: int = 5) -> Sight:
    return Sight(7, True, ticks)


def test_what_stands_still_and_does_not_answer_is_hung_after_two_looks() -> None:
    judge = Judge(needed=True)
    still = Sight(7, False, 6)
    assert looks(judge, [well(), well(6), still, still]) == [3]
    assert (judge.state, judge.repairs, HUNG_LOOKS) == (State.HUNG, 1, 2)


@pytest.mark.parametrize("answers", [True, False])
def test_what_a_signal_has_stopped_is_told_to_go_on_at_once(answers: bool) -> None:
    judge = Judge(needed=True)
    assert judge.saw(well(), 100.0) is None
    assert judge.saw(Sight(8, answers, 6, "T"), 102.0) is Remedy.CONTINUE
    assert (judge.state, judge.repairs) == (State.HUNG, 1)
    assert judge.saw(Sight(8, True, 7), 104.0) is None
    assert judge.state is State.OK


@pytest.mark.parametrize("scheduled", ["R", "D"])
def test_what_waits_for_a_processor_or_a_disk_is_busy(scheduled: str) -> None:
    judge = Judge(needed=True)
    assert looks(judge, [well(), *[Sight(7, False, 5, scheduled)] * 10]) == []
    assert judge.state is State.BUSY


def test_what_works_without_answering_is_busy_for_a_minute() -> None:
    judge = Judge(needed=True)
    busy = [Sight(7, False, 10 + number) for number in range(40)]
    assert looks(judge, [well(), *busy])[0] == BUSY_S / LOOK_S


def test_one_that_starts_is_not_judged() -> None:
    judge = Judge(needed=True)
    starting = [Sight(8, False, number) for number in range(int(START_S / LOOK_S))]
    assert looks(judge, [well(), *starting, Sight(8, True, 99)]) == []
    assert (judge.state, judge.starts, judge.repairs) == (State.OK, 1, 0)


def test_it_is_repaired_again_when_the_repair_was_of_no_use() -> None:
    judge = Judge(needed=True)
    assert looks(judge, [well(), *[Sight(7, False, 5)] * 4]) == [2, 4]
    assert judge.repairs == 2


@pytest.mark.parametrize(("needed", "repairs"), [(True, [1 + int(GONE_S / LOOK_S)]), (False, [])])
def test_only_what_must_be_there_is_missed(needed: bool, repairs: list[int]) -> None:
    judge = Judge(needed=needed)
    assert looks(judge, [well(), *[Sight(None, False)] * 35]) == repairs
    assert judge.state is State.GONE


def test_what_was_never_there_and_whose_unit_is_started_again_is_waited_for() -> None:
    judge = Judge(needed=True)
    assert looks(judge, [Sight(None, False, unit=3)] * 100) == []
    started_again = [Sight(None, False, unit=number // 20) for number in range(100)]
    assert looks(judge, [well(), *started_again]) == []


def seen(silence: Silence, sights: Sequence[tuple[str, int]], at: float = 0.0) -> list[int]:
    """Which of these, one each look, had it be called hung."""
    found = []
    for number, (scheduled, ticks) in enumerate(sights):
        now = at + (number + 1) * BEAT_S
        if silence.look(now) and silence.see(scheduled, ticks, now):
            found.append(number)
    return found


def beginning() -> Silence:
    silence = Silence()
    silence.begin(0.0)
    return silence


def test_an_agent_that_gives_no_sign_and_does_nothing_is_hung() -> None:
    silence = beginning()
    # The look after its last sign; the first that is silent, which has nothing to compare; then those that count.
    assert seen(silence, [("S", 5)] * 20) == [1 + STILL_LOOKS]
    assert silence.deadline() is None


def test_an_agent_that_was_stopped_is_hung_at_once() -> None:
    assert seen(beginning(), [("T", 5)] * 3) == [1]


@pytest.mark.parametrize(
    "sights",
    [
        [("S", number) for number in range(50)],
        [("R", 5)] * 50,
        [("D", 5)] * 50,
        ([("S", 5)] * 2 + [("S", 6)] * 2) * 9,
    ],
)
def test_an_agent_that_works_or_waits_for_its_turn_is_only_late(sights: list[tuple[str, int]]) -> None:
    assert len(sights) * BEAT_S < LATE_S
    assert seen(beginning(), sights) == []


def test_an_agent_that_works_without_a_sign_for_very_long_is_hung() -> None:
    assert seen(beginning(), [("R", number) for number in range(100)]) == [1 + round(LATE_S / BEAT_S)]


def test_an_agent_that_gives_signs_is_not_looked_at() -> None:
    silence = beginning()
    for number in range(1, 50):
        silence.heard()
        assert not silence.look(number * BEAT_S)
    # And what was seen before does not count afterwards.
    assert seen(silence, [("S", 5)] * STILL_LOOKS, at=25.0) == []
    silence.heard()
    assert seen(silence, [("S", 5)] * (1 + STILL_LOOKS), at=50.0) == []


def test_a_look_that_comes_late_counts_once() -> None:
    silence = beginning()
    assert not silence.look(1000.0)
    assert silence.deadline() == 1000.0 + BEAT_S
    assert not silence.look(1000.1)


TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:170D 00000000:0000 0A 00000000:{backlog} 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 1500FEA9:170D 1600FEA9:C350 01 00000000:{unread} 02:00000000 00000000     0        0 2 2 0 20 4 30 10 -1
   2: 1500FEA9:170E 1600FEA9:C351 01 00000000:00000009 02:00000000 00000000     0        0 3 2 0 20 4 30 10 -1
"""


@pytest.mark.parametrize(
    ("backlog", "unread", "found"),
    [
        ("00000000", "00000000", set()),
        ("00000001", "00000000", {"00000000:0000"}),
        ("00000000", "0000000A", {"1600FEA9:C350"}),
    ],
)
def test_what_lies_unread_is_seen(backlog: str, unread: str, found: set[str]) -> None:
    assert waits_unread(TCP.format(backlog=backlog, unread=unread), 5901) == (True, frozenset(found))
    assert waits_unread("header\n", 5901) == (False, frozenset())


def test_a_units_processes_are_found(tmp_path: Path) -> None:
    (tmp_path / "one.service").mkdir()
    (tmp_path / "one.service/cgroup.procs").write_text("31\n30\n")
    for pid, name in ((30, "xfce4-session"), (31, "xfwm4")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    assert find("one.service", ("xfwm4", "openbox"), tmp_path, tmp_path) == 31
    assert find("two.service", ("xfwm4",), tmp_path, tmp_path) is None
    assert first_of("two.service", tmp_path) is None


def test_a_name_with_parentheses_does_not_shift_the_fields(tmp_path: Path) -> None:
    (tmp_path / "9").mkdir()
    rest = " ".join(str(number) for number in range(4, 30))
    (tmp_path / "9/stat").write_text(f"9 (a ) b) T {rest}")
    assert read_stat(9, tmp_path) == ("T", 14 + 15, 22)
    assert read_stat(8, tmp_path) is None


def test_the_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_report(tmp_path) == {}
    write_report(tmp_path, {"parts": {"x": "ok"}})
    assert read_report(tmp_path) == {"parts": {"x": "ok"}}
    (tmp_path / "health.json").write_text("[1")
    assert read_report(tmp_path) == {}


def test_memory_is_as_full_as_the_kernel_says() -> None:
    assert memory_percent("MemTotal: 2000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n") == 75


def test_a_process_belongs_to_its_unit_until_it_ends(tmp_path: Path) -> None:
    (tmp_path / "9").mkdir()
    (tmp_path / "9/cgroup").write_text("0::/system.slice/fenster-x.service\n")
    assert belongs(9, "fenster-x.service", tmp_path)
    assert not belongs(9, "fenster-vnc.service", tmp_path)
    assert not belongs(8, "fenster-x.service", tmp_path)
