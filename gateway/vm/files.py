"""A machine's files beside the golden images: its disk, and while it is suspended its RAM and devices.

``<id>.raw`` is the disk, ``<id>.stream`` what QEMU wrote of everything else. ``<id>.json`` says which golden image
the disk was made from and, once a suspend has come to its end, what belongs to the stream: written last and removed
first, so a stream without it is half of one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import DiskError, SnapshotError
from gateway.vm.snapshot import MAX_TSC_DRIFT, digest

__all__ = ["MachineFiles"]


@dataclass(frozen=True, slots=True)
class MachineFiles:
    """The files of one machine. All of it blocks: call it in a thread."""

    folder: Path
    id: str

    @property
    def disk(self) -> Path:
        return self.folder / f"{self.id}.raw"

    @property
    def stream(self) -> Path:
        return self.folder / f"{self.id}.stream"

    @property
    def record(self) -> Path:
        return self.folder / f"{self.id}.json"

    @property
    def _half_record(self) -> Path:
        return self.folder / f"{self.id}.json.new"

    def claim(self, image: str) -> None:
        """Note the key of the golden image that the disk comes from. Raises DiskError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write({"image": image})

    def image(self) -> str:
        """The key that was noted; "" where it is not known."""
        return str(self._read().get("image", ""))

    def open_stream(self) -> int:
        """A descriptor to write a new stream to; the caller closes it. Raises DiskError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise DiskError(f"cannot write {self.stream}: {exc.strerror}") from exc

    def seal(self, key: str, image: str, tsc_khz: int | None) -> None:
        """The stream is whole and the disk as it was then: bring both to the medium and say so. Takes seconds."""
        try:
            for path in (self.stream, self.disk):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            stream, disk = self.stream.stat(), self.disk.stat()
            suspended = {
                "key": key,
                "tsc_khz": tsc_khz,
                "stream": [stream.st_size, digest(self.stream)],
                "disk": [disk.st_size, disk.st_mtime_ns],
            }
            self._write({"image": image, "suspended": suspended})
        except OSError as exc:
            raise DiskError(f"cannot keep {self.stream}: {exc.strerror}") from exc

    def sealed(self) -> bool:
        """Whether there is a whole stream to go on from, going by the record."""
        return "suspended" in self._read()

    def check(self, key: str, tsc_khz: int | None) -> None:
        """Compare everything with the record. Takes seconds for the stream's digest.

        Raises:
            SnapshotError: what differs.
        """
        try:
            told = self._read()["suspended"]
            if told["key"] != key:
                raise SnapshotError("it was suspended on another QEMU, image or host")
            if told["tsc_khz"] is not None and tsc_khz is not None:
                drift = abs(told["tsc_khz"] - tsc_khz)
                if drift > MAX_TSC_DRIFT * told["tsc_khz"]:
                    raise SnapshotError("it was suspended where the clock runs at another speed")
            disk = self.disk.stat()
            if told["disk"] != [disk.st_size, disk.st_mtime_ns]:
                raise SnapshotError("its disk was changed while it was suspended")
            size, wanted = told["stream"]
            if self.stream.stat().st_size != size or digest(self.stream) != wanted:
                raise SnapshotError("its suspended memory is damaged")
        except (OSError, KeyError, TypeError, ValueError) as exc:
            raise SnapshotError(f"its suspended state is not whole: {exc!r}") from exc

    def use_up(self) -> None:
        """There is nothing to go on from any more; the disk stays. Idempotent."""
        told = self._read()
        if "suspended" in told:
            self._write({"image": told.get("image", "")})
        self.stream.unlink(missing_ok=True)

    def remove(self) -> None:
        """All of them. Idempotent."""
        for path in (self.record, self._half_record, self.stream, self.disk):
            path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            told = json.loads(self.record.read_bytes())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def _write(self, told: dict[str, Any]) -> None:
        half = self._half_record
        try:
            with half.open("w") as stream:
                json.dump(told, stream)
                stream.flush()
                os.fsync(stream.fileno())
            half.replace(self.record)
        except OSError as exc:
            raise DiskError(f"cannot write {self.record}: {exc.strerror}") from exc
