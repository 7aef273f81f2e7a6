"""Find QEMU and see that it is new enough."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import VmUnavailable

__all__ = ["MIN_VERSION", "Qemu", "find_qemu", "parse_version"]

MIN_VERSION = (8, 2)
"""Older ones must open a snapshot's golden RAM writable (DESIGN 4)."""
_HINT = "apt install qemu-system-x86; on Debian 12: apt install -t bookworm-backports qemu-system-x86"


@dataclass(frozen=True, slots=True)
class Qemu:
    path: Path
    version: str
    """"10.0.2"; with the distribution's own suffix, because that changes behaviour too."""


async def find_qemu(name: str = "qemu-system-x86_64") -> Qemu:
    """The QEMU on the PATH. Raises VmUnavailable when there is none, it does not run, or it is too old."""
    found = shutil.which(name)
    if found is None:
        raise VmUnavailable(f"{name} is not on the PATH", hint=_HINT)
    if shutil.which("setpriv") is None:
        raise VmUnavailable("setpriv is not on the PATH", hint="apt install util-linux")
    try:
        told = await asyncio.to_thread(
            subprocess.run, [found, "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise VmUnavailable(f"{found} does not run: {exc}", hint=_HINT) from exc
    version, numbers = parse_version(told.stdout)
    if numbers < MIN_VERSION:
        wanted = ".".join(map(str, MIN_VERSION))
        raise VmUnavailable(f"{found} is QEMU {version}, {wanted} or newer is needed", hint=_HINT)
    return Qemu(Path(found), version)


def parse_version(text: str) -> tuple[str, tuple[int, int]]:
    """What ``qemu --version`` prints, to ("10.0.2 (Debian 1:10...)", (10, 0)). Raises VmUnavailable."""
    found = re.search(r"version ((\d+)\.(\d+)[^\n]*)", text)
    if found is None:
        raise VmUnavailable("qemu --version printed no version", hint=_HINT)
    return found[1].strip(), (int(found[2]), int(found[3]))
