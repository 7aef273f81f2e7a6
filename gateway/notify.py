"""Telling a service manager how this process is: sd_notify(3), and its watchdog.

The protocol is a datagram of ``NAME=value`` lines to the socket that ``$NOTIFY_SOCKET`` names. Without that variable
all of it does nothing, so that a gateway started by hand needs no other way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

from gateway.errors import GatewayError

__all__ = ["Notifier", "message", "watchdog"]

logger = logging.getLogger(__name__)

Answers = Callable[[], Awaitable[None]]
"""Returns when what it asks has answered. Raises GatewayError when that fails."""


def message(fields: Mapping[str, str]) -> bytes:
    """Of one datagram. Newlines, which would begin another field, become spaces."""
    return "\n".join(f"{name}={' '.join(value.splitlines())}" for name, value in fields.items()).encode()


class Notifier:
    """Args:
    environ: the environment; its variables are taken out, so that children do not speak for this process.
    """

    def __init__(self, environ: dict[str, str] | os._Environ[str] = os.environ) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        every_us = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "")
        # "@" stands for the null byte of an abstract socket's name (unix(7)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = not pid or pid == str(os.getpid())
        self.watchdog_s = int(every_us) / 1e6 if self._address and ours and every_us.isdecimal() else None
        """Within which the manager wants to hear WATCHDOG=1 again; None: it does not."""

    def say(self, **fields: str) -> None:
        """Send, as ``say(READY="1", STATUS="…")``. A manager that does not listen is not waited for."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                sock.sendto(message(fields), self._address)
            except OSError as exc:
                logger.warning("x the service manager was not told %s: %s", "/".join(fields), exc.strerror)


async def watchdog(notifier: Notifier, answers: Answers) -> None:
    """Tell the manager that all is well while it is; never returns. The event loop is looked at by running here.

    Args:
        answers: the rest that must answer. What fails or takes longer than the manager's patience is not well.
    """
    if notifier.watchdog_s is None:
        return
    every_s = notifier.watchdog_s / 3
    while True:
        try:
            async with asyncio.timeout(every_s):
                await answers()
        except (GatewayError, TimeoutError) as exc:
            why = str(exc) or "no answer in time"
            logger.warning("x not well: %s", why)
            notifier.say(STATUS=f"Not well: {why}")
        else:
            notifier.say(WATCHDOG="1")
        await asyncio.sleep(every_s)
