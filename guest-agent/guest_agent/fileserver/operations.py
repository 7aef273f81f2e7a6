"""What can be done below the home: look, list, read, write whole files, delete. Blocking; no sockets.

A file being written has no name (O_TMPFILE, open(2)) until all of it is there, so whatever ends the writing, kill -9
included, leaves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from guest_agent.fileserver.beneath import open_below

__all__ = ["MAX_ENTRIES", "Home", "Refused", "Upload"]

MAX_ENTRIES = 10_000
"""Of one folder; what is beyond is not listed."""
KEEP_FREE_BYTES = 16 << 20
"""An upload leaves so much to the desktop, whose programs take a full disk badly."""
_temporary = itertools.count()

_KINDS = {
    errno.ENOENT: "not-found",
    errno.ENOTDIR: "not-found",
    errno.EXDEV: "denied",
    errno.ELOOP: "denied",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.EISDIR: "is-directory",
    errno.EEXIST: "exists",
    errno.ENOSPC: "no-space",
    errno.EDQUOT: "no-space",
    errno.EFBIG: "too-large",
    errno.ENAMETOOLONG: "bad-request",
    # Of open(2): a socket, or a device that nobody serves.
    errno.ENXIO: "not-file",
}


class Refused(Exception):
    """It cannot be done. ``kind`` is one of stream.ERRORS."""

    def __init__(self, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.more = more

    @classmethod
    def by(cls, exc: OSError) -> Refused:
        kind = _KINDS.get(exc.errno or 0, "io")
        said = {"denied": "it lies outside of the home, or may not be touched"}
        return cls(kind, said.get(kind, os.strerror(exc.errno or 0).lower()))


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise Refused.by(exc) from exc


@dataclass(frozen=True, slots=True)
class Reading:
    """An open file and the part of it that was asked for."""

    fd: int
    size: int
    start: int
    length: int
    mtime_ns: int


class Home:
    """Args:
    path: the folder that nothing leaves; opened once, so that it stays the same one.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def stat(self, parts: Sequence[str]) -> dict[str, Any]:
        with _refusing(), self._opened(parts, os.O_PATH) as fd:
            return _facts(os.fstat(fd))

    def list(self, parts: Sequence[str]) -> tuple[bytes, bool]:
        """JSON of [name, kind, size, mtime_ns] by name, and whether there is more. Names that are not UTF-8 are left
        out: no URL could name them."""
        with _refusing(), self._opened(parts, os.O_PATH) as fd:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise Refused("not-directory", "it is not a folder")
        rows: list[tuple[str, str, int, int]] = []
        with _refusing(), self._opened(parts, os.O_RDONLY | os.O_DIRECTORY) as fd, os.scandir(fd) as entries:
            for entry in entries:
                if len(rows) > MAX_ENTRIES:
                    break
                with contextlib.suppress(OSError, UnicodeEncodeError):
                    entry.name.encode()
                    # A link shows as what it is: "other".
                    facts = _facts(entry.stat(follow_symlinks=False))
                    rows.append((entry.name, facts["kind"], facts["size"], facts["mtime_ns"]))
        truncated = len(rows) > MAX_ENTRIES
        return json.dumps(sorted(rows)[:MAX_ENTRIES]).encode(), truncated

    @contextmanager
    def read(self, parts: Sequence[str], start: int | None, stop: int | None) -> Iterator[Reading]:
        """A file's bytes from ``start`` to before ``stop``, as a slice names them."""
        with _refusing():
            # Without O_NONBLOCK a pipe would hold us until somebody writes to it.
            fd = open_below(self._fd, parts, os.O_RDONLY | os.O_NONBLOCK)
        try:
            info = os.fstat(fd)
            _require_file(info)
            first = max(0, info.st_size + start) if start is not None and start < 0 else start or 0
            if first >= info.st_size and first > 0:
                raise Refused("range", f"the file ends at {info.st_size}", size=info.st_size)
            end = info.st_size if stop is None else min(stop, info.st_size)
            yield Reading(fd, info.st_size, first, max(0, end - first), info.st_mtime_ns)
        finally:
            os.close(fd)

    def delete(self, parts: Sequence[str]) -> None:
        """A file, or a link itself; no folder."""
        if not parts:
            raise Refused("is-directory", "it is the home")
        with _refusing(), self._opened(parts[:-1], os.O_RDONLY | os.O_DIRECTORY) as folder:
            os.unlink(parts[-1], dir_fd=folder)

    @contextmanager
    def upload(self, parts: Sequence[str], size: int, *, exclusive: bool) -> Iterator[Upload]:
        """A file to be written; it has its name once :meth:`Upload.finish` has been called, and else never was.

        Missing folders on the way are made.
        """
        if not parts:
            raise Refused("is-directory", "it is the home")
        with _refusing():
            folder = self._make_folder(parts[:-1])
            try:
                _require_place(folder, parts[-1], size, exclusive=exclusive)
                fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=folder)
            except BaseException:
                os.close(folder)
                raise
        try:
            yield Upload(folder, fd, parts[-1], exclusive=exclusive)
        finally:
            os.close(fd)
            os.close(folder)

    def _make_folder(self, parts: Sequence[str]) -> int:
        fd = open_below(self._fd, (), os.O_RDONLY | os.O_DIRECTORY)
        for depth, name in enumerate(parts, 1):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=fd)
            os.close(fd)
            # From the home each time: a link on the way may lead up, and still stay below it.
            fd = open_below(self._fd, parts[:depth], os.O_RDONLY | os.O_DIRECTORY)
        return fd

    @contextmanager
    def _opened(self, parts: Sequence[str], flags: int) -> Iterator[int]:
        fd = open_below(self._fd, parts, flags)
        try:
            yield fd
        finally:
            os.close(fd)


class Upload:
    """A file without a name. ``fd`` is written to by the caller."""

    def __init__(self, folder: int, fd: int, name: str, *, exclusive: bool) -> None:
        self.fd = fd
        self._folder = folder
        self._name = name
        self._exclusive = exclusive

    def finish(self) -> dict[str, Any]:
        """Give it its name, in one step."""
        with _refusing():
            info = os.fstat(self.fd)
            created = self._link()
        return {"size": info.st_size, "mtime_ns": info.st_mtime_ns, "created": created}

    def _link(self) -> bool:
        this = f"/proc/self/fd/{self.fd}"
        try:
            os.link(this, self._name, dst_dir_fd=self._folder, follow_symlinks=True)
            return True
        except FileExistsError:
            if self._exclusive:
                raise
        # linkat(2) replaces nothing, rename(2) does.
        beside = f".fenster-upload-{os.getpid()}-{next(_temporary)}"
        os.link(this, beside, dst_dir_fd=self._folder, follow_symlinks=True)
        try:
            os.replace(beside, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except BaseException:
            os.unlink(beside, dir_fd=self._folder)
            raise
        return False


def _require_place(folder: int, name: str, size: int, *, exclusive: bool) -> None:
    """What can be known before the first byte has been sent."""
    with contextlib.suppress(FileNotFoundError):
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            raise Refused("is-directory", "a folder has this name")
        if exclusive:
            raise Refused("exists", "a file has this name")
    space = os.fstatvfs(folder)
    free = space.f_bavail * space.f_frsize
    if size > free - min(KEEP_FREE_BYTES, free // 10):
        raise Refused("no-space", f"the desktop's disk has {free >> 20} MiB left")


def _require_file(info: os.stat_result) -> None:
    if stat.S_ISDIR(info.st_mode):
        raise Refused("is-directory", "it is a folder")
    if not stat.S_ISREG(info.st_mode):
        raise Refused("not-file", "it is no ordinary file")


def _facts(info: os.stat_result) -> dict[str, Any]:
    kind = "directory" if stat.S_ISDIR(info.st_mode) else "file" if stat.S_ISREG(info.st_mode) else "other"
    return {"kind": kind, "size": info.st_size if kind == "file" else 0, "mtime_ns": info.st_mtime_ns}
