"""The Debian package on a fresh host under systemd: what deploy/README.md says, until a viewer has a picture."""

from __future__ import annotations

import json
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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

URL = "http://127.0.0.1:8080"
ADDRESS = "192.0.2.10/24"
UNITS = ("fenster-vms.service", "fenster-dataplane.service", "fenster.service")
EXCUSED = {
    "make deb": "the fixture has",
    "sudo systemctl start fenster-golden.service": "this host's image is there already",
}


class Host(Booted):
    """With the package in ./build of root's home."""

    def unit(self, name: str, key: str) -> str:
        return self.says("systemctl", "show", "--value", f"--property={key}", name).strip()

    def pids(self) -> dict[str, int]:
        return {name: int(self.unit(name, "MainPID")) for name in UNITS}

    def qemus(self) -> str:
        return self.run("pgrep", "--full", "^/usr/bin/qemu.* -uuid ").stdout

    @property
    def api_key(self) -> str:
        return (self.root / "var/lib/fenster/api-key").read_text().strip()

    def first_frame_s(self, sid: str) -> float:
        return first_frame_s(URL, self.api_key, sid, enter=self.beside())

    def state_of(self, sid: str) -> str:
        said = self.says("sudo", "-Hu", "fenster", "fenster", "show", sid, "--json")
        return str(json.loads(said)["state"])


@contextmanager
def host(suite: str, package: Path) -> Iterator[Host]:
    """Without a network; what the package depends on is in apt's cache, and this host's image where images are."""
    with clean_root(suite, ["sudo"]) as root:
        if suite == "bookworm":
            mirror = (root / "etc/apt/sources.list").read_text().split()[1]
            (root / "etc/apt/sources.list.d/newer.list").write_text(f"deb {mirror} bookworm-backports main\n")
        patient = root / "etc/systemd/system/fenster.service.d/patient.conf"
        patient.parent.mkdir()
        # A cold boot under emulation, on a host that does other things too.
        patient.write_text("[Service]\nEnvironment=FENSTER_HELLO_TIMEOUT_S=240 FENSTER_READY_TIMEOUT_S=240\n")
        (root / "root/build").mkdir()
        shutil.copy(package, root / "root/build")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        fetch = install_line(suite).removeprefix("sudo ").replace(" install ", " install -qqy --download-only ")
        subprocess.run(["chroot", root, "sh", "-euc", f"cd; apt-get -qq update; {fetch}"], check=True, timeout=600)
        cache = Settings().cache_dir
        binds = {cache / name: f"/var/cache/fenster/{name}" for name in ("golden", "snapshots")}
        with booted(root, network=False, binds=binds) as running:
            made = Host(running.root, running.leader)
            # Not of lo: no peer takes that for a way.
            lines = ["link add outside type veth peer name nowhere", f"addr add {ADDRESS} dev outside"]
            for line in [*lines, "link set outside up", "link set nowhere up"]:
                subprocess.run(made.beside("ip", *line.split()), check=True)
            yield made


def install_line(suite: str) -> str:
    (line,) = [line for line in INSTALL if "apt-get install" in line]
    return line.replace("install", "install -t bookworm-backports", 1) if suite == "bookworm" else line


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_it_serves_by_its_units_and_shows_a_desktop(package: Path, suite: str) -> None:
    with host(suite, package) as running:
        try:
            follow_the_document(running, suite)
        except BaseException:
            print(running.run("journalctl", "--no-pager", "-n", "150", "-u", "fenster*").stdout)
            print(running.run("sh", "-c", "tail -n 30 /var/lib/fenster/logs/*").stdout)
            raise


def follow_the_document(running: Host, suite: str) -> None:
    said = ""
    for line in [install_line(suite) if "apt-get install" in line else line for line in INSTALL]:
        if line not in EXCUSED:
            said = running.says("sh", "-c", line, stdin="y\n", timeout_s=300)
    # The last one was `fenster new`.
    made = re.search(rf"{URL}/s/([a-z2-7]{{8}})", said)
    assert made is not None, said
    sid = made[1]
    print(f"\n{suite}: first frame after {running.first_frame_s(sid):.1f} s")
    check_who_runs(running)

    # A restart of the gateway, and of the data plane alone: the desktop is the same one.
    qemu, before = running.qemus(), running.pids()
    running.says("systemctl", "restart", "fenster.service")
    after = running.pids()
    assert [name for name in UNITS if before[name] != after[name]] == ["fenster.service"]
    assert running.state_of(sid) == "ready"
    print(f"after a restart of the gateway: {running.first_frame_s(sid):.1f} s")
    running.says("systemctl", "restart", "fenster-dataplane.service")
    print(f"after a restart of the data plane: {running.first_frame_s(sid):.1f} s")
    assert running.qemus() == qemu

    running.says("apt-get", "remove", "-qq", "-y", "fenster", timeout_s=120)
    assert running.qemus() == ""


def check_who_runs(running: Host) -> None:
    """Each in its own unit, and none of them as root; the desktop in the place for desktops; no secret in the log."""
    log = running.says("journalctl", "--no-pager", "-u", "fenster.service")
    assert "Fenster listens on http://127.0.0.1:8080/" in log
    assert running.api_key not in log
    for name in UNITS:
        assert (running.unit(name, "ActiveState"), running.unit(name, "NRestarts")) == ("active", "0"), name
    user = running.says("id", "-u", "fenster").strip()
    for pid in running.pids().values():
        assert running.says("stat", "-c", "%u", f"/proc/{pid}").strip() == user
    (qemu,) = running.qemus().split()
    assert int(running.says("stat", "-c", "%u", f"/proc/{qemu}")) >= 100_000, "of no user of its own (subuid(5))"
    assert "/fenster-vms.service/" in running.says("cat", f"/proc/{qemu}/cgroup")
