"""Make this guest a different machine from every other that woke from the same image.

Each step that cannot be done here (no privilege, or not this machine's own agent) is skipped and named in the answer.
"""

from __future__ import annotations

import fcntl
import struct
import time
from pathlib import Path

from guest_agent.files import write_atomic
from guest_agent.requests import Identity

__all__ = ["SYSTEM_ETC", "become", "set_clock"]

SYSTEM_ETC = Path("/etc")
"""Only a zygote whose files are the system's own may touch the system's random numbers and clock."""
RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207
"""random(4)."""
MAX_SKEW_NS = 50_000_000
NOT_SYSTEM = "this agent does not run the whole machine"


def become(identity: Identity, etc: Path) -> dict[str, str]:
    """Reseed the kernel's random numbers, then write the machine id. Returns what was skipped, and why."""
    skipped = {}
    if etc != SYSTEM_ETC:
        skipped["entropy"] = NOT_SYSTEM
    else:
        try:
            _reseed(identity.entropy)
        except OSError as exc:
            skipped["entropy"] = exc.strerror or "refused"
    try:
        write_atomic(etc / "machine-id", f"{identity.machine_id}\n".encode(), 0o444)
    except OSError as exc:
        skipped["machine_id"] = exc.strerror or "refused"
    return skipped


def set_clock(epoch_ns: int, etc: Path) -> dict[str, str]:
    """Set the wall clock when it is off by more than 50 ms (a clone's stands where its snapshot was taken)."""
    if abs(time.time_ns() - epoch_ns) <= MAX_SKEW_NS:
        return {}
    if etc != SYSTEM_ETC:
        return {"clock": NOT_SYSTEM}
    try:
        time.clock_settime_ns(time.CLOCK_REALTIME, epoch_ns)
    except OSError as exc:
        return {"clock": exc.strerror or "refused"}
    return {}


def _reseed(entropy: bytes) -> None:
    # struct rand_pool_info: entropy_count in bits, buf_size in bytes, buf (random(4)).
    pool = struct.pack("ii", len(entropy) * 8, len(entropy)) + entropy
    with open("/dev/urandom", "wb", buffering=0) as device:
        fcntl.ioctl(device, RNDADDENTROPY, pool)
        fcntl.ioctl(device, RNDRESEEDCRNG)
