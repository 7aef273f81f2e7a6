"""manifest.json of an image directory: what it is made of, and the sizes and hashes of its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from golden.errors import ManifestError

__all__ = ["FILES", "FileRecord", "Manifest", "read", "record_files", "verify", "write"]

FORMAT = 1
NAME = "manifest.json"
FILES = ("vmlinuz", "initrd.img", "disk.raw")
_REBUILD = "build the image again: fenster build"


@dataclass(frozen=True, slots=True)
class FileRecord:
    size: int
    """Bytes; for the sparse disk, the size that the guest sees."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    profile: str
    key: str
    cmdline: str
    """Kernel command line for a driver to pass on."""
    versions: Mapping[str, str]
    """kernel, node, python, agent and each command line tool."""
    agent_sha256: str
    files: Mapping[str, FileRecord]
    packages: Mapping[str, str]
    """Debian package to version."""


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Size and SHA-256 of each file of an image."""
    return {name: FileRecord((folder / name).stat().st_size, _sha256(folder / name)) for name in FILES}


def write(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json and put everything in the folder on disk before the folder gets its final name."""
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1, sort_keys=True)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")
    for name in (*FILES, NAME):
        fd = os.open(folder / name, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def read(folder: Path) -> Manifest:
    """Parse manifest.json. Raises ManifestError when it is missing, foreign or damaged."""
    try:
        body: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ManifestError(f"{folder} is not an image", hint=_REBUILD) from exc
    except ValueError as exc:
        raise ManifestError(f"the manifest in {folder} is damaged", hint=_REBUILD) from exc
    try:
        if body.pop("format") != FORMAT:
            raise ManifestError(f"the image in {folder} has another format", hint=_REBUILD)
        body["files"] = {name: FileRecord(**record) for name, record in body["files"].items()}
        return Manifest(**body)
    except (KeyError, TypeError, AttributeError) as exc:
        raise ManifestError(f"the manifest in {folder} lacks something", hint=_REBUILD) from exc


def verify(folder: Path, *, deep: bool = False) -> Manifest:
    """Check an image directory against its manifest: files and sizes, and with ``deep`` the hashes (seconds).

    Raises ManifestError that names the file.
    """
    manifest = read(folder)
    for name in FILES:
        path = folder / name
        record = manifest.files.get(name)
        if record is None or not path.is_file():
            raise ManifestError(f"{path} is missing", hint=_REBUILD)
        if path.stat().st_size != record.size:
            raise ManifestError(f"{path} has the wrong size", hint=_REBUILD)
        if deep and _sha256(path) != record.sha256:
            raise ManifestError(f"{path} was changed after it was built", hint=_REBUILD)
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
