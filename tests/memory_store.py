"""A store in dictionaries."""

from __future__ import annotations

from gateway.errors import GatewayError
from gateway.sessions.record import MachineRecord, SessionRecord
from gateway.sessions.world import Keeper

__all__ = ["MemoryStore"]


class MemoryStore:
    """``error`` is raised by every write."""

    def __init__(self) -> None:
        self.error: GatewayError | None = None
        self.kept_sessions: dict[str, SessionRecord] = {}
        self.kept_machines: dict[str, MachineRecord] = {}
        self.keys: dict[str, tuple[str, str]] = {}

    def survivor(self) -> MemoryStore:
        """What the next gateway reads when this one is killed now."""
        other = MemoryStore()
        other.kept_sessions, other.kept_machines = dict(self.kept_sessions), dict(self.kept_machines)
        other.keys = dict(self.keys)
        return other

    async def put_session(self, record: SessionRecord) -> None:
        self._check()
        kept = SessionRecord.model_validate_json(record.model_dump_json())
        self.kept_sessions[record.id] = kept.model_copy(
            update={"out": record.out, "vnc_password": record.vnc_password}
        )

    async def drop_session(self, sid: str) -> None:
        self._check()
        self.kept_sessions.pop(sid, None)

    async def sessions(self) -> list[SessionRecord]:
        return sorted(self.kept_sessions.values(), key=lambda record: record.created_at)

    async def put_machine(self, record: MachineRecord) -> None:
        self._check()
        self.kept_machines[record.id] = record

    async def drop_machine(self, mid: str) -> None:
        self._check()
        self.kept_machines.pop(mid, None)

    async def machines(self) -> list[MachineRecord]:
        return list(self.kept_machines.values())

    async def put_key(self, key: str, sid: str, asked: str) -> None:
        self._check()
        self.keys[key] = (sid, asked)

    async def key(self, key: str) -> tuple[str, str] | None:
        return self.keys.get(key)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


_store: type[Keeper] = MemoryStore
