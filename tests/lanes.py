"""``make test``: the tiers as pytest runs of their own, side by side, the longest first.

Most tests wait most of the time, for a boot, a browser or a clock, and two runs together take little longer than one.
A run says how far it has come as it goes on; what it has to say at its end comes whole, failures last.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_LANES = 2
"""More would be at odds over what a host has once, and tests of timing would feel their neighbours."""
NO_TESTS = 5
"""pytest's exit code where the markers leave none of a tier, as of package/ in ``make test``."""

FIRST_HEADING = "test session starts"
"""Every other heading of pytest's stands after the last test, or after what cannot be collected."""


@dataclass(frozen=True)
class Group:
    """Tests of one pytest run: ``folders`` of tests/, or all that no other group has."""

    name: str
    folders: tuple[str, ...] = ()


GROUPS = (
    # In one run, because they look at what the others' machines leave in the cache.
    Group("machines", ("vm", "faults", "e2e")),
    Group("page", ("page",)),
    Group("x11", ("x11",)),
    Group("loopback", ("loopback",)),
    Group("rest"),
)


@dataclass(frozen=True)
class Outcome:
    group: Group
    code: int
    seconds: float
    said: str
    """What it said after the last test."""

    @property
    def failed(self) -> bool:
        return self.code not in (0, NO_TESTS)


def paths(group: Group, groups: Sequence[Group], tests: Path) -> list[str]:
    """What pytest is to collect, as its arguments."""
    if group.folders:
        return [str(tests / folder) for folder in group.folders]
    return [str(tests), *(f"--ignore={tests / folder}" for other in groups for folder in other.folders)]


async def run_one(group: Group, arguments: Sequence[str], say: Callable[[str], None]) -> Outcome:
    """Raises OSError where Python does not start."""
    began = time.monotonic()
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", *arguments]
    # A cache of its own: who ends last would overwrite what the other remembers of failures.
    command += ["-o", f"cache_dir=.pytest_cache/{group.name}"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 24
    )
    try:
        assert process.stdout is not None
        over: list[str] = []
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            if over or (line.startswith("=====") and FIRST_HEADING not in line):
                over.append(line)
            else:
                say(f"{group.name:>8} | {line}")
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    outcome = Outcome(group, code, time.monotonic() - began, "\n".join(over))
    say(f"{group.name:>8} | {'FAILED' if outcome.failed else 'done'} after {outcome.seconds:.0f} s")
    return outcome


async def run_all(
    groups: Sequence[Group], options: Sequence[str], tests: Path, lanes: int, say: Callable[[str], None]
) -> list[Outcome]:
    """In the order in which they ended."""
    waiting = iter(groups)
    outcomes: list[Outcome] = []

    async def lane() -> None:
        for group in waiting:
            outcomes.append(await run_one(group, [*paths(group, groups, tests), *options], say))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(lanes):
            tasks.create_task(lane())
    return outcomes


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lanes", description=__doc__)
    parser.add_argument("--lanes", type=int, default=min(MAX_LANES, os.cpu_count() or 1), help="runs at once")
    own, options = parser.parse_known_args(arguments)

    def say(line: str) -> None:
        print(line, flush=True)

    outcomes = asyncio.run(run_all(GROUPS, options, ROOT / "tests", own.lanes, say))
    for outcome in sorted(outcomes, key=lambda outcome: outcome.failed):
        say(f"\n{outcome.group.name}:\n{outcome.said}")
    failed = [outcome.group.name for outcome in outcomes if outcome.failed]
    say(f"\n{'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
