"""Finding a place for the VMs' cgroups, on directories that stand for a cgroup file system.

What the kernel does with them: tests/vm/test_cage.py.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gateway.vm.cgroup import Cgroups, Place, choose_place, drive_of, own_cgroup, unified_mount

PURE = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
OLD = "31 24 0:27 / /x rw - cgroup cgroup rw,memory\n"
HYBRID = """\
31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 24 0:36 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize(
    ("mountinfo", "where"),
    [
        (PURE, Path("/sys/fs/cgroup")),
        (HYBRID, Path("/sys/fs/cgroup/unified")),
        ("31 24 0:27 / /x rw - cgroup c", None),
    ],
)
def test_where_it_is_mounted(mountinfo: str, where: Path | None) -> None:
    assert unified_mount(mountinfo) == where


def test_where_this_process_is() -> None:
    assert own_cgroup("4:memory:/a\n0::/user.slice/x.scope\n") == "/user.slice/x.scope"
    assert own_cgroup("4:memory:/a\n") == "/"


class Fs:
    """A directory like a cgroup file system, and the two files of /proc that lead there."""

    def __init__(self, root: Path, own: str, controllers: str = "cpu io memory pids") -> None:
        self.mount = root / "cgroup"
        self.proc = root / "proc"
        self.proc.mkdir()
        self.mine = self.mount / own.lstrip("/")
        self.mine.mkdir(parents=True)
        (self.proc / "mountinfo").write_text(f"30 24 0:26 / {self.mount} rw - cgroup2 cgroup2 rw\n")
        (self.proc / "cgroup").write_text(f"0::{own}\n")
        self.controllers = controllers
        for path in (self.mount, self.mine):
            self.furnish(path)

    def furnish(self, path: Path) -> None:
        """What the kernel puts into each; handing down is for the test to do."""
        (path / "cgroup.controllers").write_text(self.controllers)
        (path / "cgroup.subtree_control").write_text("")
        (path / "cgroup.procs").write_text("")


def test_root_has_a_place_at_the_top(tmp_path: Path) -> None:
    fs = Fs(tmp_path, "/user.slice/shell.scope")
    assert choose_place(fs.mount, "/user.slice/shell.scope", root=True) == Place(
        fs.mount / "fenster", [fs.mount, fs.mount / "fenster"]
    )


def test_a_delegated_cgroup_is_used_and_its_own_process_moves_aside(tmp_path: Path) -> None:
    fs = Fs(tmp_path, "/svc")
    assert choose_place(fs.mount, "/svc", root=False) == Place(fs.mine, [fs.mine], fs.mine / "gateway")


@pytest.mark.parametrize("root", [True, False])
def test_who_was_put_aside_by_systemd_uses_what_is_above(tmp_path: Path, root: bool) -> None:
    fs = Fs(tmp_path, "/svc/gateway")
    assert choose_place(fs.mount, "/svc/gateway", root=root) == Place(fs.mine.parent, [fs.mine.parent])


def test_the_top_is_no_ordinary_users(tmp_path: Path) -> None:
    fs = Fs(tmp_path, "/")
    assert choose_place(fs.mount, "/", root=False) is None
    found = Cgroups.open(fs.proc, root=False)
    assert (found.controllers, found.why) == ((), "no cgroup is delegated to this user")
    assert found.make("vm", {"memory.max": "1"}) is None
    found.remove("vm")


def test_without_cgroup_v2_there_is_none(tmp_path: Path) -> None:
    fs = Fs(tmp_path, "/svc")
    (fs.proc / "mountinfo").write_text(OLD)
    assert Cgroups.open(fs.proc, root=True).why == "cgroup v2 is not mounted"


def test_a_place_that_is_named_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch)
    fs = Fs(tmp_path, "/a.slice/gateway.service")
    named = fs.mount / "a.slice/vms.slice/vms.service"
    named.mkdir(parents=True)
    fs.furnish(named)
    (named / "cgroup.subtree_control").write_text("memory")
    found = Cgroups.open(fs.proc, root=False, named="/a.slice/vms.slice/vms.service")
    assert found.make("vm", {}) == named / "vm"
    # Whoever holds the place has its processes elsewhere; this one stays where it is.
    assert not (named / "gateway").exists()
    assert (fs.mine / "cgroup.procs").read_text() == ""


def test_a_place_that_is_named_and_not_there_is_said(tmp_path: Path) -> None:
    fs = Fs(tmp_path, "/a.slice/gateway.service")
    assert "No such file" in Cgroups.open(fs.proc, root=False, named="/a.slice/vms.service").why


class Kernel:
    """Lets what is written to subtree_control be, as the kernel does, and the probe's directory be removed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, refused: bool = False) -> None:
        def run(argv: list[str], **more: object) -> subprocess.CompletedProcess[bytes]:
            assert Path(argv[-1]).is_dir()
            if refused:
                raise subprocess.CalledProcessError(2, argv)
            return subprocess.CompletedProcess(argv, 0)

        monkeypatch.setattr("gateway.vm.cgroup.subprocess.run", run)


def test_values_are_written_for_the_controllers_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kernel(monkeypatch)
    fs = Fs(tmp_path, "/svc/gateway", "memory pids hugetlb")
    base = fs.mine.parent
    fs.furnish(base)
    real = Path.write_text

    def write(self: Path, text: str) -> int:
        if self.name == "cgroup.subtree_control":
            text = f"{self.read_text()} {text.removeprefix('+')}".strip()
        return real(self, text)

    monkeypatch.setattr(Path, "write_text", write)
    found = Cgroups.open(fs.proc, root=False)
    assert found.controllers == ("memory", "pids")
    assert found.why == "cgroup v2 has no cpu, io here"
    assert (base / "cgroup.subtree_control").read_text() == "memory pids"

    made = found.make("vm", {"memory.max": "5", "pids.max": "6", "cpu.max": "7", "io.max": "8"})

    assert made == base / "vm"
    assert {path.name: path.read_text() for path in made.iterdir()} == {"memory.max": "5", "pids.max": "6"}
    assert not list(base.glob("probe-*"))


def test_a_place_that_nobody_may_move_to_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, refused=True)
    fs = Fs(tmp_path, "/svc/gateway")
    fs.furnish(fs.mine.parent)
    found = Cgroups.open(fs.proc, root=False)
    assert found.controllers == ()
    assert found.why.startswith("no cgroup can be made")


def test_a_cgroup_that_could_not_be_bounded_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm" / "memory.max").mkdir()
    cgroups = Cgroups(tmp_path, ["memory"], "")
    with pytest.raises(OSError, match="directory"):
        cgroups.make("vm", {"memory.max": "5"})
    os.rmdir(tmp_path / "vm" / "memory.max")
    cgroups.remove("vm")
    cgroups.remove("vm")
    assert list(tmp_path.iterdir()) == []


def test_the_drive_is_the_whole_one(tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    disk, part, sys = tmp_path / "sda", tmp_path / "sda" / "sda1", tmp_path / "block"
    part.mkdir(parents=True)
    sys.mkdir()
    (disk / "dev").write_text("8:0\n")
    (part / "dev").write_text("8:1\n")
    assert drive_of(tmp_path, sys) == ""
    (sys / name).symlink_to(part)
    (part / "partition").write_text("1\n")
    assert drive_of(tmp_path, sys) == "8:0"
    (sys / name).unlink()
    (sys / name).symlink_to(disk)
    assert drive_of(tmp_path, sys) == "8:0"
