"""Pages, assets, headers, health, and the OpenAPI document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from gateway.routes.application import make_application
from gateway.routes.openapi import document
from tests.contract.api import Api


@pytest.fixture
def static(tmp_path: Path) -> Path:
    root = tmp_path / "static"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>list</title>")
    (root / "viewer.html").write_text("<!doctype html><title>viewer</title>")
    (root / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (root / "assets" / "index-abc123.js").write_text("export {};")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "assets" / "link.txt").symlink_to(tmp_path / "secret.txt")
    return root


async def test_pages_and_assets_are_served(api: Api, static: Path) -> None:
    for path, text in (("/", "list"), ("/s/abcdefgh", "viewer")):
        response = await api.client.get(path)
        assert (response.status, response.content_type) == (200, "text/html")
        assert text in await response.text()
        assert response.headers["Cache-Control"] == "no-cache"
    response = await api.client.get("/assets/index-abc123.js")
    assert response.content_type in ("text/javascript", "application/javascript")
    assert "immutable" in response.headers["Cache-Control"]
    assert (await api.client.get("/icon.svg")).content_type == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/none.js",
        "/assets/",
        "/assets/../index.html",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets//etc/passwd",
        "/assets/link.txt",
        "/assets/%00",
        "/secret.txt",
        "/none.svg",
    ],
)
async def test_nothing_outside_is_served(api: Api, static: Path, path: str) -> None:
    response = await api.client.get(URL(path, encoded=True))
    assert response.status == 404
    assert "secret" not in await response.text()


async def test_a_client_that_was_not_built_has_a_page_that_says_so(api: Api) -> None:
    response = await api.client.get("/")
    assert response.status == 503
    assert "make web" in await response.text()


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/sessions", "/nothing", "/assets/index-abc123.js"])
async def test_every_answer_has_the_security_headers(api: Api, static: Path, path: str) -> None:
    response = await api.client.get(path)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "Cache-Control" in response.headers
    assert re.fullmatch(r"[0-9a-f]{12}", response.headers["X-Request-Id"])


async def test_the_page_without_a_client_runs_no_script(api: Api) -> None:
    text = await (await api.client.get("/")).text()
    assert "<script" not in text
    assert "style=" not in text


async def test_request_ids_differ_and_stand_in_the_problem(api: Api) -> None:
    first, second = await api.client.get("/nothing"), await api.client.get("/nothing")
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert first.headers["X-Request-Id"] in (await first.json())["instance"]


async def test_health(api: Api) -> None:
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        response = await api.client.get(path)
        assert (response.status, await response.json()) == (200, {"status": status})


def described() -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}


STATIC = {"/assets/{name}", "/{name}"}
"""Files of the web client, named by its build."""


async def test_the_document_describes_every_call_and_no_other(api: Api) -> None:
    resources = make_application(api.services).router.resources()
    handlers = {(route.method, resource.canonical): route.handler for resource in resources for route in resource}
    calls = {
        (method, path)
        for (method, path), handler in handlers.items()
        # A HEAD that aiohttp adds to a GET is the same without its body (RFC 9110 9.3.2).
        if path not in STATIC and not (method == "HEAD" and handlers.get(("GET", path)) is handler)
    }
    assert described() == calls
    served = await (await api.client.get("/openapi.json")).json()
    assert served == document()
    assert served["openapi"].startswith("3.1")


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_every_reference_in_the_document_leads_somewhere() -> None:
    schemas = document()["components"]["schemas"]
    found = references(document())
    assert len(found) > 5
    assert {ref.removeprefix("#/components/schemas/") for ref in found} <= set(schemas)
