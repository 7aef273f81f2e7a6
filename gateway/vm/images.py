"""Golden images on disk: directories ``<cache>/golden/<profile>-<key>/`` that ``fenster build`` makes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import ImageError

__all__ = ["GoldenImage", "find_image", "open_image", "verify_image"]

KERNEL, INITRD, DISK, MANIFEST = "vmlinuz", "initrd.img", "disk.raw", "manifest.json"
_HINT = "run fenster build"


@dataclass(frozen=True, slots=True)
class GoldenImage:
    """One image whose files are there and of the right size."""

    path: Path
    profile: str
    key: str
    cmdline: str
    """What the image wants on its kernel's command line, beside what the driver puts there."""
    files: Mapping[str, tuple[int, str]] = field(repr=False)
    """Size in bytes and SHA-256 by name."""
    versions: Mapping[str, str] = field(repr=False)

    @property
    def kernel(self) -> Path:
        return self.path / KERNEL

    @property
    def initrd(self) -> Path:
        return self.path / INITRD

    @property
    def disk(self) -> Path:
        return self.path / DISK

    @property
    def kernel_hash(self) -> str:
        """SHA-256 of the kernel, as the manifest has it."""
        return self.files[KERNEL][1]


def find_image(golden_dir: Path, profile: str) -> GoldenImage:
    """The newest image of a profile. Raises ImageError when there is none, or it is damaged."""
    try:
        found = [p for p in golden_dir.iterdir() if p.name.startswith(f"{profile}-") and (p / MANIFEST).is_file()]
    except FileNotFoundError:
        found = []
    except OSError as exc:
        raise ImageError(f"cannot read {golden_dir}: {exc.strerror}") from exc
    # A profile's name may begin with another's ("xfce", "xfce-lite"): the manifest decides.
    images = [image for image in map(open_image, found) if image.profile == profile]
    if not images:
        raise ImageError(f"there is no golden image of the profile {profile} in {golden_dir}", hint=_HINT)
    return max(images, key=lambda image: (image.path / MANIFEST).stat().st_mtime_ns)


def open_image(path: Path) -> GoldenImage:
    """Read a manifest and check that its files are there with their sizes. Raises ImageError."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        files = {name: _file_entry(manifest, name) for name in (KERNEL, INITRD, DISK)}
        image = GoldenImage(
            path=path,
            profile=str(manifest["profile"]),
            key=str(manifest["key"]),
            cmdline=_cmdline(manifest.get("cmdline", "")),
            files=files,
            versions={str(k): str(v) for k, v in manifest.get("versions", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ImageError(f"the golden image {path} has no good {MANIFEST}: {exc!r}", hint=_HINT) from exc
    for name, (size, _) in files.items():
        try:
            there = os.stat(path / name).st_size
        except OSError as exc:
            raise ImageError(f"the golden image {path} lacks {name}", hint=_HINT) from exc
        if there != size:
            raise ImageError(f"{path / name} has {there} bytes, not {size}", hint=_HINT)
    return image


def verify_image(image: GoldenImage) -> None:
    """Compare every file with its SHA-256; takes seconds, so call it in a thread. Raises ImageError."""
    for name, (_, wanted) in image.files.items():
        with (image.path / name).open("rb") as stream:
            got = hashlib.file_digest(stream, "sha256").hexdigest()
        if got != wanted:
            raise ImageError(f"{image.path / name} is damaged", hint=f"{_HINT} --force")


def _cmdline(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _file_entry(manifest: Mapping[str, Any], name: str) -> tuple[int, str]:
    entry = manifest["files"][name]
    return int(entry["size"]), str(entry["sha256"])
