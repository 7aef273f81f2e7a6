"""A fresh user of this host, and commands that run as that user, in a mount namespace of their own."""

from __future__ import annotations

import os
import pwd
import secrets
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["OrdinaryUser", "ordinary_user", "processes_of", "status_of", "subordinates"]

ROOT = Path(__file__).resolve().parents[2]
TUN = Path("/dev/net/tun")


class OrdinaryUser:
    """Made by :func:`ordinary_user`. It has subordinate ids and a home, is in no group, and may do nothing else.

    What root has in places that are closed to others (an interpreter, built images) is shown to it by mounts that
    only its own commands see; so is an open /dev/net/tun where this host's is closed.
    """

    def __init__(self, name: str) -> None:
        entry = pwd.getpwnam(name)
        self.name, self.uid, self.gid, self.home = name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir)
        self._shown: dict[Path, Path] = {}

    def show(self, source: Path, at: str) -> None:
        """Have a directory of this host appear, read-only, below the user's home."""
        target = self.home
        for part in Path(at).parts:
            target /= part
            target.mkdir(exist_ok=True)
            os.chown(target, self.uid, self.gid)
        self._shown[source] = target

    def command(self, *argv: str) -> list[str]:
        """``argv`` as that user; the process keeps its pid all the way."""
        drop = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--inh-caps=-all", "--"]
        script = "\n".join(["set -e", *self._mounts(), f"exec {shlex.join([*drop, *argv])}"])
        return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script]

    def environment(self) -> dict[str, str]:
        """As after a login, and where this test's own modules are."""
        return {
            "HOME": str(self.home),
            "USER": self.name,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        env = {**self.environment(), **more}
        return subprocess.run(self.command(*argv), capture_output=True, text=True, check=False, cwd="/", env=env)

    def _mounts(self) -> Iterator[str]:
        for source, target in self._shown.items():
            yield from _bound(source, target)
        wanted = {Path(sys.base_prefix), Path(sys.prefix), ROOT, *(Path(path) for path in sys.path if path)}
        yield from _opened(path.resolve() for path in wanted if path.exists())
        if not TUN.stat().st_mode & stat.S_IWOTH:
            yield "mount -t tmpfs -o mode=755 none /media"
            yield f"mknod -m 666 /media/tun c 10 200; mount --bind /media/tun {TUN}"
            yield "umount -l /media"


def _bound(source: Path, target: Path) -> list[str]:
    where = shlex.quote(str(target))
    return [f"mount --bind {shlex.quote(str(source))} {where}", f"mount -o remount,ro,bind {where}"]


def _opened(wanted: Iterator[Path]) -> Iterator[str]:
    """Mounts by which everybody may reach these, and nothing else that is closed to them."""
    closed: dict[Path, list[Path]] = {}
    for path in wanted:
        top = next((one for one in reversed(path.parents) if not one.stat().st_mode & stat.S_IXOTH), None)
        if top is not None:
            closed.setdefault(top, []).append(path)
    for top, paths in closed.items():
        yield "mount -t tmpfs -o mode=755 none /media"
        for number, path in enumerate(sorted(set(paths))):
            yield f"mkdir /media/{number}; mount --bind {shlex.quote(str(path))} /media/{number}"
        yield f"mount -t tmpfs -o mode=755 none {shlex.quote(str(top))}"
        for number, path in enumerate(sorted(set(paths))):
            where = shlex.quote(str(path))
            yield f"mkdir -p {where}; mount --bind /media/{number} {where}"
        yield "umount -l /media"


@contextmanager
def ordinary_user() -> Iterator[OrdinaryUser]:
    """Made now, and gone afterwards with its home; what still runs as it or its subordinate ids is killed."""
    name = f"fenster-{secrets.token_hex(3)}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True, capture_output=True)
    user = OrdinaryUser(name)
    try:
        yield user
    finally:
        for pid in processes_of(user):
            os.kill(pid, 9)
        subprocess.run(["userdel", "--remove", "--force", name], check=True, capture_output=True)


def processes_of(user: OrdinaryUser) -> list[int]:
    """Everything that runs as this user or as one of its subordinate ids."""
    ids = [range(user.uid, user.uid + 1), *subordinates(user)]
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            uid = next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("Uid:"))
        except OSError:
            continue
        if any(uid in some for some in ids):
            found.append(int(path.parts[2]))
    return found


def subordinates(user: OrdinaryUser) -> list[range]:
    """Its ranges in /etc/subuid (subuid(5))."""
    rows = [line.split(":") for line in Path("/etc/subuid").read_text().splitlines()]
    return [range(int(first), int(first) + int(count)) for name, first, count in rows if name == user.name]


def status_of(pid: int) -> Mapping[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
