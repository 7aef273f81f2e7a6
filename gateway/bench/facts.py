"""On what the figures were taken: without it they say nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Host", "cpu_model", "this_host"]


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that ran the benchmark."""

    cores: int
    """That this process may use."""
    memory_mib: int
    cpu: str
    """The processor's name; empty where /proc does not tell."""
    kernel: str


def this_host() -> Host:
    """Read from the kernel; blocks for no longer than a file of /proc takes."""
    try:
        cpu = cpu_model(Path("/proc/cpuinfo").read_text())
    except OSError:
        cpu = ""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Host(len(os.sched_getaffinity(0)), memory >> 20, cpu, platform.release())


def cpu_model(text: str) -> str:
    """The first "model name" of /proc/cpuinfo; empty when there is none, as on most ARM hosts. Pure."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return ""
