"""What is read back: rows of the store, the settings' file, tokens and tickets that come back from pages."""

from __future__ import annotations

import json
import random
from pathlib import Path

from gateway.errors import ConfigError, StoreError, Unauthorized
from gateway.sessions.store import Store
from gateway.settings import load
from gateway.tickets import Tickets
from gateway.tokens import framers, mint, mint_frame, verify
from tests.fuzzing import drawn, nearly_json, steady, volumes
from tests.unit.test_sessions_store import session

KEY = b"s" * 64
NOW = 1_700_000_000.0
SETTINGS = b"""
host = "127.0.0.1"
port = 8443
display = "1280x720"
max_sessions = 8
proxy = "http://u:p@proxy.example:8080"
embed_origins = ["https://a.example"]
proxy_ports = [80, 443]
[templates.small]
profile = "openbox"
memory_mib = 1024
"""


async def test_rows() -> None:
    rng = random.Random(20)
    store = await Store.open(None)
    await store.put_session(session("aaaaaaaa"))
    async with store._db.execute("SELECT body FROM sessions") as cursor:
        rows = [str(row[0]) for row in await cursor.fetchall()]
    whole, text = json.loads(rows[0]), [rows[0].encode()]
    bad = good = 0
    for number, data in enumerate(drawn(rng, text, 1_500)):
        body = json.dumps(nearly_json(rng, whole)) if number % 2 else data.decode("utf-8", "replace")
        await store._db.execute("UPDATE sessions SET body = ?", (body,))
        try:
            good += len(await store.sessions())
        except StoreError:
            bad += 1
    assert min(bad, good) > 100
    await store._db.execute("UPDATE sessions SET body = ?", (rows[0],))
    assert [one.id for one in await store.sessions()] == ["aaaaaaaa"]
    await store.close()


def test_settings(tmp_path: Path) -> None:
    rng = random.Random(20)
    path = tmp_path / "fenster.toml"
    bad = good = 0
    for data in drawn(rng, [SETTINGS, *SETTINGS.strip().splitlines(keepends=True)], 1_500):
        path.write_bytes(data)
        try:
            load({"state_dir": tmp_path}, config=path)
            good += 1
        except ConfigError:
            bad += 1
    assert min(bad, good) > 100


@volumes(6_000)
def test_tokens_and_grants(count: int, seed: int) -> None:
    rng = random.Random(seed)
    origins = ("https://a.example",)
    token = mint(KEY, sid="aaaaaaaa", role="control", now=NOW, lifetime_s=60, origins=origins)[0]
    grant = mint_frame(KEY, sid="aaaaaaaa", now=NOW, lifetime_s=60, origins=origins)
    tickets = Tickets()
    secret, _ = tickets.issue(sid="aaaaaaaa", role="view", lifetime_s=60, origins=(), now=NOW)
    others = [mint(b"t" * 64, sid="aaaaaaaa", role="control", now=NOW, lifetime_s=60)[0], "a.b.c", "..", token[:-1]]
    valid = [text.encode() for text in (token, grant, secret, *others)]
    let_in = 0
    with steady(count) as step:
        for number, data in enumerate(drawn(rng, valid, count)):
            text = data.decode("ascii", "ignore")
            with step(number):
                for look in (lambda text: verify(KEY, text, now=NOW), lambda text: tickets.look(text, now=NOW)):
                    try:
                        look(text)
                    except Unauthorized:
                        continue
                    let_in += 1
                    assert text in (token, secret)
                assert framers(KEY, text, sid="aaaaaaaa", now=NOW) == (origins if text == grant else ())
    assert let_in > count / 100
