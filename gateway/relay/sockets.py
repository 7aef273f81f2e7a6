"""Making the relay's public sockets."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import Sequence

from gateway.errors import ConfigError

__all__ = ["bind_public", "raise_buffers"]

logger = logging.getLogger(__name__)

# asm-generic/socket.h; past rmem_max and wmem_max, for those with CAP_NET_ADMIN. Python does not name them.
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_ATTEMPTS = 8
"""At a port free in every family, when any will do."""


def bind_public(port: int, bind: Sequence[str]) -> list[socket.socket]:
    """Non-blocking UDP sockets on one port of several local addresses; the caller owns them.

    An IPv6 address on a host without IPv6 is left out. Raises ConfigError when the port is taken, may not be
    had, or an address is not this host's.
    """
    if not bind:
        raise ConfigError("The media port is bound to no address.", hint="Name at least one, such as 0.0.0.0.")
    for attempt in range(_ATTEMPTS):
        try:
            return _bind_all(port, bind)
        except OSError as exc:
            if port == 0 and exc.errno == errno.EADDRINUSE and attempt < _ATTEMPTS - 1:
                continue
            raise _explain(port, exc) from exc
    raise AssertionError("unreachable")


def _explain(port: int, exc: OSError) -> ConfigError:
    match exc.errno:
        case errno.EADDRINUSE:
            hint = "Another program has it, perhaps another gateway: end that one or choose another media port."
        case errno.EACCES | errno.EPERM:
            hint = "Ports below 1024 need CAP_NET_BIND_SERVICE: choose a media port of 1024 or more."
        case _:
            hint = "Check the addresses to bind."
    return ConfigError(f"UDP port {port} cannot be opened: {exc.strerror}.", hint=hint)


def _bind_all(port: int, bind: Sequence[str]) -> list[socket.socket]:
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        for host in bind:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                _bind_one(sock, host, port, first=not sockets)
            except OSError as exc:
                if family == socket.AF_INET6 and sockets and exc.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    logger.info("no IPv6 for the media port: %s", exc.strerror)
                    continue
                raise
            port = sock.getsockname()[1]
            sockets.append(sock)
        stack.pop_all()
        return sockets


def _bind_one(sock: socket.socket, host: str, port: int, *, first: bool) -> None:
    sock.setblocking(False)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # Set on the first only after its bind: two gateways then still cannot share a port, while one
    # gateway may bind a wildcard and, for the right source address of answers, the addresses under it.
    if first:
        sock.bind((host, port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not first:
        sock.bind((host, port))


def raise_buffers(sock: socket.socket, size_bytes: int) -> None:
    """Room for a burst of ``size_bytes`` each way, or for as much as the kernel grants."""
    for forced, plain in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, size_bytes)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, plain, size_bytes)
