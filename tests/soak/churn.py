"""Sessions that come and go beside the three."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress

from gateway.cli.client import Client
from gateway.errors import GatewayError
from tests.soak.record import Create
from tests.soak.watch import Watch

__all__ = ["churn"]

EVERY_S = 60.0
READY_S = 120.0
STAY_S = 3.0


async def churn(api: Client, watch: Watch, found: list[Create], over: asyncio.Event) -> None:
    """Create a session, wait until it is ready, remove it; again each minute, until it is over."""
    due = time.monotonic()
    while not over.is_set():
        watch.busy = True
        found.append(await _once(api, watch.at_s()))
        watch.busy = False
        due = max(due + EVERY_S, time.monotonic())
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), max(0.0, due - time.monotonic()))


async def _once(api: Client, at_s: float) -> Create:
    began = time.monotonic()
    ready_s = removed_s = None
    sid, error = "", ""
    try:
        async with asyncio.timeout(READY_S):
            sid = (await api.call("POST", "/v1/sessions", {}))["id"]
            error = await _until_ready(api, sid)
        if not error:
            ready_s = time.monotonic() - began
            await asyncio.sleep(STAY_S)
    except TimeoutError:
        error = f"not ready within {READY_S:g} s"
    except GatewayError as exc:
        error = str(exc)
    if sid:
        try:
            await api.call("DELETE", f"/v1/sessions/{sid}")
            removed_s = time.monotonic() - began
        except GatewayError as exc:
            error = error or f"not removed: {exc}"
    return Create(at_s, ready_s, removed_s, error)


async def _until_ready(api: Client, sid: str) -> str:
    """Why it did not become ready; empty when it did."""
    async with aclosing(api.follow(sid)) as views:
        async for view in views:
            if view["error"] is not None:
                return str(view["error"]["message"])
            if view["state"] == "ready":
                return ""
    return "its events ended before it was ready"
