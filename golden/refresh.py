"""The image anew, from today's packages: its key says what was asked for, not when Debian and npm were asked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from golden import sources
from golden.build import Image, Progress, build, find
from golden.errors import GoldenError
from golden.stages import Paths, userns_prefix

__all__ = ["refresh"]

WORK = "refresh"
"""In the cache, so that the image can be renamed into its place."""


def refresh(profile: str = "xfce", *, cache: Path, progress: Callable[[Progress], None]) -> Image:
    """Build beside the present image, which serves meanwhile, and put the new one in its place when it is whole.

    Raises as golden.build.build().
    """
    work = cache / WORK
    _remove(work)
    try:
        fresh = build(profile, cache=work, progress=progress)
        place = Paths(cache).image(sources.collect(profile))
        place.parent.mkdir(parents=True, exist_ok=True)
        # Who copies the old disk now has it open, and goes on.
        if place.exists():
            place.rename(work / "old")
        fresh.path.rename(place)
    finally:
        _remove(work)
    image = find(profile, cache)
    if image is None:
        raise GoldenError(f"the new image at {place} is damaged", hint="fenster build --refresh again")
    return image


def _remove(work: Path) -> None:
    """Also what an interrupted build has left, whose owners are subordinate ids."""
    if work.exists():
        argv = [*userns_prefix(os.geteuid()), "rm", "-rf", "--one-file-system", str(work)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise GoldenError(f"{work} cannot be removed: {done.stderr.strip()}", hint=f"remove {work} by hand")
