"""Importing the media half starts no thread: the zygote imports everything and then forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import guest_agent

PACKAGE = Path(guest_agent.__file__).parent
PROGRAM = """
import importlib, os, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert "av" in sys.modules and "numpy" in sys.modules and "aiortc" in sys.modules and "xcffib" in sys.modules
print(len(os.listdir("/proc/self/task")))
"""


def test_one_thread_after_importing_everything() -> None:
    modules = [f"guest_agent.{path.stem}" for path in sorted(PACKAGE.glob("*.py")) if not path.stem.startswith("__")]
    assert "guest_agent.media" in modules
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *modules],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"
