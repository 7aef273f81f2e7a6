"""Control and the display's size over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.sessions.session import Session
from tests.contract.api import Api
from tests.contract.test_api_vnc import KEY_A, UPDATE_REQUEST, Vnc, log_in, with_vnc
from tests.contract.test_api_whep import OFFER, SDP
from tests.sessions import turns_until

ANN, BEN = "a" * 32, "b" * 32


def viewer(api: Api, session: Session, viewer_id: str, role: Any = "control") -> dict[str, str]:
    return {**api.viewer(session, role), "Fenster-Viewer": viewer_id}


async def watching(api: Api, session: Session, viewer_id: str, role: Any = "control") -> dict[str, str]:
    """Headers of a viewer that has a WebRTC connection."""
    headers = viewer(api, session, viewer_id, role)
    response = await api.client.post(f"/v1/sessions/{session.id}/whep", data=OFFER, headers={**headers, **SDP})
    assert response.status == 201, await response.text()
    return headers


async def act(api: Api, session: Session, headers: dict[str, str], action: str, **more: str) -> dict[str, Any]:
    response = await api.client.post(
        f"/v1/sessions/{session.id}/control", json={"action": action, **more}, headers=headers
    )
    assert response.status == 200, await response.text()
    body: dict[str, Any] = await response.json()
    return body


async def test_control_goes_from_one_to_the_other_by_request(api: Api) -> None:
    session = await api.stage.ready()
    ann, ben = await watching(api, session, ANN), await watching(api, session, BEN)
    view = await (await api.call("GET", f"/v1/sessions/{session.id}", 200)).json()
    assert view["control"] == {
        "controller": "aaaaaaaa",
        "requests": [],
        "viewers": [
            {"name": "aaaaaaaa", "number": 1, "role": "control", "transport": "webrtc"},
            {"name": "bbbbbbbb", "number": 2, "role": "control", "transport": "webrtc"},
        ],
    }
    assert ANN not in str(view), "an id is known to its page alone"
    assert (await act(api, session, ben, "request"))["requests"] == ["bbbbbbbb"]
    assert (await act(api, session, ann, "grant"))["controller"] == "bbbbbbbb"
    guest = api.stage.vm(session).guest
    await turns_until(lambda: guest.control["viewer"] == BEN)
    assert (await act(api, session, ann, "request"))["requests"] == ["aaaaaaaa"]
    assert (await act(api, session, ben, "deny"))["requests"] == []
    assert (await act(api, session, ben, "release"))["controller"] is None


async def test_a_view_token_never_controls(api: Api) -> None:
    session = await api.stage.ready()
    await watching(api, session, ANN)
    watcher = await watching(api, session, BEN, "view")
    path = f"/v1/sessions/{session.id}/control"
    await api.refused("POST", path, 403, "forbidden", json={"action": "request"}, headers=watcher)
    for action in ("grant", "deny", "release"):
        await api.refused("POST", path, 403, "forbidden", json={"action": action}, headers=watcher)
    # Not by the controller's own id either, nor as somebody whom the API key means.
    stolen = viewer(api, session, ANN, "view")
    await api.refused("POST", path, 403, "forbidden", json={"action": "release"}, headers=stolen)
    problem = await api.refused(
        "POST", path, 409, "conflict", json={"action": "grant", "viewer": "bbbbbbbb"}, headers=dict(api.admin)
    )
    assert "bbbbbbbb" in problem["detail"]
    assert session.view().control.controller == "aaaaaaaa"


async def test_the_api_key_may_hand_over(api: Api) -> None:
    session = await api.stage.ready()
    await watching(api, session, ANN)
    await watching(api, session, BEN)
    assert (await act(api, session, dict(api.admin), "grant", viewer="bbbbbbbb"))["controller"] == "bbbbbbbb"
    assert (await act(api, session, dict(api.admin), "release"))["controller"] is None


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        ({"action": "request"}, {}, 400, "bad-request"),
        ({"action": "request"}, {"Fenster-Viewer": "me"}, 400, "bad-request"),
        ({"action": "seize"}, {"Fenster-Viewer": BEN}, 400, "bad-request"),
        ({"action": "request"}, {"Fenster-Viewer": BEN}, 409, "conflict"),
    ],
)
async def test_who_asks_must_be_known(
    api: Api, body: dict[str, str], headers: dict[str, str], status: int, kind: str
) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}/control"
    await api.refused("POST", path, status, kind, json=body, headers={**api.viewer(session), **headers})


async def test_a_bad_id_is_refused_by_both_transports(api: Api) -> None:
    session, _ = await with_vnc(api)
    headers = {**api.viewer(session), **SDP, "Fenster-Viewer": "A" * 32}
    await api.refused("POST", f"/v1/sessions/{session.id}/whep", 400, "bad-request", data=OFFER, headers=headers)
    token = api.token(session)
    response = await api.client.get(
        f"/v1/sessions/{session.id}/vnc",
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Protocol": f"binary, fenster.token.{token}, fenster.viewer.me",
        },
    )
    assert response.status == 400


async def by_vnc(api: Api, session: Session, viewer_id: str) -> Any:
    ws = await api.client.ws_connect(
        f"/v1/sessions/{session.id}/vnc",
        protocols=("binary", f"fenster.token.{api.token(session)}", f"fenster.viewer.{viewer_id}"),
    )
    assert ws.protocol == "binary"
    return ws


async def hears(ws: Any) -> bool:
    """The next text message; RFB passes by."""
    async with asyncio.timeout(20):
        while (message := await ws.receive()).type.name != "TEXT":
            assert message.type.name == "BINARY", message
    controls: bool = message.json()["controls"]
    return controls


async def test_novnc_is_switched_while_it_runs(api: Api) -> None:
    session, vnc = await with_vnc(api)
    async with await by_vnc(api, session, ANN) as ws:
        assert await hears(ws) is True
        await enter(ws)
        await ws.send_bytes(KEY_A)
        await vnc.until_received(KEY_A)
        ben = await watching(api, session, BEN)
        assert await hears(ws) is True
        await act(api, session, ben, "request")
        assert await hears(ws) is True
        await act(api, session, viewer(api, session, ANN), "grant")
        assert await hears(ws) is False
        released = KEY_A[:1] + b"\0" + KEY_A[2:]
        await vnc.until_received(released)
        before = len(vnc.received)
        await ws.send_bytes(KEY_A + UPDATE_REQUEST)
        await until_more(vnc, before, UPDATE_REQUEST)
        await act(api, session, ben, "release")
        await act(api, session, viewer(api, session, ANN), "request")
        while not await hears(ws):
            pass
        before = len(vnc.received)
        await ws.send_bytes(KEY_A)
        await until_more(vnc, before, KEY_A)


async def enter(ws: Any) -> None:
    """The handshake, when news may come in between."""
    for answer in (b"RFB 003.008\n", b"\x01", b"\x00"):
        await ws.send_bytes(answer)


async def until_more(vnc: Vnc, before: int, data: bytes) -> None:
    """Until it has received something more, and then exactly this."""
    async with asyncio.timeout(20):
        while len(vnc.received) < before + len(data):
            vnc.heard.clear()
            await vnc.heard.wait()
    assert bytes(vnc.received[before:]) == data


async def test_programs_that_do_not_name_themselves_get_no_text(api: Api) -> None:
    session, vnc = await with_vnc(api)
    async with await api.client.ws_connect(
        f"/v1/sessions/{session.id}/vnc", protocols=("binary", f"fenster.token.{api.token(session)}")
    ) as ws:
        await log_in(ws)
        await watching(api, session, BEN)
        await ws.send_bytes(KEY_A)
        await vnc.until_received(KEY_A)
        assert vnc.writer is not None
        vnc.writer.write(b"frame")
        assert await ws.receive_bytes(timeout=20) == b"frame"


async def test_the_one_who_controls_sets_the_display(api: Api) -> None:
    session = await api.stage.ready()
    ann, ben = await watching(api, session, ANN), await watching(api, session, BEN)
    path = f"/v1/sessions/{session.id}/display"
    response = await api.client.put(path, json={"width": 1367, "height": 769}, headers=ann)
    assert response.status == 200
    assert await response.json() == {"width": 1366, "height": 768}
    assert ("display", {"size": [1366, 768]}) in api.stage.vm(session).guest.calls
    await api.refused("PUT", path, 403, "forbidden", json={"width": 800, "height": 600}, headers=ben)
    unnamed = api.viewer(session)
    await api.refused("PUT", path, 403, "forbidden", json={"width": 800, "height": 600}, headers=unnamed)
    await api.call("PUT", path, 200, json={"width": 3840, "height": 2160})
    view = await (await api.call("GET", f"/v1/sessions/{session.id}", 200)).json()
    assert view["display"] == {"width": 3840, "height": 2160}


@pytest.mark.parametrize(
    ("width", "height"), [(319, 600), (800, 239), (3841, 600), (3840, 2162), (3000, 3000), (1.5, 600)]
)
async def test_sizes_that_no_display_has(api: Api, width: float, height: float) -> None:
    session = await api.stage.ready()
    body = {"width": width, "height": height}
    await api.refused(
        "PUT", f"/v1/sessions/{session.id}/display", 400, "bad-request", json=body, headers=dict(api.admin)
    )


async def test_the_display_of_a_session_that_is_not_ready(api: Api) -> None:
    session = await api.stage.asleep()
    await api.call("PUT", f"/v1/sessions/{session.id}/display", 409, json={"width": 800, "height": 600})
