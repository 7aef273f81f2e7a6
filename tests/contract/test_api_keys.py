"""What an API key opens: its scopes, its owner's sessions, its quotas; and how often anybody may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gateway.edge.addresses import parse_network
from gateway.edge.apikeys import ApiKey, Scope, digest, key_id, new_secret
from gateway.edge.ratelimit import per_minute
from gateway.routes.services import Rates
from gateway.sessions.lifecycle import State
from tests.contract.api import Api, api_on
from tests.contract.test_api_access import filled, guarded
from tests.sessions import until

NEEDED = {
    ("GET", "/v1/sessions"): Scope.SESSIONS_READ,
    ("POST", "/v1/sessions"): Scope.SESSIONS_WRITE,
    ("GET", "/v1/sessions/{sid}"): Scope.SESSIONS_READ,
    ("PATCH", "/v1/sessions/{sid}"): Scope.SESSIONS_WRITE,
    ("DELETE", "/v1/sessions/{sid}"): Scope.SESSIONS_WRITE,
    ("GET", "/v1/sessions/{sid}/egress"): Scope.SESSIONS_READ,
    ("GET", "/v1/sessions/{sid}/events"): Scope.SESSIONS_READ,
    ("POST", "/v1/sessions/{sid}/suspend"): Scope.SESSIONS_WRITE,
    ("POST", "/v1/sessions/{sid}/resume"): Scope.SESSIONS_WRITE,
    ("POST", "/v1/sessions/{sid}/fork"): Scope.SESSIONS_WRITE,
    ("POST", "/v1/sessions/{sid}/template"): Scope.SESSIONS_WRITE,
    ("POST", "/v1/sessions/{sid}/tokens"): Scope.TOKENS_ISSUE,
    ("POST", "/v1/sessions/{sid}/tickets"): Scope.TOKENS_ISSUE,
    ("GET", "/v1/templates"): Scope.SESSIONS_READ,
    ("GET", "/v1/host"): Scope.HOST_READ,
    ("GET", "/metrics"): Scope.METRICS_READ,
}
"""What is not here is a desktop's use."""
MEMBERS = frozenset(Scope) - {Scope.ADMIN}
SECRETS = {name: new_secret() for name in ("a", "a2", "b", "capped")}


def a_key(secret: str, owner: str, scopes: frozenset[Scope] = MEMBERS, **more: int) -> ApiKey:
    return ApiKey(id=key_id(secret), digest=digest(secret), owner=owner, scopes=scopes, created_at=0, **more)


def auth(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
async def shops(tmp_path: Path) -> AsyncIterator[Api]:
    """An API with keys of two owners, a and b, and one of a third that has quotas."""
    keys = [
        a_key(SECRETS["a"], "a"),
        a_key(SECRETS["a2"], "a", frozenset({Scope.SESSIONS_READ})),
        a_key(SECRETS["b"], "b"),
        a_key(SECRETS["capped"], "capped", max_sessions=1, creates_per_min=2),
    ]
    async with api_on(tmp_path, keys=keys) as api:
        yield api


async def created(api: Api, secret: str, status: int = 201) -> dict[str, str]:
    response = await api.client.post("/v1/sessions", headers=auth(secret))
    assert response.status == status, await response.text()
    body: dict[str, str] = await response.json()
    return body


@pytest.mark.parametrize("scope", sorted(MEMBERS))
async def test_a_scope_opens_its_calls_and_no_other(tmp_path: Path, scope: Scope) -> None:
    secret = new_secret()
    async with api_on(tmp_path, keys=[a_key(secret, "operator", frozenset({scope}))]) as api:
        session = await api.stage.ready()
        opened = 0
        for method, path in guarded(api):
            if path == "/v1/tickets/exchange":
                continue
            needed = NEEDED.get((method, path), Scope.DESKTOPS_USE)
            if needed is scope:
                opened += 1
                if method == "GET" and path.startswith("/v1/sessions/"):
                    response = await api.client.get(filled(path, session), headers=auth(secret))
                    assert response.status not in (401, 403), (method, path)
                    response.close()
            elif method == "HEAD":
                assert (await api.client.head(filled(path, session), headers=auth(secret))).status == 403
            else:
                problem = await api.refused(method, filled(path, session), 403, "forbidden", headers=auth(secret))
                assert str(needed) in problem["detail"], (method, path)
        assert opened > 0
        assert session.state is State.READY


async def test_an_owner_sees_its_own_sessions_and_another_none(shops: Api) -> None:
    made = await created(shops, SECRETS["a"])
    session = shops.stage.manager.get(made["id"])
    await until(session, State.READY)
    for secret in (SECRETS["a"], SECRETS["a2"]):
        listed = await (await shops.client.get("/v1/sessions", headers=auth(secret))).json()
        assert [one["id"] for one in listed["sessions"]] == [session.id], "keys of one owner share its sessions"
    listed = await (await shops.client.get("/v1/sessions", headers=auth(SECRETS["b"]))).json()
    assert listed["sessions"] == []
    for method, path in guarded(shops):
        if "{sid}" not in path or method == "HEAD":
            continue
        foreign = await shops.refused(method, filled(path, session), 404, "not-found", headers=auth(SECRETS["b"]))
        unknown = path.replace("{sid}", "nosuchid").replace("{peer}", "p").replace("{path}", "f")
        none = await shops.refused(method, unknown, 404, "not-found", headers=auth(SECRETS["b"]))
        assert (foreign["detail"], foreign["hint"]) == (none["detail"], none["hint"]), "nothing tells them apart"
    assert session.state is State.READY
    listed = await (await shops.call("GET", "/v1/sessions", 200)).json()
    assert [one["id"] for one in listed["sessions"]] == [session.id], "admin sees all"


async def test_a_fork_is_its_owners(shops: Api) -> None:
    made = await created(shops, SECRETS["a"])
    await until(shops.stage.manager.get(made["id"]), State.READY)
    response = await shops.client.post(f"/v1/sessions/{made['id']}/fork", headers=auth(SECRETS["a"]))
    child = (await response.json())["id"]
    assert shops.stage.manager.owner_of(child) == "a"
    await shops.refused("DELETE", f"/v1/sessions/{child}", 404, "not-found", headers=auth(SECRETS["b"]))


async def test_destroying_stays_idempotent_for_its_owner_alone(shops: Api) -> None:
    path = f"/v1/sessions/{(await created(shops, SECRETS['a']))['id']}"
    for _ in range(2):
        assert (await shops.client.delete(path, headers=auth(SECRETS["a"]))).status == 204
    await shops.refused("DELETE", path, 404, "not-found", headers=auth(SECRETS["b"]))


async def test_an_owner_outlives_the_gateway(shops: Api) -> None:
    made = await created(shops, SECRETS["a"])
    await until(shops.stage.manager.get(made["id"]), State.READY)
    (record,) = await shops.stage.store.sessions()
    assert record.owner == "a"


async def test_an_idempotency_key_is_each_owners_own(shops: Api) -> None:
    made = []
    for secret in (SECRETS["a"], SECRETS["b"], SECRETS["a"]):
        headers = {**auth(secret), "Idempotency-Key": "same"}
        made.append((await (await shops.client.post("/v1/sessions", headers=headers)).json())["id"])
    assert made[0] == made[2] != made[1]


async def test_without_tokens_issue_a_create_gives_no_token(tmp_path: Path) -> None:
    secret = new_secret()
    async with api_on(tmp_path, keys=[a_key(secret, "a", frozenset({Scope.SESSIONS_WRITE}))]) as api:
        made = await created(api, secret)
        assert (made["token"], made["viewer_url"], made["expires_at"]) == (None, None, None)


async def test_live_sessions_are_capped_by_owner(shops: Api) -> None:
    first = await created(shops, SECRETS["capped"])
    refused = await created(shops, SECRETS["capped"], 429)
    assert refused["type"] == "urn:fenster:quota"
    assert len(shops.stage.manager.list()) == 1
    await until(shops.stage.manager.get(first["id"]), State.READY)
    fork = f"/v1/sessions/{first['id']}/fork"
    shops.clock.now += 60
    await shops.refused("POST", fork, 429, "quota", headers=auth(SECRETS["capped"]))
    session = shops.stage.manager.get(first["id"])
    session.suspend()
    await until(session, State.SUSPENDED)
    await created(shops, SECRETS["capped"])
    shops.clock.now += 60
    await shops.refused("POST", f"/v1/sessions/{first['id']}/resume", 429, "quota", headers=auth(SECRETS["capped"]))


async def test_creates_are_limited_by_owner(shops: Api) -> None:
    await created(shops, SECRETS["capped"])
    await created(shops, SECRETS["capped"], 429)
    response = await shops.client.post("/v1/sessions", headers=auth(SECRETS["capped"]))
    assert (await response.json())["type"] == "urn:fenster:rate-limited"
    assert response.headers["Retry-After"] == "30"
    await created(shops, SECRETS["a"])
    shops.clock.now += 30
    assert (await created(shops, SECRETS["capped"], 429))["type"] == "urn:fenster:quota", "it may ask again"


async def test_a_revoked_key_opens_nothing(tmp_path: Path) -> None:
    secret = new_secret()
    key = a_key(secret, "a").model_copy(update={"revoked_at": 1.0})
    async with api_on(tmp_path, keys=[key]) as api:
        await api.refused("GET", "/v1/sessions", 401, "unauthorized", headers=auth(secret))


STRICT = Rates(per_minute(2), per_minute(3), per_minute(4))
PROXY = [parse_network("127.0.0.1")]


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Api]:
    """An API with tight limits, behind a proxy on this host."""
    async with api_on(tmp_path, more={"rates": STRICT, "trusted_proxies": PROXY}) as api:
        yield api


async def status(api: Api, method: str, path: str, headers: Mapping[str, str], address: str = "192.0.2.1") -> int:
    async with api.client.request(method, path, headers={**headers, "X-Forwarded-For": address}) as response:
        if response.status == 429:
            assert int(response.headers["Retry-After"]) >= 1
            assert (await response.json())["type"] == "urn:fenster:rate-limited"
        return response.status


async def test_failed_authentication_is_limited_by_address_and_good_keys_go_on(strict: Api) -> None:
    wrong = auth("fenster_wrong")
    assert [await status(strict, "GET", "/v1/host", wrong) for _ in range(6)] == [401] * 4 + [429] * 2
    assert await status(strict, "GET", "/v1/host", {}) == 429, "no credential counts too"
    assert await status(strict, "GET", "/v1/host", strict.admin) == 200
    assert await status(strict, "GET", "/v1/host", wrong, "192.0.2.2") == 401
    strict.clock.now += 15
    assert [await status(strict, "GET", "/v1/host", wrong) for _ in range(2)] == [401, 429]
    assert strict.services.refused == {"failed authentication": 4}


async def test_tokens_and_tickets_share_a_limit(strict: Api) -> None:
    session = await strict.stage.ready()
    path = f"/v1/sessions/{session.id}"
    asked = [await status(strict, "POST", f"{path}/{kind}", strict.admin) for kind in ("tokens", "tickets") * 2]
    assert asked == [201, 201, 201, 429]
    strict.clock.now += 20
    assert await status(strict, "POST", f"{path}/tickets", strict.admin) == 201


async def test_creates_are_limited_by_address_too(strict: Api) -> None:
    asked = [await status(strict, "POST", "/v1/sessions", strict.admin) for _ in range(3)]
    assert asked == [201, 201, 429]
    assert len(strict.stage.manager.list()) == 2, "nothing was made of the third"


async def test_exchanges_are_limited_by_address(strict: Api) -> None:
    session = await strict.stage.ready()
    secrets = [
        strict.services.tickets.issue(sid=session.id, role="view", lifetime_s=60, origins=(), now=strict.clock.now)[0]
        for _ in range(4)
    ]
    asked = [await status(strict, "POST", "/v1/tickets/exchange", auth(secret)) for secret in secrets]
    assert asked == [201, 201, 201, 429]
    assert await status(strict, "POST", "/v1/tickets/exchange", auth(secrets[3]), "192.0.2.9") == 201, "not used up"


async def test_without_a_trusted_proxy_forwarded_for_counts_for_nothing(tmp_path: Path) -> None:
    async with api_on(tmp_path, more={"rates": STRICT}) as api:
        asked = [await status(api, "GET", "/v1/host", {}, f"192.0.2.{number}") for number in range(6)]
        assert asked == [401] * 4 + [429] * 2
