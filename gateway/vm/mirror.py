"""A second copy of a running machine's disk, in step with the first until it is cut off (block-mirror).

QEMU docs/interop/live-block-operations.rst. The copy is as sparse as the disk. No job may live when a migration comes
to its end, which hands the disk on; cutting the copy off in the pause before that is what makes both of one moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.errors import VmError
from gateway.vm.qmp import Qmp

__all__ = ["disk_bytes", "end_mirror", "mirrored"]

DISK_NODE, COPY_NODE = "disk0", "copy0"
"""Names of the disk (argv.py), and of the copy and its job."""
TIMEOUT_S = 600.0
POLL_S = 0.01


@contextlib.asynccontextmanager
async def mirrored(qmp: Qmp, fd: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A copy that is in step; what this gives cuts it off as it is then.

    Args:
        fd: a new file of the disk's size, open for reading and writing; stays the caller's.

    Raises:
        VmError: it could not be made.
    """
    async with qmp.lend(fd) as path:
        node: dict[str, object] = {
            "driver": "raw",
            "node-name": COPY_NODE,
            "discard": "unmap",
            "cache": {"no-flush": True, "direct": False},
            "file": {"driver": "file", "filename": path, "aio": "threads"},
        }
        await qmp.execute("blockdev-add", node)
        try:
            job = {"job-id": COPY_NODE, "device": DISK_NODE, "target": COPY_NODE, "sync": "full"}
            await qmp.execute("blockdev-mirror", {**job, "copy-mode": "write-blocking", "auto-dismiss": False})
            await _until(qmp, "ready")

            async def cut() -> None:
                # Of a mirror that is ready this is its end, not its loss.
                await qmp.execute("block-job-cancel", {"device": COPY_NODE})
                await _until(qmp, "concluded")

            yield cut
        finally:
            await end_mirror(qmp)


async def end_mirror(qmp: Qmp) -> None:
    """Whatever became of a copy, let go of it. With the machine gone there is nothing to do."""
    with contextlib.suppress(VmError):
        job = await _job(qmp)
        if job is not None and job.get("status") != "concluded":
            await qmp.execute("block-job-cancel", {"device": COPY_NODE, "force": True})
            with contextlib.suppress(VmError):
                await _until(qmp, "concluded")
        if job is not None:
            await qmp.execute("job-dismiss", {"id": COPY_NODE})
    with contextlib.suppress(VmError):
        await qmp.execute("blockdev-del", {"node-name": COPY_NODE})


async def disk_bytes(qmp: Qmp) -> int:
    """Size of a machine's disk. Raises VmError."""
    told = await qmp.execute("query-named-block-nodes", {"flat": True})
    for node in told if isinstance(told, list) else []:
        if isinstance(node, dict) and node.get("node-name") == DISK_NODE:
            return int(node["image"]["virtual-size"])
    raise VmError("QEMU has no disk")


async def _until(qmp: Qmp, wanted: str) -> None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                job = await _job(qmp)
                if job is None or "error" in job:
                    raise VmError(f"the disk could not be copied: {'it is gone' if job is None else job['error']}")
                if job["status"] == wanted:
                    return
                if job["status"] == "concluded":
                    raise VmError("the disk's copy ended by itself")
                await asyncio.sleep(POLL_S)
    except TimeoutError as exc:
        raise VmError(f"the disk was not copied within {TIMEOUT_S:g} s") from exc


async def _job(qmp: Qmp) -> dict[str, Any] | None:
    told = await qmp.execute("query-jobs")
    jobs = told if isinstance(told, list) else []
    return next((job for job in jobs if isinstance(job, dict) and job.get("id") == COPY_NODE), None)
