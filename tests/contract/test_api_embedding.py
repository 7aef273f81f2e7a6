"""Pages of other origins: tickets, who may frame what, who may call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.routes.application import make_application
from gateway.routes.control import VIEWER_HEADER
from gateway.sessions.session import Session
from gateway.tickets import MAX_OPEN, TICKET_LIFETIME_S, Tickets
from gateway.tokens import verify
from tests.contract.api import KEYS, Api

HOST, OTHER = "https://shop.example", "https://evil.example"
EXCHANGE = "/v1/tickets/exchange"


async def ticket(api: Api, session: Session, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = await (await api.call("POST", f"/v1/sessions/{session.id}/tickets", 201, json=body)).json()
    return made


def bearer(credential: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}", **more}


# Tickets.


async def test_a_ticket_becomes_the_token_that_was_asked_for(api: Api) -> None:
    session = await api.stage.ready()
    made = await ticket(api, session, role="view", lifetime_s=60, origins=[HOST])
    assert set(made) == {"ticket", "role", "expires_at", "viewer_url", "embed_url"}
    assert made["viewer_url"] == f"/s/{session.id}#ticket={made['ticket']}"
    assert made["embed_url"].startswith(f"/embed/{session.id}?frame=")
    assert made["embed_url"].endswith(f"#ticket={made['ticket']}")
    api.clock.now += 10
    response = await api.client.post(EXCHANGE, headers=bearer(made["ticket"]))
    assert response.status == 201
    token = await response.json()
    claims = verify(KEYS.signing_key, token["token"], now=api.clock.now)
    assert (claims.sid, claims.role, claims.origins) == (session.id, "view", (HOST,))
    assert claims.exp == api.clock.now + 60
    path = f"/v1/sessions/{session.id}"
    assert (await api.client.get(path, headers=bearer(token["token"]))).status == 200


async def test_a_ticket_has_defaults(api: Api) -> None:
    session = await api.stage.ready()
    made = await (await api.call("POST", f"/v1/sessions/{session.id}/tickets", 201)).json()
    assert made["role"] == "control"
    assert made["embed_url"] == f"/embed/{session.id}#ticket={made['ticket']}"


async def test_a_ticket_is_good_once(api: Api) -> None:
    made = await ticket(api, await api.stage.ready())
    assert (await api.client.post(EXCHANGE, headers=bearer(made["ticket"]))).status == 201
    problem = await api.refused("POST", EXCHANGE, 401, "unauthorized", headers=bearer(made["ticket"]))
    assert "used already" in problem["detail"]
    assert "new one" in problem["hint"]


async def test_a_ticket_expires(api: Api) -> None:
    session = await api.stage.ready()
    first, second = await ticket(api, session), await ticket(api, session)
    api.clock.now += TICKET_LIFETIME_S - 1
    assert (await api.client.post(EXCHANGE, headers=bearer(first["ticket"]))).status == 201
    api.clock.now += 1
    problem = await api.refused("POST", EXCHANGE, 401, "unauthorized", headers=bearer(second["ticket"]))
    assert "expired" in problem["detail"]
    assert "new one" in problem["hint"]


@pytest.mark.parametrize("credential", ["ticket_", "ticket_x", "ticket_" + "x" * 4000, KEYS.api_key, "a.b.c"])
async def test_nothing_else_is_exchanged(api: Api, credential: str) -> None:
    await api.refused("POST", EXCHANGE, 401, "unauthorized", headers=bearer(credential))


async def test_a_ticket_opens_no_other_call(api: Api) -> None:
    session = await api.stage.ready()
    made = await ticket(api, session)
    for path in (f"/v1/sessions/{session.id}", "/v1/sessions", "/v1/host"):
        problem = await api.refused("GET", path, 401, "unauthorized", headers=bearer(made["ticket"]))
        assert EXCHANGE in problem["hint"]
    assert (await api.client.post(EXCHANGE, headers=bearer(made["ticket"]))).status == 201


async def test_a_ticket_of_a_session_that_has_gone(api: Api) -> None:
    session = await api.stage.ready()
    made = await ticket(api, session)
    await api.call("DELETE", f"/v1/sessions/{session.id}", 204)
    await api.refused("POST", EXCHANGE, 404, "not-found", headers=bearer(made["ticket"]))
    await api.refused("POST", f"/v1/sessions/{session.id}/tickets", 404, "not-found", headers=api.admin)


async def test_tickets_are_bounded_and_expiry_makes_room(api: Api) -> None:
    session = await api.stage.ready()
    services = replace(api.services, tickets=Tickets(limit=2))
    async with TestClient(TestServer(make_application(services))) as client:
        path = f"/v1/sessions/{session.id}/tickets"
        for status in (201, 201, 503):
            assert (await client.post(path, headers=api.admin)).status == status
        api.clock.now += TICKET_LIFETIME_S
        assert (await client.post(path, headers=api.admin)).status == 201
    assert MAX_OPEN >= 1000


# Frames.


@pytest.fixture
def static(tmp_path: Path) -> None:
    root = tmp_path / "static"
    root.mkdir()
    for name in ("index", "viewer", "embed"):
        (root / f"{name}.html").write_text(f"<!doctype html><title>{name}</title>")


async def ancestors(api: Api, url: str, client: Any = None) -> str:
    response = await (client or api.client).get(url.partition("#")[0])
    assert response.status == 200
    policy: str = response.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    return policy.rpartition("frame-ancestors ")[2]


@pytest.mark.usefixtures("static")
async def test_only_the_origins_of_token_or_ticket_may_frame(api: Api) -> None:
    session = await api.stage.ready()
    made = await ticket(api, session, origins=[HOST, "http://127.0.0.1:9000"])
    assert await ancestors(api, made["embed_url"]) == f"'self' http://127.0.0.1:9000 {HOST}"
    token = await (await api.call("POST", f"/v1/sessions/{session.id}/tokens", 201, json={"origins": [HOST]})).json()
    assert await ancestors(api, token["embed_url"]) == f"'self' {HOST}"


@pytest.mark.usefixtures("static")
async def test_a_grant_outlives_its_ticket_as_long_as_the_token(api: Api) -> None:
    """A frame that is loaded again asks with the same query."""
    made = await ticket(api, await api.stage.ready(), origins=[HOST], lifetime_s=600)
    await api.client.post(EXCHANGE, headers=bearer(made["ticket"]))
    api.clock.now += 599
    assert await ancestors(api, made["embed_url"]) == f"'self' {HOST}"
    api.clock.now += 1
    assert await ancestors(api, made["embed_url"]) == "'self'"


@pytest.mark.usefixtures("static")
async def test_what_is_no_grant_of_this_session_lets_nobody_frame(api: Api) -> None:
    session, other = await api.stage.ready(), await api.stage.ready()
    grant = (await ticket(api, other, origins=[OTHER]))["embed_url"].partition("#")[0].partition("=")[2]
    viewer_token = api.token(session, origins=(OTHER,))
    for said in (grant, viewer_token, "x", "a.b.c", "", OTHER, f"{grant[:-2]}AA"):
        assert await ancestors(api, f"/embed/{session.id}?frame={said}") == "'self'"


@pytest.mark.usefixtures("static")
async def test_a_grant_opens_no_call(api: Api) -> None:
    session = await api.stage.ready()
    made = await ticket(api, session, origins=[HOST])
    grant = made["embed_url"].partition("#")[0].partition("=")[2]
    await api.refused("GET", f"/v1/sessions/{session.id}", 401, "unauthorized", headers=bearer(grant))


@pytest.mark.usefixtures("static")
async def test_the_other_pages_are_framed_by_nobody_else(api: Api) -> None:
    session = await api.stage.ready()
    query = (await ticket(api, session, origins=[HOST]))["embed_url"].partition("#")[0].partition("?")[2]
    for path in ("/", f"/s/{session.id}", f"/s/{session.id}?{query}"):
        assert await ancestors(api, path) == "'self'"


@pytest.mark.usefixtures("static")
async def test_configured_origins_may_frame_every_session(api: Api) -> None:
    session = await api.stage.ready()
    services = replace(api.services, embed_origins=(HOST,))
    async with TestClient(TestServer(make_application(services))) as client:
        assert await ancestors(api, f"/embed/{session.id}", client) == f"'self' {HOST}"
        assert await ancestors(api, f"/s/{session.id}", client) == "'self'"


@pytest.mark.usefixtures("static")
async def test_an_isolated_page_may_frame_it(api: Api) -> None:
    headers = (await api.client.get("/embed/abcdefgh")).headers
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert (await api.client.get("/s/abcdefgh")).headers["Cross-Origin-Resource-Policy"] == "same-origin"


# Calls.


def may_read(response: Any, origin: str) -> bool:
    headers = response.headers
    assert "Access-Control-Allow-Credentials" not in headers
    assert headers.get("Access-Control-Allow-Origin") in (None, origin)
    if "Access-Control-Allow-Origin" not in headers:
        return False
    assert headers["Vary"] == "Origin"
    return True


async def test_a_page_of_the_tokens_origins_may_call_and_read(api: Api) -> None:
    session = await api.stage.ready()
    token = api.token(session, origins=(HOST,))
    path = f"/v1/sessions/{session.id}"
    asked = {
        "Origin": HOST,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = await api.client.options(path, headers=asked)
    assert preflight.status == 204
    assert may_read(preflight, HOST)
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert VIEWER_HEADER in preflight.headers["Access-Control-Allow-Headers"]
    response = await api.client.get(path, headers=bearer(token, Origin=HOST))
    assert response.status == 200
    assert may_read(response, HOST)
    assert "Location" in response.headers["Access-Control-Expose-Headers"]
    # Why a call fails may be read too.
    body = {"mark": "nothing"}
    response = await api.client.post(f"{path}/marks", json=body, headers=bearer(token, Origin=HOST))
    assert response.status == 400
    assert may_read(response, HOST)


@pytest.mark.parametrize("origin", [OTHER, "null", "http://shop.example", "https://shop.example:8443", ""])
async def test_a_page_of_another_origin_gets_and_does_nothing(api: Api, origin: str) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}"
    token = api.token(session, origins=(HOST,))
    for method, call in (("GET", path), ("POST", f"{path}/marks"), ("POST", f"{path}/resume")):
        response = await api.client.request(method, call, headers=bearer(token, Origin=origin))
        assert response.status == 403
        assert not may_read(response, origin)
    made = await ticket(api, session, origins=[HOST])
    response = await api.client.post(EXCHANGE, headers=bearer(made["ticket"], Origin=origin))
    assert response.status == 403
    assert not may_read(response, origin)
    # It is not used up either.
    response = await api.client.post(EXCHANGE, headers=bearer(made["ticket"], Origin=HOST))
    assert response.status == 201
    assert may_read(response, HOST)


async def test_no_page_of_another_origin_calls_with_the_key(api: Api) -> None:
    session = await api.stage.ready()
    services = replace(api.services, embed_origins=(HOST,))
    async with TestClient(TestServer(make_application(services))) as client:
        for path in ("/v1/sessions", f"/v1/sessions/{session.id}"):
            response = await client.get(path, headers={**api.admin, "Origin": HOST})
            assert response.status == 403
        asked = {"Origin": HOST, "Access-Control-Request-Method": "POST"}
        assert (await client.options("/v1/sessions", headers=asked)).status == 405


async def test_pages_of_configured_origins_may_call_with_any_viewers_token(api: Api) -> None:
    session = await api.stage.ready()
    services = replace(api.services, embed_origins=(HOST,))
    path = f"/v1/sessions/{session.id}"
    async with TestClient(TestServer(make_application(services))) as client:
        for token, status in ((api.token(session), 200), ("expired.or.false", 401)):
            response = await client.get(path, headers=bearer(token, Origin=HOST))
            assert response.status == status
            assert may_read(response, HOST)
        response = await client.get(path, headers=bearer(api.token(session), Origin=OTHER))
        assert response.status == 403


async def test_the_own_page_calls_also_behind_a_proxy_that_names_another_host(api: Api) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}"
    own = f"http://{api.client.host}:{api.client.port}"
    for headers in ({"Origin": own}, {"Origin": "https://desk.example", "Sec-Fetch-Site": "same-origin"}):
        response = await api.client.get(path, headers={**api.admin, **headers})
        assert response.status == 200
        assert not may_read(response, headers["Origin"])
    for site in ("same-site", "cross-site", "none"):
        headers = bearer(api.token(session), Origin=OTHER) | {"Sec-Fetch-Site": site}
        assert (await api.client.get(path, headers=headers)).status == 403


async def test_options_without_a_preflight_is_no_call(api: Api) -> None:
    session = await api.stage.ready()
    for headers in ({}, {"Origin": HOST}, {"Access-Control-Request-Method": "GET"}):
        await api.refused("OPTIONS", f"/v1/sessions/{session.id}", 405, "method-not-allowed", headers=headers)
