"""Full copies of a sparse disk."""

from __future__ import annotations

import asyncio
import errno
import filecmp
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from gateway.errors import DiskError
from gateway.vm import disk
from gateway.vm.disk import copy_disk

MIB = 1024 * 1024


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """64 MiB with data at its begin, in its middle and not at its end."""
    path = tmp_path / "golden.raw"
    with path.open("wb") as out:
        out.write(os.urandom(3 * MIB + 17))
        out.seek(40 * MIB + 5)
        out.write(os.urandom(MIB))
        out.truncate(64 * MIB)
    return path


@pytest.fixture(params=["direct", "refused", "refused in the middle"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a file system takes direct I/O."""
    really_open, really_write = os.open, os.pwritev

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return really_open(path, flags, mode)

    def once(fd: int, parts: list[memoryview], at: int) -> int:
        if at > 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return really_write(fd, [parts[0][:8192]], at)

    if request.param == "refused":
        monkeypatch.setattr(os, "open", refuse)
    elif request.param == "refused in the middle":
        monkeypatch.setattr(os, "pwritev", once)


@pytest.mark.usefixtures("way")
async def test_a_copy_is_equal_private_and_as_sparse(golden: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.raw"
    await copy_disk(golden, target, cached=False)
    assert filecmp.cmp(target, golden, shallow=False)
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
    assert os.stat(target).st_blocks <= os.stat(golden).st_blocks + 16


@pytest.mark.usefixtures("way")
async def test_the_last_block_may_be_a_part_of_one(tmp_path: Path) -> None:
    source = tmp_path / "odd.raw"
    source.write_bytes(os.urandom(5 * MIB + 1000))
    await copy_disk(source, tmp_path / "copy.raw", cached=False)
    assert filecmp.cmp(tmp_path / "copy.raw", source, shallow=False)


async def test_where_the_kernel_cannot_copy_we_do(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    await copy_disk(golden, tmp_path / "copy.raw")
    assert filecmp.cmp(tmp_path / "copy.raw", golden, shallow=False)


async def test_reflink_falls_back_to_a_copy(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr("fcntl.ioctl", refuse)
    await copy_disk(golden, tmp_path / "copy.raw", reflink=True)
    assert filecmp.cmp(tmp_path / "copy.raw", golden, shallow=False)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_no_space_is_said_with_a_hint_and_leaves_nothing(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fill(*args: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", fill)
    with pytest.raises(DiskError, match="no space") as caught:
        await copy_disk(golden, tmp_path / "copy.raw")
    assert caught.value.hint
    assert sorted(os.listdir(tmp_path)) == ["golden.raw"]


async def test_a_full_disk_is_seen_before_it_is_filled(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstatvfs

    def full(fd: int) -> os.statvfs_result:
        values = list(real(fd))
        values[4] = 10  # f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", full)
    with pytest.raises(DiskError, match="no space"):
        await copy_disk(golden, tmp_path / "copy.raw")
    assert sorted(os.listdir(tmp_path)) == ["golden.raw"]


async def test_a_missing_source_and_an_existing_target_are_errors(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        await copy_disk(tmp_path / "absent.raw", tmp_path / "copy.raw")
    (tmp_path / "copy.raw").write_bytes(b"somebody's")
    with pytest.raises(DiskError):
        await copy_disk(golden, tmp_path / "copy.raw")
    assert (tmp_path / "copy.raw").read_bytes() == b"somebody's"


async def test_cancelling_leaves_nothing(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copying, loop, go_on = asyncio.Event(), asyncio.get_running_loop(), threading.Event()
    real = os.copy_file_range

    def slow(src: int, dst: int, count: int, at: int, to: int) -> int:
        loop.call_soon_threadsafe(copying.set)
        go_on.wait()
        return real(src, dst, min(count, 4096), at, to)

    monkeypatch.setattr(os, "copy_file_range", slow)
    task = asyncio.create_task(copy_disk(golden, tmp_path / "copy.raw"))
    await copying.wait()
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(os.listdir(tmp_path)) == ["golden.raw"]


class Sleeper(disk.Pace):
    """Rests until there is a hurry; ``resting`` is set once it does."""

    def __init__(self) -> None:
        super().__init__()
        self.resting = threading.Event()

    def rest(self, worked_s: float) -> None:
        self.resting.set()
        assert self._hurry.wait(30)


async def test_cancelling_wakes_one_that_rests(golden: Path, tmp_path: Path) -> None:
    pace = Sleeper()
    task = asyncio.create_task(copy_disk(golden, tmp_path / "copy.raw", pace=pace))
    assert await asyncio.to_thread(pace.resting.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(os.listdir(tmp_path)) == ["golden.raw"]


def test_a_pace_rests_until_there_is_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "MAX_REST_S", 60.0)
    pace = disk.Pace()
    began = time.monotonic()
    pace.rest(0.01)
    assert time.monotonic() - began >= 0.01 * disk.REST_RATIO
    pace.hurry()
    began = time.monotonic()
    pace.rest(60.0)
    assert time.monotonic() - began < 60.0
    assert pace.hurried


def test_only_data_is_walked(golden: Path) -> None:
    with golden.open("rb") as src:
        ranges = list(disk.data_extents(src.fileno(), 64 * MIB))
    assert sum(end - start for start, end in ranges) < 8 * MIB
    assert ranges[0][0] == 0
