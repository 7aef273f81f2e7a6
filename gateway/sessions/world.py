"""What a session is given: Protocols and limits, no concrete driver, no settings file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from gateway.dataplane import DataPlane
from gateway.sessions.record import MachineRecord, SessionRecord
from gateway.sessions.view import SessionView
from gateway.vm.driver import AgentLink, Facts, GuestEvent, VmDriver

__all__ = ["Keeper", "NoPeers", "PeerSession", "PeerState", "Signalling", "Timeouts", "World"]


def _nobody(view: SessionView) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a guest may take. The defaults suit emulation (TCG); with KVM all of it takes a few seconds."""

    hello_s: float = 60.0
    call_s: float = 90.0
    """For each of identify and assign."""
    ready_s: float = 90.0
    """For the agent and for x11vnc, after assign."""
    adopt_s: float = 15.0
    """For a guest that an earlier gateway has left, which runs already."""
    last_words_s: float = 2.0
    """How long a closed link waits to learn why its machine ended."""


class PeerState(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def viewer(self) -> str: ...

    @property
    def role(self) -> Literal["control", "view"]: ...

    @property
    def connected(self) -> bool: ...


class Signalling(Protocol):
    """The WebRTC peers, as a session sees them (gateway/signaling/whep.py)."""

    def peers(self, session_id: str) -> Sequence[PeerState]: ...

    async def handle_event(self, session_id: str, event: GuestEvent) -> None: ...

    async def forget(self, session_id: str) -> None:
        """Drop its peers; their machine is gone, or about to be."""

    async def dismiss(self, session_id: str) -> None:
        """Drop its peers and have the guest told, while it still runs."""

    async def recall(self, session: PeerSession, peers: Sequence[Mapping[str, Any]]) -> None:
        """Take over the peers that a guest has from an earlier gateway (HELLO_RESULT)."""


class PeerSession(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def link(self) -> AgentLink: ...

    def peers_changed(self) -> None: ...


class Keeper(Protocol):
    """What sessions are written down in (store.py). Writes raise StoreError."""

    async def put_session(self, record: SessionRecord) -> None: ...

    async def drop_session(self, sid: str) -> None: ...

    async def sessions(self) -> list[SessionRecord]:
        """All, oldest first."""

    async def put_machine(self, record: MachineRecord) -> None: ...

    async def drop_machine(self, mid: str) -> None: ...

    async def machines(self) -> list[MachineRecord]: ...

    async def put_key(self, key: str, sid: str, asked: str) -> None: ...

    async def key(self, key: str) -> tuple[str, str] | None:
        """Session and digest of the request that a key was used for."""


class NoPeers:
    """For a session that nobody watches by WebRTC (``fenster verify``)."""

    def peers(self, session_id: str) -> Sequence[PeerState]:
        return ()

    async def handle_event(self, session_id: str, event: GuestEvent) -> None:
        return None

    async def forget(self, session_id: str) -> None:
        return None

    async def dismiss(self, session_id: str) -> None:
        return None

    async def recall(self, session: PeerSession, peers: Sequence[Mapping[str, Any]]) -> None:
        return None


@dataclass(frozen=True, slots=True)
class World:
    """Everything a session reaches for."""

    driver: VmDriver
    dataplane: DataPlane
    signalling: Signalling
    facts: Callable[[], Awaitable[Facts]]
    """What the driver found out about this host; raises what VmDriver.check() raises."""
    run_root: Path
    """Run directories are made below it. Short: AF_UNIX paths end at 108 bytes."""
    logs_dir: Path
    """Where a failed session's logs are kept."""
    timeouts: Timeouts
    store: Keeper
    witness: Callable[[SessionView], None] = _nobody
    """Told whatever those who watch a session are. Must not raise."""


_: type[Signalling] = NoPeers
