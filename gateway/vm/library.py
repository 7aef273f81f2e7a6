"""Saved templates: ``<state>/templates/<name>/``, snapshots that a person made of a prepared desktop.

Like the golden snapshot each holds RAM, devices and disk. On a host where its key no longer fits its disk still does.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gateway.errors import SnapshotError
from gateway.vm.argv import Memory
from gateway.vm.driver import Lan, SavedTemplate, VmSpec
from gateway.vm.files import MachineFiles
from gateway.vm.images import GoldenImage
from gateway.vm.launch import Host, Launcher, Ram
from gateway.vm.snapshot import DISK, MANIFEST, RAM, STATE, seal
from gateway.vm.suspend import load
from gateway.vm.template import freeze, make_ram

__all__ = ["Library"]


class Library:
    """Args:
    folder: holds one directory for each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def list(self) -> Sequence[SavedTemplate]:
        """Those that are whole, by name. Blocking."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in sorted(self.folder.iterdir()):
            told = _manifest(path)
            if told is not None and not path.name.startswith("."):
                browser: Literal["fresh", "warm"] = "warm" if told.get("browser") == "warm" else "fresh"
                found.append(
                    SavedTemplate(path.name, str(told["profile"]), told["vcpus"], told["memory_mib"], browser)
                )
        return found

    def image(self, name: str) -> str:
        """Key of the golden image that its disk comes from. Raises SnapshotError."""
        told = _manifest(self.path(name))
        if told is None:
            raise SnapshotError(f"there is no whole template {name}")
        return str(told["image"])

    async def save(
        self,
        name: str,
        launcher: Launcher,
        spec: VmSpec,
        lan: Lan,
        image: GoldenImage,
        host: Host,
        files: MachineFiles,
        key: str,
    ) -> SavedTemplate:
        """Make a template of a forked machine's files, which are used up. The machine never runs.

        Its stream is read into RAM that is a file, which then is the snapshot's. Raises VmError.
        """
        target, work = self.path(name), self.folder / f".{name}.new-{os.getpid()}"
        try:
            await asyncio.to_thread(_begin, target, work, spec)
            ram = Ram(Memory.TEMPLATE, work / RAM)
            vm = await launcher.launch(spec, lan, image, host, files.disk, ram, incoming=True)
            try:
                await load(vm, files)
                await freeze(vm, work / STATE)
            finally:
                await vm.stop()
            await asyncio.to_thread(shutil.move, files.disk, work / DISK)
            await asyncio.to_thread(partial(seal, work, target, spec, key=key, image=image.key, tsc_khz=host.tsc_khz))
        except OSError as exc:
            raise SnapshotError(f"the template {name} could not be written: {exc.strerror}") from exc
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
            await asyncio.to_thread(files.remove)
        return SavedTemplate(name, spec.profile, spec.vcpus, spec.memory_mib, spec.browser)


def _begin(target: Path, work: Path, spec: VmSpec) -> None:
    if target.exists():
        raise SnapshotError(f"there is a template {target.name} already", hint="choose another name")
    work.mkdir(mode=0o700, parents=True)
    make_ram(work / RAM, spec)


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((path / MANIFEST).read_bytes())
        sized = all(isinstance(told[name], int) for name in ("vcpus", "memory_mib"))
        named = {"profile", "image"} <= set(told)
        if sized and named and all((path / name).is_file() for name in (RAM, STATE, DISK)):
            return dict(told)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return None
