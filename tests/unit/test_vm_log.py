"""What QEMU says of itself is kept, but not for ever."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.vm.qemu_vm import QEMU_LOG, last_words, trim_log


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / QEMU_LOG
    log.write_text("one\n")
    trim_log(log, 4)
    assert log.read_text() == "one\n"
    assert [path.name for path in tmp_path.iterdir()] == [QEMU_LOG]


def test_of_a_long_one_the_end_is_kept_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / QEMU_LOG
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"x" * 100 + b"the end\n")
    trim_log(log, 8)
    assert (tmp_path / f"{QEMU_LOG}.1").read_text() == "the end\n"
    os.write(fd, b"later\n")
    os.close(fd)
    assert log.read_text() == "later\n"
    assert last_words(tmp_path) == "later"


def test_a_log_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    trim_log(tmp_path / QEMU_LOG)
