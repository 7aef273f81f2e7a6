"""The parts that are made here byte by byte: wheel, initrd, overlay, manifest."""

from __future__ import annotations

import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from golden import manifest
from golden.agent_wheel import build_wheel, wheel_name
from golden.errors import ManifestError
from golden.initrd import Entry, build_initrd, cpio
from golden.overlay import file_mode, merge, overlay_tar, read_tree

SOURCES = {"guest_agent/__init__.py": b"", "guest_agent/__main__.py": b"def main():\n    print('agent here')\n"}


def test_pip_installs_the_wheel_and_its_script_runs(tmp_path: Path) -> None:
    wheel = tmp_path / wheel_name("1.2.3")
    wheel.write_bytes(build_wheel(SOURCES, version="1.2.3", requirements=("six>=1",)))
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    ran = subprocess.run(
        [sys.executable, str(target / "bin" / "fenster-zygote")],
        env={"PYTHONPATH": str(target)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout == "agent here\n"
    metadata = (target / "fenster_guest_agent-1.2.3.dist-info" / "METADATA").read_text()
    assert "Requires-Dist: six>=1" in metadata


def test_the_wheel_is_the_same_each_time_and_whole() -> None:
    one = build_wheel(SOURCES, version="1", requirements=())
    assert one == build_wheel(dict(reversed(SOURCES.items())), version="1", requirements=())
    with zipfile.ZipFile(io.BytesIO(one)) as archive:
        assert archive.testzip() is None
        record = archive.read("fenster_guest_agent-1.dist-info/RECORD").decode().splitlines()
    assert sorted(line.split(",")[0] for line in record) == sorted(archive.namelist())


def test_cpio_reads_back_what_was_packed(tmp_path: Path) -> None:
    entries = [Entry("bin", 0o755), Entry("bin/tool", 0o755, b"#!x"), Entry("odd", 0o644, b"12345")]
    fields = _unpack(cpio(entries))
    assert fields == [("bin", 0o040755, b""), ("bin/tool", 0o100755, b"#!x"), ("odd", 0o100644, b"12345")]


def test_the_initrd_unpacks_modules_and_keeps_their_order() -> None:
    files = {
        name: data
        for name, _, data in _unpack(build_initrd(b"BB", [("b.ko.xz", lzma.compress(b"second")), ("a.ko", b"first")]))
    }
    assert files["modules.list"] == b"b.ko\na.ko\n"
    assert files["modules/b.ko"] == b"second"
    assert files["modules/a.ko"] == b"first"
    assert files["bin/busybox"] == b"BB"
    assert files["init"].startswith(b"#!/bin/busybox sh\n")


def _unpack(archive: bytes) -> list[tuple[str, int, bytes]]:
    """Read a newc archive by the kernel's description of it."""
    found: list[tuple[str, int, bytes]] = []
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        numbers = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        at += (110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found.append((name, mode, archive[at : at + size]))
        at += (size + 3) & ~3


def test_overlay_modes_and_owners() -> None:
    files = {"usr/lib/x/run": b"#!/bin/sh\n", "etc/sudoers.d/x": b"user ALL", "etc/x.conf": b"x"}
    with tarfile.open(fileobj=io.BytesIO(overlay_tar(files))) as archive:
        modes = {entry.name: (entry.mode, entry.uid, entry.gid) for entry in archive}
    assert modes["usr/lib/x/run"] == (0o755, 0, 0)
    assert modes["etc/sudoers.d/x"] == (0o440, 0, 0)
    assert modes["etc/x.conf"] == (0o644, 0, 0)
    assert modes["usr/lib/x"] == (0o755, 0, 0)
    assert "." not in modes
    assert file_mode("a", b"") == 0o644


def test_trees_leave_out_compiled_files_and_later_ones_win(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"1")
    assert read_tree(tmp_path) == {"sub/a": b"1"}
    assert merge({"a": b"1", "b": b"1"}, {"a": b"2"}) == {"a": b"2", "b": b"1"}


def image_folder(folder: Path) -> manifest.Manifest:
    for name in manifest.FILES:
        (folder / name).write_bytes(name.encode())
    made = manifest.Manifest(
        profile="xfce", key="k" * 16, cmdline="root=/dev/vda", versions={"node": "v20"}, agent_sha256="0" * 64,
        files=manifest.record_files(folder), packages={"bash": "5"},
    )  # fmt: skip
    manifest.write(folder, made)
    return made


def test_a_manifest_reads_back_equal(tmp_path: Path) -> None:
    made = image_folder(tmp_path)
    assert manifest.verify(tmp_path, deep=True) == made


def test_a_missing_short_or_changed_file_is_named(tmp_path: Path) -> None:
    image_folder(tmp_path)
    (tmp_path / "disk.raw").write_bytes(b"DISK.RAW")
    manifest.verify(tmp_path)
    with pytest.raises(ManifestError, match=r"disk\.raw was changed"):
        manifest.verify(tmp_path, deep=True)
    (tmp_path / "initrd.img").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"initrd\.img has the wrong size"):
        manifest.verify(tmp_path)
    (tmp_path / "initrd.img").unlink()
    with pytest.raises(ManifestError, match=r"initrd\.img is missing"):
        manifest.verify(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "damaged"), ("[]", "lacks something"), ('{"format": 99}', "another format"), ('{"format": 1}', "lacks")],
)
def test_a_bad_manifest_is_an_error_with_a_hint(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / manifest.NAME).write_text(text)
    with pytest.raises(ManifestError, match=says) as caught:
        manifest.read(tmp_path)
    assert caught.value.hint


def test_no_manifest_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is not an image"):
        manifest.verify(tmp_path)


def test_the_manifest_is_readable_json(tmp_path: Path) -> None:
    image_folder(tmp_path)
    body = json.loads((tmp_path / manifest.NAME).read_text())
    assert body["files"]["vmlinuz"].keys() == {"size", "sha256"}
