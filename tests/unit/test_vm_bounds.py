"""What a VM may take of its host, and how the kernel is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.vm.bounds import Bounds, bounds_of, cgroup_values, limited, placed

GIB = 1 << 30
BOUNDS = bounds_of(4096, 2, 6 * GIB)


def test_memory_is_the_guests_and_qemus_own() -> None:
    assert Bounds(4096 + 256 + 512, 3, 6144) == BOUNDS


def test_a_file_may_be_as_large_as_its_disk_or_its_suspended_memory() -> None:
    assert bounds_of(4096, 2, 6 * GIB + 1).disk_mib == 6145
    assert bounds_of(16384, 2, 6 * GIB).disk_mib == 16384 + 256 + 512


def test_values_of_a_cgroup() -> None:
    plain = {"memory.max": str(4864 << 20), "pids.max": "192", "cpu.max": "300000 100000"}
    assert cgroup_values(BOUNDS, "8:0") == plain
    slow = bounds_of(4096, 2, 6 * GIB, 10_000_000)
    assert cgroup_values(slow, "8:0") == {**plain, "io.max": "8:0 rbps=10000000 wbps=10000000"}
    assert cgroup_values(slow, "") == plain


@pytest.mark.parametrize("own_uid", [True, False])
def test_the_kernel_agrees_on_the_limits(own_uid: bool) -> None:
    kinds = {"CORE": 0, "NOFILE": 1024, "AS": (4864 + 8192) << 20, "FSIZE": 6 * GIB}
    if own_uid:
        kinds["NPROC"] = 192
    script = f"import resource as r; print(*[r.getrlimit(getattr(r, 'RLIMIT_' + k)) for k in {list(kinds)}])"
    argv = limited([sys.executable, "-c", script], BOUNDS, own_uid=own_uid)
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    assert told == " ".join(str((value, value)) for value in kinds.values())
    assert own_uid or "--nproc" not in " ".join(argv)


def test_a_process_is_in_its_cgroup_before_it_begins(tmp_path: Path) -> None:
    show = "import os, sys; print(open(sys.argv[1]).read(), sys.argv[2], sorted(os.environ))"
    argv = placed([sys.executable, "-c", show, str(tmp_path / "cgroup.procs"), "two words"], str(tmp_path))
    env = {"A": "b", "LC_ALL": "C"}
    ran = subprocess.run(argv, env={**env, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert ran.stdout == "0\n two words ['A', 'LC_ALL', 'PATH']\n"


def test_a_process_that_may_not_go_there_does_not_begin(tmp_path: Path) -> None:
    ran = subprocess.run(
        placed(["echo", "begun"], str(tmp_path / "none")), capture_output=True, text=True, check=False
    )
    assert ran.returncode != 0
    assert ran.stdout == ""
