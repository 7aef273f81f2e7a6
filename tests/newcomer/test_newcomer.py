"""Somebody new to it: the README's commands on a fresh Debian 13, by an ordinary user, without any cache.

Takes a quarter of an hour and needs Debian's mirror and the registries of Python and npm: `make newcomer`.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.first_frame import first_frame_s
from tests.newcomer.host import Person, newcomer
from tests.newcomer.readme import filled_in, shell_lines

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

RUN_S = 3600.0
VIEWER_URL = r"Open (http://\S+/s/(\w+)\S*)"
EXCUSED = {
    "make test": "it runs this",
    "serve": "make run serves",
    "verify": "of the suite: tests/vm/test_verify.py",
    "bench create": "measures for minutes: tests/unit/test_bench_create.py",
}
"""What is not typed here, and why not."""


def excused(line: str) -> bool:
    words = line.removeprefix(".venv/bin/fenster ")
    return any(words.startswith(one) for one in EXCUSED)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_readme_leads_to_a_desktop() -> None:
    with newcomer(free_port()) as person:
        prepare, *rest = [line for line in shell_lines(README) if not excused(line)]
        assert rest == ["make run"]
        person.types(prepare, stdin="y\n")
        with person.leaves_running("make run", VIEWER_URL, RUN_S) as found:
            print(f"{first_frame_s(person.url, person.api_key, found[2]):7.1f} s  until the first frame", flush=True)
            try_every_command(person, found[2])
        # Ctrl-C has ended them all.
        assert person.host.run("pgrep", "qemu").stdout == ""


def try_every_command(person: Person, sid: str) -> None:
    """Those of "Using it", on a desktop that is there."""
    (person.home / "fenster" / "notes.txt").write_text("of today\n")
    values = {"ID": sid, "NAME": "mine", "FILE": "notes.txt", "OWNER": "somebody"}
    for line in shell_lines(README, "Using it"):
        if excused(line) or not line.startswith(".venv/bin/fenster"):
            continue
        said = person.types(filled_in(line, values), stdin="http://USER:PASSWORD@192.0.2.1:7000\n")
        if re.search(r"\b(new|fork)\b", line) and (made := re.search(r"/s/(\w+)", said)):
            person.types(f".venv/bin/fenster rm {made[1]}")
