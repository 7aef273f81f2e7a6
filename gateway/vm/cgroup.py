"""A cgroup (v2) for each VM, beside the gateway's own: it must live on when the gateway does not.

Where they are: in the one that the settings name; below the gateway's cgroup when that was delegated to it, as
``Delegate=yes`` of systemd does; for root without that, in ``/fenster``. The kernel's rules:
admin-guide/cgroup-v2.rst. All of it blocks for moments.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cgroups", "Place", "choose_place", "drive_of", "own_cgroup", "unified_mount"]

logger = logging.getLogger(__name__)

CONTROLLERS = ("memory", "pids", "cpu", "io")
GATEWAY = "gateway"
"""systemd's DelegateSubgroup= may put the gateway there; else it goes by itself."""
VMS = "fenster"


@dataclass(frozen=True, slots=True)
class Place:
    """Where cgroups of VMs can be made."""

    base: Path
    above: Sequence[Path]
    """Cgroups that must hand their controllers down, the outermost first; the last one is ``base``."""
    leaf: Path | None = None
    """Where this process must go first: a cgroup has either processes or controlled children."""


def unified_mount(mountinfo: str) -> Path | None:
    """Where cgroup v2 is mounted, from the text of /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == "cgroup2":
            return Path(before.split()[4])
    return None


def own_cgroup(cgroup: str) -> str:
    """This process's, from the text of /proc/self/cgroup; "/" where it is not told (cgroups(7))."""
    return next((line[3:] for line in cgroup.splitlines() if line.startswith("0::")), "/")


def choose_place(mount: Path, own: str, *, root: bool) -> Place | None:
    """Where this process may make cgroups; None when nowhere. Looks at who may write, and changes nothing."""
    mine = mount / own.lstrip("/")
    if mine.name == GATEWAY and os.access(mine.parent, os.W_OK):
        return Place(mine.parent, [mine.parent])
    if root and os.access(mount, os.W_OK):
        return Place(mount / VMS, [mount, mount / VMS])
    if own != "/" and os.access(mine, os.W_OK) and os.access(mine / "cgroup.procs", os.W_OK):
        return Place(mine, [mine], mine / GATEWAY)
    return None


def drive_of(path: Path, sys: Path = Path("/sys/dev/block")) -> str:
    """ "MAJOR:MINOR" of the drive that a file is on, the whole one and not its partition; "" where there is none."""
    device = os.stat(path).st_dev
    entry = sys / f"{os.major(device)}:{os.minor(device)}"
    if not entry.exists():
        return ""
    whole = entry.resolve().parent / "dev" if (entry / "partition").exists() else entry / "dev"
    return whole.read_text().strip()


class Cgroups:
    """The VMs' cgroups; made by :meth:`open`.

    Attributes:
        controllers: what they bound, of CONTROLLERS.
        why: what is missing, in a sentence; "" when nothing is.
    """

    def __init__(self, base: Path | None, controllers: Sequence[str], why: str) -> None:
        self._base = base
        self.controllers = tuple(controllers)
        self.why = why

    @classmethod
    def open(cls, proc: Path = Path("/proc/self"), *, root: bool | None = None, named: str = "") -> Cgroups:
        """Find the place and make it ready. Never fails: what cannot be had is said in ``why``.

        Args:
            named: the cgroup that is to be the place, as /proc/PID/cgroup names one. It is delegated to this user,
                and holds no process itself; this process may move others there from its own, which takes the right
                to write cgroup.procs of the cgroup above both.
        """
        try:
            mount = unified_mount((proc / "mountinfo").read_text())
            if mount is None:
                return cls(None, (), "cgroup v2 is not mounted")
            is_root = os.geteuid() == 0 and _whole_machine(proc) if root is None else root
            if named:
                base = mount / named.strip("/")
                place: Place | None = Place(base, [base])
            else:
                place = choose_place(mount, own_cgroup((proc / "cgroup").read_text()), root=is_root)
            if place is None:
                return cls(None, (), "no cgroup is delegated to this user")
            controllers = _prepare(place)
            _try(place.base)
        except (OSError, subprocess.SubprocessError) as exc:
            return cls(None, (), f"no cgroup can be made: {exc}")
        missing = ", ".join(name for name in CONTROLLERS if name not in controllers)
        return cls(place.base, controllers, f"cgroup v2 has no {missing} here" if missing else "")

    def make(self, name: str, values: Mapping[str, str]) -> Path | None:
        """A cgroup with these bounds, for a process to go into; None where there are none. Raises OSError."""
        if self._base is None:
            return None
        path = self._base / name
        path.mkdir(exist_ok=True)
        try:
            for file, value in values.items():
                if file.partition(".")[0] in self.controllers:
                    (path / file).write_text(value)
        except OSError:
            self.remove(name)
            raise
        return path

    def remove(self, name: str) -> None:
        """After its processes have ended. Idempotent."""
        if self._base is not None:
            try:
                (self._base / name).rmdir()
            except FileNotFoundError:
                pass
            except OSError as exc:
                logger.warning("x the cgroup %s stays: %s", self._base / name, exc.strerror)


def _whole_machine(proc: Path) -> bool:
    """Whether root here is root of the machine, or of its container, and not of a user namespace of our own."""
    first = (proc / "uid_map").read_text().split()
    return first[1] == "0" or first[2] != "1"


def _prepare(place: Place) -> list[str]:
    """Make the cgroups, and have controllers handed down as far as they are; which of them reach the VMs."""
    place.base.mkdir(exist_ok=True)
    if place.leaf is not None:
        place.leaf.mkdir(exist_ok=True)
        (place.leaf / "cgroup.procs").write_text(str(os.getpid()))
    for cgroup in place.above:
        given = (cgroup / "cgroup.controllers").read_text().split()
        for name in CONTROLLERS:
            if name in given:
                # Refused, for one, where somebody else's process stands in the way.
                with contextlib.suppress(OSError):
                    (cgroup / "cgroup.subtree_control").write_text(f"+{name}")
    handed = (place.base / "cgroup.subtree_control").read_text().split()
    return [name for name in CONTROLLERS if name in handed]


def _try(base: Path) -> None:
    """Do with a child what will be done with QEMU: whether it may move there, only the kernel knows."""
    probe = base / f"probe-{os.getpid()}"
    probe.mkdir(exist_ok=True)
    try:
        subprocess.run(
            ["sh", "-c", 'echo 0 > "$0/cgroup.procs"', str(probe)], capture_output=True, timeout=10, check=True
        )
    finally:
        probe.rmdir()
