"""Streams into a guest and to the sockets in a run directory."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from gateway.errors import VmError
from gateway.vm.driver import Lan

__all__ = ["MAX_UNIX_PATH_BYTES", "listen_unix", "open_guest_stream"]

MAX_UNIX_PATH_BYTES = 107
"""sun_path holds 108 bytes with its final zero (unix(7))."""


async def open_guest_stream(lan: Lan, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the guest's TCP ``port``. Raises NetnsError."""
    sock = await lan.tcp(port)
    try:
        return await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise


def listen_unix(path: Path) -> socket.socket:
    """Bind and listen, so that a child which inherits the socket can be connected to at once.

    The child needs no right to the directory, and nobody has to wait for the path to appear.

    Raises:
        VmError: the path is too long or cannot be bound.
    """
    if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
        raise VmError(
            f"the socket path {path} is longer than {MAX_UNIX_PATH_BYTES} bytes",
            hint="choose a shorter run directory",
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(os.fspath(path))
        sock.listen(1)
    except OSError as exc:
        sock.close()
        raise VmError(f"cannot listen on {path}: {exc.strerror}") from exc
    return sock
