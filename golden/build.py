"""Build the golden image, or find the one that is built.

:func:`build` is synchronous and may take minutes. It may be interrupted at any moment and run again: every
stage is written beside its place and renamed when it is whole, so a rerun goes on after the last whole one.

    python -m golden.build [--profile openbox] [--cache DIR]
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from golden import agent_wheel, host, manifest, overlay, run, sources
from golden.errors import BusyError, GoldenError, ManifestError
from golden.initrd import build_initrd
from golden.manifest import Manifest
from golden.sources import Inputs
from golden.stages import Paths, Stage, stages, userns_prefix

__all__ = ["Image", "Progress", "build", "default_cache", "find"]

KEEP_IMAGES = 3
"""Images of a profile that stay after a build, the newest; a running VM has a disk of its own."""
KEEP_STAGES = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a build, for a person to look at. Raising from the callback ends the build."""

    stage: str
    title: str
    index: int
    """From 1."""
    total: int
    state: Literal["cached", "running", "done"]
    detail: str = ""
    """The program's latest line while running."""
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Image:
    """A complete image on disk."""

    path: Path
    kernel: Path
    initrd: Path
    disk: Path
    manifest: Manifest


def default_cache() -> Path:
    """${XDG_CACHE_HOME:-~/.cache}/fenster"""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fenster"


def find(profile: str, cache: Path) -> Image | None:
    """The image with the current key, if it is there and whole. Raises GoldenError for an unknown profile."""
    folder = Paths(cache).image(sources.collect(profile))
    try:
        return _image(folder)
    except ManifestError:
        return None


def build(profile: str = "xfce", *, cache: Path, progress: Callable[[Progress], None]) -> Image:
    """Make the image of ``profile`` unless it is there; returns it either way.

    Raises GoldenError: RecipeError, HostError (tool, room), BusyError, StageError.
    """
    inputs = sources.collect(profile)
    paths = Paths(cache)
    uid = os.geteuid()
    plan = stages(inputs, paths, os.environ, uid=uid, ca=host.find_ca(os.environ))
    if not _whole(plan[-1]):
        host.check_tools(uid)
        _make_folders(paths)
        with _locked(paths):
            _clear(paths.work, uid)
            _prepare(inputs, paths)
            for index, stage in enumerate(plan, start=1):
                _run_stage(stage, index, len(plan), inputs, paths, progress)
            _clear(paths.work, uid)
            _prune(plan, inputs, paths)
    else:
        progress(_event(plan[-1], len(plan), len(plan), "cached"))
    return _image(plan[-1].result)


def _image(folder: Path) -> Image:
    found = manifest.verify(folder)
    return Image(folder, folder / "vmlinuz", folder / "initrd.img", folder / "disk.raw", found)


def _whole(stage: Stage) -> bool:
    if stage.name != "image":
        return stage.result.is_file()
    try:
        manifest.verify(stage.result)
    except ManifestError:
        return False
    return True


def _event(
    stage: Stage,
    index: int,
    total: int,
    state: Literal["cached", "running", "done"],
    detail: str = "",
    since: float = 0.0,
) -> Progress:
    elapsed_s = time.monotonic() - since if since else 0.0
    return Progress(stage.name, stage.title, index, total, state, detail, elapsed_s)


def _run_stage(
    stage: Stage, index: int, total: int, inputs: Inputs, paths: Paths, progress: Callable[[Progress], None]
) -> None:
    if _whole(stage):
        progress(_event(stage, index, total, "cached"))
        return
    host.check_room(paths.cache, stage.room_mib)
    since = time.monotonic()
    progress(_event(stage, index, total, "running", since=since))
    run.run(
        stage.argv,
        stage.env,
        log=paths.logs / f"{stage.name}.log",
        line=lambda text: progress(_event(stage, index, total, "running", text, since)),
    )
    if stage.name == "image":
        progress(_event(stage, index, total, "running", "hashing", since))
        _finish_image(stage.partial, inputs)
        if stage.result.exists():
            shutil.rmtree(stage.result)
    else:
        _fsync(stage.partial)
    stage.partial.rename(stage.result)
    _fsync(stage.result.parent)
    progress(_event(stage, index, total, "done", since=since))


def _finish_image(folder: Path, inputs: Inputs) -> None:
    """From the parts that the hook left: the initrd and the manifest."""
    parts = folder / "initrd"
    names = (parts / "modules.list").read_text(encoding="utf-8").split()
    initrd = build_initrd((parts / "busybox").read_bytes(), [(name, (parts / name).read_bytes()) for name in names])
    (folder / "initrd.img").write_bytes(initrd)
    versions = _pairs(folder / "versions.txt") | {
        "kernel": (folder / "kernel.txt").read_text(encoding="utf-8").strip(),
        "agent": inputs.wheel_version,
    }
    versions |= dict(spec.rsplit("@", 1) for spec in inputs.recipe.cli_packages)
    packages = _pairs(folder / "packages.txt")
    shutil.rmtree(parts)
    for name in ("versions.txt", "kernel.txt", "packages.txt"):
        (folder / name).unlink()
    for name in manifest.FILES:
        (folder / name).chmod(0o644)
    manifest.write(
        folder,
        Manifest(
            profile=inputs.profile,
            key=inputs.image_key,
            cmdline=" ".join(inputs.recipe.cmdline),
            versions=versions,
            agent_sha256=inputs.wheel_sha256,
            files=manifest.record_files(folder),
            packages=packages,
        ),
    )


def _pairs(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)  # "name value"


def _make_folders(paths: Paths) -> None:
    for folder in (paths.images, paths.stages, paths.work, paths.logs):
        folder.mkdir(parents=True, exist_ok=True)


def _prepare(inputs: Inputs, paths: Paths) -> None:
    """The files that the hooks read."""
    (paths.work / "image").mkdir()
    (paths.work / "overlay.tar").write_bytes(overlay.overlay_tar(inputs.overlay))
    (paths.work / agent_wheel.wheel_name(inputs.wheel_version)).write_bytes(inputs.wheel)
    (paths.work / "requirements.txt").write_text(
        "".join(f"{line}\n" for line in inputs.requirements), encoding="utf-8"
    )


@contextmanager
def _locked(paths: Paths) -> Iterator[None]:
    """One build per cache at a time; the lock goes with the process, however it ends."""
    fd = os.open(paths.cache / "build.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise BusyError(f"another build is using {paths.cache}", hint="wait for it to end") from exc
        yield
    finally:
        os.close(fd)


def _clear(work: Path, uid: int) -> None:
    """Empty the work folder: an interrupted build leaves a tree there whose owners are subordinate ids."""
    leftovers = sorted(str(path) for path in work.iterdir())
    if leftovers:
        argv = [*userns_prefix(uid), "rm", "-rf", "--one-file-system", *leftovers]
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise GoldenError(f"{work} cannot be emptied: {result.stderr.strip()}", hint=f"remove {work} by hand")


def _prune(plan: list[Stage], inputs: Inputs, paths: Paths) -> None:
    """Drop what later builds made useless, the oldest first."""
    current = {stage.result for stage in plan}
    for stage in plan[:-1]:
        others = [path for path in paths.stages.glob(f"{stage.name}-*") if path not in current]
        for path in _older(others, KEEP_STAGES - 1):
            path.unlink()
    images = [path for path in paths.images.glob(f"{inputs.profile}-*") if path not in current]
    for path in _older(images, KEEP_IMAGES - 1):
        shutil.rmtree(path)


def _older(found: list[Path], keep: int) -> list[Path]:
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[keep:]


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


if __name__ == "__main__":
    from golden.cli import main

    raise SystemExit(main())
