"""The overlay: the files of rootfs/ as a tar that unpacks over the packages. Pure, except :func:`read_tree`.

Owners and modes come from here and not from the checkout: everything is root's, a file that starts with
"#!" can be run, and sudo's own rule about its files is kept.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["file_mode", "merge", "overlay_tar", "read_tree"]


def read_tree(root: Path) -> dict[str, bytes]:
    """Every regular file below ``root`` by its relative path; compiled Python and editors' copies are left out."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith((".pyc", "~", ".swp"))
    }


def merge(*trees: Mapping[str, bytes]) -> dict[str, bytes]:
    """Later trees win."""
    return {name: data for tree in trees for name, data in tree.items()}


def file_mode(name: str, data: bytes) -> int:
    if name.startswith("etc/sudoers.d/"):
        return 0o440
    return 0o755 if data.startswith(b"#!") else 0o644


def overlay_tar(files: Mapping[str, bytes]) -> bytes:
    """A tar with every file and the folders above it, times at zero."""
    folders = {parent.as_posix() for name in files for parent in Path(name).parents if parent.as_posix() != "."}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), file_mode(name, files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    return out.getvalue()
