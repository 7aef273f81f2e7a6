"""Waiting for processes that are no children of ours."""

from __future__ import annotations

import asyncio
import os

__all__ = ["ended"]


async def ended(pid: int, deadline_s: float = 20.0) -> None:
    """Wait until it has. Raises TimeoutError."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, over.set)
    try:
        await asyncio.wait_for(over.wait(), deadline_s)
    finally:
        loop.remove_reader(fd)
        os.close(fd)
