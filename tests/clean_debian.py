"""A clean Debian, booted under systemd in a container (systemd-nspawn): what a fresh host has, nothing of this one.

Of this host it has the network where that is asked for, and with it the proxies and certificates that lead outside.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Booted", "booted", "clean_root"]

CERTIFICATES = Path("/usr/local/share/ca-certificates")
OUTSIDE = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL",
           "PIP_DEFAULT_TIMEOUT", "npm_config_registry", "NODE_EXTRA_CA_CERTS")  # fmt: skip
"""Variables that say how this host reaches what is outside."""
BOOT_S = 120.0
STOP_S = 60.0


@contextmanager
def clean_root(suite: str, packages: Sequence[str] = (), *hooks: str) -> Iterator[Path]:
    """A folder with that release of Debian in it, gone afterwards.

    Args:
        packages: besides what a host needs to boot.
        hooks: commands for mmdebstrap's --customize-hook.
    """
    include = ["systemd-sysv", "dbus", "libpam-systemd", "ca-certificates", *packages]
    where = Path(tempfile.mkdtemp(prefix=f"fenster-{suite}-", dir="/var/tmp"))
    root = where / "root"
    try:
        argv = ["mmdebstrap", "-q", "--mode=root", "--variant=important", f"--include={','.join(include)}"]
        argv += ["--aptopt=APT::Install-Recommends false", "--dpkgopt=force-unsafe-io"]
        if list(CERTIFICATES.glob("*.crt")):
            argv += [f"--customize-hook=copy-in {CERTIFICATES} {CERTIFICATES.parent}"]
            argv += ['--customize-hook=chroot "$1" update-ca-certificates']
        done = subprocess.run(
            [*argv, *(f"--customize-hook={hook}" for hook in hooks), suite, root],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        (root / "etc/hostname").write_text("clean\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 clean\n::1 localhost\n")
        lines = [f'{name}="{os.environ[name]}"\n' for name in OUTSIDE if os.environ.get(name)]
        with (root / "etc/environment").open("a") as file:
            file.writelines(lines)
        yield root
    finally:
        shutil.rmtree(where)


class Booted:
    """A running one; made by :func:`booted`.

    Attributes:
        root: its file system, as this host sees it.
        leader: its first process, as this host counts them.
    """

    def __init__(self, root: Path, leader: int) -> None:
        self.root, self.leader = root, leader

    def command(self, *argv: str, user: str = "root") -> list[str]:
        """``argv`` in there, with that user's rights, home and environment as after a login."""
        login = ["su", "--login", "--shell=/bin/sh", user, f"--command=exec {shlex.join(argv)}"]
        return ["nsenter", f"--target={self.leader}", "--all", "--", "env", "-i", f"PATH={PATH}", *login]

    def run(
        self, *argv: str, user: str = "root", stdin: str = "", timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Its output has what went to standard error, too."""
        return subprocess.run(
            self.command(*argv, user=user), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout_s, check=False,
        )  # fmt: skip

    def says(self, *argv: str, user: str = "root", stdin: str = "", timeout_s: float = 60.0) -> str:
        """The output of what must succeed."""
        done = self.run(*argv, user=user, stdin=stdin, timeout_s=timeout_s)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout

    def beside(self, *argv: str) -> list[str]:
        """``argv`` with this host's files, in the network of that one."""
        return ["nsenter", f"--target={self.leader}", "--net", "--", *argv]


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def booted(root: Path, *, network: bool, binds: Mapping[Path, str] | None = None) -> Iterator[Booted]:
    """Boot it, and shut it down afterwards.

    Args:
        network: this host's; else its own, with one address that leads nowhere.
        binds: folders of this host by where they are seen, read-only.
    """
    argv = ["systemd-nspawn", "--quiet", "--boot", f"--directory={root}", "--register=no", "--notify-ready=yes"]
    argv += ["--console=read-only", "--link-journal=no", "--timezone=off"]
    argv += ["--resolv-conf=replace-host"] if network else ["--private-network"]
    argv += [f"--bind={device}" for device in ("/dev/net/tun", "/dev/kvm") if Path(device).exists()]
    argv += [f"--bind-ro={source}:{target}" for source, target in (binds or {}).items()]
    # As on a machine of its own: cgroup v2 alone, and a /proc that user namespaces may mount anew.
    settings = {"UNIFIED_CGROUP_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices,
        _cgroups(root.parent.name) as enter,
    ):
        argv = [*enter, *argv]
        notices.bind(f"{folder}/notify")
        with open(f"{folder}/console", "w+b") as console:
            nspawn = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                env={"PATH": PATH, "NOTIFY_SOCKET": f"{folder}/notify", **settings},
            )  # fmt: skip
            try:
                leader = _ready(notices, nspawn)
                assert leader, f"it did not boot: {Path(console.name).read_text(errors='replace')[-4000:]}"
                yield Booted(root, leader)
            finally:
                nspawn.terminate()
                try:
                    nspawn.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    nspawn.kill()
                    nspawn.wait()


@contextmanager
def _cgroups(name: str) -> Iterator[list[str]]:
    """What starts systemd-nspawn in cgroups of its own. The host's systemd has scopes for that; where there is none,
    they are made by hand, below the root of each hierarchy that systemd uses (cgroups(7))."""
    if Path("/run/systemd/system").exists():
        yield []
        return
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    made = [
        Path(before.split()[4], name) for before, after in mounts
        if after.startswith("cgroup2 ") or (after.startswith("cgroup ") and "name=systemd" in after)
    ]  # fmt: skip
    for cgroup in made:
        cgroup.mkdir()
    try:
        into = "; ".join(f"echo 0 > {shlex.quote(str(cgroup))}/cgroup.procs" for cgroup in made)
        yield ["sh", "-euc", f'{into}; exec "$@" --keep-unit', "sh"]
    finally:
        for cgroup in made:
            for folder, _, _ in os.walk(cgroup, topdown=False):
                os.rmdir(folder)


def _ready(notices: socket.socket, nspawn: subprocess.Popen[bytes]) -> int:
    """The leader once it has booted (sd_notify(3)); 0 when it ended instead."""
    deadline = time.monotonic() + BOOT_S
    leader = 0
    notices.settimeout(1.0)
    while nspawn.poll() is None and time.monotonic() < deadline:
        try:
            told = notices.recv(4096).decode().splitlines()
        except TimeoutError:
            continue
        for line in told:
            name, _, value = line.partition("=")
            if name == "X_NSPAWN_LEADER_PID":
                leader = int(value)
            if line == "READY=1" and leader:
                return leader
    return 0
