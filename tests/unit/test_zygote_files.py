"""What identify and assign write, and what they leave alone where the machine is not theirs."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from guest_agent.assign import VNC_PASSWORD_FILE, assign, environment, obfuscate, profile, variables
from guest_agent.files import write_atomic
from guest_agent.identity import become, set_clock
from guest_agent.place import LANGUAGES_FILE, settle
from guest_agent.requests import Assignment, Identity, Place

PROXY = "http://user:p%40ss@169.254.0.22:3128"


def assignment(proxy: str | None = PROXY) -> Assignment:
    return Assignment("k3v9x2ab", time.time_ns(), "s3cr3t!x", proxy, (1280, 720))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_environment_holds_the_session_and_its_proxy_and_nothing_else(tmp_path: Path) -> None:
    assign(assignment(), tmp_path)
    lines = (tmp_path / "environment").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines)
    assert values == {
        "SESSION_ID": "k3v9x2ab",
        "HTTP_PROXY": PROXY,
        "http_proxy": PROXY,
        "HTTPS_PROXY": PROXY,
        "https_proxy": PROXY,
        "NO_PROXY": "localhost,127.0.0.1,::1",
        "no_proxy": "localhost,127.0.0.1,::1",
    }
    assert mode(tmp_path / "environment") == 0o644


def test_a_shell_reads_the_profile(tmp_path: Path) -> None:
    assign(assignment(), tmp_path)
    script = tmp_path / "profile.d/decodo-proxy.sh"
    command = f". {shlex.quote(str(script))} && env"
    shown = subprocess.run(["sh", "-c", command], env={}, capture_output=True, text=True, check=True).stdout
    assert f"HTTPS_PROXY={PROXY}\n" in shown
    assert "SESSION_ID=k3v9x2ab\n" in shown


def test_without_a_proxy_a_shell_forgets_an_earlier_one() -> None:
    values = variables(assignment(None))
    assert values["HTTP_PROXY"] == values["no_proxy"] == ""
    assert "export HTTP_PROXY=''\n" in profile(values)
    assert "HTTP_PROXY=\n" in environment(values)


@pytest.mark.parametrize(
    ("password", "stored"),
    [("s3cr3t!x", "4030991209e257f9"), ("abc", "9c0a172d3482e122"), ("12345678", "f0e43164f6c2e373")],
)
def test_the_vnc_password_is_for_its_reader_alone(tmp_path: Path, password: str, stored: str) -> None:
    """Vectors: `x11vnc -storepasswd`."""
    assert obfuscate(password).hex() == stored
    assign(Assignment("s", time.time_ns(), password, None, (1280, 720)), tmp_path)
    assert (tmp_path / VNC_PASSWORD_FILE).read_bytes().hex() == stored
    assert mode(tmp_path / VNC_PASSWORD_FILE) == 0o600


def test_a_machine_that_is_not_ours_keeps_its_clock_and_its_random_numbers(tmp_path: Path) -> None:
    skipped = become(Identity(bytes(32), "0123456789abcdef" * 2), tmp_path)
    assert list(skipped) == ["entropy"]
    assert (tmp_path / "machine-id").read_text() == "0123456789abcdef" * 2 + "\n"
    assert mode(tmp_path / "machine-id") == 0o444
    before = time.time_ns()
    assert set_clock(before - 3_600_000_000_000, tmp_path) == {"clock": "this agent does not run the whole machine"}
    assert time.time_ns() >= before


def test_a_clock_that_is_right_is_not_set(tmp_path: Path) -> None:
    assert set_clock(time.time_ns(), tmp_path) == {}


def test_a_place_is_written_and_only_what_changes(tmp_path: Path) -> None:
    policy, zone = tmp_path / LANGUAGES_FILE, tmp_path / "localtime"
    assert settle(Place(), tmp_path) == {}
    assert (str(zone.readlink()), policy.exists()) == ("/usr/share/zoneinfo/Etc/UTC", False)
    there = Place("Europe/Berlin", "de-DE")
    assert settle(there, tmp_path) == {}
    assert str(zone.readlink()) == "/usr/share/zoneinfo/Europe/Berlin"
    assert (tmp_path / "timezone").read_text() == "Europe/Berlin\n"
    assert json.loads(policy.read_text()) == {"ForcedLanguages": ["de-DE", "de", "en-US", "en"]}
    assert mode(policy) == 0o644
    # What did not change is not touched: whoever watches the files would look again.
    before = (policy.stat().st_ino, zone.lstat().st_ino)
    assert settle(there, tmp_path) == {}
    assert (policy.stat().st_ino, zone.lstat().st_ino) == before
    assert settle(Place("Nowhere/Land", ""), tmp_path) == {"timezone": "this image has no time zone Nowhere/Land"}
    assert (str(zone.readlink()), policy.exists()) == ("/usr/share/zoneinfo/Europe/Berlin", False)
    assign(replace(assignment(), place=Place("Asia/Tokyo", "en-US")), tmp_path)
    assert str(zone.readlink()) == "/usr/share/zoneinfo/Asia/Tokyo"
    assert json.loads(policy.read_text()) == {"ForcedLanguages": ["en-US", "en"]}


def test_a_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "deep/file"
    write_atomic(target, b"old", 0o640)
    # The folder takes the temporary file, and a folder stands where the target should be: the replace fails.
    blocked = tmp_path / "deep/blocked"
    blocked.mkdir()
    (blocked / "inside").touch()
    with pytest.raises(OSError, match="directory"):
        write_atomic(blocked, b"new", 0o600)
    assert sorted(os.listdir(tmp_path / "deep")) == ["blocked", "file"]
    write_atomic(target, b"new", 0o600)
    assert target.read_bytes() == b"new"
    assert mode(target) == 0o600
