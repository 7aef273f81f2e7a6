"""Finding a machine's process again."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.vm.find import TICKS_PER_S, find_process, processor_s, uid_of

WAIT = "import sys; print('up', flush=True); sys.stdin.read()"
STAT = "4242 (qemu) w) x) S 1 4242 4242 0 -1 4194560 9 0 0 0 {utime} {stime} 99 99 20 0 4 0 1 2 3"


@pytest.fixture
def name() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def child(name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with that uuid on its command line, as QEMU has it."""
    argv = [sys.executable, "-c", WAIT, "-machine", "microvm", "-uuid", name, "-display", "none"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def test_a_process_is_found_by_its_uuid_until_it_ends(name: str, child: subprocess.Popen[bytes]) -> None:
    assert find_process(name) == child.pid
    assert find_process(str(uuid.uuid4())) is None
    child.kill()
    child.wait()
    assert find_process(name) is None


def test_one_that_ended_and_was_not_yet_reaped_is_not_found(name: str, child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.pid}").exists()
    assert find_process(name) is None


def fake(proc: Path, pid: str, *argv: str) -> None:
    (proc / pid).mkdir(parents=True)
    (proc / pid / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in argv))


@pytest.mark.parametrize(
    "argv",
    [
        ["qemu", "-name", "u-1"],
        ["qemu", "-uuid", "u-12"],
        ["qemu", "-uuid", "u-"],
        ["qemu", "-uuid=u-1"],
        ["qemu", "-uuid u-1"],
        ["sh", "-c", "qemu -uuid u-1 "],
        ["grep", "-uuid"],
        [],
    ],
)
def test_only_the_whole_argument_counts(tmp_path: Path, argv: list[str]) -> None:
    fake(tmp_path, "10", *argv)
    assert find_process("u-1", tmp_path) is None


def test_entries_that_are_no_processes_or_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    fake(tmp_path, "self", "qemu", "-uuid", "u-1")
    fake(tmp_path, "9x", "qemu", "-uuid", "u-1")
    (tmp_path / "11").mkdir()
    (tmp_path / "12" / "cmdline").mkdir(parents=True)
    (tmp_path / "uptime").write_text("1 2")
    assert find_process("u-1", tmp_path) is None
    fake(tmp_path, "4242", "qemu-system-x86_64", "-name", "x", "-uuid", "u-1", "-S")
    assert find_process("u-1", tmp_path) == 4242
    fake(tmp_path, "4243", "qemu-system-x86_64", "-uuid", "u-2")
    assert find_process("u-2", tmp_path) == 4243


def test_processor_time_is_user_and_system_time_whatever_its_name_is(tmp_path: Path) -> None:
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "stat").write_text(STAT.format(utime=3 * TICKS_PER_S, stime=TICKS_PER_S // 2))
    assert processor_s(4242, tmp_path) == 3.5
    assert processor_s(4243, tmp_path) == 0.0


def test_processor_time_of_a_real_process(child: subprocess.Popen[bytes]) -> None:
    assert 0.0 <= processor_s(child.pid) < 60.0
    spent = os.times()
    assert processor_s(os.getpid()) == pytest.approx(spent.user + spent.system, abs=0.5)


def test_the_user_of_a_process(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    assert uid_of(child.pid) == os.getuid()
    assert uid_of(4242, tmp_path) is None
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "status").write_text("Name:\tqemu\nUid:\t1990000007\t0\t0\t0\nGid:\t0\t0\t0\t0\n")
    assert uid_of(4242, tmp_path) == 1990000007
    (tmp_path / "4242" / "status").write_text("Name:\tqemu\n")
    assert uid_of(4242, tmp_path) is None
