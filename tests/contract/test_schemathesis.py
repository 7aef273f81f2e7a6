"""schemathesis against the live gateway: every call of the document with data that fits it and data that does not.

It holds the gateway to its own words: statuses, content types and bodies as documented, 4xx for what does not fit the
document, success for what does, 401 without the credential, no 5xx but those that are documented for a reason.

The run that failed can be had again by its seed, and a single request by the curl line that the failure shows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gateway.routes.openapi import document
from tests.contract.furnished import Furnished, furnished

ST = Path(sys.executable).with_name("st")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
SEED = 1
ENDLESS: Mapping[str, str] = {
    "/v1/sessions/{sid}/events": "server-sent events end with their session; test_api_events.py",
    "/v1/sessions/{sid}/vnc": "a WebSocket; test_api_vnc.py, test_fuzz_rfb.py",
}
"""Left out, and what tries them instead."""
MORE_THAN_A_SCHEMA: Mapping[str, str] = {
    "POST /v1/sessions": "a display's area, an exit whose parts depend on one another",
    "PATCH /v1/sessions/{sid}": "the same exit",
    "PUT /v1/sessions/{sid}/display": "the same area",
    "POST /v1/sessions/{sid}/control": "who asks has to say who it is",
    "POST /v1/sessions/{sid}/tokens": "an IPv6 address in an origin",
    "POST /v1/sessions/{sid}/tickets": "the same address",
    "POST /v1/sessions/{sid}/whep": "SDP",
    "PUT /v1/sessions/{sid}/clipboard": "a PNG",
    "GET /v1/sessions/{sid}/files/{path}": "a path below the home, a range",
    "HEAD /v1/sessions/{sid}/files/{path}": "the same path",
    "PUT /v1/sessions/{sid}/files/{path}": "the same path",
    "DELETE /v1/sessions/{sid}/files/{path}": "the same path",
}
"""Calls that may refuse what fits their schema, and what of it no schema says."""


def config(site: Furnished, *, known: bool) -> str:
    """``known``: calls go to sessions that are there; else the ids are made up too."""
    lines = [
        f'base-url = "{site.url}"',
        f"headers = {{ Authorization = {json.dumps(site.api.admin['Authorization'])} }}",
        f"hooks = {json.dumps(str(HOOKS))}",
        "continue-on-failure = true",
        "request-timeout = 10",
        "color = false",
        "warnings = false",
    ]
    if known:
        sleeping = [f"POST /v1/sessions/{{sid}}/{call}" for call in ("suspend", "resume", "fork", "template")]
        lines += ["[parameters]", f'"path.sid" = "{site.lasting.id}"']
        for calls, session in (
            (["PATCH /v1/sessions/{sid}"], site.changing),
            (sleeping, site.sleeping),
            (["DELETE /v1/sessions/{sid}"], site.ending),
        ):
            lines += [
                "[[operations]]",
                f"include-name = {json.dumps(calls)}",
                f'parameters = {{ "path.sid" = "{session.id}" }}',
            ]
    lines += [
        "[[operations]]",
        f"include-name = {json.dumps(list(MORE_THAN_A_SCHEMA))}",
        "[operations.checks.positive_data_acceptance]",
        'expected-statuses = ["2xx", "3xx", "4xx", "5xx"]',
    ]
    return "\n".join([*lines, ""])


async def run(site: Furnished, folder: Path, *, known: bool, phases: Sequence[str], most: int) -> str:
    """What schemathesis printed; anything found fails the test with it."""
    path = folder / "schemathesis.toml"
    path.write_text(config(site, known=known))
    left_out = [part for name in ENDLESS for part in ("--exclude-path", name)]
    process = await asyncio.create_subprocess_exec(
        ST, "--config-file", path, "run", f"{site.url}/openapi.json", *left_out, "--phases", ",".join(phases),
        "--max-examples", str(most), "--seed", str(SEED),
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = out.decode()
    assert process.returncode == 0, text
    return text


def generated(text: str) -> int:
    """How many requests it made up; all calls but the endless, and the document that it has read, were tried."""
    calls = sum(len(methods) for methods in document()["paths"].values()) - len(ENDLESS) - 1
    assert f"Tested: {calls}\n" in text, text
    return int(re.search(r"(\d+) generated", text)[1])  # type: ignore[index]  # else None, which fails as well


def test_what_is_left_out_and_excused_is_there() -> None:
    calls = {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}
    assert set(MORE_THAN_A_SCHEMA) <= calls
    assert {f"GET {path}" for path in ENDLESS} <= calls


async def _tried(tmp_path: Path, caplog: pytest.LogCaptureFixture, *, known: bool, most: int, least: int) -> None:
    phases = ["coverage", "fuzzing", "stateful"] if known else ["fuzzing"]
    async with furnished(tmp_path) as site:
        text = await run(site, tmp_path, known=known, phases=phases, most=most)
        print(f"\n{generated(text)} requests, {'sessions that are there' if known else 'ids of nobody'}: clean")
        assert generated(text) > least
        answer = await site.api.call("GET", f"/v1/sessions/{site.lasting.id}", 200)
        assert (await answer.json())["state"] == "ready"
    # What a caller does is none of ours.
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("known", "most", "least"), [(True, 12, 1000), (False, 12, 200)])
async def test_the_gateway_keeps_to_its_document(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, known: bool, most: int, least: int
) -> None:
    await _tried(tmp_path, caplog, known=known, most=most, least=least)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("known", [True, False])
async def test_the_gateway_keeps_to_its_document_for_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, known: bool
) -> None:
    await _tried(tmp_path, caplog, known=known, most=200, least=5_000)
