"""A day in a gateway's life with known secrets: what is written down of it, and that none of them is anywhere."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import app, log
from gateway.edge.apikeys import ApiKey, Scope, digest, key_id, new_secret
from gateway.edge.audit import FIELDS, audit_path
from gateway.edge.keystore import keys_path, update_keys
from gateway.netns.thread import NamespaceThread
from gateway.plane import compose
from gateway.sessions.lifecycle import State
from gateway.settings import Settings
from tests.contract.test_api_whep import OFFER
from tests.fakes import FakeDriver, FakeLan
from tests.logs import log_kept_apart
from tests.sessions import turns_until, until

UPSTREAM_PASSWORD = "upstream-password-4711"
VIEWER = "ab" * 16


async def fake_lan(namespaces: NamespaceThread, vm_id: str, pid: int | None) -> FakeLan:
    return FakeLan()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    driver = FakeDriver()
    monkeypatch.setattr(app, "make_driver", lambda settings, *, lasting: driver)
    monkeypatch.setattr(compose, "_open_lan", fake_lan)
    run_dir = Path(f"/tmp/fenster-secrets-{os.getpid()}")
    yield Settings(
        port=0, state_dir=tmp_path / "state", cache_dir=tmp_path / "cache", run_dir=run_dir, dataplane="inside"
    )
    run_dir.rmdir()


class Day:
    """What was done, which secrets there are, and what the gateway said."""

    def __init__(self, gateway: app.Serving, http: aiohttp.ClientSession) -> None:
        self.gateway, self.http = gateway, http
        self.answers: list[str] = []
        self.vnc_password = ""
        self.secrets: dict[str, str] = {"upstream password": UPSTREAM_PASSWORD}

    async def call(self, method: str, path: str, credential: str, status: int, **more: Any) -> dict[str, Any]:
        """An answer that a secret was asked for with is not kept; all others are."""
        headers = {"Authorization": f"Bearer {credential}", "Fenster-Viewer": VIEWER, **more.pop("headers", {})}
        async with self.http.request(method, self.gateway.url + path, headers=headers, **more) as response:
            text = await response.text()
            assert response.status == status, text
        body: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
        if not {"token", "ticket"} & body.keys():
            self.answers.append(text)
        return body

    async def live(self, member: str) -> str:
        """Create, look, share, connect, change, get things wrong, destroy; the session's id."""
        operator = self.gateway.services.keys.api_key
        proxy = f"http://user:{UPSTREAM_PASSWORD}@192.0.2.1:3128"
        made = await self.call("POST", "/v1/sessions", member, 201, json={"proxy": proxy, "metadata": {"a": "b"}})
        sid, one = made["id"], f"/v1/sessions/{made['id']}"
        session = self.gateway.services.manager.get(sid)
        await until(session, State.READY)
        self.vnc_password = session.vnc_password
        token = (await self.call("POST", f"{one}/tokens", member, 201, json={"role": "view"}))["token"]
        ticket = (await self.call("POST", f"{one}/tickets", member, 201))["ticket"]
        exchanged = (await self.call("POST", "/v1/tickets/exchange", ticket, 201))["token"]
        self.secrets |= {"operator": operator, "member": member, "made token": made["token"], "token": token}
        self.secrets |= {"ticket": ticket, "exchanged token": exchanged, "ice-pwd": "abcdefghijklmnopqrstuvwx"}
        offer = {"data": OFFER, "headers": {"Content-Type": "application/sdp"}}
        await self.call("POST", f"{one}/whep", exchanged, 201, **offer)
        await self.call("PATCH", one, member, 200, json={"proxy": proxy + "1", "clipboard": "off"})
        await self.call("PATCH", one, member, 400, json={"proxy": f"nonsense://u:{UPSTREAM_PASSWORD}@x"})
        await self.call("POST", "/v1/tickets/exchange", ticket, 401)
        await self.call("GET", "/v1/host", "fenster_" + "wrong" * 9, 401)
        await self.call("POST", f"{one}/tokens", token, 403)
        await self.call(
            "POST", f"{one}/template", member, 403, json={"name": "x"}, headers={"Origin": "https://evil.test"}
        )
        for path in (one, f"{one}/egress", "/v1/sessions"):
            await self.call("GET", path, member, 200)
        for path in ("/metrics", "/v1/host", "/v1/sessions", "/openapi.json"):
            await self.call("GET", path, operator, 200)
        await self.call("DELETE", one, operator, 204)
        return str(sid)


def processes() -> str:
    """The command lines of this process and all that it has started."""
    own = os.getpid()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) if folder.name.isdigit() else -1
            if parent == own or folder.name == str(own):
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return "\n".join(found)


async def lived(settings: Settings, member: str) -> tuple[Day, str, str]:
    """A gateway from its start to its end; the day, its session's id, and the command lines meanwhile."""
    scopes = frozenset({Scope.SESSIONS_READ, Scope.SESSIONS_WRITE, Scope.TOKENS_ISSUE})
    async with app.serving(settings, lasting=True) as gateway, aiohttp.ClientSession() as http:
        key = ApiKey(id=key_id(member), digest=digest(member), owner="shop", scopes=scopes, created_at=0)
        await asyncio.to_thread(update_keys, keys_path(settings.state_dir), lambda keys: [*keys, key])
        day = Day(gateway, http)
        sid = await day.live(member)
        running = processes()
        audit = gateway.services.audit
        await turns_until(lambda: audit.counters()["waiting"] == 0)
    return day, sid, running


async def test_a_days_secrets_are_nowhere_and_its_deeds_in_the_audit_log(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    member = new_secret()
    with log_kept_apart():
        log.configure("debug")
        day, sid, running = await lived(settings, member)
    signing = (settings.state_dir / "token-key").read_text().strip()
    day.secrets |= {"signing key": signing, "sealing key": (settings.state_dir / "sealing-key").read_text().strip()}

    private = {"api-key", "token-key", "sealing-key"}
    files = {path for path in settings.state_dir.rglob("*") if path.is_file() and path.name not in private}
    assert {"sessions.db", "audit.jsonl", "api-keys.json", "api-keys-used.json"} <= {path.name for path in files}
    out, err = capfd.readouterr()
    places = {
        "the log": out + err,
        "answers": "\n".join(day.answers),
        "command lines": running,
        **{path.name: path.read_bytes().decode("latin-1") for path in files},
    }
    assert "creating -> booting" in err, "the log is there"
    assert len(day.vnc_password) == 8
    for where, text in places.items():
        assert day.vnc_password not in text, f"the VNC password is in {where}"
    assert len(day.secrets) == 10
    for name, secret in day.secrets.items():
        assert len(secret) >= 20
        for where, text in places.items():
            assert secret not in text, f"the {name} is in {where}"
            assert secret[8:40] not in text, f"a part of the {name} is in {where}"
    for path in [*files, *(settings.state_dir / name for name in private)]:
        assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, path
    check_audit(settings, sid, member)


def check_audit(settings: Settings, sid: str, member: str) -> None:
    entries = [json.loads(line) for line in audit_path(settings.state_dir).read_text().splitlines()]
    assert all(set(entry) <= set(FIELDS) for entry in entries)
    mine = [entry for entry in entries if entry.get("session") == sid]
    told = [(entry["event"], entry["outcome"], entry["actor"]) for entry in mine]
    for expected in [
        ("session.create", "ok", "key"),
        ("token.issue", "ok", "key"),
        ("ticket.issue", "ok", "key"),
        ("ticket.exchange", "ok", "ticket"),
        ("viewer.join", "ok", "gateway"),
        ("control.take", "ok", "gateway"),
        ("desktop.connect", "ok", "token"),
        ("session.update", "ok", "key"),
        ("session.update", "refused", "key"),
        ("access.refuse", "refused", "token"),
        ("access.refuse", "refused", "key"),
        ("viewer.leave", "ok", "gateway"),
        ("session.end", "ok", "gateway"),
        ("session.destroy", "ok", "key"),
    ]:
        assert expected in told, expected
        told = told[told.index(expected) :] if expected[0] != "desktop.connect" else told
    created = next(entry for entry in mine if entry["event"] == "session.create")
    assert (created["key"], created["owner"], created["address"]) == (key_id(member), "shop", "127.0.0.1")
    issued = next(entry for entry in mine if entry["event"] == "desktop.connect")
    assert (issued["viewer"], issued["role"]) == (VIEWER[:8], "control")
    assert len([entry for entry in entries if entry["event"] == "auth.fail"]) == 2
