"""Snapshots on disk: found by their key, and only whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import SnapshotError
from gateway.vm.accel import Accelerator
from gateway.vm.binary import Qemu
from gateway.vm.driver import VmSpec
from gateway.vm.images import GoldenImage
from gateway.vm.launch import Host
from gateway.vm.snapshot import (
    DISK,
    MANIFEST,
    RAM,
    STATE,
    Snapshot,
    digest,
    open_snapshot,
    seal,
    snapshot_key,
    sweep,
    verify_snapshot,
)
from gateway.vm.template import busy_share

IMAGE = GoldenImage(path=Path("/golden"), profile="xfce", key="1234", cmdline="quiet", files={}, versions={})
HOST = Host(Qemu(Path("/usr/bin/qemu"), "10.0.2"), Accelerator("tcg", "max", "no kvm"), 2_400_000, "tsc=reliable")
SPEC = VmSpec("aaaaaaaa", Path("/run"))
CPUINFO = "processor\t: 0\nmodel name\t: A\nflags\t\t: fpu sse\ncpu MHz\t\t: 1200\n"


def made(root: Path, key: str = "k1", image: str = "1234") -> Snapshot:
    work = root / "work"
    work.mkdir(parents=True)
    for name in (RAM, STATE, DISK):
        (work / name).write_bytes(name.encode() * 100)
    return seal(work, root / f"xfce-{key}", SPEC, key=key, image=image, tsc_khz=2_400_000)


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_what_was_sealed_is_found_whole_and_frozen(tmp_path: Path) -> None:
    snapshot = made(tmp_path)
    assert open_snapshot(tmp_path / "xfce-k1", "xfce", "k1", 2_400_000) == snapshot
    verify_snapshot(snapshot)
    assert {path.stat().st_mode & 0o777 for path in (snapshot.ram, snapshot.state, snapshot.disk)} == {0o444}
    assert not (tmp_path / "work").exists()


def test_another_key_finds_nothing(tmp_path: Path) -> None:
    made(tmp_path)
    assert open_snapshot(tmp_path / "xfce-k2", "xfce", "k2", 2_400_000) is None
    assert open_snapshot(tmp_path / "none" / "xfce-k1", "xfce", "k1", 2_400_000) is None


def test_sealing_again_replaces(tmp_path: Path) -> None:
    made(tmp_path)
    assert open_snapshot(tmp_path / "xfce-k1", "xfce", "k1", None) == made(tmp_path)


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: (path / RAM).unlink(),
        lambda path: damage(path / RAM, b"short"),
        lambda path: damage(path / STATE, b""),
        lambda path: damage(path / DISK, b"longer" * 1000),
        lambda path: damage(path / MANIFEST, b"{"),
        lambda path: damage(path / MANIFEST, b"{}"),
        lambda path: damage(path / MANIFEST, b"[]"),
        lambda path: damage(path / MANIFEST, json.dumps({"files": {RAM: 1, STATE: 2, DISK: 3}}).encode()),
    ],
)
def test_a_broken_one_is_refused(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    harm(made(tmp_path).path)
    with pytest.raises(SnapshotError) as caught:
        open_snapshot(tmp_path / "xfce-k1", "xfce", "k1", None)
    assert "fenster build" in caught.value.hint


def test_one_that_bears_anothers_name_is_refused(tmp_path: Path) -> None:
    made(tmp_path).path.rename(tmp_path / "xfce-k2")
    with pytest.raises(SnapshotError, match="another image"):
        open_snapshot(tmp_path / "xfce-k2", "xfce", "k2", None)


@pytest.mark.parametrize("name", [RAM, STATE, DISK])
def test_damage_that_keeps_the_size_is_found_by_looking_into_it(tmp_path: Path, name: str) -> None:
    snapshot = made(tmp_path)
    data = bytearray((snapshot.path / name).read_bytes())
    data[7] ^= 1
    damage(snapshot.path / name, bytes(data))
    assert open_snapshot(tmp_path / "xfce-k1", "xfce", "k1", None) is not None
    with pytest.raises(SnapshotError, match="damaged"):
        verify_snapshot(snapshot)


def test_a_clock_of_another_speed_is_refused_and_a_measuring_error_is_not(tmp_path: Path) -> None:
    made(tmp_path)
    assert open_snapshot(tmp_path / "xfce-k1", "xfce", "k1", 2_400_900) is not None
    with pytest.raises(SnapshotError, match="kHz"):
        open_snapshot(tmp_path / "xfce-k1", "xfce", "k1", 2_500_000)


def test_the_key_holds_all_that_clones_share() -> None:
    key = snapshot_key(IMAGE, HOST, SPEC)
    assert key == snapshot_key(IMAGE, replace(HOST, tsc_khz=1, clock="tsc_early_khz=1"), replace(SPEC, id="bbbbbbbb"))
    others = [
        snapshot_key(replace(IMAGE, key="5678"), HOST, SPEC),
        snapshot_key(replace(IMAGE, cmdline="quiet nosmp"), HOST, SPEC),
        snapshot_key(IMAGE, replace(HOST, qemu=Qemu(Path("/usr/bin/qemu"), "10.0.3")), SPEC),
        snapshot_key(IMAGE, replace(HOST, accel=Accelerator("tcg", "qemu64", "")), SPEC),
        snapshot_key(IMAGE, HOST, replace(SPEC, vcpus=4)),
        snapshot_key(IMAGE, HOST, replace(SPEC, memory_mib=4096)),
        snapshot_key(IMAGE, HOST, replace(SPEC, browser="warm")),
    ]
    assert len({key, *others}) == 8


def test_the_hosts_processor_counts_where_the_guest_sees_it() -> None:
    kvm = replace(HOST, accel=Accelerator("kvm", "host,migratable=on", ""))
    hotter = CPUINFO.replace("1200", "3400")
    other = CPUINFO.replace("sse", "sse avx")
    assert snapshot_key(IMAGE, kvm, SPEC, CPUINFO) == snapshot_key(IMAGE, kvm, SPEC, hotter)
    assert snapshot_key(IMAGE, kvm, SPEC, CPUINFO) != snapshot_key(IMAGE, kvm, SPEC, other)
    assert snapshot_key(IMAGE, HOST, SPEC, CPUINFO) == snapshot_key(IMAGE, HOST, SPEC, other)


def test_busy_is_what_was_not_idle() -> None:
    #                  user nice system idle iowait irq softirq steal
    before, after = "cpu  100 0 50 800 50 0 0 0 0 0", "cpu  110 0 60 960 70 0 0 0 0 0"
    assert busy_share(f"{before}\n{after}\n") == pytest.approx(0.1)
    assert busy_share(f"{before}\n{before}\n") == 1.0


def test_older_images_snapshots_and_halves_are_swept(tmp_path: Path) -> None:
    old, small, large = made(tmp_path, "k1", "old"), made(tmp_path, "k2", "new"), made(tmp_path, "k3", "new")
    other = tmp_path / "openbox-k4"
    dead, mine = tmp_path / "xfce-k5.new-999999999", tmp_path / f"xfce-k6.new-{os.getpid()}"
    for folder in (other, dead, mine):
        folder.mkdir()
    broken = tmp_path / "xfce-k7"
    broken.mkdir()
    assert set(sweep(tmp_path, "xfce", "new")) == {old.path, dead, broken}
    assert {path.name for path in tmp_path.iterdir()} == {small.path.name, large.path.name, other.name, mine.name}


def test_a_digest_does_not_depend_on_which_zeros_are_holes(tmp_path: Path) -> None:
    sparse, full, moved = tmp_path / "sparse", tmp_path / "full", tmp_path / "moved"
    data = b"data" * 1000
    for path, at in ((sparse, 3 << 20), (moved, (3 << 20) + 1)):
        with path.open("wb") as stream:
            stream.truncate(8 << 20)
            stream.seek(at)
            stream.write(data)
    full.write_bytes(sparse.read_bytes())
    assert digest(sparse) == digest(full) != digest(moved)
