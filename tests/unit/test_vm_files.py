"""A machine's files: whole, or refused with what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import DiskError, SnapshotError
from gateway.vm.files import MachineFiles

KEY, IMAGE, KHZ = "k1", "image-1", 2_400_000


@pytest.fixture
def files(tmp_path: Path) -> MachineFiles:
    """A machine that has a disk and is not suspended."""
    files = MachineFiles(tmp_path / "disks", "aaaaaaaa")
    files.claim(IMAGE)
    files.disk.write_bytes(b"disk" * 1000)
    return files


def write_stream(files: MachineFiles, data: bytes = b"memory" * 1000) -> None:
    fd = files.open_stream()
    os.write(fd, data)
    os.close(fd)


@pytest.fixture
def sealed(files: MachineFiles) -> MachineFiles:
    write_stream(files)
    files.seal(KEY, IMAGE, KHZ)
    return files


def names(files: MachineFiles) -> set[str]:
    return {path.name for path in files.folder.iterdir()}


def test_a_claimed_disk_knows_its_image(files: MachineFiles) -> None:
    assert files.image() == IMAGE
    assert not files.sealed()
    assert files.folder.stat().st_mode & 0o777 == 0o700
    assert MachineFiles(files.folder, "bbbbbbbb").image() == ""


def test_what_was_sealed_can_be_gone_on_from(sealed: MachineFiles) -> None:
    assert sealed.sealed()
    assert sealed.image() == IMAGE
    sealed.check(KEY, KHZ)
    assert names(sealed) == {"aaaaaaaa.raw", "aaaaaaaa.stream", "aaaaaaaa.json"}
    assert sealed.stream.stat().st_mode & 0o777 == 0o600
    assert MachineFiles(sealed.folder, "aaaaaaaa").sealed()


def test_looking_changes_nothing(sealed: MachineFiles) -> None:
    for _ in range(2):
        sealed.check(KEY, KHZ)
    assert sealed.sealed()


def test_a_stream_that_was_only_begun_is_not_sealed(files: MachineFiles) -> None:
    write_stream(files)
    assert not files.sealed()
    with pytest.raises(SnapshotError, match="not whole"):
        files.check(KEY, KHZ)


def test_what_is_used_up_leaves_the_disk(sealed: MachineFiles) -> None:
    disk = sealed.disk.read_bytes()
    for _ in range(2):
        sealed.use_up()
        assert not sealed.sealed()
        assert sealed.image() == IMAGE
        assert names(sealed) == {"aaaaaaaa.raw", "aaaaaaaa.json"}
        assert sealed.disk.read_bytes() == disk
    with pytest.raises(SnapshotError, match="not whole"):
        sealed.check(KEY, KHZ)


def test_half_a_stream_is_used_up_too(files: MachineFiles) -> None:
    write_stream(files)
    files.use_up()
    assert names(files) == {"aaaaaaaa.raw", "aaaaaaaa.json"}


def test_it_can_be_suspended_again_and_again(sealed: MachineFiles) -> None:
    for turn in range(3):
        sealed.use_up()
        sealed.disk.write_bytes(b"other" * (turn + 1))
        write_stream(sealed, b"shorter" * (turn + 1))
        sealed.seal("k2", IMAGE, None)
        sealed.check("k2", KHZ)


def test_a_new_stream_replaces_all_of_a_longer_one(sealed: MachineFiles) -> None:
    write_stream(sealed, b"short")
    assert sealed.stream.read_bytes() == b"short"


def test_all_of_it_is_removed(sealed: MachineFiles) -> None:
    other = MachineFiles(sealed.folder, "bbbbbbbb")
    other.claim(IMAGE)
    for _ in range(2):
        sealed.remove()
        assert names(sealed) == {"bbbbbbbb.json"}


def test_what_never_was_can_be_asked_used_up_and_removed(tmp_path: Path) -> None:
    files = MachineFiles(tmp_path / "none", "aaaaaaaa")
    assert (files.sealed(), files.image()) == (False, "")
    files.use_up()
    files.remove()
    assert not files.folder.exists()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def touch(path: Path) -> None:
    told = path.stat()
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns + 1))


def grow(path: Path) -> None:
    told = path.stat()
    os.truncate(path, told.st_size + 4096)
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))


def edit(files: MachineFiles, **suspended: object) -> None:
    told = json.loads(files.record.read_bytes())
    told["suspended"] |= suspended
    files.record.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda files: flip(files.stream), "memory is damaged"),
        (lambda files: cut(files.stream), "memory is damaged"),
        (lambda files: files.stream.write_bytes(b""), "memory is damaged"),
        (lambda files: files.stream.unlink(), "not whole"),
        (lambda files: touch(files.disk), "disk was changed"),
        (lambda files: grow(files.disk), "disk was changed"),
        (lambda files: files.disk.unlink(), "not whole"),
        (lambda files: files.record.unlink(), "not whole"),
        (lambda files: files.record.write_bytes(b""), "not whole"),
        (lambda files: files.record.write_bytes(files.record.read_bytes()[:-9]), "not whole"),
        (lambda files: files.record.write_text("[1, 2]"), "not whole"),
        (lambda files: files.record.write_text('{"suspended": 7}'), "not whole"),
        (lambda files: files.record.write_text('{"suspended": {}}'), "not whole"),
        (lambda files: edit(files, stream=7), "not whole"),
        (lambda files: edit(files, stream=[]), "not whole"),
        (lambda files: edit(files, tsc_khz="fast"), "not whole"),
        (lambda files: edit(files, key="k2"), "another QEMU, image or host"),
        (lambda files: edit(files, tsc_khz=2_000_000), "clock"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(
    sealed: MachineFiles, harm: Callable[[MachineFiles], object], reason: str
) -> None:
    harm(sealed)
    with pytest.raises(SnapshotError, match=reason):
        sealed.check(KEY, KHZ)


def test_another_key_is_refused_before_the_stream_is_read(sealed: MachineFiles) -> None:
    sealed.stream.unlink()
    with pytest.raises(SnapshotError, match="another QEMU, image or host"):
        sealed.check("k2", KHZ)


@pytest.mark.parametrize(("khz", "fits"), [(2_411_000, True), (2_389_000, True), (2_413_000, False), (1, False)])
def test_a_clock_may_differ_as_much_as_two_measurements(sealed: MachineFiles, khz: int, fits: bool) -> None:
    if fits:
        sealed.check(KEY, khz)
        return
    with pytest.raises(SnapshotError, match="clock"):
        sealed.check(KEY, khz)


def test_a_clock_that_was_not_measured_is_not_compared(sealed: MachineFiles) -> None:
    sealed.check(KEY, None)
    sealed.use_up()
    write_stream(sealed)
    sealed.seal(KEY, IMAGE, None)
    sealed.check(KEY, KHZ)


def test_without_a_stream_or_a_disk_nothing_is_sealed(files: MachineFiles) -> None:
    with pytest.raises(DiskError, match=r"aaaaaaaa\.stream"):
        files.seal(KEY, IMAGE, KHZ)
    write_stream(files)
    files.disk.unlink()
    with pytest.raises(DiskError):
        files.seal(KEY, IMAGE, KHZ)
    assert not files.sealed()


def test_a_record_that_cannot_be_written_is_an_error_and_keeps_the_old_one(sealed: MachineFiles) -> None:
    sealed.record.with_suffix(".json.new").mkdir()
    with pytest.raises(DiskError, match=r"aaaaaaaa\.json"):
        sealed.claim("image-2")
    with pytest.raises(DiskError):
        sealed.seal("k2", "image-2", KHZ)
    sealed.check(KEY, KHZ)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError, match=r"aaaaaaaa\.stream"):
        MachineFiles(tmp_path / "file" / "disks", "aaaaaaaa").open_stream()
