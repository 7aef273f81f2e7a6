"""The TCP port, and where it is found. Blocking, for a moment."""

from __future__ import annotations

import socket

from gateway.errors import ConfigError

__all__ = ["listen", "local_url"]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, non-blocking; port 0 takes a free one. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, port))
        sock.listen(128)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise ConfigError(
            f"cannot listen on {host} port {port}: {exc.strerror}",
            hint=f"end what uses it (ss -ltnp 'sport = :{port}' shows it), or choose another with --port",
        ) from exc
    return sock


def local_url(address: str, port: int, *, tls: bool = False) -> str:
    """Where a browser on this host finds a gateway that listens on that address."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)
    return f"{'https' if tls else 'http'}://{shown}:{port}"
