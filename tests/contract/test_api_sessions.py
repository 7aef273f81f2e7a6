"""Sessions over HTTP: create, look, end, and every way to ask wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from gateway.errors import ImageError
from gateway.sessions.lifecycle import State
from gateway.sessions.manager import Limits, Room
from gateway.tokens import verify
from tests.contract.api import KEYS, Api, api_on
from tests.sessions import until

VIEW_KEYS = {
    "id", "state", "created_at", "timings", "durations", "error", "notice", "viewers", "control", "display",
    "template", "accelerator", "metadata", "ends_at", "idle_at", "idle_action", "warning", "clipboard", "files",
    "egress", "health", "limits", "timezone", "locale",
}  # fmt: skip


async def test_create_answers_at_once_with_everything_a_viewer_needs(api: Api) -> None:
    api.stage.driver.gate.clear()
    response = await api.call("POST", "/v1/sessions", 201)
    created = await response.json()
    assert set(created) == VIEW_KEYS | {"viewer_url", "token", "expires_at"}
    assert created["state"] == "creating"
    assert created["display"] == {"width": 1280, "height": 720}
    assert created["viewer_url"] == f"/s/{created['id']}#token={created['token']}"
    assert response.headers["Location"] == f"/v1/sessions/{created['id']}"
    claims = verify(KEYS.signing_key, created["token"], now=api.clock.now)
    assert (claims.sid, claims.role) == (created["id"], "control")


async def test_a_session_is_shown_with_its_timings(api: Api) -> None:
    session = await api.stage.ready()
    view = await (await api.call("GET", f"/v1/sessions/{session.id}", 200)).json()
    assert set(view) == VIEW_KEYS
    assert (view["state"], view["error"], view["viewers"], view["template"]) == ("ready", None, 0, "xfce")
    assert view["accelerator"] == "none"
    assert view["limits"] == ["memory"]
    assert {"disk", "spawn", "hello", "identify", "assign", "agent", "vnc", "ready"} <= set(view["timings"])
    assert "vnc_password" not in str(view)
    assert session.vnc_password not in str(view)


async def test_template_and_display_can_be_named(api: Api) -> None:
    body = {"template": "openbox", "display": {"width": 1920, "height": 1080}}
    created = await (await api.call("POST", "/v1/sessions", 201, json=body)).json()
    assert (created["template"], created["display"]) == ("openbox", {"width": 1920, "height": 1080})


async def test_sessions_are_listed_oldest_first(api: Api) -> None:
    ids = [(await (await api.call("POST", "/v1/sessions", 201, json={})).json())["id"] for _ in range(3)]
    listed = await (await api.call("GET", "/v1/sessions", 200)).json()
    assert [view["id"] for view in listed["sessions"]] == ids


async def test_destroy_leaves_nothing_and_may_be_repeated(api: Api) -> None:
    session = await api.stage.ready()
    await api.call("DELETE", f"/v1/sessions/{session.id}", 204)
    assert api.stage.left() == []
    await api.call("DELETE", f"/v1/sessions/{session.id}", 204)
    await api.refused("GET", f"/v1/sessions/{session.id}", 404, "not-found", headers=api.admin)


async def test_one_killed_machine_fails_its_session_only(api: Api) -> None:
    lost, other = await api.stage.ready(), await api.stage.ready()
    await api.stage.vm(lost).crash("QEMU was killed by signal 9", hint="see dmesg")
    await lost.wait_ended()
    view = await (await api.call("GET", f"/v1/sessions/{lost.id}", 200)).json()
    assert view["state"] == "failed"
    assert view["error"]["kind"] == "vm-lost"
    assert view["error"]["message"] == "QEMU was killed by signal 9"
    view = await (await api.call("GET", f"/v1/sessions/{other.id}", 200)).json()
    assert view["state"] == "ready"
    await api.call("DELETE", f"/v1/sessions/{lost.id}", 204)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON"),
        (b"", "JSON"),
        (b"[]", "object"),
        (b'"xfce"', "object"),
        (b"null", "object"),
        (b'{"display": {"width": 1280}}', "display.height"),
        (b'{"display": {"width": 1280, "height": 99999}}', "display.height"),
        (b'{"display": "1280x720"}', "display"),
        (b'{"templat": "xfce"}', "templat"),
        (b'{"template": 7}', "template"),
        (b'{"template": "gnome"}', "gnome"),
        (b"[" * 10000, "JSON"),
        (b'{"template": "\xff"}', "JSON"),
    ],
)
async def test_a_malformed_body_is_refused_and_named(api: Api, body: bytes, said: str) -> None:
    if not body:
        body = b" "
    problem = await api.refused(
        "POST",
        "/v1/sessions",
        400,
        "bad-request",
        data=body,
        headers={**api.admin, "Content-Type": "application/json"},
    )
    assert said in problem["detail"]
    assert api.stage.manager.list() == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/sdp", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_type_is_refused(api: Api, content_type: str) -> None:
    headers = {**api.admin, "Content-Type": content_type}
    await api.refused("POST", "/v1/sessions", 415, "unsupported-media", data=b'{"template": "xfce"}', headers=headers)


async def test_a_form_is_refused(api: Api) -> None:
    form = FormData({"template": "xfce"})
    await api.refused("POST", "/v1/sessions", 415, "unsupported-media", data=form, headers=api.admin)


@pytest.mark.parametrize("size", [16 * 1024 + 1, 64 * 1024 + 1, 1 << 20])
async def test_a_body_that_is_too_large_is_refused(api: Api, size: int) -> None:
    headers = {**api.admin, "Content-Type": "application/json"}
    await api.refused("POST", "/v1/sessions", 413, "too-large", data=b" " * size, headers=headers)


async def test_a_body_that_does_not_say_how_large_it_is(api: Api) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 8192

    headers = {**api.admin, "Content-Type": "application/json"}
    await api.refused("POST", "/v1/sessions", 413, "too-large", data=chunks(), headers=headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/sessions/nosuchid"),
        ("DELETE", "/v1/sessions/nosuchid"),
        ("POST", "/v1/sessions/nosuchid/tokens"),
        ("POST", "/v1/sessions/nosuchid/marks"),
        ("GET", "/v1/sessions/nosuchid/events"),
        ("PATCH", "/v1/sessions/nosuchid/whep/x"),
        ("DELETE", "/v1/sessions/nosuchid/whep/x"),
        ("POST", "/v1/sessions/nosuchid/whep"),
        ("GET", "/v1/sessions/..%2f..%2fetc"),
        ("GET", "/v1/nothing"),
        ("GET", "/v2/sessions"),
    ],
)
async def test_unknown_ids_and_paths(api: Api, method: str, path: str) -> None:
    await api.refused(method, path, 404, "not-found", headers=api.admin)


async def test_a_method_that_a_path_does_not_take(api: Api) -> None:
    response = await api.client.request("PUT", "/v1/sessions", headers=api.admin)
    assert response.status == 405
    assert set(response.headers["Allow"].split(",")) == {"GET", "POST"}
    assert (await response.json())["type"] == "urn:fenster:method-not-allowed"


async def test_a_full_gateway_refuses_with_a_reason(tmp_path: Path) -> None:
    async with api_on(tmp_path, limits=Limits(max_sessions=1)) as api:
        await api.call("POST", "/v1/sessions", 201)
        problem = await api.refused("POST", "/v1/sessions", 503, "capacity", headers=api.admin)
        assert "max_sessions" in problem["hint"]


async def test_a_host_without_memory_refuses_with_a_reason(api: Api) -> None:
    api.stage.room = Room(memory_mib=100, disk_mib=1 << 20)
    problem = await api.refused("POST", "/v1/sessions", 503, "capacity", headers=api.admin)
    assert "memory" in problem["detail"]


async def test_a_mistake_inside_is_not_told_to_the_caller(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("secret in a traceback")

    monkeypatch.setattr(api.stage.manager, "list", broken)
    problem = await api.refused("GET", "/v1/sessions", 500, "internal", headers=api.admin)
    assert "secret" not in str(problem)


async def test_marks_are_recorded_once(api: Api) -> None:
    session = await api.stage.ready()
    path, body = f"/v1/sessions/{session.id}/marks", {"mark": "painted", "transport": "webrtc", "elapsed_ms": 41.5}
    await api.call("POST", path, 204, json=body, headers=api.viewer(session, "view"))
    first = session.timings["painted"]
    await api.call("POST", path, 204, json={**body, "transport": "novnc"})
    assert session.timings["painted"] == first


@pytest.mark.parametrize(
    "change",
    [
        {"mark": "ready"},
        {"transport": "smoke"},
        {"elapsed_ms": -1},
        {"elapsed_ms": "soon"},
        {"elapsed_ms": 1e12},
        {"more": 1},
    ],
)
async def test_marks_of_another_shape_are_refused(api: Api, change: dict[str, Any]) -> None:
    session = await api.stage.ready()
    body = {"mark": "painted", "transport": "webrtc", "elapsed_ms": 41.5, **change}
    await api.refused(
        "POST", f"/v1/sessions/{session.id}/marks", 400, "bad-request", json=body, headers=api.viewer(session)
    )
    assert "painted" not in session.timings


async def test_the_host_says_what_it_can_do(api: Api) -> None:
    session = await api.stage.ready()
    view = await (await api.call("GET", "/v1/host", 200)).json()
    assert (view["driver"], view["accelerator"], view["isolated"], view["problem"]) == ("fake", "none", False, None)
    assert (view["limits"], view["limits_why"]) == (["memory"], "the rest is only pretended")
    assert (view["sessions"], view["max_sessions"]) == (1, 8)
    assert view["media_port"] == api.stage.dataplane.media_port
    await session.stop()


async def test_the_host_says_what_it_cannot_do(api: Api) -> None:
    api.stage.driver.check_error = ImageError("there is no golden image", hint="fenster build")
    view = await (await api.call("GET", "/v1/host", 200)).json()
    assert view["problem"] == {"kind": "image", "message": "there is no golden image", "hint": "fenster build"}
    problem = await api.refused("GET", "/readyz", 503, "image")
    assert problem["hint"] == "fenster build"
    api.stage.driver.check_error = None
    assert (await api.client.get("/readyz")).status == 200


async def test_templates_are_listed(api: Api) -> None:
    view = await (await api.call("GET", "/v1/templates", 200)).json()
    assert [one["name"] for one in view["templates"]] == ["xfce", "openbox"]


async def test_a_session_that_is_still_booting_can_be_destroyed(api: Api) -> None:
    api.stage.driver.gate.clear()
    created = await (await api.call("POST", "/v1/sessions", 201)).json()
    session = api.stage.manager.get(created["id"])
    await api.stage.driver.starting.wait()
    await api.call("DELETE", f"/v1/sessions/{session.id}", 204)
    assert session.state is State.STOPPED
    assert api.stage.left() == []


async def test_ready_is_reached_without_anybody_waiting(api: Api) -> None:
    created = await (await api.call("POST", "/v1/sessions", 201)).json()
    assert (await until(api.stage.manager.get(created["id"]), State.READY)).state == "ready"
