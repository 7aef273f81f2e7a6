"""Whose name, which page, how much: Host, Origin, Content-Security-Policy, and the table of limits."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiohttp import ClientResponse, WSServerHandshakeError

from gateway.edge.hosts import HostNames
from gateway.routes import body, limits
from tests.contract.api import Api, api_on
from tests.contract.test_api_access import FOR_VIEWERS, filled, guarded
from tests.contract.test_api_vnc import with_vnc

ROOT = Path(__file__).resolve().parents[2]
EVIL = "https://evil.example"


async def test_a_name_that_was_rebound_reaches_nothing(api: Api) -> None:
    session = await api.stage.ready()
    calls = [*guarded(api), ("GET", "/"), ("GET", "/s/{sid}"), ("GET", "/embed/{sid}"), ("GET", "/openapi.json")]
    for method, path in calls:
        headers = {**api.admin, "Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
        response = await api.client.request(method, filled(path, session), headers=headers)
        assert response.status == 421, (method, path)
    assert session.state.value == "ready"
    assert len(api.stage.manager.list()) == 1


async def test_health_is_told_by_any_name(api: Api) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await api.client.get(path, headers={"Host": "lb.example"})).status == 200


async def test_the_names_of_the_settings_are_answered_to(tmp_path: Path) -> None:
    hosts = HostNames("0.0.0.0", "https://desk.example", ["box.lan"])
    more = {"hosts": hosts, "public_origin": "https://desk.example"}
    async with api_on(tmp_path, more=more) as api:
        for host in ("desk.example", "box.lan:8080"):
            response = await api.client.get("/v1/host", headers={**api.admin, "Host": host})
            assert response.status == 200
        # A proxy that hands on another Host: the page's origin is the public one.
        headers = {**api.admin, "Origin": "https://desk.example"}
        assert (await api.client.get("/v1/host", headers=headers)).status == 200


async def raw(api: Api, request: bytes, *, until: bytes = b"") -> bytes:
    """What a connection is answered: until it ends, or says that."""
    reader, writer = await asyncio.open_connection(api.client.host, api.client.port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await (reader.readuntil(until) if until else reader.read())
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("head", ["", "Host: 127.0.0.1\r\nHost: evil.example\r\n", "Host:\r\n", "Host: a b\r\n"])
async def test_a_request_names_its_host_once(api: Api, head: str) -> None:
    answer = await raw(api, f"GET /openapi.json HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1\.[01] 4(00|21) ", answer), answer[:200]
    assert b"sessions" not in answer


async def test_another_pages_call_does_nothing_on_any_route(api: Api) -> None:
    session = await api.stage.ready()
    for method, path in guarded(api):
        if path == "/v1/tickets/exchange":
            ticket = (await (await api.call("POST", f"/v1/sessions/{session.id}/tickets", 201)).json())["ticket"]
            credentials = [{"Authorization": f"Bearer {ticket}"}]
        elif (method, path) in FOR_VIEWERS:
            credentials = [dict(api.admin), api.viewer(session)]
        else:
            credentials = [dict(api.admin)]
        for headers in credentials:
            for origin in (EVIL, "null", "http://127.0.0.1:1"):
                more = {**headers, "Origin": origin, "Sec-Fetch-Site": "cross-site"}
                response = await api.client.request(method, filled(path, session), headers=more)
                assert response.status == 403, (method, path, origin)
                assert "Access-Control-Allow-Origin" not in response.headers
    assert session.state.value == "ready"
    assert len(api.stage.manager.list()) == 1


async def test_another_pages_websocket_is_refused(api: Api) -> None:
    session = await api.stage.ready()
    for protocols in (
        ("binary", f"fenster.token.{api.token(session)}"),
        ("fenster.test", f"fenster.token.{api.token(session)}"),
    ):
        with pytest.raises(WSServerHandshakeError) as caught:
            await api.client.ws_connect(
                f"/v1/sessions/{session.id}/vnc", protocols=protocols, headers={"Origin": EVIL}
            )
        assert caught.value.status == 403


async def test_there_are_no_cookies(api: Api) -> None:
    session = await api.stage.ready()
    for method, path in [*guarded(api), ("GET", "/"), ("GET", "/s/{sid}"), ("GET", "/embed/{sid}")]:
        if path.endswith("/events") or method == "DELETE":
            continue
        response = await api.client.request(method, filled(path, session), headers=api.admin)
        assert "Set-Cookie" not in response.headers, (method, path)
        response.close()


class _Inline(HTMLParser):
    """Finds what a strict policy would not run, or should not have to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self._in = tag if tag in ("script", "style") and "src" not in named else ""
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.found.append(f"<{tag} {name}>")
            if re.match(r"\s*(javascript|data|https?):|//", value or "", re.I) and name in ("src", "href", "action"):
                self.found.append(f"<{tag} {name}={value}>")
        if tag in ("base", "object", "embed", "iframe"):
            self.found.append(f"<{tag}>")

    def handle_data(self, data: str) -> None:
        if self._in and data.strip():
            self.found.append(f"<{self._in}> with text")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""


def inline(text: str) -> list[str]:
    parser = _Inline()
    parser.feed(text)
    return parser.found


def test_the_walker_sees_what_is_inline() -> None:
    bad = [
        "<script>x</script>",
        "<style>x</style>",
        "<p onclick=x>",
        "<p style=x>",
        '<a href="javascript:x">',
        "<base>",
    ]
    assert all(inline(text) for text in bad)
    assert (
        inline('<script type="module" src="/assets/a.js"></script><link rel="stylesheet" href="/assets/a.css">') == []
    )


PAGES = sorted(
    path
    for folder in (ROOT / "web", ROOT / "gateway/static")
    for path in folder.rglob("*.html")
    if not {"node_modules", "packages", "examples"} & set(path.parts)
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_has_anything_inline(page: Path) -> None:
    assert inline(page.read_text()) == []


def policy(response: ClientResponse) -> dict[str, str]:
    parts = [part.strip().partition(" ") for part in response.headers["Content-Security-Policy"].split(";")]
    return {name: value for name, _, value in parts}


async def test_every_answer_has_a_strict_policy(api: Api) -> None:
    api.services.static_dir.mkdir()
    for name in ("index.html", "viewer.html", "embed.html"):
        (api.services.static_dir / name).write_text("<!doctype html>")
    session = await api.stage.ready()
    calls = [
        "/",
        "/s/{sid}",
        "/embed/{sid}",
        "/openapi.json",
        "/healthz",
        "/v1/host",
        "/nothing",
        "/v1/sessions/{sid}",
    ]
    for path in calls:
        response = await api.client.get(filled(path, session), headers=api.admin)
        said = policy(response)
        assert said["default-src"] == "'none'", path
        assert said["script-src"] == said["style-src"] == "'self'", path
        assert said["base-uri"] == said["form-action"] == "'none'", path
        assert said["frame-ancestors"].startswith("'self'"), path
        assert not re.search(r"unsafe|\*|https?:", response.headers["Content-Security-Policy"]), path
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_page_that_is_not_built_yet_has_nothing_inline(api: Api) -> None:
    response = await api.client.get("/")
    assert response.status == 503
    assert inline(await response.text()) == []


async def test_hsts_is_said_only_with_a_given_certificate(api: Api, tmp_path: Path) -> None:
    assert "Strict-Transport-Security" not in (await api.client.get("/healthz")).headers
    async with api_on(tmp_path / "other", more={"hsts": True}) as other:
        for path in ("/healthz", "/", "/v1/host", "/nothing"):
            headers = (await other.client.get(path)).headers
            assert headers["Strict-Transport-Security"] == "max-age=31536000"


HEALTH = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"

# The table of limits, each at its limit and one beyond.


def padded(text: bytes, size: int) -> bytes:
    return text + b" " * (size - len(text))


async def test_json_bodies(api: Api) -> None:
    headers = {**api.admin, "Content-Type": "application/json"}
    for size, status in ((limits.MAX_JSON_BYTES, 201), (limits.MAX_JSON_BYTES + 1, 413)):
        await api.call("POST", "/v1/sessions", status, data=padded(b"{}", size), headers=headers)


async def test_bodies_of_any_kind(api: Api) -> None:
    for size, status in ((limits.MAX_BODY_BYTES, 413), (limits.MAX_BODY_BYTES + 1, 413)):
        headers = {"Content-Type": "application/json"}
        problem = await (await api.call("POST", "/v1/sessions", status, data=b" " * size, headers=headers)).json()
        assert (
            str(limits.MAX_JSON_BYTES if size == limits.MAX_BODY_BYTES else limits.MAX_BODY_BYTES)
            in problem["detail"]
        )


async def test_sdp_offers(api: Api) -> None:
    session = await api.stage.ready()
    path, headers = f"/v1/sessions/{session.id}/whep", {"Content-Type": "application/sdp"}
    within = await api.client.post(path, data=b"x" * limits.MAX_SDP_BYTES, headers={**api.admin, **headers})
    assert within.status == 400, "read, and found to be no SDP"
    await api.call("POST", path, 413, data=b"x" * (limits.MAX_SDP_BYTES + 1), headers=headers)


async def test_websocket_messages(api: Api) -> None:
    session, _ = await with_vnc(api)
    closed = {}
    for size in (limits.MAX_MESSAGE_BYTES, limits.MAX_MESSAGE_BYTES + 1):
        async with api.client.ws_connect(
            f"/v1/sessions/{session.id}/vnc", protocols=("binary", f"fenster.token.{api.token(session)}")
        ) as ws:
            await ws.send_bytes(b"x" * size)
            while not (await ws.receive()).type.name.startswith("CLOS"):
                pass
            closed[size] = ws.close_code
    assert closed[limits.MAX_MESSAGE_BYTES] != 1009
    assert closed[limits.MAX_MESSAGE_BYTES + 1] == 1009, "RFC 6455 7.4.1: too big"


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 400)])
async def test_header_values(api: Api, extra: int, status: int) -> None:
    value = "x" * (limits.MAX_HEADER_BYTES + extra)
    answer = await raw(
        api, f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nA: {value}\r\n\r\n".encode()
    )
    assert re.match(rb"HTTP/1\.[01] %d " % status, answer), answer[:200]


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 400)])
async def test_request_targets(api: Api, extra: int, status: int) -> None:
    target = "/healthz?" + "x" * (limits.MAX_LINE_BYTES - len("/healthz?") + extra)
    answer = await raw(api, f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1\.[01] %d " % status, answer), answer[:200]


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 400)])
async def test_numbers_of_headers(api: Api, extra: int, status: int) -> None:
    more = "".join(f"A{number}: b\r\n" for number in range(limits.MAX_HEADERS - 2 + extra))
    answer = await raw(api, f"{HEALTH}{more}\r\n".encode())
    assert re.match(rb"HTTP/1\.[01] %d " % status, answer), answer[:200]


def test_a_sender_earns_time_and_never_more_than_at_first() -> None:
    pace = body.Pace(grace_s=10.0, min_bytes_per_s=100)
    pace.got(100, 5.0)
    assert pace.left_s == pytest.approx(6.0)
    pace.got(10**9, 0.1)
    assert pace.left_s == 10.0
    pace.got(0, 60.0)
    assert pace.left_s == 0.0


async def test_a_body_that_does_not_come_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_GRACE_S", 0.2)
    key = api.admin["Authorization"]
    answer = await raw(
        api,
        f"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{".encode(),
        until=b"}",
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:fenster:too-slow" in answer
    assert api.stage.manager.list() == []


async def test_what_strangers_send_is_in_no_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = "fenster_" + "s" * limits.MAX_HEADER_BYTES
    answer = await raw(api, f"{HEALTH}Authorization: Bearer {secret}\r\n\r\n".encode())
    assert re.match(rb"HTTP/1\.[01] 400 ", answer)
    assert "ssss" not in caplog.text
