"""deploy/host-packages.sh: what it has apt install on which Debian, told by an apt-get that only notes it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "host-packages.sh"


def calls(folder: Path, release: str, *groups: str, installed: str = "") -> list[list[str]]:
    """The words of each `apt-get install`, by root of a host that has only what is named."""
    log = folder / "log"
    fakes = {
        "id": "echo 0",
        "tee": "cat > /dev/null",
        "systemctl": "true",
        "apt-get": f'echo "$@" >> {log}',
        "dpkg-query": f'case " {installed} " in *" $4 "*) case "$3" in *Status*) printf installed ;; '
        "*) printf 1:10.0 ;; esac ;; *) exit 1 ;; esac",
    }
    for name, body in fakes.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    (folder / "os-release").write_text(f"ID=debian\nVERSION_ID={release}\n")
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "OS_RELEASE": str(folder / "os-release")}
    subprocess.run([SCRIPT, *groups], env=env, check=True, capture_output=True, timeout=30)
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split() for line in lines if line.startswith("install ")]


def named(call: list[str]) -> set[str]:
    return {word for word in call[1:] if not word.startswith("-")}


def test_debian_13_installs_all_of_it_at_once(tmp_path: Path) -> None:
    (call,) = calls(tmp_path, "13", "python", "run")
    assert named(call) == {"python3-venv", "qemu-system-x86", "iproute2", "util-linux"}


def test_debian_12_takes_qemu_from_backports_and_the_rest_not(tmp_path: Path) -> None:
    newer, rest = calls(tmp_path, "12", "python", "run")
    assert named(newer) == {"bookworm-backports", "qemu-system-x86"}
    assert named(rest) == {"python3-venv", "iproute2", "util-linux"}


@pytest.mark.parametrize("release", ["12", "13"])
def test_what_is_there_is_left_alone(tmp_path: Path, release: str) -> None:
    there = "python3-venv qemu-system-x86 util-linux"
    (call,) = calls(tmp_path, release, "python", "run", installed=there)
    assert named(call) == {"iproute2"}
    (tmp_path / "log").unlink()
    assert calls(tmp_path, release, "python", "run", installed=f"{there} iproute2") == []
