"""The Debian package in a clean Debian: it installs without a network but apt's, runs, and goes without a trace."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from gateway import __version__

HERE = Path(__file__).parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_it_is_of_this_release_and_no_giant(package: Path) -> None:
    assert package.name == f"fenster_{__version__}_amd64.deb"
    assert package.stat().st_size < 40 << 20


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_it_installs_runs_and_goes(package: Path, suite: str) -> None:
    done = subprocess.run(
        [HERE / "install.sh", suite, package, "null"], capture_output=True, text=True, timeout=1100, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    assert f"version: fenster {__version__}" in said
    assert "config: 640:root:fenster" in said
    assert "ids: /etc/subuid:1 /etc/subgid:1" in said
    assert "enabled: enabled enabled enabled" in said
    found = re.search(r'^\{"ok".*', said, re.MULTILINE)
    assert found is not None
    names = {finding["name"]: finding["grade"] for finding in json.loads(found[0])["findings"]}
    assert names["QEMU"] == names["taps"] == "ok"
    assert "units verified" in said
    assert "nothing left" in said
