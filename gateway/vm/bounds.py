"""What one VM may take of its host, and how the kernel is told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.vm.argv import TB_SIZE_MIB, boot_memory_mib

__all__ = ["Bounds", "bounds_of", "cgroup_values", "limited", "placed"]

OVERHEAD_MIB = 512
"""QEMU's own, over the guest's RAM and TCG's code: 120 MiB were seen, and migration takes more for a while."""
PROCESSES = 192
"""Threads of one QEMU: processors, main loop, migration, and at most 64 for its disk."""
FILES = 1024
ADDRESS_SLACK_MIB = 8192
"""Address space is not memory: stacks and heaps of all those threads are reserved and hardly used."""
_OF_SHELLS = ("PWD", "OLDPWD", "SHLVL", "_")
"""What a shell adds to the environment of its own accord."""
PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Bounds:
    memory_mib: int
    """All that is its own."""
    processors: int
    disk_mib: int
    """Of the largest file that it may have."""
    disk_bps: int | None = None
    """Bytes a second, each way; None: as many as come."""


def bounds_of(memory_mib: int, vcpus: int, disk_bytes: int, disk_bps: int | None = None) -> Bounds:
    """For a machine of this size. One processor over its own is for QEMU's other threads."""
    whole_mib = boot_memory_mib(memory_mib) + TB_SIZE_MIB + OVERHEAD_MIB
    # What it writes besides its disk is its memory, when it is suspended.
    return Bounds(whole_mib, vcpus + 1, max(-(-disk_bytes // (1 << 20)), whole_mib), disk_bps)


def limited(argv: Sequence[str], bounds: Bounds, *, own_uid: bool) -> list[str]:
    """``argv`` under prlimit(1): bounds that every Linux has, and that are there before QEMU is.

    Args:
        own_uid: no other process has its uid, so that processes can be counted (setrlimit(2), RLIMIT_NPROC).
    """
    address = (bounds.memory_mib + ADDRESS_SLACK_MIB) << 20
    # Its memory is the guest's: no core dump.
    limits = [f"--core={0}", f"--nofile={FILES}", f"--as={address}", f"--fsize={bounds.disk_mib << 20}"]
    return ["prlimit", *limits, *([f"--nproc={PROCESSES}"] if own_uid else []), "--", *argv]


def placed(argv: Sequence[str], cgroup: str) -> list[str]:
    """``argv`` that goes into a cgroup before it begins, while it has the gateway's right to do so."""
    clean = ["env", *(f"--unset={name}" for name in _OF_SHELLS)]
    return ["sh", "-c", 'echo 0 > "$0/cgroup.procs" && exec "$@"', cgroup, *clean, *argv]


def cgroup_values(bounds: Bounds, disk_device: str) -> dict[str, str]:
    """Files of a cgroup and what is written to them (admin-guide/cgroup-v2.rst).

    Args:
        disk_device: "MAJOR:MINOR" of the drive below its disk; "" where there is none to be named.
    """
    values = {
        "memory.max": str(bounds.memory_mib << 20),
        "pids.max": str(PROCESSES),
        "cpu.max": f"{bounds.processors * PERIOD_US} {PERIOD_US}",
    }
    if bounds.disk_bps is not None and disk_device:
        values["io.max"] = f"{disk_device} rbps={bounds.disk_bps} wbps={bounds.disk_bps}"
    return values
