"""A process that does nothing but keep a user namespace, and by its socket tells who it is.

Gateway, data plane and machines of one host must share a user namespace: only there are each other's networks theirs.
Where all of them are services that come and go, this one stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from gateway.errors import ConfigError

__all__ = ["HOLDER_SOCKET", "Holder"]

HOLDER_SOCKET = "vms.sock"
"""In the run directory. Its peer credentials name the process (SO_PEERCRED); nothing is said over it."""


class Holder:
    """Args:
    path: where it listens.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def start(self) -> None:
        """Raises ConfigError."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        try:
            self._sock.bind(str(self._path))
            self._path.chmod(0o600)
            self._sock.listen(16)
        except OSError as exc:
            self._sock.close()
            raise ConfigError(f"cannot listen on {self._path}: {exc.strerror}", hint="set run_dir") from exc
        self._sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Idempotent."""
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.accept()[0].close()
