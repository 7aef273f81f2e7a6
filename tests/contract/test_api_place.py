"""Over HTTP: a session's time zone and language, given, changed, and following its exit."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.exits import ExitCheck, ExitReport
from gateway.sessions.lifecycle import State
from gateway.sessions.record import Place
from guest_agent.protocol.rpc import METHOD_NOT_FOUND
from tests.contract.api import Api, api_on
from tests.fakes import FakeGuest, GuestRefusal
from tests.sessions import turns_until, until

BERLIN = ExitCheck(1_700_000_000.0, 81.5, "93.184.216.34", country="DE", timezone="Europe/Berlin")


async def made(api: Api, **body: Any) -> str:
    answer = await (await api.call("POST", "/v1/sessions", 201, json=body)).json()
    sid: str = answer["id"]
    await until(api.stage.manager.get(sid), State.READY)
    return sid


def guest_of(api: Api, sid: str) -> FakeGuest:
    return api.stage.vm(api.stage.manager.get(sid)).guest


async def told(guest: FakeGuest, method: str, timezone: str, locale: str) -> None:
    """Wait until the guest has heard this as the last of it."""
    while True:
        guest.called.clear()
        heard = [params for name, params in guest.calls if name == method]
        if heard and (heard[-1]["timezone"], heard[-1]["locale"]) == (timezone, locale):
            return
        await guest.called.wait()


async def test_a_session_has_the_place_that_it_was_made_with(api: Api) -> None:
    sid = await made(api, timezone="Europe/Berlin", locale="de-DE")
    guest = guest_of(api, sid)
    await told(guest, "assign", "Europe/Berlin", "de-DE")
    view = await (await api.call("GET", f"/v1/sessions/{sid}", 200)).json()
    assert (view["timezone"], view["locale"]) == ("Europe/Berlin", "de-DE")
    # At once, and what is left out stays; null is the template's again.
    view = await (await api.call("PATCH", f"/v1/sessions/{sid}", 200, json={"timezone": "Asia/Tokyo"})).json()
    assert (view["timezone"], view["locale"]) == ("Asia/Tokyo", "de-DE")
    await told(guest, "settle", "Asia/Tokyo", "de-DE")
    view = await (await api.call("PATCH", f"/v1/sessions/{sid}", 200, json={"timezone": None})).json()
    assert (view["timezone"], view["locale"]) == (None, "de-DE")
    await told(guest, "settle", "", "de-DE")
    assert api.stage.store.kept_sessions[sid].place == Place(locale="de-DE")


async def test_it_follows_its_exit_and_stays_when_that_is_not_known(api: Api) -> None:
    sid = await made(api, timezone="exit", locale="exit", proxy="http://proxy.example:8080")
    session, guest = api.stage.manager.get(sid), guest_of(api, sid)
    await told(guest, "assign", "", "")
    api.stage.dataplane.report(sid, ExitReport("ok", check=BERLIN))
    await told(guest, "settle", "Europe/Berlin", "de-DE")
    assert (session.view().timezone, session.view().locale) == ("Europe/Berlin", "de-DE")
    asked = len(guest.calls)
    lost = replace(BERLIN, address="", country="", timezone="", kind="upstream-down", message="no")
    api.stage.dataplane.report(sid, ExitReport("failing", check=lost))
    api.stage.dataplane.report(sid, ExitReport("ok", check=BERLIN))
    api.stage.dataplane.report(sid, ExitReport("ok", check=replace(BERLIN, country="BR", timezone="America/Bahia")))
    await told(guest, "settle", "America/Bahia", "pt-BR")
    # What did not change was not told.
    assert [name for name, _ in guest.calls[asked:]].count("settle") == 1
    # And with the next gateway, before it has looked.
    await session.save()
    follower = await api.stage.killed()
    await follower.manager.recover()
    assert follower.manager.get(sid).view().timezone == "America/Bahia"
    await follower.manager.close()


async def test_what_its_exit_shows_while_it_starts_it_is_told_with_its_assignment(tmp_path: Path) -> None:
    identifying, go_on = asyncio.Event(), asyncio.Event()

    async def identify(params: Any) -> Any:
        identifying.set()
        await go_on.wait()
        return guest._identify(params)

    guest = FakeGuest(handlers={"identify": identify})
    async with api_on(tmp_path) as api:
        api.stage.driver.guest = lambda: guest
        body = {"timezone": "exit", "locale": "exit", "proxy": "http://proxy.example:8080"}
        sid = (await (await api.call("POST", "/v1/sessions", 201, json=body)).json())["id"]
        await identifying.wait()
        api.stage.dataplane.report(sid, ExitReport("ok", check=BERLIN))
        session = api.stage.manager.get(sid)
        await turns_until(lambda: session.taken_for.timezone == "Europe/Berlin")
        go_on.set()
        await until(session, State.READY)
        assert [params["timezone"] for name, params in guest.calls if name == "assign"] == ["Europe/Berlin"]
        assert [name for name, _ in guest.calls].count("settle") == 0


async def test_a_guest_of_an_older_image_stays_as_it_is(tmp_path: Path) -> None:
    def unknown(params: object) -> dict[str, Any]:
        raise GuestRefusal(METHOD_NOT_FOUND, "no method 'settle'")

    async with api_on(tmp_path) as api:
        sid = await made(api)
        guest = guest_of(api, sid)
        guest.handlers["settle"] = unknown
        await api.call("PATCH", f"/v1/sessions/{sid}", 200, json={"timezone": "Asia/Tokyo"})
        await told(guest, "settle", "Asia/Tokyo", "")
        assert api.stage.manager.get(sid).state is State.READY


@pytest.mark.parametrize(
    "body",
    [
        {"timezone": "../etc/passwd"}, {"timezone": "Europe/Berlin\n"}, {"timezone": ""}, {"timezone": 1},
        {"locale": "de_DE"}, {"locale": "deutsch"}, {"locale": "de-DE; x"},
    ],
)  # fmt: skip
async def test_what_is_no_place_is_refused(api: Api, body: dict[str, Any]) -> None:
    sid = await made(api)
    for method, path in (("POST", "/v1/sessions"), ("PATCH", f"/v1/sessions/{sid}")):
        problem = await api.refused(method, path, 400, "bad-request", headers=api.admin, json=body)
        assert next(iter(body)) in json.dumps(problem)
