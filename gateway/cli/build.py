"""build: the golden image, and the snapshot of a live desktop that sessions are cloned from."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from gateway import log
from gateway.app import build_snapshot, templates
from gateway.cli import options
from gateway.cli.output import console, emit, notes
from gateway.netns.userns import ensure_privileges, in_user_namespace
from gateway.settings import Settings, load
from gateway.vm.snapshot import Snapshot
from golden.build import build as build_image
from golden.build import find
from golden.cli import Reporter
from golden.errors import StageError
from golden.refresh import refresh

__all__ = ["build"]

_NO_SETTINGS = frozenset({"force", "fresh", "snapshot", "config", "as_json"})


def build(
    force: Annotated[bool, typer.Option("--force", help="Throw the built image away first.")] = False,
    fresh: Annotated[
        bool, typer.Option("--refresh", help="Build it anew from today's packages; the present one serves meanwhile.")
    ] = False,
    profile: options.Profile = None,
    cache_dir: options.CacheDir = None,
    snapshot: Annotated[bool, typer.Option(help="Also boot it once and keep the live desktop.")] = True,
    accel: options.Accel = None,
    vcpus: options.Vcpus = None,
    memory_mib: options.Memory = None,
    state_dir: options.StateDir = None,
    run_dir: options.RunDir = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
) -> None:
    """Build the golden image and its snapshot, unless those that are there are current; goes on after an
    interruption."""
    flags = {key: value for key, value in locals().items() if key not in _NO_SETTINGS}
    settings = load(flags, config=config)
    # In its second life (ensure_privileges, below) the image is the one that the first has just built.
    first = not in_user_namespace()
    if first and force and not fresh and (old := find(settings.profile, settings.cache_dir)) is not None:
        shutil.rmtree(old.path)
    reporter = Reporter(notes())
    try:
        make = refresh if first and fresh else build_image
        image = make(settings.profile, cache=settings.cache_dir, progress=reporter)
    except StageError as exc:
        if not as_json:
            for line in exc.tail:
                notes().print(f"  {escape(line)}")
        raise
    finally:
        reporter.close()
    made = _snapshots(settings, force=force or fresh) if snapshot else []
    if as_json:
        manifest = asdict(image.manifest)
        shown = {key: manifest[key] for key in ("profile", "key", "versions", "files")}
        emit({"path": image.path, **shown, "snapshots": [one.path for one in made]})
    else:
        for path in [image.path] + [one.path for one in made]:
            console().print(escape(str(path)), soft_wrap=True)


def _snapshots(settings: Settings, *, force: bool) -> list[Snapshot]:
    """One for each template that starts from this image."""
    log.configure("warning", json=settings.log_json)
    ensure_privileges()

    def progress(step: str) -> None:
        notes().print(f"Snapshot: {escape(step)}")

    wanted = [one for one in templates(settings).values() if one.profile == settings.profile]
    made = [asyncio.run(build_snapshot(settings, one, progress, force=force)) for one in wanted]
    return [one for one in made if one is not None]
