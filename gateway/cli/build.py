"""build: the golden image."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli import options
from gateway.cli.output import console, emit, notes
from gateway.settings import load
from golden.build import build as build_image
from golden.build import find
from golden.cli import Reporter
from golden.errors import StageError

__all__ = ["build"]


def build(
    force: Annotated[bool, typer.Option("--force", help="Throw the built image away first.")] = False,
    profile: options.Profile = None,
    cache_dir: options.CacheDir = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
) -> None:
    """Build the golden image, unless the one that is there is current; goes on after an interruption."""
    settings = load({"profile": profile, "cache_dir": cache_dir}, config=config)
    if force and (old := find(settings.profile, settings.cache_dir)) is not None:
        shutil.rmtree(old.path)
    reporter = Reporter(notes())
    try:
        image = build_image(settings.profile, cache=settings.cache_dir, progress=reporter)
    except StageError as exc:
        if not as_json:
            for line in exc.tail:
                notes().print(f"  {escape(line)}")
        raise
    finally:
        reporter.close()
    if as_json:
        manifest = asdict(image.manifest)
        emit({"path": image.path, **{key: manifest[key] for key in ("profile", "key", "versions", "files")}})
    else:
        console().print(escape(str(image.path)), soft_wrap=True)
