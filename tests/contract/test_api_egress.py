"""Over HTTP: a session's exit is set, changed and shown, and its password is shown nowhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreError
from gateway.exits import PROXY_URL, ExitCheck, ExitReport, Traffic, parse_exit
from gateway.observe import observe
from gateway.routes.services import SERVICES, ExitDefaults
from gateway.sessions.lifecycle import State
from tests.contract.api import Api, api_on
from tests.sessions import turns_until, until

SECRET = "s3cret%20word"
URL = f"http://anna:{SECRET.replace('%', '%25')}@proxy.example:8080"
OBJECT = {
    "type": "socks5", "host": "gate.example", "port": 7000, "username": "sp1", "password": SECRET,
    "decodo": {"country": "de", "duration_min": 60},
}  # fmt: skip


async def made(api: Api, **body: Any) -> str:
    answer = await (await api.call("POST", "/v1/sessions", 201, json=body)).json()
    assert SECRET not in json.dumps(answer)
    sid: str = answer["id"]
    await until(api.stage.manager.get(sid), State.READY)
    return sid


@pytest.mark.parametrize("proxy", [URL, OBJECT])
async def test_a_session_leaves_by_the_exit_it_was_made_with(api: Api, proxy: Any) -> None:
    sid = await made(api, proxy=proxy)
    out = api.stage.dataplane.exits[sid]
    assert out.password.get_secret_value() == SECRET
    assert out.type == ("http" if proxy is URL else "socks5")
    told = dict(api.stage.vm(api.stage.manager.get(sid)).guest.calls)["assign"]
    assert told["proxy"] == PROXY_URL
    assert SECRET not in json.dumps(told)
    for path in (f"/v1/sessions/{sid}", "/v1/sessions", f"/v1/sessions/{sid}/egress", "/v1/host", "/metrics"):
        text = await (await api.call("GET", path, 200)).text()
        assert SECRET not in text
        assert "s3cret" not in text
    shown = await (await api.call("GET", f"/v1/sessions/{sid}/egress", 200)).json()
    assert shown["upstream"].endswith((".example:8080", ".example:7000"))
    assert shown["username"] in ("anna", "sp1")


async def test_viewers_see_how_it_is_but_not_whose(api: Api) -> None:
    sid = await made(api, proxy=URL)
    session = api.stage.manager.get(sid)
    view = await (await api.client.get(f"/v1/sessions/{sid}", headers=api.viewer(session, "view"))).text()
    assert "proxy.example" not in view
    assert "anna" not in view
    await api.refused("GET", f"/v1/sessions/{sid}/egress", 403, "forbidden", headers=api.viewer(session))


async def test_the_host_says_how_each_exit_is_doing(api: Api) -> None:
    async def exits() -> Any:
        return (await (await api.call("GET", "/v1/host", 200)).json())["egress"]

    assert await exits() == {}
    one, other, _ = [await made(api, proxy=proxy) for proxy in (URL, URL, "none")]
    assert await exits() == {"http://proxy.example:8080": "unknown"}
    for report, health in (
        (ExitReport("ok"), "ok"),
        (ExitReport("failing", "upstream-down", "nobody listens"), "failing"),
        (ExitReport("ok", check=ExitCheck(0.0, 80.0, "192.0.2.7", ours=True)), "leak"),
    ):
        api.stage.dataplane.reports[one] = report
        api.stage.dataplane.reports[other] = ExitReport("ok")
        assert await exits() == {"http://proxy.example:8080": health}


async def test_another_exit_while_it_runs_and_back_to_the_default(api: Api) -> None:
    sid = await made(api)
    assert api.stage.dataplane.exits[sid].type == "none"
    view = await (await api.call("PATCH", f"/v1/sessions/{sid}", 200, json={"proxy": URL})).json()
    assert view["egress"]["type"] == "http"
    assert str(api.stage.dataplane.exits[sid]) == "http://proxy.example:8080"
    assert str(api.stage.store.kept_sessions[sid].out) == "http://proxy.example:8080"
    # What is left out stays.
    await api.call("PATCH", f"/v1/sessions/{sid}", 200, json={"metadata": {"a": "b"}})
    assert api.stage.dataplane.exits[sid].type == "http"
    await api.call("PATCH", f"/v1/sessions/{sid}", 200, json={"proxy": None})
    assert api.stage.dataplane.exits[sid].type == "none"


async def test_what_the_proxy_says_of_itself_reaches_watchers(api: Api) -> None:
    sid = await made(api, proxy=URL)
    session = api.stage.manager.get(sid)
    assert session.view().egress.state == "unknown"
    with session.updates.watch() as updates:
        await updates.get()
        report = ExitReport("failing", "upstream-auth", "the upstream does not take the user name and password")
        api.stage.dataplane.report(sid, report)
        view = await updates.get()
        assert view is not None
        assert view.egress.state == "failing"
        assert view.egress.error is not None
        assert (view.egress.error.kind, bool(view.egress.error.hint)) == ("upstream-auth", True)
        seen = ExitCheck(1_700_000_000.0, 81.5, "203.0.113.50")
        for check, verdict in (
            (seen, "unknown"),
            (replace(seen, ours=False), "ok"),
            (replace(seen, ours=True), "leak"),
            (replace(seen, address="", kind="upstream-slow", message="no"), "failed"),
        ):
            api.stage.dataplane.report(sid, ExitReport("ok", check=check))
            view = await updates.get()
            assert view is not None
            assert view.egress.verdict == verdict
            assert (view.egress.address, view.egress.latency_ms) == (check.address or None, 81.5)


async def test_counts(api: Api) -> None:
    sid = await made(api, proxy=URL)
    api.stage.dataplane.reports[sid] = ExitReport(
        "ok", open=1, traffic=Traffic(5, 6, 2, {"a.example": 11}, {"no-exit": 3})
    )
    shown = await (await api.call("GET", f"/v1/sessions/{sid}/egress", 200)).json()
    assert (shown["bytes_up"], shown["bytes_down"], shown["connections"], shown["open"]) == (5, 6, 2, 1)
    assert (shown["hosts"], shown["errors"], shown["egress"]["state"]) == ({"a.example": 11}, {"no-exit": 3}, "ok")
    observe(api.services.metrics, api.stage.dataplane, api.services.manager, dict, api.services.room)
    host = await (await api.call("GET", "/v1/host", 200)).json()
    assert (host["egress"], host["counters"]["egress_bytes_up"]) == ({"http://proxy.example:8080": "ok"}, 7)
    told = await (await api.call("GET", "/metrics", 200)).text()
    assert 'fenster_egress_bytes_total{way="up"} 7.0' in told
    assert 'fenster_egress_errors_total{kind="upstream-down"} 2.0' in told
    assert "egress_bytes_up" not in told


@pytest.mark.parametrize(
    "proxy",
    [
        f"ftp://u:{SECRET}@h:1", f"http://u:{SECRET}@h", "", 7, {"type": "http"}, {"type": "http", "host": "h"},
        {"type": "none", "host": "h"}, {"type": "http", "host": "h", "port": 1, "password": SECRET},
        {"type": "http", "host": "h", "port": 1, "username": "u", "decodo": {"city": "x"}},
        {"type": "http", "host": "h\r\nX: y", "port": 1}, {"type": "http", "host": "h", "port": 1, "token": SECRET},
    ],
)  # fmt: skip
async def test_what_is_no_exit_is_refused_without_being_repeated(api: Api, proxy: Any) -> None:
    sid = await made(api)
    for method, path in (("POST", "/v1/sessions"), ("PATCH", f"/v1/sessions/{sid}")):
        problem = await api.refused(method, path, 400, "bad-request", headers=api.admin, json={"proxy": proxy})
        assert "s3cret" not in json.dumps(problem)
        assert problem["detail"].startswith("proxy")


async def test_direct_is_the_operators_to_allow(api: Api) -> None:
    sid = await made(api)
    for method, path in (("POST", "/v1/sessions"), ("PATCH", f"/v1/sessions/{sid}")):
        await api.refused(method, path, 403, "forbidden", headers=api.admin, json={"proxy": "direct"})


async def test_the_gateways_default_and_its_leave(tmp_path: Path) -> None:
    async with api_on(tmp_path) as api:
        app = api.client.server.app  # type: ignore[attr-defined]
        services = replace(api.services, exits=ExitDefaults(parse_exit(URL), direct=True))
        app._state[SERVICES] = services
        for body, kind in (({}, "http"), ({"proxy": "none"}, "none"), ({"proxy": "direct"}, "direct")):
            sid = await made(api, **body)
            assert api.stage.dataplane.exits[sid].type == kind


async def test_the_exit_goes_with_sleep_forks_and_the_next_gateway(api: Api) -> None:
    sid = await made(api, proxy=OBJECT)
    session = api.stage.manager.get(sid)
    session.suspend()
    await until(session, State.SUSPENDED)
    assert session.view().egress.state == "off"
    await api.call("PATCH", f"/v1/sessions/{sid}", 200, json={"proxy": URL})
    session.resume()
    await until(session, State.READY)
    assert api.stage.dataplane.exits[sid].type == "http"
    child = await (await api.call("POST", f"/v1/sessions/{sid}/fork", 201)).json()
    await until(api.stage.manager.get(child["id"]), State.READY)
    assert api.stage.dataplane.exits[child["id"]] == api.stage.dataplane.exits[sid]
    follower = await api.stage.killed()
    await follower.manager.recover()
    await turns_until(lambda: sid in follower.dataplane.exits)
    assert follower.dataplane.exits[sid].password.get_secret_value() == SECRET
    await follower.manager.close()


async def test_what_it_carried_goes_with_sleep_and_the_next_gateway_and_ends_with_it(api: Api) -> None:
    sid = await made(api, proxy=URL)
    session, first = api.stage.manager.get(sid), Traffic(5, 6, 2, {"a.example": 11}, {"no-exit": 3})
    api.stage.dataplane.report(sid, ExitReport("ok", traffic=first))
    assert api.stage.store.kept_sessions[sid].traffic == Traffic()
    await api.stage.manager.ledger.write()
    assert api.stage.store.kept_sessions[sid].traffic == first
    # Nothing new, nothing written; what cannot be written is written the next time.
    api.stage.store.error = StoreError("the disk is full")
    await api.stage.manager.ledger.write()
    api.stage.dataplane.report(sid, ExitReport("ok", traffic=replace(first, bytes_up=7)))
    await api.stage.manager.ledger.write()
    api.stage.store.error = None
    await api.stage.manager.ledger.write()
    assert api.stage.store.kept_sessions[sid].traffic.bytes_up == 7
    session.suspend()
    await until(session, State.SUSPENDED)
    shown = await (await api.call("GET", f"/v1/sessions/{sid}/egress", 200)).json()
    assert (shown["bytes_up"], shown["hosts"]) == (7, {"a.example": 11})
    follower = await api.stage.killed()
    await follower.manager.recover()
    assert follower.manager.get(sid).traffic().traffic.bytes_up == 7
    await follower.manager.destroy(sid)
    assert follower.dataplane.carried == {}
    await follower.manager.close()
