"""Saved templates on disk: those that are whole, by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import SnapshotError
from gateway.vm.driver import SavedTemplate, VmSpec
from gateway.vm.library import Library
from gateway.vm.snapshot import DISK, MANIFEST, RAM, STATE, open_snapshot, seal


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "templates")


def made(library: Library, name: str, image: str = "image-1") -> Path:
    work = library.folder / f".{name}.new-1"
    work.mkdir(parents=True)
    for file in (RAM, STATE, DISK):
        (work / file).write_bytes(file.encode())
    spec = VmSpec("aaaaaaaa", Path("/run"), vcpus=4, memory_mib=3072, profile="openbox")
    seal(work, library.path(name), spec, key="k1", image=image, tsc_khz=None)
    return library.path(name)


def test_before_anything_was_saved_there_is_nothing(library: Library) -> None:
    assert library.list() == []


def test_templates_are_listed_by_name_with_their_size(library: Library) -> None:
    for name in ("office", "admin", "zoo"):
        made(library, name)
    assert library.list() == [SavedTemplate(name, "openbox", 4, 3072) for name in ("admin", "office", "zoo")]


def test_each_knows_its_image(library: Library) -> None:
    made(library, "office", "image-2")
    assert library.image("office") == "image-2"
    with pytest.raises(SnapshotError, match="no whole template admin"):
        library.image("admin")


def test_one_can_be_cloned_as_a_snapshot(library: Library) -> None:
    path = made(library, "office")
    snapshot = open_snapshot(path, "openbox", "k1", None)
    assert snapshot is not None
    assert snapshot.disk == path / DISK


def test_halves_of_a_save_are_not_listed(library: Library) -> None:
    made(library, "office").rename(library.folder / ".office.new-7")
    (library.folder / "note.txt").write_text("not ours")
    assert library.list() == []


def write(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: (path / RAM).unlink(),
        lambda path: (path / STATE).unlink(),
        lambda path: (path / DISK).unlink(),
        lambda path: (path / MANIFEST).unlink(),
        lambda path: write(path / MANIFEST, b""),
        lambda path: write(path / MANIFEST, b"{"),
        lambda path: write(path / MANIFEST, b"[]"),
        lambda path: write(path / MANIFEST, b"7"),
        lambda path: write(path / MANIFEST, b'["profile", "vcpus", "image"]'),
        lambda path: write(path / MANIFEST, json.dumps({"profile": "x", "memory_mib": 1, "image": "i"}).encode()),
    ],
)
def test_a_broken_one_is_passed_over_and_hides_no_other(library: Library, harm: Callable[[Path], object]) -> None:
    made(library, "whole")
    harm(made(library, "broken"))
    assert [one.name for one in library.list()] == ["whole"]
    with pytest.raises(SnapshotError, match="no whole template broken"):
        library.image("broken")
