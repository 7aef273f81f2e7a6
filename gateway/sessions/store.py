"""Sessions on disk: one SQLite file, so that a gateway that was killed is followed by one that knows.

Rows are JSON: nothing is ever asked of them but all of them, once, at start.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import aiosqlite
from pydantic import BaseModel, ValidationError

from gateway.errors import ConfigError, StoreError
from gateway.sessions.record import MachineRecord, SessionRecord
from gateway.sessions.seal import Seal
from gateway.sessions.world import Keeper

__all__ = ["Store", "machine_uuids"]

SCHEMA = 1
"""PRAGMA user_version."""
KEY_LIFE_S = 24 * 3600.0
"""How long an Idempotency-Key is remembered."""
_TABLES = """
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS machines (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, session TEXT NOT NULL, asked TEXT NOT NULL, at REAL NOT NULL)
    STRICT;
"""

R = TypeVar("R", bound=BaseModel)


class _SealedSession(SessionRecord):
    """As it stands in the file."""

    sealed: str = ""
    """The exit."""
    sealed_vnc: str = ""
    """The VNC password. Rows of older builds have it in clear, under its own name, until they are written again."""


class Store:
    """Made by :meth:`open`. Every write is on disk, for a process that is killed, when it returns.

    Raises (each method): StoreError, when the disk is full or the file damaged.
    """

    def __init__(self, db: aiosqlite.Connection, lock: int | None, seal: Seal) -> None:
        self._db = db
        self._lock = lock
        self._seal = seal

    @classmethod
    async def open(cls, path: Path | None, seal: Seal | None = None) -> Store:
        """Open or make the file; None keeps everything in memory.

        Args:
            seal: for the sessions' passwords; with one of its own, nobody can read them later.

        Raises:
            ConfigError: another gateway has it.
            StoreError: it is no database of ours.
        """
        lock = _take_lock(path) if path is not None else None
        try:
            db = await aiosqlite.connect(path if path is not None else ":memory:", isolation_level=None)
            try:
                await _prepare(db)
            except BaseException:
                await db.close()
                raise
        except BaseException as exc:
            if lock is not None:
                os.close(lock)
            if isinstance(exc, sqlite3.Error):
                raise StoreError(f"{path} cannot be used: {exc}", hint="move it away; its sessions are lost") from exc
            raise
        return cls(db, lock, seal if seal is not None else Seal.fresh())

    async def close(self) -> None:
        """Idempotent."""
        await self._db.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    async def put_session(self, record: SessionRecord) -> None:
        body = {
            **record.model_dump(mode="json"),
            "sealed": self._seal.close(record.out, record.id),
            "sealed_vnc": self._seal.close_vnc(record.vnc_password, record.id),
        }
        await self._write("INSERT OR REPLACE INTO sessions VALUES (?, ?)", record.id, json.dumps(body))

    async def drop_session(self, sid: str) -> None:
        await self._write("DELETE FROM sessions WHERE id = ?", sid)

    async def sessions(self) -> list[SessionRecord]:
        """All, oldest first."""
        found = await self._all("sessions", _SealedSession)
        return sorted((self._opened(one) for one in found), key=lambda record: record.created_at)

    def _opened(self, sealed: _SealedSession) -> SessionRecord:
        fields = {name: getattr(sealed, name) for name in SessionRecord.model_fields}
        fields["out"] = self._seal.open(sealed.sealed, sealed.id)
        if sealed.sealed_vnc:
            fields["vnc_password"] = self._seal.open_vnc(sealed.sealed_vnc, sealed.id)
        return SessionRecord(**fields)

    async def put_machine(self, record: MachineRecord) -> None:
        await self._put("machines", record.id, record)

    async def drop_machine(self, mid: str) -> None:
        await self._write("DELETE FROM machines WHERE id = ?", mid)

    async def machines(self) -> list[MachineRecord]:
        return await self._all("machines", MachineRecord)

    async def put_key(self, key: str, sid: str, asked: str, *, now: float | None = None) -> None:
        """Remember what a key was used for, and forget old ones.

        Args:
            asked: digest of the request.
            now: Unix time in s.
        """
        at = time.time() if now is None else now
        await self._write("DELETE FROM keys WHERE at < ?", at - KEY_LIFE_S)
        await self._write("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?)", key, sid, asked, at)

    async def key(self, key: str) -> tuple[str, str] | None:
        """Session and digest of an earlier use."""
        try:
            async with self._db.execute("SELECT session, asked FROM keys WHERE key = ?", (key,)) as cursor:
                row = await cursor.fetchone()
        except sqlite3.Error as exc:
            raise _trouble(exc) from exc
        return None if row is None else (str(row[0]), str(row[1]))

    async def _put(self, table: str, ident: str, record: BaseModel) -> None:
        await self._write(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", ident, record.model_dump_json())

    async def _write(self, statement: str, *values: object) -> None:
        try:
            await self._db.execute(statement, values)
        except sqlite3.Error as exc:
            raise _trouble(exc) from exc

    async def _all(self, table: str, model: type[R]) -> list[R]:
        try:
            async with self._db.execute(f"SELECT body FROM {table}") as cursor:
                rows = await cursor.fetchall()
            return [model.model_validate_json(row[0]) for row in rows]
        except (sqlite3.Error, ValidationError) as exc:
            raise _trouble(exc) from exc


def machine_uuids(path: Path) -> list[str]:
    """Of the machines that a gateway has left; for whoever cannot open the store yet. Blocking; empty on trouble."""
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT body FROM machines").fetchall()
            return [MachineRecord.model_validate_json(row[0]).uuid for row in rows]
    except (sqlite3.Error, ValidationError):
        return []


async def _prepare(db: aiosqlite.Connection) -> None:
    # Every statement commits by itself, into a log that outlives the process. The medium is not waited for: when the
    # host goes down, the machines go with it.
    await db.execute("PRAGMA journal_mode = WAL")
    await db.execute("PRAGMA synchronous = NORMAL")
    async with db.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    version = int(row[0]) if row is not None else 0
    if version not in (0, SCHEMA):
        raise sqlite3.DatabaseError(f"it was written by another version of Fenster ({version})")
    await db.executescript(_TABLES)
    await db.execute(f"PRAGMA user_version = {SCHEMA}")


def _take_lock(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(fd)
        raise ConfigError(
            f"another gateway runs with the state in {path.parent}", hint="end it, or set state_dir to another"
        ) from exc
    # SQLite would let everybody read it.
    path.touch(0o600)
    return fd


def _trouble(exc: Exception) -> StoreError:
    return StoreError(f"the sessions cannot be kept: {exc}", hint="see whether the disk of state_dir is full")


_store: type[Keeper] = Store
