"""Disks made ahead of need."""

from __future__ import annotations

import asyncio
import filecmp
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.vm.images import GoldenImage, open_image
from gateway.vm.spares import SpareDisks
from tests.unit.test_vm_disk import Sleeper
from tests.unit.test_vm_images import make


@pytest.fixture
def image(tmp_path: Path) -> GoldenImage:
    return open_image(make(tmp_path / "golden", "xfce", "1234"))


@pytest.fixture
async def spares(tmp_path: Path) -> AsyncIterator[SpareDisks]:
    made = SpareDisks(tmp_path / "disks", ahead=True, reflink=False)
    yield made
    await made.close()


async def _made(spares: SpareDisks) -> None:
    await asyncio.wait({making.task for making in spares._making.values()})


async def test_a_spare_becomes_the_disk(spares: SpareDisks, image: GoldenImage, tmp_path: Path) -> None:
    spares.refill(image)
    await _made(spares)
    (spare,) = os.listdir(tmp_path / "disks")
    inode = os.stat(tmp_path / "disks" / spare).st_ino
    await spares.take(image, tmp_path / "disks" / "a.raw")
    assert os.listdir(tmp_path / "disks") == ["a.raw"]
    assert os.stat(tmp_path / "disks" / "a.raw").st_ino == inode
    assert filecmp.cmp(tmp_path / "disks" / "a.raw", image.disk, shallow=False)


async def test_without_one_it_copies(spares: SpareDisks, image: GoldenImage, tmp_path: Path) -> None:
    await spares.take(image, tmp_path / "disks" / "a.raw")
    assert filecmp.cmp(tmp_path / "disks" / "a.raw", image.disk, shallow=False)


async def test_one_that_is_being_made_is_waited_for_and_hurried(
    spares: SpareDisks, image: GoldenImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Sleeper()
    monkeypatch.setattr("gateway.vm.spares.Pace", lambda: pace)
    spares.refill(image)
    assert await asyncio.to_thread(pace.resting.wait, 30)
    (spare,) = os.listdir(tmp_path / "disks")
    inode = os.stat(tmp_path / "disks" / spare).st_ino
    await asyncio.gather(*(spares.take(image, tmp_path / "disks" / name) for name in ("a.raw", "b.raw")))
    assert sorted(os.listdir(tmp_path / "disks")) == ["a.raw", "b.raw"]
    assert inode in {os.stat(tmp_path / "disks" / name).st_ino for name in ("a.raw", "b.raw")}
    for name in ("a.raw", "b.raw"):
        assert filecmp.cmp(tmp_path / "disks" / name, image.disk, shallow=False)


async def test_a_vanished_spare_is_no_error(spares: SpareDisks, image: GoldenImage, tmp_path: Path) -> None:
    spares.refill(image)
    await _made(spares)
    for name in os.listdir(tmp_path / "disks"):
        os.unlink(tmp_path / "disks" / name)
    await spares.take(image, tmp_path / "disks" / "a.raw")
    assert filecmp.cmp(tmp_path / "disks" / "a.raw", image.disk, shallow=False)


async def test_one_is_enough(spares: SpareDisks, image: GoldenImage, tmp_path: Path) -> None:
    spares.refill(image)
    spares.refill(image)
    await _made(spares)
    spares.refill(image)
    assert not spares._making
    assert len(os.listdir(tmp_path / "disks")) == 1


async def test_closing_deletes_it_and_makes_no_more(spares: SpareDisks, image: GoldenImage, tmp_path: Path) -> None:
    spares.refill(image)
    await _made(spares)
    await spares.close()
    spares.refill(image)
    assert os.listdir(tmp_path / "disks") == []
    await spares.close()


async def test_closing_in_the_middle_leaves_nothing(spares: SpareDisks, image: GoldenImage, tmp_path: Path) -> None:
    spares.refill(image)
    await asyncio.sleep(0)
    await spares.close()
    assert not (tmp_path / "disks").exists() or os.listdir(tmp_path / "disks") == []


async def test_a_dead_gateways_spare_is_deleted_and_a_living_ones_is_not(
    spares: SpareDisks, image: GoldenImage, tmp_path: Path
) -> None:
    (tmp_path / "disks").mkdir()
    names = ["spare-999999999-xfce-1.raw", "spare-1-xfce-1.raw", "k3x9a2bq.raw"]
    for name in names:
        (tmp_path / "disks" / name).touch()
    spares.refill(image)
    await _made(spares)
    assert set(os.listdir(tmp_path / "disks")) == {*names[1:], f"spare-{os.getpid()}-xfce-1234.raw"}
