"""Over HTTP: one session for one key, and how long it may go on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreError
from gateway.sessions.lifecycle import State
from gateway.sessions.manager import Limits
from tests.contract.api import Api, api_on
from tests.sessions import until

KEY = "Idempotency-Key"


async def make(api: Api, key: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    response = await api.call("POST", "/v1/sessions", 201, headers={KEY: key}, json=body or {})
    made: dict[str, Any] = await response.json()
    return made


def at(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")


async def test_the_same_key_is_the_same_session(api: Api) -> None:
    first = await make(api, "once")
    await until(api.stage.manager.get(first["id"]), State.READY)
    again = await make(api, "once")
    assert (again["id"], again["state"]) == (first["id"], "ready")
    assert again["viewer_url"].startswith(f"/s/{first['id']}#token=")
    assert (await make(api, "twice"))["id"] != first["id"]
    assert len(api.stage.manager.list()) == 2


async def test_no_body_is_the_same_request_as_an_empty_one(api: Api) -> None:
    first = await make(api, "once")
    response = await api.call("POST", "/v1/sessions", 201, headers={KEY: "once"})
    assert (await response.json())["id"] == first["id"]
    assert response.headers["Location"] == f"/v1/sessions/{first['id']}"


async def test_a_key_that_many_send_at_once_makes_one_session(api: Api) -> None:
    made = await asyncio.gather(*(make(api, "once", {"template": "openbox"}) for _ in range(5)))
    assert len({one["id"] for one in made}) == len(api.stage.manager.list()) == 1


async def test_a_key_for_another_body_is_refused(api: Api) -> None:
    first = await make(api, "once", {"template": "openbox"})
    problem = await api.refused(
        "POST", "/v1/sessions", 409, "conflict", headers={**api.admin, KEY: "once"}, json={"template": "xfce"}
    )
    assert "new key" in problem["hint"]
    assert [session.id for session in api.stage.manager.list()] == [first["id"]]


async def test_a_key_of_a_session_that_has_ended_is_refused(api: Api) -> None:
    first = await make(api, "once")
    await api.call("DELETE", f"/v1/sessions/{first['id']}", 204)
    problem = await api.refused("POST", "/v1/sessions", 409, "conflict", headers={**api.admin, KEY: "once"}, json={})
    assert "has ended" in problem["detail"]
    assert api.stage.manager.list() == []


@pytest.mark.parametrize(("length", "status"), [(0, 400), (1, 201), (255, 201), (256, 400)])
async def test_a_key_has_1_to_255_characters(api: Api, length: int, status: int) -> None:
    headers = {**api.admin, KEY: "k" * length}
    if status == 201:
        await api.call("POST", "/v1/sessions", 201, headers=headers)
        return
    problem = await api.refused("POST", "/v1/sessions", 400, "bad-request", headers=headers)
    assert KEY in problem["detail"]
    assert api.stage.manager.list() == []


async def test_a_create_that_was_refused_uses_no_key_up(tmp_path: Path) -> None:
    async with api_on(tmp_path, limits=Limits(max_sessions=1)) as api:
        first = await make(api, "first")
        for _ in range(2):
            await api.refused("POST", "/v1/sessions", 503, "capacity", headers={**api.admin, KEY: "second"}, json={})
        await api.refused(
            "POST",
            "/v1/sessions",
            400,
            "bad-request",
            headers={**api.admin, KEY: "third"},
            json={"template": "gnome"},
        )
        await api.call("DELETE", f"/v1/sessions/{first['id']}", 204)
        await make(api, "second")


async def test_a_session_that_cannot_be_written_down_is_not_made(api: Api) -> None:
    api.stage.store.error = StoreError("the disk is full", hint="free some")
    problem = await api.refused("POST", "/v1/sessions", 507, "store", headers={**api.admin, KEY: "once"}, json={})
    assert problem["hint"] == "free some"
    assert (api.stage.manager.list(), api.stage.driver.specs) == ([], [])
    api.stage.store.error = None
    await make(api, "once")


async def test_a_session_lives_as_it_was_asked_for(api: Api) -> None:
    body = {"ttl_s": 3600, "idle_timeout_s": 600, "idle_action": "stop", "metadata": {"who": "Zoë"}}
    created = await (await api.call("POST", "/v1/sessions", 201, json=body)).json()
    assert created["ends_at"] == at(api.clock.now + 3600)
    assert (created["idle_action"], created["metadata"]) == ("stop", {"who": "Zoë"})
    session = api.stage.manager.get(created["id"])
    await until(session, State.READY)
    assert session.lifetime.idle_timeout_s == 600
    view = await (await api.call("GET", f"/v1/sessions/{session.id}", 200)).json()
    assert view["ends_at"] == at(api.clock.now + 3600)
    plain = await (await api.call("POST", "/v1/sessions", 201)).json()
    assert (plain["ends_at"], plain["idle_at"], plain["idle_action"]) == (None, None, "suspend")


@pytest.mark.parametrize(
    "body",
    [
        {"ttl_s": 0},
        {"ttl_s": -1},
        {"ttl_s": 1e12},
        {"ttl_s": "soon"},
        {"idle_timeout_s": 0.5},
        {"idle_action": "explode"},
        {"metadata": {"k": 7}},
        {"metadata": {"k" * 65: "v"}},
        {"metadata": {"k": "v" * 257}},
        {"metadata": {str(number): "v" for number in range(17)}},
        {"metadata": None},
    ],
)
async def test_a_lifetime_of_another_shape_is_refused(api: Api, body: dict[str, Any]) -> None:
    await api.refused("POST", "/v1/sessions", 400, "bad-request", json=body, headers=api.admin)
    assert api.stage.manager.list() == []
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}"
    await api.refused("PATCH", path, 400, "bad-request", json=body, headers=api.admin)


async def patched(api: Api, sid: str, body: dict[str, Any]) -> dict[str, Any]:
    view: dict[str, Any] = await (await api.call("PATCH", f"/v1/sessions/{sid}", 200, json=body)).json()
    return view


async def test_a_change_leaves_the_rest_as_it_was(api: Api) -> None:
    body = {"ttl_s": 3600, "idle_timeout_s": 600, "idle_action": "stop", "metadata": {"who": "me"}}
    sid = (await make(api, "once", body))["id"]
    session = api.stage.manager.get(sid)
    await until(session, State.READY)
    before = session.lifetime
    api.clock.now += 1000
    view = await patched(api, sid, {})
    assert (session.lifetime, view["metadata"]) == (before, {"who": "me"})
    view = await patched(api, sid, {"ttl_s": 60})
    assert view["ends_at"] == at(api.clock.now + 60)
    assert session.lifetime == before.model_copy(update={"ends_at": api.clock.now + 60})
    view = await patched(api, sid, {"idle_timeout_s": None})
    assert (view["idle_at"], view["ends_at"]) == (None, at(api.clock.now + 60))
    view = await patched(api, sid, {"ttl_s": None, "idle_action": "suspend"})
    assert (view["ends_at"], view["idle_action"], view["metadata"]) == (None, "suspend", {"who": "me"})
    view = await patched(api, sid, {"metadata": {}, "idle_timeout_s": 60})
    assert view["metadata"] == {}
    assert view["idle_at"] is not None
    assert api.stage.store.kept_sessions[sid].lifetime == session.lifetime


async def test_a_change_counts_as_use(api: Api) -> None:
    session = await api.stage.ready()
    session.busy_at -= 1000
    before = session.busy_at
    await patched(api, session.id, {"idle_timeout_s": 60})
    assert session.busy_at >= before + 1000
    assert session.verdict.due is None


async def test_a_session_that_sleeps_can_be_given_more_time(api: Api) -> None:
    session = await api.stage.ready()
    session.suspend()
    await until(session, State.SUSPENDED)
    view = await patched(api, session.id, {"ttl_s": 60})
    assert (view["state"], view["ends_at"], view["idle_at"]) == ("suspended", at(api.clock.now + 60), None)


async def test_what_has_ended_is_not_changed(api: Api) -> None:
    session = await api.stage.ready()
    await api.stage.vm(session).crash()
    await session.wait_ended()
    path = f"/v1/sessions/{session.id}"
    problem = await api.refused("PATCH", path, 409, "conflict", json={"ttl_s": 60}, headers=api.admin)
    assert "failed" in problem["detail"]
    await api.refused("PATCH", "/v1/sessions/nosuchid", 404, "not-found", json={"ttl_s": 60}, headers=api.admin)
    await api.refused("PATCH", path, 415, "unsupported-media", headers=api.admin)
    await api.refused("PATCH", path, 400, "bad-request", json={"state": "ready"}, headers=api.admin)
