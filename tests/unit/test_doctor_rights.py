"""What a host lacks for a gateway without root is named, with the command that mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.finding import Grade
from gateway.cli.rights import (
    look_at_limits,
    look_at_namespaces,
    look_at_subordinate_ids,
    look_at_taps,
    subordinate_ids,
)
from gateway.netns.userns import mend_of_user_namespaces
from gateway.vm.cgroup import Cgroups

SUBIDS = "root:1:10\nanna:100000:65536\nanna:500000:7\n1007:300000:9\n# a comment\n"


def test_the_longest_range_of_a_user_counts() -> None:
    assert subordinate_ids(SUBIDS, "anna", 1000) == 65536
    assert subordinate_ids(SUBIDS, "otto", 1007) == 9
    assert subordinate_ids(SUBIDS, "otto", 1008) == 0


def subids(tmp_path: Path, gids: str) -> tuple[Path, Path]:
    (tmp_path / "subuid").write_text("65534:100000:65536\n")
    (tmp_path / "subgid").write_text(gids)
    return tmp_path / "subuid", tmp_path / "subgid"


def test_ids_of_both_kinds_are_needed(tmp_path: Path) -> None:
    found = look_at_subordinate_ids(65534, *subids(tmp_path, "65534:100000:65536\n"))
    assert found is not None
    assert found.grade is Grade.OK
    found = look_at_subordinate_ids(65534, *subids(tmp_path, ""))
    assert found is not None
    assert found.grade is Grade.WARN
    assert found.mend.startswith("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ")
    found = look_at_subordinate_ids(65534, tmp_path / "none", tmp_path / "none")
    assert found is not None
    assert found.grade is Grade.WARN


def test_the_program_that_maps_them_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = look_at_subordinate_ids(65534, *subids(tmp_path, "65534:100000:65536\n"))
    assert found is not None
    assert (found.grade, found.mend) == (Grade.WARN, "sudo apt-get install uidmap")


def test_root_needs_none() -> None:
    assert look_at_subordinate_ids(0) is None


def test_taps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "tun"
    assert look_at_taps(device).mend == "sudo modprobe tun"
    device.write_text("")
    assert look_at_taps(device).grade is Grade.OK
    monkeypatch.setattr("os.access", lambda path, mode: False)
    closed = look_at_taps(device)
    assert closed.grade is Grade.FAIL
    assert closed.mend.startswith(f"sudo chmod 0666 {device}")


def test_namespaces_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.rights.can_make_namespaces", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look_at_namespaces().mend == "sudo apt-get install util-linux"
    script = tmp_path / "unshare"
    script.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    script.chmod(0o755)
    found = look_at_namespaces()
    assert found.grade is Grade.FAIL
    assert "not permitted" in found.detail
    assert "sysctl" in found.mend
    script.write_text("#!/bin/sh\nexit 0\n")
    assert look_at_namespaces().grade is Grade.OK


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"kernel/unprivileged_userns_clone": "0"}, "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            {"user/max_user_namespaces": "0", "kernel/apparmor_restrict_unprivileged_userns": "1"},
            "sudo sysctl -w user.max_user_namespaces=15000 kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_the_switch_that_is_off_is_named(tmp_path: Path, values: dict[str, str], mend: str) -> None:
    for name, value in values.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    assert mend_of_user_namespaces(tmp_path) == mend


def test_without_a_known_switch_all_are_named(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/unprivileged_userns_clone").write_text("1\n")
    assert "as root" in mend_of_user_namespaces(tmp_path)


@pytest.mark.parametrize(("why", "grade"), [("", Grade.OK), ("cgroup v2 is not mounted", Grade.WARN)])
def test_limits(monkeypatch: pytest.MonkeyPatch, why: str, grade: Grade) -> None:
    monkeypatch.setattr("gateway.cli.rights.Cgroups.open", lambda: Cgroups(None, ["memory"], why))
    found = look_at_limits()
    assert found.grade is grade
    assert why in found.detail
