"""The audit log: its shape, its rotation, and that it never stops the gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.edge.audit import EVENTS, FIELDS, AuditFile, AuditLog, entry
from gateway.edge.trail import Trail, changes
from gateway.sessions.view import ErrorView, ViewerView
from tests.leaks import footprint, grown
from tests.sessions import turns_until
from tests.unit.views import a_view

NOW = 1_700_000_000.25


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_entry_is_one_line_with_known_fields_in_order() -> None:
    line = entry("session.create", "ok", NOW, {"session": "abc", "key": None, "actor": "key", "reason": "x\ny" * 500})
    assert line.count("\n") == 1
    body = json.loads(line)
    assert list(body) == [name for name in FIELDS if name in body]
    assert body["at"] == "2023-11-14T22:13:20.250+00:00"
    assert "key" not in body
    assert len(body["reason"]) == 200
    with pytest.raises(AssertionError):
        entry("session.create", "ok", NOW, {"password": "x"})
    with pytest.raises(AssertionError):
        entry("no.event", "ok", NOW, {})


def test_every_event_says_what_it_is() -> None:
    assert all(EVENTS.values())


def test_it_rotates_by_size_and_keeps_so_many(tmp_path: Path) -> None:
    file = AuditFile(tmp_path / "audit.jsonl", max_bytes=100, keep=2)
    for number in range(5):
        file.append([f'{{"n": "{number}", "pad": "{"x" * 40}"}}\n'])
    kept = sorted(path.name for path in tmp_path.glob("audit.jsonl*") if not path.name.endswith(".lock"))
    assert kept == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    assert [lines(tmp_path / name)[0]["n"] for name in kept] == ["4", "3", "2"]
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600
    none = AuditFile(tmp_path / "none.jsonl", max_bytes=10, keep=0)
    for number in range(3):
        none.append([f"{number}234567890\n"])
    assert (tmp_path / "none.jsonl").read_text() == "2234567890\n"


async def test_it_writes_in_order_and_what_is_left_at_the_end(tmp_path: Path) -> None:
    await asyncio.to_thread(int)
    before = footprint()
    path = tmp_path / "audit.jsonl"
    log = AuditLog(AuditFile(path), clock=lambda: NOW)
    writing = asyncio.create_task(log.run())
    log.note("session.create", session="a")
    await turns_until(lambda: log.counters()["written"] == 1)
    for name in "bcd":
        log.note("session.destroy", session=name)
    writing.cancel()
    await asyncio.wait({writing})
    assert [line["session"] for line in lines(path)] == ["a", "b", "c", "d"]
    assert log.counters() == {"written": 4, "lost": 0, "waiting": 0}
    assert grown(before, footprint()) == {}


async def test_what_does_not_fit_is_lost_and_counted_and_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(AuditFile(path), clock=lambda: NOW, max_waiting=2)
    for name in "abcde":
        log.note("session.create", session=name)
    assert log.counters() == {"written": 0, "lost": 3, "waiting": 2}
    writing = asyncio.create_task(log.run())
    await turns_until(lambda: log.counters()["waiting"] == 0 and log.counters()["written"] == 3)
    writing.cancel()
    await asyncio.wait({writing})
    assert [line["event"] for line in lines(path)] == ["session.create", "session.create", "audit.lost"]
    assert lines(path)[2]["reason"] == "3"


async def test_a_full_disk_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    log = AuditLog(AuditFile(folder / "audit.jsonl"), clock=lambda: NOW)
    folder.rmdir()
    writing = asyncio.create_task(log.run())
    log.note("session.create", session="a")
    await turns_until(lambda: log.counters()["lost"] == 1)
    assert "cannot be written" in caplog.text
    folder.mkdir()
    log.note("session.create", session="b")
    await turns_until(lambda: log.counters()["written"] == 2)
    writing.cancel()
    await asyncio.wait({writing})
    assert [line["event"] for line in lines(folder / "audit.jsonl")] == ["session.create", "audit.lost"]


def seat(name: str, role: str = "control") -> ViewerView:
    return ViewerView.model_validate({"name": name, "number": 1, "role": role, "transport": "webrtc"})


def test_who_comes_controls_and_leaves() -> None:
    empty, one = a_view(), a_view(controller="aa", viewers=[seat("aa")])
    both = a_view(controller="bb", viewers=[seat("aa"), seat("bb")])
    assert list(changes(None, empty)) == []
    assert list(changes(empty, one)) == [
        ("viewer.join", {"viewer": "aa", "role": "control"}),
        ("control.take", {"viewer": "aa"}),
    ]
    assert list(changes(one, one)) == []
    assert list(changes(one, both)) == [
        ("viewer.join", {"viewer": "bb", "role": "control"}),
        ("control.take", {"viewer": "bb"}),
    ]
    assert next(changes(both, empty)) == ("control.release", {"viewer": "bb"})
    assert {event for event, _ in changes(both, empty)} == {"control.release", "viewer.leave"}


def test_an_end_is_told_once_with_its_reason() -> None:
    failed = a_view(state="failed", error=ErrorView(kind="vm-lost", message="", hint=""))
    assert list(changes(a_view(), failed)) == [("session.end", {"reason": "vm-lost"})]
    assert list(changes(failed, a_view(state="stopping"))) == []
    assert list(changes(a_view(state="stopping"), a_view(state="stopped"))) == [
        ("session.end", {"reason": "stopped"})
    ]


async def test_a_trail_keeps_sessions_apart(tmp_path: Path) -> None:
    log = AuditLog(AuditFile(tmp_path / "audit.jsonl"), clock=lambda: NOW)
    trail = Trail(log)
    trail.saw(a_view(id="one", controller="aa", viewers=[seat("aa")]))
    trail.saw(a_view(id="two"))
    trail.saw(a_view(id="one", controller="aa", viewers=[seat("aa")]))
    assert log.counters()["waiting"] == 2
