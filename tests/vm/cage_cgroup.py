"""Runs inside a guest, as root, beside a copy of gateway/vm/cgroup.py: make a cgroup and break each of its bounds.

Standard library only, and cgroup.py found where it lies.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MEMORY_BYTES = 64 << 20
PROCESSES = 8

HUNGRY = f"x = b'x' * {3 * MEMORY_BYTES}"
FORKS = f"""
import os, time
done = 0
try:
    for _ in range({2 * PROCESSES}):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        done += 1
except BlockingIOError:
    pass
print(done, flush=True)
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.killpg(0, signal.SIGTERM)
while done:
    os.wait()
    done -= 1
"""
BUSY = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


def main() -> None:
    import cgroup  # type: ignore[import-not-found]

    cgroups = cgroup.Cgroups.open()
    drive = cgroup.drive_of(Path("/"))
    values = {
        "memory.max": str(MEMORY_BYTES),
        "pids.max": str(PROCESSES),
        "io.max": f"{drive} rbps=10000000 wbps=10000000",
    }
    path = cgroups.make("vm", values)

    def run(script: str, *, free: bool = False) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", script]
        into = [] if free else ["sh", "-c", 'echo 0 > "$0/cgroup.procs" && exec "$@"', str(path)]
        return subprocess.run([*into, *argv], capture_output=True, text=True, check=False, start_new_session=True)

    told: dict[str, Any] = {"controllers": cgroups.controllers, "why": cgroups.why}
    told["unbounded"] = [run(script, free=True).returncode for script in (HUNGRY, BUSY)]
    told["hungry"] = run(HUNGRY).returncode
    told["forks"] = int(run(FORKS).stdout)
    (path / "cpu.max").write_text("30000 100000")  # Not before: all that is tried above would take as long.
    run(BUSY)
    stat = dict(line.split() for line in (path / "cpu.stat").read_text().splitlines())
    told["throttled"] = int(stat["nr_throttled"])
    told["io"] = (path / "io.max").read_text().strip()
    cgroups.remove("vm")
    told["left"] = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
