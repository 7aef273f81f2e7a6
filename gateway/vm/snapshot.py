"""Snapshots on disk: ``<cache>/snapshots/<profile>-<key>/``, a live desktop to start clones from.

Each holds the RAM, the state of the devices and the disk of one machine at one instant. QEMU accepts some mismatches
without a word and hangs then, so a snapshot is used only on the very QEMU, accelerator, processor, command line and
golden image that it was made with: all of these are its key.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import SnapshotError
from gateway.vm.argv import Fds, Machine, Memory, build_argv, build_cmdline
from gateway.vm.disk import data_extents
from gateway.vm.driver import VmSpec
from gateway.vm.images import GoldenImage
from gateway.vm.launch import Host

__all__ = [
    "MAX_TSC_DRIFT",
    "Snapshot",
    "digest",
    "open_snapshot",
    "seal",
    "snapshot_key",
    "snapshot_path",
    "sweep",
    "verify_snapshot",
]

RAM, STATE, DISK, MANIFEST = "ram", "state", "disk.raw", "manifest.json"
SNAPSHOT_VERSION = 2
"""Raised when what is inside one changes: which programs run, what they wait for."""
MAX_TSC_DRIFT = 0.005
"""Between the counter a snapshot's kernel was told and the host's; two measurements differ by far less."""
_CHUNK_BYTES = 1 << 20
_ZEROS = bytes(_CHUNK_BYTES)
_HINT = "run fenster build"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One whose files are there and whole."""

    path: Path
    profile: str
    key: str
    image: str
    """Key of the golden image that it was made from."""
    tsc_khz: int | None
    files: Mapping[str, tuple[int, str]]
    """Size in bytes and digest by name."""

    @property
    def ram(self) -> Path:
        return self.path / RAM

    @property
    def state(self) -> Path:
        return self.path / STATE

    @property
    def disk(self) -> Path:
        return self.path / DISK


def snapshot_key(image: GoldenImage, host: Host, spec: VmSpec, cpuinfo: str = "") -> str:
    """16 hex digits over everything that a clone must have in common with its template.

    Args:
        cpuinfo: text of /proc/cpuinfo. Its model and flags count where the guest sees the host's processor (KVM).
    """
    machine = Machine(
        binary=host.qemu.path,
        name="",
        uuid="",
        accel=host.accel.name,
        cpu=host.accel.cpu,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        # Not the clock: it is measured, and differs a little every time.
        cmdline=build_cmdline(image.cmdline),
        guest_mac="",
        fds=Fds(kernel=0, initrd=0, disk=0, tap=0, qmp=0, agent=0, serial=0, ram=0),
        memory=Memory.CLONE,
        incoming=True,
    )
    seen = {
        "version": SNAPSHOT_VERSION,
        "qemu": host.qemu.version,
        "argv": build_argv(machine),
        "image": image.key,
        "browser": spec.browser,
        "processor": _processor(cpuinfo) if host.accel.name == "kvm" else "",
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]


def snapshot_path(root: Path, profile: str, key: str) -> Path:
    """Where a snapshot is, or would be."""
    return root / f"{profile}-{key}"


def open_snapshot(path: Path, profile: str, key: str, tsc_khz: int | None) -> Snapshot | None:
    """The snapshot at ``path``; None when there is none.

    Looks at the files' sizes, not into them: that is :func:`verify_snapshot`.

    Raises:
        SnapshotError: it is damaged, has another key, or was made where the clock runs at another speed.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise SnapshotError(f"the snapshot {path} has no good {MANIFEST}: {exc!r}", hint=_HINT) from exc
    try:
        files = {
            name: (int(manifest["files"][name][0]), str(manifest["files"][name][1])) for name in (RAM, STATE, DISK)
        }
        made_at = manifest["tsc_khz"]
        snapshot = Snapshot(
            path, str(manifest["profile"]), str(manifest["key"]), str(manifest["image"]), made_at, files
        )
        if (snapshot.profile, snapshot.key) != (profile, key):
            raise SnapshotError(f"{path} was made with another image, QEMU or host", hint=_HINT)
        for name, (size, _) in files.items():
            there = os.stat(path / name).st_size
            if there != size:
                raise SnapshotError(f"{path / name} has {there} bytes, not {size}", hint=_HINT)
    except (OSError, KeyError, TypeError, ValueError, IndexError) as exc:
        raise SnapshotError(f"the snapshot {path} is not whole: {exc!r}", hint=_HINT) from exc
    if made_at is not None and tsc_khz is not None and abs(made_at - tsc_khz) > MAX_TSC_DRIFT * made_at:
        raise SnapshotError(f"the snapshot was made at {made_at} kHz, this host runs at {tsc_khz}", hint=_HINT)
    return snapshot


def seal(work: Path, target: Path, spec: VmSpec, *, key: str, image: str, tsc_khz: int | None) -> Snapshot:
    """Make the files in ``work`` a snapshot: hash, freeze, describe, and move it all into place at once.

    What was at ``target`` is replaced; clones that run have their files open. Takes seconds, and blocks.
    """
    files = {name: _entry(work / name) for name in (RAM, STATE, DISK)}
    for name in files:
        # The RAM was given to the template's user, who may become another VM's.
        os.chown(work / name, os.geteuid(), os.getegid())
        (work / name).chmod(0o444)
    manifest = {
        "profile": spec.profile,
        "vcpus": spec.vcpus,
        "memory_mib": spec.memory_mib,
        "browser": spec.browser,
        "key": key,
        "image": image,
        "tsc_khz": tsc_khz,
        "files": files,
    }
    (work / MANIFEST).write_text(json.dumps(manifest, indent=2))
    if target.exists():
        shutil.rmtree(target)
    work.rename(target)
    return Snapshot(target, spec.profile, key, image, tsc_khz, files)


def sweep(root: Path, profile: str, image: str) -> list[Path]:
    """Delete what nobody will clone again: snapshots of a profile's older images, and halves of builds that are no
    more. Machines that run are not touched, they have their files open. Returns what went."""
    gone = []
    for path in root.glob(f"{profile}-*"):
        _, _, builder = path.name.partition(".new-")
        if builder:
            stale = not Path("/proc", builder).exists()
        else:
            try:
                manifest = json.loads((path / MANIFEST).read_bytes())
                stale = manifest["profile"] == profile and manifest["image"] != image
            except (OSError, ValueError, KeyError, TypeError):
                stale = True
        if stale:
            shutil.rmtree(path, ignore_errors=True)
            gone.append(path)
    return gone


def verify_snapshot(snapshot: Snapshot) -> None:
    """Compare every file with its digest; takes seconds, so call it in a thread. Raises SnapshotError."""
    for name, (_, wanted) in snapshot.files.items():
        if digest(snapshot.path / name) != wanted:
            raise SnapshotError(f"{snapshot.path / name} is damaged", hint=f"{_HINT} --force")


def _entry(path: Path) -> tuple[int, str]:
    return path.stat().st_size, digest(path)


def digest(path: Path) -> str:
    """SHA-256 over a file's data and where it lies; zeros count as holes. Blocks for a second or so per GiB.

    Reading the holes of a sparse file as well would take many times as long; and which zeros are holes is the file
    system's affair, which changes its mind when it writes them out.
    """
    seen = hashlib.sha256()
    size = path.stat().st_size
    at = 0
    with path.open("rb", buffering=0) as stream:
        for start, end in data_extents(stream.fileno(), size):
            at = max(at, start - start % _CHUNK_BYTES)
            while at < end:
                chunk = os.pread(stream.fileno(), _CHUNK_BYTES, at)
                if not chunk:
                    break
                if chunk != _ZEROS[: len(chunk)]:
                    seen.update(b"%d %d\n" % (at, len(chunk)))
                    seen.update(chunk)
                at += _CHUNK_BYTES
    return seen.hexdigest()


def _processor(cpuinfo: str) -> str:
    lines = [line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line]
    wanted = ("vendor_id", "model name", "stepping", "microcode", "flags")
    return "\n".join(sorted({f"{name.strip()}={value.strip()}" for name, value in lines if name.strip() in wanted}))
