"""Suspend, resume, fork and templates over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import DiskError, VmUnavailable
from gateway.routes.openapi import document
from gateway.sessions.lifecycle import State
from gateway.sessions.manager import Limits, Room
from gateway.sessions.session import Session
from tests.contract.api import Api, api_on
from tests.sessions import until

CALLS = ["suspend", "resume", "fork", "template"]


def path(session: Session, call: str) -> str:
    return f"/v1/sessions/{session.id}/{call}"


async def post(api: Api, session: Session, call: str, status: int, **more: Any) -> dict[str, Any]:
    view: dict[str, Any] = await (await api.call("POST", path(session, call), status, **more)).json()
    return view


async def refused(api: Api, session: Session, call: str, status: int, kind: str) -> dict[str, Any]:
    """A call with a good body, refused with a status that the OpenAPI document names."""
    more = {"json": {"name": "mine"}} if call == "template" else {}
    problem = await api.refused("POST", path(session, call), status, kind, headers=api.admin, **more)
    assert str(status) in document()["paths"][f"/v1/sessions/{{sid}}/{call}"]["post"]["responses"]
    return problem


async def test_a_session_is_suspended_and_resumed(api: Api) -> None:
    session = await api.stage.ready()
    for _ in range(2):
        assert (await post(api, session, "suspend", 202))["state"] in ("suspending", "suspended")
    await until(session, State.SUSPENDED)
    assert (await post(api, session, "suspend", 202))["state"] == "suspended"
    host = await (await api.call("GET", "/v1/host", 200)).json()
    assert host["sessions"] == 0
    assert (await post(api, session, "resume", 202))["state"] == "resuming"
    await until(session, State.READY)
    view = await post(api, session, "resume", 202)
    assert view["state"] == "ready"
    assert set(view["durations"]) == {"suspend", "resume"}


@pytest.mark.parametrize("role", ["control", "view"])
async def test_whoever_opens_a_desktop_may_wake_it_and_no_more(api: Api, role: Any) -> None:
    session = await api.stage.asleep()
    viewer = api.viewer(session, role)
    for call in ("suspend", "fork", "template"):
        await api.refused("POST", path(session, call), 403, "forbidden", headers=viewer)
    other = await api.stage.ready()
    await api.refused("POST", path(other, "resume"), 403, "forbidden", headers=viewer)
    response = await api.client.post(path(session, "resume"), headers=viewer)
    assert response.status == 202
    await until(session, State.READY)


@pytest.mark.parametrize("call", CALLS)
async def test_a_session_that_still_boots_has_nothing_to_be_done_with(api: Api, call: str) -> None:
    api.stage.driver.gate.clear()
    session = await api.stage.manager.create()
    if call == "resume":
        await post(api, session, "resume", 202)
        return
    problem = await refused(api, session, call, 409, "conflict")
    assert "creating" in problem["detail"]
    assert "wait" in problem["hint"]


@pytest.mark.parametrize("call", CALLS)
async def test_a_session_that_failed_has_nothing_to_be_done_with(api: Api, call: str) -> None:
    session = await api.stage.ready()
    await api.stage.vm(session).crash()
    await session.wait_ended()
    problem = await refused(api, session, call, 409, "conflict")
    assert "new session" in problem["hint"]


@pytest.mark.parametrize("call", CALLS)
async def test_an_unknown_session(api: Api, call: str) -> None:
    body = {"json": {"name": "mine"}} if call == "template" else {}
    await api.refused("POST", f"/v1/sessions/nosuchid/{call}", 404, "not-found", headers=api.admin, **body)


@pytest.mark.parametrize("call", ["tokens", "whep", "fork", "template"])
async def test_a_session_that_sleeps_can_be_looked_at_but_not_used(api: Api, call: str) -> None:
    session = await api.stage.asleep()
    if call == "tokens":
        assert (await post(api, session, "tokens", 201))["role"] == "control"
        return
    body: dict[str, Any] = {"data": "v=0", "headers": {**api.admin, "Content-Type": "application/sdp"}}
    if call != "whep":
        body = {"json": {"name": "mine"} if call == "template" else {}, "headers": api.admin}
    problem = await api.refused("POST", path(session, call), 409, "conflict", **body)
    assert problem["hint"] == "resume it"


async def test_a_host_without_room_wakes_nobody(api: Api) -> None:
    session = await api.stage.asleep()
    api.stage.room = Room(memory_mib=100, disk_mib=1 << 20)
    problem = await refused(api, session, "resume", 503, "capacity")
    assert "memory" in problem["detail"]
    assert session.state is State.SUSPENDED


async def test_a_fork_is_created_like_a_session(api: Api) -> None:
    session = await api.stage.manager.create(metadata={"who": "me"})
    await until(session, State.READY)
    response = await api.call("POST", path(session, "fork"), 201)
    created = await response.json()
    assert created["id"] != session.id
    assert created["state"] == "resuming"
    assert created["metadata"] == {"who": "me"}
    assert created["viewer_url"] == f"/s/{created['id']}#token={created['token']}"
    assert response.headers["Location"] == f"/v1/sessions/{created['id']}"
    child = api.stage.manager.get(created["id"])
    await until(child, State.READY)
    view = await (await api.call("GET", f"/v1/sessions/{session.id}", 200)).json()
    assert view["durations"] == {"fork_pause": 0.25}
    assert (await post(api, session, "fork", 201, json={"metadata": {"copy": "2"}}))["metadata"] == {"copy": "2"}


async def test_two_forks_at_once_are_one_too_many(api: Api) -> None:
    session = await api.stage.ready()
    api.stage.driver.write_gate.clear()
    first = asyncio.create_task(post(api, session, "fork", 201))
    await api.stage.driver.writing.wait()
    for call in ("fork", "template", "suspend"):
        problem = await refused(api, session, call, 409, "conflict")
        assert "being forked" in problem["detail"]
    api.stage.driver.write_gate.set()
    await first


@pytest.mark.parametrize("call", ["fork", "template"])
async def test_a_full_gateway_copies_nothing(tmp_path: Path, call: str) -> None:
    async with api_on(tmp_path, limits=Limits(max_sessions=1)) as api:
        session = await api.stage.ready()
        await refused(api, session, call, 503, "capacity")
        assert api.stage.driver.disks == {session.id}


@pytest.mark.parametrize("call", ["fork", "template"])
@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [(DiskError("no space", hint="free some"), 507, "disk"), (VmUnavailable("it cannot"), 503, "vm-unavailable")],
)
async def test_a_copy_that_fails_says_why_and_leaves_nothing(
    api: Api, call: str, error: Any, status: int, kind: str
) -> None:
    session = await api.stage.ready()
    api.stage.driver.fork_error = error
    problem = await refused(api, session, call, status, kind)
    assert problem["hint"] == error.hint
    assert api.stage.manager.list() == [session]
    assert api.stage.driver.disks == {session.id}


async def test_a_desktop_becomes_a_template_that_sessions_start_from(api: Api) -> None:
    session = await api.stage.manager.create(template="openbox")
    await until(session, State.READY)
    made = await post(api, session, "template", 201, json={"name": "my-desk"})
    assert made == {
        "name": "my-desk", "profile": "openbox", "vcpus": 1, "memory_mib": 1024, "browser": "fresh", "saved": True,
    }  # fmt: skip
    listed = await (await api.call("GET", "/v1/templates", 200)).json()
    assert [(one["name"], one["saved"]) for one in listed["templates"]] == [
        ("xfce", False), ("openbox", False), ("my-desk", True),
    ]  # fmt: skip
    created = await (await api.call("POST", "/v1/sessions", 201, json={"template": "my-desk"})).json()
    assert created["template"] == "my-desk"
    again = api.stage.manager.get(created["id"])
    await until(again, State.READY)
    assert api.stage.vm(again).spec.saved == "my-desk"


async def test_a_name_that_is_taken(api: Api) -> None:
    session = await api.stage.ready()
    await post(api, session, "template", 201, json={"name": "mine"})
    problem = await refused(api, session, "template", 409, "conflict")
    assert "another name" in problem["hint"]
    await api.refused("POST", path(session, "template"), 409, "conflict", json={"name": "xfce"}, headers=api.admin)


@pytest.mark.parametrize(
    "name",
    ["", "-a", "Mine", "a b", "a/b", "../x", ".hidden", "a\n", "a" * 33, "ä", "a\u0000", 7, None],
)
async def test_a_name_is_a_word_and_no_path(api: Api, name: Any) -> None:
    session = await api.stage.ready()
    problem = await api.refused(
        "POST", path(session, "template"), 400, "bad-request", json={"name": name}, headers=api.admin
    )
    assert "name" in problem["detail"]
    assert api.stage.driver.templates == []


async def test_a_template_must_be_named(api: Api) -> None:
    session = await api.stage.ready()
    await api.refused("POST", path(session, "template"), 415, "unsupported-media", headers=api.admin)
    await api.refused("POST", path(session, "template"), 400, "bad-request", json={}, headers=api.admin)


async def test_a_woken_session_that_fails_sleeps_on_and_says_why(api: Api) -> None:
    session = await api.stage.asleep()
    api.stage.driver.start_error = DiskError("no space", hint="free some")
    await post(api, session, "resume", 202)
    await until(session, State.SUSPENDED)
    view = await (await api.call("GET", f"/v1/sessions/{session.id}", 200)).json()
    assert (view["state"], view["error"]) == (
        "suspended", {"kind": "disk", "message": "no space", "hint": "free some"},
    )  # fmt: skip
