"""``fenster verify`` as a person runs it: all that a session must show, on a fresh machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_fresh_machine_shows_all_it_must() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "verify", "--json"], capture_output=True, text=True, check=False
    )
    report = json.loads(run.stdout)
    assert [check for check in report["checks"] if not check["ok"]] == []
    assert len(report["checks"]) == 12
    assert run.returncode == 0
