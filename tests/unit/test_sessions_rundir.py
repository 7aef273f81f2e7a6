"""Run directories, and the logs that outlive them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.sessions import rundir
from gateway.settings import Settings


def test_it_is_made_private_and_removed_with_all_in_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "abcdefgh"
    rundir.make(path)
    assert path.stat().st_mode & 0o777 == 0o700
    (path / "disk.raw").write_bytes(b"x")
    rundir.remove(path)
    rundir.remove(path)
    assert not path.exists()


def test_the_longest_allowed_root_leaves_room_for_a_socket() -> None:
    root = Settings(run_dir=Path("/" + "x" * 59)).run_dir
    assert len(os.fsencode(root / "abcdefgh")) <= rundir.MAX_PATH_BYTES
    # sockaddr_un holds 108 bytes with the final NUL; the longest name is that of the agent's or console's socket.
    assert len(os.fsencode(root / "abcdefgh" / "serial.sock")) < 108


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="longer than"):
        rundir.make(tmp_path / ("x" * 80))


def test_only_the_end_of_a_long_log_is_kept(tmp_path: Path) -> None:
    run_dir = tmp_path / "abcdefgh"
    run_dir.mkdir()
    (run_dir / "serial.log").write_bytes(b"a" * rundir.MAX_LOG_BYTES + b"the end")
    (run_dir / "empty.log").touch()
    (run_dir / "disk.raw").write_bytes(b"x")
    kept = rundir.keep_logs(run_dir, tmp_path / "logs")
    assert kept == tmp_path / "logs" / "abcdefgh"
    assert [path.name for path in kept.iterdir()] == ["serial.log"]
    text = (kept / "serial.log").read_bytes()
    assert len(text) == rundir.MAX_LOG_BYTES
    assert text.endswith(b"the end")


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "abcdefgh").mkdir()
    assert rundir.keep_logs(tmp_path / "abcdefgh", tmp_path / "logs") is None
    assert rundir.keep_logs(tmp_path / "none", tmp_path / "logs") is None
    assert not (tmp_path / "logs").exists()


def test_the_oldest_logs_go_first(tmp_path: Path) -> None:
    for number in range(rundir.MAX_KEPT + 3):
        run_dir = tmp_path / f"run{number:02d}"
        run_dir.mkdir()
        (run_dir / "serial.log").write_text("x")
        kept = rundir.keep_logs(run_dir, tmp_path / "logs")
        assert kept is not None
        os.utime(kept, (number, number))
    left = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert len(left) == rundir.MAX_KEPT
    assert left[0] == "run03"
