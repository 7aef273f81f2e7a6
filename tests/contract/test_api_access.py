"""Who may call what: every route, every kind of wrong credential."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.routes.application import make_application
from gateway.sessions.control import Viewer
from gateway.sessions.session import Session
from tests.contract.api import KEYS, Api

PUBLIC = {"/", "/s/{sid}", "/embed/{sid}", "/healthz", "/readyz", "/openapi.json"}
FOR_VIEWERS = {
    ("GET", "/v1/sessions/{sid}"),
    ("GET", "/v1/sessions/{sid}/events"),
    ("GET", "/v1/sessions/{sid}/vnc"),
    ("POST", "/v1/sessions/{sid}/whep"),
    ("PATCH", "/v1/sessions/{sid}/whep/{peer}"),
    ("DELETE", "/v1/sessions/{sid}/whep/{peer}"),
    ("POST", "/v1/sessions/{sid}/marks"),
    ("POST", "/v1/sessions/{sid}/latency"),
    ("POST", "/v1/sessions/{sid}/resume"),
    ("GET", "/v1/sessions/{sid}/clipboard"),
    ("PUT", "/v1/sessions/{sid}/clipboard"),
    ("GET", "/v1/sessions/{sid}/screenshot"),
    ("GET", "/v1/sessions/{sid}/files/{path}"),
    ("HEAD", "/v1/sessions/{sid}/files/{path}"),
    ("PUT", "/v1/sessions/{sid}/files/{path}"),
    ("DELETE", "/v1/sessions/{sid}/files/{path}"),
    ("POST", "/v1/sessions/{sid}/control"),
    ("PUT", "/v1/sessions/{sid}/display"),
}


def guarded(api: Api) -> list[tuple[str, str]]:
    """Every route but pages and their assets, as (method, canonical path)."""
    resources = make_application(api.services).router.resources()
    found = {(route.method, resource.canonical) for resource in resources for route in resource}
    return sorted((method, path) for method, path in found if path not in PUBLIC and "{name}" not in path)


def filled(path: str, session: Session) -> str:
    return path.replace("{sid}", session.id).replace("{peer}", "p").replace("{path}", "f")


async def test_no_credential_opens_nothing(api: Api) -> None:
    session = await api.stage.ready()
    calls = guarded(api)
    assert len(calls) == 34
    for method, path in calls:
        response = await api.client.request(method, filled(path, session))
        assert response.status == 401, (method, path)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        if method != "HEAD":
            assert (await response.json())["type"] == "urn:fenster:unauthorized"
    assert api.stage.manager.list() == [session]


@pytest.mark.parametrize(
    "credential",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer fenster_wrong",
        f"Bearer {KEYS.api_key}x",
        f"Basic {KEYS.api_key}",
        KEYS.api_key,
        "Bearer fenster_\u00e9",
        "Bearer " + "x" * 7000,
    ],
)
async def test_wrong_credentials_open_nothing(api: Api, credential: str) -> None:
    for path in ("/v1/sessions", "/v1/host"):
        await api.refused("GET", path, 401, "unauthorized", headers={"Authorization": credential})


async def test_a_viewer_token_opens_what_a_viewer_needs_and_no_more(api: Api) -> None:
    session = await api.stage.ready()
    headers = {**api.viewer(session), "Fenster-Viewer": "a" * 32}
    with session.handover.pumping(Viewer("a" * 32, "control"), lambda controls: None):
        await open_all(api, session, headers)


async def open_all(api: Api, session: Session, headers: Mapping[str, str]) -> None:
    for method, path in guarded(api):
        if (method, path) in FOR_VIEWERS:
            if path.endswith(("/events", "/vnc")):
                continue
            response = await api.client.request(method, filled(path, session), headers=headers)
            assert response.status not in (401, 403), (method, path)
        elif path == "/v1/tickets/exchange":
            await api.refused(method, path, 401, "unauthorized", headers=headers)
        else:
            await api.refused(method, filled(path, session), 403, "forbidden", headers=headers)
    assert session.state.value == "ready"


async def test_a_token_of_another_session_is_foreign(api: Api) -> None:
    mine, other = await api.stage.ready(), await api.stage.ready()
    for method, path in FOR_VIEWERS - {("HEAD", "/v1/sessions/{sid}/files/{path}")}:  # Its answer has no body.
        await api.refused(method, filled(path, other), 403, "forbidden", headers=api.viewer(mine))
    await api.refused("GET", "/v1/sessions/nosuchid", 403, "forbidden", headers=api.viewer(mine))


async def test_a_token_expires(api: Api) -> None:
    session = await api.stage.ready()
    headers = api.viewer(session, lifetime_s=60)
    path = f"/v1/sessions/{session.id}"
    api.clock.now += 59
    assert (await api.client.get(path, headers=headers)).status == 200
    api.clock.now += 1
    problem = await api.refused("GET", path, 401, "unauthorized", headers=headers)
    assert "expired" in problem["detail"]


async def test_a_token_outlives_its_session_only_as_a_404(api: Api) -> None:
    session = await api.stage.ready()
    headers = api.viewer(session)
    await api.call("DELETE", f"/v1/sessions/{session.id}", 204)
    await api.refused("GET", f"/v1/sessions/{session.id}", 404, "not-found", headers=headers)


async def test_a_credential_in_the_query_is_not_looked_at(api: Api) -> None:
    session = await api.stage.ready()
    await api.refused("GET", f"/v1/sessions/{session.id}?token={api.token(session)}", 401, "unauthorized")


async def test_tokens_are_made_with_role_lifetime_and_origins(api: Api) -> None:
    session = await api.stage.ready()
    body = {"role": "view", "lifetime_s": 60, "origins": ["https://a.example:8443"]}
    made = await (await api.call("POST", f"/v1/sessions/{session.id}/tokens", 201, json=body)).json()
    assert made["role"] == "view"
    assert made["viewer_url"] == f"/s/{session.id}#token={made['token']}"
    path, fragment = made["embed_url"].split("#")
    assert path.startswith(f"/embed/{session.id}?frame=")
    assert fragment == f"token={made['token']}"
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await api.client.get(f"/v1/sessions/{session.id}", headers=headers)).status == 200


async def test_a_token_is_made_with_defaults(api: Api) -> None:
    session = await api.stage.ready()
    made = await (await api.call("POST", f"/v1/sessions/{session.id}/tokens", 201)).json()
    assert made["role"] == "control"


@pytest.mark.parametrize(
    "body",
    [
        {"role": "root"},
        {"lifetime_s": 0},
        {"lifetime_s": 10**9},
        {"origins": "https://a.example"},
        {"origins": ["https://a.example/"]},
        {"origins": ["https://a.example/path"]},
        {"origins": ["javascript:alert(1)"]},
        {"origins": ["*"]},
        {"origins": ["https://*.example"]},
        {"origins": ["https://a.example;script-src https://b.example"]},
        {"origins": ["https://a.example 'unsafe-inline'"]},
        {"origins": ["https://me@a.example"]},
        {"origins": ["null"]},
        {"origins": ["https://a.example"] * 17},
        {"scope": "all"},
    ],
)
async def test_tokens_of_another_shape_are_refused(api: Api, body: object) -> None:
    session = await api.stage.ready()
    await api.refused("POST", f"/v1/sessions/{session.id}/tokens", 400, "bad-request", json=body, headers=api.admin)
