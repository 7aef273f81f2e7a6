"""Sessions on disk: what is written is there for the next gateway, and one file has one gateway."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import ConfigError, StoreError
from gateway.exits import NO_EXIT, parse_exit
from gateway.sessions.record import Lifetime, MachineRecord, SessionRecord, Template
from gateway.sessions.seal import Seal
from gateway.sessions.store import KEY_LIFE_S, SCHEMA, Store, machine_uuids
from gateway.sessions.view import ErrorView
from gateway.sessions.world import Keeper
from tests.fakes import MemoryStore

TEMPLATE = Template("mine", "xfce", 2, 2048, browser="warm", saved="mine")
SEAL = Seal(b"k" * 32)
BORN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

KILLED = """
import asyncio, os, pathlib, signal, sys
from gateway.sessions.record import MachineRecord
from gateway.sessions.store import Store
from tests.unit.test_sessions_store import SEAL, TEMPLATE, session

async def main():
    store = await Store.open(pathlib.Path(sys.argv[1]), SEAL)
    await store.put_session(session("aaaaaaaa"))
    await store.put_machine(MachineRecord(id="aaaaaaaa", uuid="u-1", template=TEMPLATE))
    await store.put_key("once", "aaaaaaaa", "digest")
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def session(sid: str, after_s: float = 0.0, state: str = "ready") -> SessionRecord:
    return SessionRecord(
        id=sid,
        state=state,
        template=TEMPLATE,
        display_px=(1280, 720),
        created_at=BORN + timedelta(seconds=after_s),
        machine_id="0123456789abcdef" * 2,
        vnc_password="Secret12",
        timings={"disk": 0.25, "ready": 3.125},
        error=ErrorView(kind="vm-lost", message="it ended", hint="create a new one"),
        lifetime=Lifetime(ends_at=1_700_000_000.5, idle_timeout_s=60.0, idle_action="stop"),
        metadata={"who": "Zoë", "emoji": "🪟"},
        forked=True,
    )


def machine(mid: str, uuid: str = "u-1") -> MachineRecord:
    return MachineRecord(id=mid, uuid=uuid, template=TEMPLATE)


@pytest.fixture(params=["file", "memory", "double"])
async def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Keeper]:
    if request.param == "double":
        yield MemoryStore()
        return
    store = await Store.open(tmp_path / "sessions.db" if request.param == "file" else None)
    yield store
    await store.close()


async def test_records_come_back_as_they_were(keeper: Keeper) -> None:
    plain = SessionRecord(
        id="bbbbbbbb", state="creating", template=Template("xfce", "xfce", 1, 512), display_px=(800, 600),
        created_at=BORN + timedelta(seconds=1), machine_id="", vnc_password="",
    )  # fmt: skip
    await keeper.put_session(session("aaaaaaaa"))
    await keeper.put_session(plain)
    await keeper.put_machine(machine("aaaaaaaa"))
    assert await keeper.sessions() == [session("aaaaaaaa"), plain]
    assert await keeper.machines() == [machine("aaaaaaaa")]


async def test_a_record_is_replaced_by_the_next_of_its_id(keeper: Keeper) -> None:
    await keeper.put_session(session("aaaaaaaa", state="creating"))
    await keeper.put_session(session("aaaaaaaa", state="suspended"))
    await keeper.put_machine(machine("aaaaaaaa", "u-1"))
    await keeper.put_machine(machine("aaaaaaaa", "u-2"))
    assert [one.state for one in await keeper.sessions()] == ["suspended"]
    assert [one.uuid for one in await keeper.machines()] == ["u-2"]


async def test_sessions_come_oldest_first_however_they_were_written(keeper: Keeper) -> None:
    for name, after_s in (("cccccccc", 2.0), ("aaaaaaaa", 0.0), ("bbbbbbbb", 1.0)):
        await keeper.put_session(session(name, after_s))
    await keeper.put_session(session("aaaaaaaa", 0.0, "failed"))
    assert [one.id for one in await keeper.sessions()] == ["aaaaaaaa", "bbbbbbbb", "cccccccc"]


async def test_what_is_dropped_is_gone_and_may_be_dropped_again(keeper: Keeper) -> None:
    for name in ("aaaaaaaa", "bbbbbbbb"):
        await keeper.put_session(session(name))
        await keeper.put_machine(machine(name))
    for _ in range(2):
        await keeper.drop_session("aaaaaaaa")
        await keeper.drop_machine("aaaaaaaa")
    await keeper.drop_session("nosuchid")
    await keeper.drop_machine("nosuchid")
    assert [one.id for one in await keeper.sessions()] == ["bbbbbbbb"]
    assert [one.id for one in await keeper.machines()] == ["bbbbbbbb"]


async def test_sessions_and_machines_do_not_mix(keeper: Keeper) -> None:
    await keeper.put_session(session("aaaaaaaa"))
    await keeper.put_machine(machine("bbbbbbbb"))
    await keeper.drop_machine("aaaaaaaa")
    await keeper.drop_session("bbbbbbbb")
    assert [one.id for one in await keeper.sessions()] == ["aaaaaaaa"]
    assert [one.id for one in await keeper.machines()] == ["bbbbbbbb"]


async def test_a_key_remembers_what_it_was_used_for(keeper: Keeper) -> None:
    assert await keeper.key("once") is None
    await keeper.put_key("once", "aaaaaaaa", "digest")
    await keeper.put_key("'; DROP TABLE keys; --", "bbbbbbbb", "other")
    assert await keeper.key("once") == ("aaaaaaaa", "digest")
    assert await keeper.key("'; DROP TABLE keys; --") == ("bbbbbbbb", "other")
    assert await keeper.key("ONCE") is None


async def test_old_keys_are_forgotten_when_a_new_one_comes() -> None:
    store = await Store.open(None)
    await store.put_key("old", "aaaaaaaa", "digest", now=1000.0)
    await store.put_key("young", "bbbbbbbb", "digest", now=1001.0)
    await store.put_key("new", "cccccccc", "digest", now=1000.5 + KEY_LIFE_S)
    assert await store.key("old") is None
    assert await store.key("young") == ("bbbbbbbb", "digest")
    assert await store.key("new") == ("cccccccc", "digest")
    await store.close()


async def test_what_was_written_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sessions.db"
    argv = [sys.executable, "-c", KILLED, str(path)]
    root = Path(__file__).parents[2]
    env = {"PYTHONPATH": f"{root}:{root}/guest-agent"}
    ended = await asyncio.to_thread(subprocess.run, argv, cwd=root, env=env, check=False)
    assert ended.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(path)) as db:
        (body,) = db.execute("SELECT body FROM sessions").fetchone()
        in_clear = session("aaaaaaaa").model_copy(update={"vnc_password": ""})
        assert SessionRecord.model_validate_json(body) == in_clear
    assert machine_uuids(path) == ["u-1"]
    store = await Store.open(path, SEAL)
    assert await store.sessions() == [session("aaaaaaaa")]
    assert await store.machines() == [machine("aaaaaaaa")]
    assert await store.key("once") == ("aaaaaaaa", "digest")
    await store.close()


async def test_one_state_directory_has_one_gateway(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sessions.db"
    first = await Store.open(path)
    with pytest.raises(ConfigError) as caught:
        await Store.open(path)
    assert str(path.parent) in caught.value.message
    assert "state_dir" in caught.value.hint
    await first.put_session(session("aaaaaaaa"))
    await first.close()
    await first.close()
    second = await Store.open(path)
    assert [one.id for one in await second.sessions()] == ["aaaaaaaa"]
    await second.close()


async def test_the_state_is_private(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state" / "sessions.db")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    await store.close()


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(b"no database at all, but long enough to be looked at. " * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        await Store.open(path)
    assert str(path) in caught.value.message
    assert "move it away" in caught.value.hint
    assert path.read_bytes() == before


async def test_a_file_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    await (await Store.open(path)).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(StoreError) as caught:
        await Store.open(path)
    assert f"another version of Fenster ({SCHEMA + 1})" in caught.value.message
    assert "move it away" in caught.value.hint
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)


async def test_a_row_that_cannot_be_read_is_an_error_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    store = await Store.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO sessions VALUES ('aaaaaaaa', '{\"id\": 7}')")
        db.execute("INSERT INTO machines VALUES ('aaaaaaaa', 'no JSON')")
    for reading in (store.sessions, store.machines):
        with pytest.raises(StoreError) as caught:
            await reading()
        assert "state_dir" in caught.value.hint
    assert machine_uuids(path) == []
    await store.close()


async def test_a_write_that_fails_is_an_error_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    store = await Store.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for table in ("sessions", "machines", "keys"):
            db.execute(f"DROP TABLE {table}")
    with pytest.raises(StoreError) as caught:
        await store.put_session(session("aaaaaaaa"))
    assert "state_dir" in caught.value.hint
    for failing in (store.drop_machine("aaaaaaaa"), store.put_key("once", "aaaaaaaa", ""), store.key("once")):
        with pytest.raises(StoreError):
            await failing
    await store.close()


async def test_the_uuids_of_what_was_left_can_be_had_without_the_store(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    assert machine_uuids(path) == []
    store = await Store.open(path)
    await store.put_machine(machine("aaaaaaaa", "u-1"))
    await store.put_machine(machine("bbbbbbbb", "u-2"))
    assert sorted(machine_uuids(path)) == ["u-1", "u-2"]
    await store.close()
    assert sorted(machine_uuids(path)) == ["u-1", "u-2"]
    path.write_bytes(b"damaged")
    assert machine_uuids(path) == []


def test_a_record_does_not_show_its_password_in_the_log() -> None:
    assert "Secret12" not in repr(session("aaaaaaaa"))


async def test_a_sessions_passwords_are_sealed_in_the_file(tmp_path: Path) -> None:
    path, key = tmp_path / "sessions.db", SEAL
    out = parse_exit("http://anna:s3cret-word@proxy.example:8080")
    store = await Store.open(path, key)
    await store.put_session(session("aaaaaaaa").model_copy(update={"out": out}))
    await store.close()
    written = await asyncio.to_thread(lambda: [file.read_bytes() for file in tmp_path.iterdir()])
    for word in (b"s3cret-word", b"anna", b"proxy.example", b"Secret12"):
        assert not any(word in data for data in written)
    again = await Store.open(path, key)
    (read,) = await again.sessions()
    assert (read.out, read.vnc_password) == (out, "Secret12")
    await again.close()
    # With another key a session has no exit, and never another's; its VNC password is not known.
    strange = await Store.open(path, Seal(b"x" * 32))
    (read,) = await strange.sessions()
    assert (read.out, read.vnc_password) == (NO_EXIT, "")
    await strange.close()


async def test_a_vnc_password_that_an_older_build_left_in_clear_is_read_and_sealed(tmp_path: Path) -> None:
    path, key = tmp_path / "sessions.db", SEAL
    store = await Store.open(path, key)
    await store.put_session(session("aaaaaaaa"))
    await store.close()
    with closing(sqlite3.connect(path)) as db, db:
        body = json.loads(db.execute("SELECT body FROM sessions").fetchone()[0])
        del body["sealed_vnc"]
        db.execute("UPDATE sessions SET body = ?", (json.dumps({**body, "vnc_password": "Secret12"}),))
    store = await Store.open(path, key)
    (read,) = await store.sessions()
    assert read == session("aaaaaaaa")
    await store.put_session(read)
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert "Secret12" not in db.execute("SELECT body FROM sessions").fetchone()[0]


def test_a_seal_is_one_sessions_alone() -> None:
    seal = SEAL
    out = parse_exit("socks5://a:b@h:1")
    sealed = seal.close(out, "aaaaaaaa")
    assert seal.open(sealed, "aaaaaaaa") == out
    assert seal.close(out, "aaaaaaaa") != sealed
    for text, sid in ((sealed, "bbbbbbbb"), (sealed[:-4], "aaaaaaaa"), ("nonsense", "aaaaaaaa"), ("é", "aaaaaaaa")):
        assert seal.open(text, sid) == NO_EXIT
    assert seal.close(NO_EXIT, "aaaaaaaa") == ""
    vnc = seal.close_vnc("Secret12", "aaaaaaaa")
    assert seal.open_vnc(vnc, "aaaaaaaa") == "Secret12"
    for text, sid in ((vnc, "bbbbbbbb"), (sealed, "aaaaaaaa"), ("nonsense", "aaaaaaaa")):
        assert seal.open_vnc(text, sid) == ""
    assert seal.open(vnc, "aaaaaaaa") == NO_EXIT
