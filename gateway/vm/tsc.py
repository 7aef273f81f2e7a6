"""The host's time-stamp counter, which a TCG guest sees unscaled.

The microvm board has no HPET and no PM timer, and a kernel on hardware-reduced ACPI takes no tick from the PIT. So
a guest that cannot calibrate its TSC against the PIT's counter has no clock at all and hangs in early boot, and on a
busy host that calibration fails. Telling the kernel the frequency (tsc_early_khz) makes it unnecessary.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import threading
import time
from collections.abc import Callable

__all__ = ["host_tsc_khz", "tsc_cmdline"]

MEASURE_S = 0.1
_RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")
"""rdtsc; shl rdx, 32; or rax, rdx; ret"""


def tsc_cmdline(khz: int | None) -> str:
    """Kernel words for a TCG guest. tsc=reliable: the only other clock to check it against is the tick."""
    return "" if khz is None else f"tsc_early_khz={khz} tsc=reliable"


def host_tsc_khz() -> int | None:
    """Frequency of this host's TSC in kHz, measured for 0.1 s; None where there is none to read."""
    if platform.machine() != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return None  # A hardened kernel; guests then calibrate for themselves.
    try:
        page.write(_RDTSC)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
        begin_ns, begin = _sample(rdtsc)
        threading.Event().wait(MEASURE_S)
        end_ns, end = _sample(rdtsc)
    finally:
        del page  # Its buffer is exported to ctypes, so it goes with the last reference, not by close().
    return round((end - begin) * 1_000_000 / (end_ns - begin_ns))


def _sample(rdtsc: Callable[[], int]) -> tuple[int, int]:
    """(nanoseconds, ticks) of one instant: the tightest of some tries, since any may be preempted."""
    tries = []
    for _ in range(20):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        ticks = rdtsc()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        tries.append((after - before, (before + after) // 2, ticks))
    _, at_ns, ticks = min(tries)
    return at_ns, ticks
