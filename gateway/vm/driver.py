"""What a VM is to the rest of the gateway.

A driver takes a :class:`VmSpec` and a :class:`Lan` (the VM's private network) and gives back a running
:class:`Vm`. Everything that differs between QEMU, host processes and the tests' fake stays behind these
Protocols; one conformance suite (tests/contract/vm_conformance.py) runs against all three.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

__all__ = [
    "AgentLink",
    "Command",
    "Facts",
    "GuestEvent",
    "Lan",
    "SavedTemplate",
    "StageFn",
    "Vm",
    "VmDriver",
    "VmExit",
    "VmSpec",
]

StageFn = Callable[[str], None]
"""Called by a driver at the end of a named stage ("disk", "spawn", "kernel", ...); the caller takes the time."""


@dataclass(frozen=True, slots=True)
class VmSpec:
    """One machine to start."""

    id: str
    """8 lower-case characters; names the run directory and the process."""
    run_dir: Path
    """Exists, private, short (AF_UNIX paths end at 108 bytes). The driver writes only below it."""
    vcpus: int = 2
    memory_mib: int = 2048
    profile: str = "xfce"
    """Golden image profile."""
    browser: Literal["fresh", "warm"] = "fresh"
    """"fresh": Chromium starts when the machine is somebody's; "warm": it runs in the snapshot already."""
    saved: str = ""
    """Name of a saved template to start from; "" starts from the golden image."""
    display_px: tuple[int, int] = (1280, 720)
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Finds its process again, whoever started it."""


@dataclass(frozen=True, slots=True)
class VmExit:
    """How a VM ended. ``expected`` is True only after stop()."""

    expected: bool
    reason: str
    """One sentence: "QEMU was killed by signal 9", "the guest kernel panicked: ..."."""
    hint: str = ""
    rebooted: bool = False
    """The guest asked for a reboot: its disk can be booted again."""


@dataclass(frozen=True, slots=True)
class GuestEvent:
    """A notification from the guest (guest_agent/protocol/link.py lists the methods)."""

    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A child process to start inside a Lan."""

    argv: Sequence[str]
    pass_fds: Sequence[int] = ()
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    stdin: int = subprocess.DEVNULL
    stdout: int = subprocess.DEVNULL
    stderr: int = subprocess.DEVNULL


class Lan(Protocol):
    """A VM's network namespace: one tap, host 169.254.0.22/30, guest 169.254.0.21, no route anywhere."""

    host_ip: str
    guest_ip: str

    async def open_tap(self) -> int:
        """Create the tap with its fixed name, MAC and address; return a close-on-exec fd the caller owns."""

    async def open_loopback_guest(self) -> None:
        """Give the namespace itself the guest's address too (development driver: the guest is host processes)."""

    async def spawn(self, command: Command) -> subprocess.Popen[bytes]:
        """Start a child in the namespace, in a session of its own. The caller reaps it."""

    async def tcp(self, port: int) -> socket.socket:
        """Connect to the guest's TCP port; a non-blocking socket. Raises NetnsError."""

    async def udp(self, guest_port: int) -> socket.socket:
        """A non-blocking UDP socket inside, on an ephemeral port, connected to guest_ip:guest_port."""

    async def listen(self, port: int) -> socket.socket:
        """A non-blocking socket that listens on host_ip for the guest's TCP. Raises NetnsError."""

    async def close(self) -> None:
        """Drop the namespace. Idempotent. Sockets already handed out live until their owners close them."""


class AgentLink(Protocol):
    """JSON-RPC to the guest's zygote and agent over virtio-serial."""

    events: asyncio.Queue[GuestEvent]
    """Bounded; when full the oldest event is dropped and counted."""

    async def hello(self, timeout_s: float) -> Mapping[str, Any]:
        """Ask until answered (a port nobody holds open loses what is written). Raises LinkTimeout, LinkClosed."""

    async def call(self, method: str, params: Mapping[str, Any], *, timeout_s: float = 10.0) -> Mapping[str, Any]:
        """One request. Raises GuestError, LinkTimeout, LinkClosed."""


class Vm(Protocol):
    """A running machine."""

    id: str
    link: AgentLink

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to a port inside the guest. Raises NetnsError."""

    async def wait(self) -> VmExit:
        """Return when the machine has ended, whoever ended it. May be awaited by many."""

    async def pause(self) -> None:
        """Let it stand still, at no cost of processor time. Raises VmError where that cannot be done."""

    async def resume(self) -> None:
        """Let it go on after pause(). Raises VmError."""

    async def stop(self, grace_s: float = 2.0) -> None:
        """End it: ask, then kill after grace_s. Idempotent; afterwards only its disk and its logs are left."""

    async def let_go(self) -> None:
        """Close what we hold of it and leave it running, for VmDriver.adopt(). Ends it where that cannot be."""

    def processor_s(self) -> float:
        """Processor time that it has taken; 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a driver can say of itself for doctor, the log and the API."""

    name: str
    accelerator: str
    """"kvm", "tcg", or "none" for host processes."""
    why: str
    """Why this accelerator, in a sentence."""
    isolated: bool
    """True only where the driver is a security boundary (KVM)."""
    versions: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    """Machines started, by how, since start."""
    limits: Sequence[str] = ()
    """What of a machine's use of the host a cgroup bounds: of memory, pids, cpu and io."""
    limits_why: str = ""
    """What is missing of them, in a sentence."""


@dataclass(frozen=True, slots=True)
class SavedTemplate:
    """A desktop that a person prepared and saved."""

    name: str
    profile: str
    vcpus: int
    memory_mib: int
    browser: Literal["fresh", "warm"] = "fresh"
    """As VmSpec.browser: a snapshot's key holds it."""


class VmDriver(Protocol):
    """A machine's disk is the driver's, by VmSpec.id, from start() until discard(), whether it runs or not."""

    async def check(self) -> Facts:
        """Find out whether this host can run VMs. Raises VmUnavailable or ImageError with a hint."""

    async def start(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        """Start a machine; returns when its process runs and the link is open (not when the guest is up).

        Cancelling or failing leaves nothing behind. Raises VmUnavailable, ImageError, DiskError, VmBootFailed.
        """

    async def boot(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        """Boot the disk that is there already. Cancelling or failing leaves the disk. Raises as start()."""

    async def suspend(self, vm: Vm, spec: VmSpec) -> None:
        """Write RAM and devices beside the disk and end the machine.

        Failing, it lets the machine go on. Raises VmError.
        """

    def suspended(self, spec: VmSpec) -> bool:
        """Whether suspend() came to its end, so that resume() has something to read."""

    async def resume(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        """Go on where suspend() or fork() stopped; what they wrote is used up.

        Cancelling or failing leaves all of it. Raises SnapshotError when it never will: it is damaged, or was made
        on another QEMU or host (boot() still can); and as start().
        """

    async def fork(self, vm: Vm, spec: VmSpec, child: VmSpec) -> float:
        """Write what resume() of ``child`` needs, and let ``vm`` go on. Failing, it leaves nothing of the child.

        Returns:
            For how long the machine stood still, in s.

        Raises:
            VmError: and the machine goes on.
        """

    async def save(self, spec: VmSpec, lan: Lan, name: str) -> SavedTemplate:
        """Make a template of what fork() wrote for ``spec``, and use that up. Replaces none. Raises VmError."""

    def saved(self) -> Sequence[SavedTemplate]:
        """The templates that were saved."""

    def find(self, spec: VmSpec) -> int | None:
        """The pid of a process that an earlier gateway left running for this machine."""

    async def adopt(self, spec: VmSpec, lan: Lan, pid: int) -> Vm:
        """Take over a machine that runs; the ``lan`` is its own. Failing leaves it. Raises VmError."""

    async def end(self, spec: VmSpec) -> None:
        """End a process that an earlier gateway left running, and keep the disk. Idempotent."""

    async def discard(self, spec: VmSpec) -> None:
        """End what still runs of it and delete its disk. Idempotent. Raises VmError when something is left."""
