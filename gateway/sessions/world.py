"""What a session is given: Protocols and limits, no concrete driver, no settings file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.dataplane import DataPlane
from gateway.vm.driver import Facts, GuestEvent, VmDriver

__all__ = ["NoPeers", "PeerState", "Signalling", "Template", "Timeouts", "World"]


@dataclass(frozen=True, slots=True)
class Template:
    """A named image with its size."""

    name: str
    profile: str
    """Golden image profile."""
    vcpus: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a guest may take. The defaults suit emulation (TCG); with KVM all of it takes a few seconds."""

    hello_s: float = 60.0
    call_s: float = 90.0
    """For each of identify and assign."""
    ready_s: float = 90.0
    """For the agent and for x11vnc, after assign."""
    last_words_s: float = 2.0
    """How long a closed link waits to learn why its machine ended."""


class PeerState(Protocol):
    @property
    def connected(self) -> bool: ...


class Signalling(Protocol):
    """The WebRTC peers, as a session sees them (gateway/signaling/whep.py)."""

    def peers(self, session_id: str) -> Sequence[PeerState]: ...

    async def handle_event(self, session_id: str, event: GuestEvent) -> None: ...

    async def forget(self, session_id: str) -> None: ...


class NoPeers:
    """For a session that nobody watches by WebRTC (``fenster verify``)."""

    def peers(self, session_id: str) -> Sequence[PeerState]:
        return ()

    async def handle_event(self, session_id: str, event: GuestEvent) -> None:
        return None

    async def forget(self, session_id: str) -> None:
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


_: type[Signalling] = NoPeers
