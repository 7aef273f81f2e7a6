"""Whether a QEMU still lives: it answers QMP, or it works, or it is hung.

A machine's main loop may be held up for long by what it does (a migration's last part, a slow disk), so silence alone
is no proof. A process of which every thread is stopped does nothing any more; one that neither answers nor takes
processor time nor waits for a disk has locked itself up.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from gateway.errors import VmError
from gateway.vm.find import processor_s
from gateway.vm.qmp import Qmp

__all__ = ["ANSWER_S", "DEADLOCK_S", "PULSE_S", "hung", "thread_states"]

PULSE_S = 3.0
"""Between two questions."""
ANSWER_S = 3.0
MISSES = 2
DEADLOCK_S = 60.0
STOPPED = frozenset("Tt")


async def hung(qmp: Qmp, pid: int) -> None:
    """Return when it is."""
    misses, worked_at, worked_s = 0, time.monotonic(), processor_s(pid)
    while True:
        if misses == 0:
            await asyncio.sleep(PULSE_S)
        if await _answers(qmp):
            misses, worked_at, worked_s = 0, time.monotonic(), processor_s(pid)
            continue
        misses += 1
        states, spent_s = await asyncio.to_thread(thread_states, pid), processor_s(pid)
        if states <= STOPPED and misses >= MISSES:
            return
        if spent_s > worked_s or "D" in states or "R" in states:
            worked_at, worked_s = time.monotonic(), spent_s
        elif time.monotonic() - worked_at > DEADLOCK_S:
            return


async def _answers(qmp: Qmp) -> bool:
    began = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_S):
            await qmp.execute("query-status")
    except VmError:
        # Refused at once: the connection is lost. The process's end, if that is it, is seen elsewhere.
        await asyncio.sleep(max(0.0, began + ANSWER_S - time.monotonic()))
        return False
    except TimeoutError:
        return False
    return True


def thread_states(pid: int, proc: Path = Path("/proc")) -> frozenset[str]:
    """Of all its threads (proc_pid_stat(5)); "R" once it has ended, which is nothing that hangs."""
    found = set()
    try:
        for task in (proc / str(pid) / "task").iterdir():
            found.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    except OSError:
        return frozenset("R")
    return frozenset(found)
