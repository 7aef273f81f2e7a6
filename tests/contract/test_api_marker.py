"""Over HTTP: the marker window that latency is measured by."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.api import Api
from tests.fakes import FakeVm


async def test_it_is_shown_kept_and_hidden(api: Api) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}/marker"
    shown = await (await api.call("PUT", path, 200)).json()
    assert shown["patch"] == [544, 240, 192, 192]
    assert shown["flips"] == [[5, 6]]
    await api.call("PUT", path, 200, json={"seconds": 5, "moving": True})
    await api.call("DELETE", path, 204)
    await api.call("DELETE", path, 204)
    vm = session.vm
    assert isinstance(vm, FakeVm)
    asked = [dict(params) for method, params in vm.guest.calls if method == "marker"]
    assert asked[:2] == [{"seconds": 30, "moving": False}, {"seconds": 5, "moving": True}]
    assert [one["seconds"] for one in asked[2:]] == [0, 0]


@pytest.mark.parametrize("body", [{"seconds": 0}, {"seconds": 601}, {"moving": 3}, {"colour": "red"}])
async def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}/marker"
    await api.refused("PUT", path, 400, "bad-request", headers=api.admin, json=body)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"display": [1280, 720], "patch": [1, 2, 3], "strip": [1, 2, 3, 4], "at_us": 1, "flips": []},
        {"display": [1280, 720], "patch": [1, 2, 3, 4], "strip": [1, 2, 3, 4], "at_us": -1, "flips": []},
        {"display": [0, 720], "patch": [1, 2, 3, 4], "strip": [1, 2, 3, 4], "at_us": 1, "flips": []},
        {"display": [1280, 720], "patch": [1, 2, 3, 4], "strip": [1, 2, 3, 4], "at_us": 1, "flips": [[1]]},
    ],
)
async def test_a_guest_that_says_nonsense_is_not_believed(api: Api, said: dict[str, Any]) -> None:
    session = await api.stage.ready()
    vm = session.vm
    assert isinstance(vm, FakeVm)
    vm.guest.handlers["marker"] = lambda params: said
    await api.refused("PUT", f"/v1/sessions/{session.id}/marker", 502, "guest-error", headers=api.admin)


async def test_a_desktop_that_is_not_there_shows_none(api: Api) -> None:
    session = await api.stage.ready()
    session.suspend()
    await api.refused("PUT", f"/v1/sessions/{session.id}/marker", 409, "conflict", headers=api.admin)
    await api.refused("DELETE", "/v1/sessions/nosuchid/marker", 404, "not-found", headers=api.admin)
