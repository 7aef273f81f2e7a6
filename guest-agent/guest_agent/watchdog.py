"""Telling systemd that this process goes on: the watchdog of sd_notify(3), for a loop without asyncio."""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["Watchdog"]


class Watchdog:
    """Does nothing where the manager has no watchdog for this process.

    Args:
        environ: the environment; its variables are taken out, so that children do not speak for this process.
    """

    def __init__(self, environ: dict[str, str] | os._Environ[str] = os.environ) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        every_us = environ.pop("WATCHDOG_USEC", "")
        environ.pop("WATCHDOG_PID", "")
        # "@" stands for the null byte of an abstract socket's name (unix(7)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every_s = int(every_us) / 3e6 if address and every_us.isdecimal() else None
        self.due_at = float("inf") if self._every_s is None else 0.0
        """When feed() is due, by CLOCK_MONOTONIC in s."""

    def feed(self, now: float) -> None:
        """Tell that all is well, if it is time."""
        if self._every_s is None or now < self.due_at:
            return
        self.due_at = now + self._every_s
        # A manager that does not take it now will the next time.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(b"WATCHDOG=1", self._address)
