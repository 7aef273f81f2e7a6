"""Every test is in one lane and no failure is lost in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lanes import GROUPS, NO_TESTS, ROOT, Group, Outcome, paths, run_all

HERE = (Group("one", ("one",)), Group("none", ("none",)), Group("rest"))


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    for folder, name, body in (
        ("one", "good", "pass"),
        ("none", "slow", "pass"),
        ("two", "bad", "assert 6 * 7 == 41, 'not so'"),
        (".", "top", "pass"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"test_{name}.py").write_text(f"def test_{name}():\n    {body}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


async def run(tests: Path, groups: tuple[Group, ...], *options: str) -> tuple[dict[str, Outcome], list[str]]:
    said: list[str] = []
    given = ["-c", str(tests / "pytest.ini"), "-p", "no:cacheprovider", *options]
    outcomes = await run_all(groups, given, tests, 2, said.append)
    return {outcome.group.name: outcome for outcome in outcomes}, said


async def test_a_failure_is_told_and_counts(tests: Path) -> None:
    outcomes, said = await run(tests, HERE, "-k", "not slow")
    assert {name: (outcome.code, outcome.failed) for name, outcome in outcomes.items()} == {
        "one": (0, False),
        "none": (NO_TESTS, False),
        "rest": (1, True),
    }
    assert "FAILURES" in outcomes["rest"].said
    assert "not so" in outcomes["rest"].said
    assert "1 passed" in outcomes["one"].said
    assert any(line.startswith("    rest | FAILED after") for line in said)
    assert not any("not so" in line for line in said), "said once, at the end"


async def test_what_cannot_be_collected_fails(tests: Path) -> None:
    (tests / "one" / "test_broken.py").write_text("import nothing_of_this_name\n")
    outcomes, _ = await run(tests, HERE)
    assert outcomes["one"].failed
    assert "nothing_of_this_name" in outcomes["one"].said


def test_every_test_is_in_one_lane() -> None:
    tests = ROOT / "tests"
    folders = [folder for group in GROUPS for folder in group.folders]
    assert len(folders) == len(set(folders))
    assert all(any((tests / folder).glob("test_*.py")) for folder in folders)
    rest = [group for group in GROUPS if not group.folders]
    assert len(rest) == 1
    assert paths(rest[0], GROUPS, tests) == [str(tests), *(f"--ignore={tests / folder}" for folder in folders)]
