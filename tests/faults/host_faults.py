"""Faults of the host: its exits, its database, its disk, its golden files. Each lasts for a while and is then mended.

Meanwhile the desktop must go on, and what cannot be done must be refused with a reason.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.guest import eventually
from tests.faults.desk import Desk
from tests.faults.host import Host

__all__ = ["disk_full", "exit_gone", "exit_mute", "golden_deleted", "store_locked"]

FETCH = "curl -s -m 60 -o /dev/null -w '%{http_code}' http://site.example/ || true"
TUNNEL = "curl -s -m 60 -o /dev/null -w '%{http_connect}' https://site.example/ || true"
"""Of a proxy that says nothing nobody can tell whether a site thinks for long, unless it was asked for a tunnel."""


async def exit_gone(desk: Desk, host: Host) -> partial[Any]:
    await host.upstream.stop()
    try:
        await _exit_fails(desk, FETCH)
    finally:
        await host.upstream.start()
    desk.mended()
    return partial(_fetches, desk)


async def exit_mute(desk: Desk, host: Host) -> partial[Any]:
    host.upstream.mute = True
    try:
        await _exit_fails(desk, TUNNEL)
    finally:
        host.upstream.mute = False
    desk.mended()
    return partial(_fetches, desk)


async def _exit_fails(desk: Desk, fetch: str) -> None:
    code = (await desk.guest.run("bash", "-lc", fetch, timeout_s=70)).strip()
    assert code in ("502", "504"), code
    await eventually(partial(desk.has_reason, "egress-failing"), "its health says so")


async def _fetches(desk: Desk) -> bool | None:
    return (await desk.guest.run("bash", "-lc", FETCH)).strip() == "200" or None


async def store_locked(desk: Desk, host: Host) -> partial[Any]:
    """Another program holds the database's lock, as a backup may."""
    holder = sqlite3.connect(host.state / "sessions.db", isolation_level=None, timeout=20)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        await _is_refused(desk, "store")
    finally:
        holder.close()
    desk.mended()
    return partial(_is_written, desk)


async def disk_full(desk: Desk, host: Host) -> partial[Any]:
    """The state directory's file system takes nothing more."""
    filler = host.state / "filler"
    async with _filled(filler):
        await _is_refused(desk, "store")
    desk.mended()
    return partial(_is_written, desk)


@asynccontextmanager
async def _filled(filler: Path) -> AsyncIterator[None]:
    await asyncio.to_thread(_fill, filler)
    try:
        yield
    finally:
        await asyncio.to_thread(filler.unlink)


def _fill(filler: Path) -> None:
    free = os.statvfs(filler.parent)
    assert free.f_blocks * free.f_frsize < 1 << 30, "this would fill a disk of the host's own"
    with filler.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


async def golden_deleted(desk: Desk, host: Host) -> partial[Any]:
    """Under a machine that runs on them; new ones are refused until they are there again."""
    await asyncio.to_thread(host.delete_golden)
    try:
        problem = await _create_fails(desk)
        assert problem, "a session was made from nothing"
    finally:
        await asyncio.to_thread(host.link_golden)
    desk.mended()
    return partial(_creates, desk)


async def _create_fails(desk: Desk) -> str:
    """What is said of a session that cannot be made."""
    status, told = await desk.ask("POST", "/v1/sessions", {})
    if status >= 400:
        return str(told.get("detail"))
    sid = told["id"]
    try:
        view = await eventually(partial(_ended, desk, sid), "the session has failed", 60)
        return f"{view['error']['kind']}: {view['error']['message']}"
    finally:
        await desk.ask("DELETE", f"/v1/sessions/{sid}")


async def _ended(desk: Desk, sid: str) -> dict[str, Any] | None:
    view = await desk.gateway.call("GET", f"/v1/sessions/{sid}")
    assert view["state"] != "ready", "a session was made from nothing"
    return view if view["state"] == "failed" else None


async def _creates(desk: Desk) -> bool | None:
    status, told = await desk.ask("POST", "/v1/sessions", {})
    if status >= 400:
        return None
    await desk.gateway.until(told["id"], "ready", deadline_s=120)
    await desk.gateway.call("DELETE", f"/v1/sessions/{told['id']}")
    return True


async def _is_refused(desk: Desk, kind: str) -> None:
    """What must be written down is refused in time, and with a reason; the desktop goes on."""
    status, told = await desk.ask("PATCH", f"/v1/sessions/{desk.sid}", {"metadata": {"while": "broken"}})
    assert status >= 500, (status, told)
    assert kind in told["type"], told
    assert await desk.agent_is(other_than=0)
    desk.reasons.add(f"refused: {told['type'].rpartition(':')[2]}")


async def _is_written(desk: Desk) -> bool | None:
    with_reason = await desk.ask("PATCH", f"/v1/sessions/{desk.sid}", {"metadata": {"while": "mended"}})
    return with_reason[0] == 200 or None
