"""The systemd units, as systemd itself reads them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from gateway.settings import load

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
PROGRAM = "/usr/lib/fenster/current/bin/fenster"
MOST = {"fenster.service": 3.0, "fenster-dataplane.service": 3.0, "fenster-vms.service": 7.0,
        "fenster-golden.service": 7.0}  # fmt: skip
"""Exposure by ``systemd-analyze security``, of 10. The last two run setuid programs (newuidmap), which rules the
restrictions out that weigh most; see their comments."""


def run(*argv: str) -> str:
    done = subprocess.run(["systemd-analyze", *argv], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def keys_of(unit: Path) -> dict[str, list[str]]:
    """What the unit sets, by name: a name may stand more than once."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def installed(tmp_path: Path) -> list[str]:
    """The units with a program in place of the one that an installation brings."""
    program = tmp_path / "fenster"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    paths = []
    for unit in sorted([*UNITS.glob("*.service"), *UNITS.glob("*.slice"), *UNITS.glob("*.timer")]):
        path = tmp_path / unit.name
        path.write_text(unit.read_text().replace(PROGRAM, str(program)))
        paths.append(str(path))
    assert len(paths) == 7
    return paths


def test_systemd_has_nothing_to_say_against_them(installed: list[str]) -> None:
    said = run("verify", "--man=no", *installed)
    # Other units of this host may have faults of their own.
    assert [line for line in said.splitlines() if "fenster" in line] == []


@pytest.mark.parametrize("name", MOST)
def test_each_service_is_exposed_no_more_than_it_must_be(name: str) -> None:
    said = run("security", "--offline=true", "--no-pager", str(UNITS / name))
    found = re.search(rf"Overall exposure level for {re.escape(name)}: ([0-9.]+)", said)
    assert found is not None
    assert float(found[1]) < MOST[name]


def test_every_service_has_a_limit() -> None:
    assert {unit.name for unit in UNITS.glob("*.service")} == set(MOST)


def test_desktops_outlive_gateway_and_data_plane() -> None:
    names = ("fenster-vms", "fenster", "fenster-dataplane")
    vms, gateway, plane = (keys_of(UNITS / f"{name}.service") for name in names)
    assert vms["Slice"] == ["fenster-vms.slice"]
    assert set(vms["Delegate"][0].split()) == {"cpu", "io", "memory", "pids"}
    # The one above both, whose cgroup.procs the desktops' way leads through.
    assert gateway["Slice"] == plane["Slice"] == ["fenster.slice"]
    assert "/sys/fs/cgroup/fenster.slice/cgroup.procs" in vms["ExecStartPre"][0]
    settings = (UNITS.parent / "fenster.toml").read_text()
    assert 'vm_cgroup = "/fenster.slice/fenster-vms.slice/fenster-vms.service"' in settings
    assert gateway["KillMode"] == ["process"]
    # Neither end takes the other along.
    assert "fenster-dataplane.service" not in " ".join(gateway["Requires"])


def test_the_example_of_settings_is_one() -> None:
    settings = load({}, environ={}, config=UNITS.parent / "fenster.toml")
    assert settings.dataplane == "service"
    writable = keys_of(UNITS / "fenster.service")["ReadWritePaths"][0].split()
    assert {str(settings.run_dir), str(settings.state_dir), str(settings.cache_dir)} == set(writable)
