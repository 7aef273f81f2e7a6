"""What doctor says of the sessions' exit and of the key that seals its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.doctor_egress import examine_egress
from gateway.cli.finding import Finding, Grade
from gateway.keyfiles import load_sealing_key, sealing_key_path
from gateway.settings import Settings
from tests.loopback.egress_world import LOOPBACK, NAME, ScriptedUpstream, Web


async def found(tmp_path: Path, **more: object) -> tuple[Finding, Finding]:
    key, way = await examine_egress(Settings(state_dir=tmp_path, **more))  # type: ignore[arg-type]
    assert "s3cr3t" not in f"{key}{way}"
    return key, way


async def test_an_exit_that_is_looked_at(
    tmp_path: Path, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    proxy = f"http://anna:s3cr3t@{LOOPBACK}:{upstream[1]}"
    look = {"proxy": proxy, "proxy_check_url": f"http://{NAME}:{web[1]}/ip"}
    for known, grade, said in (
        ("198.51.100.0/24", Grade.OK, "the internet sees 203.0.113.50"),
        ("203.0.113.0/24", Grade.FAIL, "an address of this host"),
        ("2001:db8::/64", Grade.WARN, "is not known"),
    ):
        _, way = await found(tmp_path, **look, public_addresses=known)
        assert (way.grade, said in way.detail) == (grade, True), way
    upstream[0].mode = "deny"
    _, way = await found(tmp_path, **look)
    assert (way.grade, "user name and password" in way.detail) == (Grade.FAIL, True)


async def test_an_exit_that_is_only_connected_to(tmp_path: Path, upstream: tuple[ScriptedUpstream, int]) -> None:
    _, way = await found(tmp_path, proxy=f"http://anna:s3cr3t@{LOOPBACK}:{upstream[1]}")
    assert (way.grade, way.mend) == (Grade.WARN, "set proxy_check_url to have exits looked at")
    assert upstream[0].users == []
    _, way = await found(tmp_path, proxy=f"http://anna:s3cr3t@{LOOPBACK}:1")
    assert (way.grade, "cannot be reached" in way.detail) == (Grade.FAIL, True)


@pytest.mark.parametrize(
    ("more", "grade", "said"),
    [
        ({}, Grade.WARN, "a session reaches nothing"),
        ({"proxy": "direct"}, Grade.FAIL, "does not allow"),
        ({"proxy": "direct", "proxy_direct": True}, Grade.WARN, "from this host itself"),
    ],
)
async def test_exits_without_an_upstream(tmp_path: Path, more: dict[str, object], grade: Grade, said: str) -> None:
    _, way = await found(tmp_path, **more)
    assert (way.grade, said in way.detail) == (grade, True), way


async def test_the_sealing_key(tmp_path: Path) -> None:
    key, _ = await found(tmp_path)
    assert (key.grade, sealing_key_path(tmp_path).exists()) == (Grade.OK, False)
    load_sealing_key(tmp_path)
    assert (await found(tmp_path))[0].detail == "proxy passwords are sealed at rest"
    sealing_key_path(tmp_path).chmod(0o640)
    key, _ = await found(tmp_path)
    assert (key.grade, key.mend) == (Grade.FAIL, f"chmod 0600 {sealing_key_path(tmp_path)}")
    sealing_key_path(tmp_path).write_text("no key of that length, but long enough\n")
    key, _ = await found(tmp_path)
    assert (key.grade, "64 hexadecimal digits" in key.detail) == (Grade.FAIL, True)
