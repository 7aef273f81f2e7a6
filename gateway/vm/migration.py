"""A machine's state as a stream, by QEMU's migration (docs/devel/migration/main.rst): to a file, and from one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.errors import VmError
from gateway.vm.mirror import end_mirror
from gateway.vm.qmp import Qmp

__all__ = ["go_on", "load", "save", "save_running"]

TIMEOUT_S = 120.0
"""For the RAM of a large guest on a slow disk; device state alone takes milliseconds."""
POLL_S = 0.002
NO_LIMIT_BPS = 1 << 33
"""A migration goes over a network unless told otherwise, and spares it."""
DOWNTIME_MS = 100
"""A running guest is stopped for the rest of its RAM when that takes no longer."""
MAX_ROUNDS, MAX_ROUNDS_S = 4, 15.0
"""A guest that writes faster than it is read is stopped after so many rounds, or so long."""


async def save(qmp: Qmp, fd: int, *, with_ram: bool) -> None:
    """Write the device state, and all of the RAM or none, to a file; the guest stands still and stays so.

    Args:
        fd: the file, new, open for writing only; stays the caller's.

    Raises:
        VmError: it could not be written.
    """
    await qmp.pause()
    await _prepare(qmp, with_ram=with_ram, halt_at_end=False)
    async with qmp.lend(fd) as path:
        await qmp.execute("migrate", {"uri": f"file:{path}"})
        await _until(qmp, "completed", "saved")


async def save_running(qmp: Qmp, fd: int, at_rest: Callable[[], Awaitable[None]]) -> float:
    """Write device state and RAM while the guest runs, all but the last of it; it runs again afterwards.

    Args:
        fd: as for :func:`save`.
        at_rest: called while the guest stands still and its disk is its own.

    Returns:
        For how long it stood still, in s.

    Raises:
        VmError: it could not be written. Then :func:`go_on` is due.
    """
    await _prepare(qmp, with_ram=True, halt_at_end=True)
    async with qmp.lend(fd) as path:
        began = time.monotonic()
        stopped_at: float | None = None
        await qmp.execute("migrate", {"uri": f"file:{path}"})
        async with _limit("saved"):
            while (told := await _ask(qmp, "saved"))["status"] != "pre-switchover":
                ram = told.get("ram")
                rounds = ram.get("dirty-sync-count", 0) if isinstance(ram, dict) else 0
                late = time.monotonic() - began > MAX_ROUNDS_S
                if stopped_at is None and (rounds >= MAX_ROUNDS or late):
                    stopped_at = time.monotonic()
                    await qmp.pause()
                await asyncio.sleep(POLL_S)
        stopped_at = stopped_at or time.monotonic()
        await at_rest()
        await qmp.execute("migrate-continue", {"state": "pre-switchover"})
        await _until(qmp, "completed", "saved")
        await qmp.resume()
        return time.monotonic() - stopped_at


async def load(qmp: Qmp, fd: int, *, with_ram: bool) -> None:
    """Read what was saved into a machine that waits for it; the guest stands still afterwards.

    Args:
        fd: the file, open for reading only; stays the caller's.

    Raises:
        VmError: it could not be read.
    """
    await _prepare(qmp, with_ram=with_ram, halt_at_end=False)
    async with qmp.lend(fd) as path:
        await qmp.execute("migrate-incoming", {"uri": f"file:{path}"})
        await _until(qmp, "completed", "restored")


async def go_on(qmp: Qmp) -> None:
    """Let a guest run that is to run, whatever was being done with it. Raises VmError."""
    with contextlib.suppress(VmError):
        await qmp.execute("migrate_cancel")
    await end_mirror(qmp)
    _, status = await qmp.status()
    if status not in ("running", "shutdown"):
        await qmp.resume()


async def _prepare(qmp: Qmp, *, with_ram: bool, halt_at_end: bool) -> None:
    # Both each time: a machine keeps what an earlier migration has set.
    wanted = {"x-ignore-shared": not with_ram, "pause-before-switchover": halt_at_end}
    capabilities = [{"capability": name, "state": on} for name, on in wanted.items()]
    await qmp.execute("migrate-set-capabilities", {"capabilities": capabilities})
    await qmp.execute("migrate-set-parameters", {"max-bandwidth": NO_LIMIT_BPS, "downtime-limit": DOWNTIME_MS})


async def _until(qmp: Qmp, wanted: str, done: str) -> None:
    """Ask until it is so; QEMU's events about it are an option of their own."""
    async with _limit(done):
        while True:
            told = await _ask(qmp, done)
            if told["status"] == wanted:
                return
            await asyncio.sleep(POLL_S)


async def _ask(qmp: Qmp, done: str) -> dict[str, Any]:
    told = await qmp.execute("query-migrate")
    if not isinstance(told, dict) or "status" not in told:
        return {"status": "none"}
    if told["status"] in ("failed", "cancelled"):
        raise VmError(f"the machine's state could not be {done}: {told.get('error-desc', told['status'])}")
    return told


@contextlib.asynccontextmanager
async def _limit(done: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except TimeoutError as exc:
        raise VmError(f"the machine's state was not {done} within {TIMEOUT_S:g} s") from exc
