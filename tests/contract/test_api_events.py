"""The event stream."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientResponse

from gateway.routes import events
from tests.contract.api import Api


async def next_event(response: ClientResponse) -> dict[str, Any]:
    """The next state; comments are passed over."""
    name = ""
    async with asyncio.timeout(20):
        while True:
            line = (await response.content.readline()).decode()
            assert line, "the stream ended"
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                assert name == "state"
                body: dict[str, Any] = json.loads(value)
                return body


async def test_the_stream_tells_each_state_with_the_whole_session(api: Api) -> None:
    api.stage.driver.gate.clear()
    session = await api.stage.manager.create()
    path = f"/v1/sessions/{session.id}/events"
    async with api.client.get(path, headers=api.viewer(session, "view")) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        first = await next_event(response)
        assert first["state"] == "creating"
        api.stage.driver.gate.set()
        seen = [first]
        while seen[-1]["state"] != "ready":
            seen.append(await next_event(response))
        assert set(seen[-1]) == set(await (await api.call("GET", f"/v1/sessions/{session.id}", 200)).json())
        await api.call("DELETE", f"/v1/sessions/{session.id}", 204)
        while seen[-1]["state"] != "stopped":
            seen.append(await next_event(response))
        assert (await response.content.read()).strip() == b""


async def test_a_failure_is_told(api: Api) -> None:
    session = await api.stage.ready()
    async with api.client.get(f"/v1/sessions/{session.id}/events", headers=api.admin) as response:
        await next_event(response)
        await api.stage.vm(session).crash("QEMU was killed by signal 9")
        while (event := await next_event(response))["state"] != "failed":
            pass
        assert event["error"]["message"] == "QEMU was killed by signal 9"


async def test_a_quiet_stream_has_a_heartbeat(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.01)
    session = await api.stage.ready()
    async with api.client.get(f"/v1/sessions/{session.id}/events", headers=api.admin) as response:
        async with asyncio.timeout(20):
            while not (await response.content.readline()).startswith(b":"):
                pass


async def test_a_watcher_that_leaves_is_forgotten(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.01)
    session = await api.stage.ready()
    for _ in range(70):
        async with api.client.get(f"/v1/sessions/{session.id}/events", headers=api.admin) as response:
            assert response.status == 200
            await next_event(response)


async def test_too_many_watchers_are_refused(api: Api) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}/events"
    streams = [await api.client.get(path, headers=api.admin) for _ in range(64)]
    try:
        await api.refused("GET", path, 503, "capacity", headers=api.admin)
    finally:
        for stream in streams:
            stream.close()


async def test_head_does_not_open_a_stream(api: Api) -> None:
    session = await api.stage.ready()
    response = await api.client.head(f"/v1/sessions/{session.id}/events", headers=api.admin)
    assert response.status == 405
