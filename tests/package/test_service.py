"""The Debian package on a fresh host under systemd: the commands of deploy/README.md, until a viewer has a picture."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.settings import Settings
from tests.clean_debian import Booted, booted, clean_root
from tests.first_frame import first_frame_s
from tests.newcomer.readme import shell_lines

ROOT = Path(__file__).resolve().parents[2]
INSTALL = shell_lines((ROOT / "deploy" / "README.md").read_text(), "Install")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

URL = "http://127.0.0.1:8080"
UNITS = ("fenster-vms.service", "fenster-dataplane.service", "fenster.service")


@contextmanager
def host(suite: str, package: Path) -> Iterator[Booted]:
    """It has the package in ./build, what that depends on in apt's cache, the image, and no network."""
    with clean_root(suite, ["sudo"]) as root:
        newer = ""
        if suite == "bookworm":
            newer = "bookworm-backports"
            mirror = (root / "etc/apt/sources.list").read_text().split()[1]
            (root / "etc/apt/sources.list.d/newer.list").write_text(f"deb {mirror} {newer} main\n")
        (root / "root/build").mkdir()
        shutil.copy(package, root / "root/build")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        for argv in (["update"], ["install", "--download-only", *install_line(newer).split()[3:]]):
            subprocess.run(["chroot", root, "sh", "-c", 'cd && exec apt-get -qq -y "$@"', "sh", *argv], check=True)
        cache, target = Settings().cache_dir, "/var/cache/fenster"
        binds = {cache / name: f"{target}/{name}" for name in ("golden", "snapshots")}
        with booted(root, network=False, binds=binds) as running:
            yield running


def install_line(newer: str) -> str:
    (line,) = [line for line in INSTALL if "apt-get install" in line]
    return line.replace("install", f"install -t {newer}", 1) if newer else line


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_it_serves_by_its_units_and_shows_a_desktop(package: Path, suite: str) -> None:
    with host(suite, package) as running:
        for line in INSTALL:
            print(line)
