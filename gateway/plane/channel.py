"""Messages with descriptors, whole and in order, between two processes of one user (unix(7), SOCK_SEQPACKET)."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.errors import ConfigError

__all__ = ["MAX_BYTES", "Channel", "close_all", "connect", "listen", "pid_and_uid"]

MAX_BYTES = 128 * 1024
"""Of one message; below what a socket takes at once (net.core.wmem_default)."""
MAX_FDS = 4
_ROOM = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
MAX_WAITING = 1024
"""Messages that the other side has not read. With more it is stuck, and the channel ends."""
READ_BURST = 32
"""Messages read before the loop sees to the others."""

Receive = Callable[[bytes, list[int]], None]
"""Takes one message, and owns its descriptors."""


class Channel:
    """Owns a connected socket. Reads from the start.

    Args:
        receive: must not raise.
        closed: called once when the other side has gone or is stuck; not after :meth:`close`.
    """

    def __init__(self, sock: socket.socket, receive: Receive, closed: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._receive = receive
        self._closed = closed
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        """Not sent yet, with copies of their descriptors."""
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(sock, self._readable)

    @property
    def open(self) -> bool:
        return self._open

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send a message; the descriptors stay the caller's. Nothing happens once the channel has ended.

        Raises:
            ValueError: it is longer than MAX_BYTES.
        """
        if len(data) > MAX_BYTES:
            raise ValueError(f"a message of {len(data)} bytes, at most {MAX_BYTES}")
        if not self._open:
            return
        if self._waiting or not self._try(data, fds):
            if len(self._waiting) >= MAX_WAITING:
                self._end()
                return
            self._waiting.append((data, [os.dup(fd) for fd in fds]))

    def close(self) -> None:
        """Idempotent. What waits is not sent."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for _, fds in self._waiting:
            close_all(fds)
        self._waiting.clear()

    def _end(self) -> None:
        if self._open:
            self.close()
            self._closed()

    def _try(self, data: bytes, fds: Sequence[int]) -> bool:
        """Whether it has gone, or never will."""
        try:
            self._sock.sendmsg([data], _rights(fds))
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._sock, self._writable)
            return False
        except OSError:
            # Not from inside a caller of ours, who may be in the middle of something.
            self._loop.call_soon(self._end)
        return True

    def _writable(self) -> None:
        while self._waiting:
            data, fds = self._waiting[0]
            if not self._try(data, fds):
                return
            self._waiting.popleft()
            close_all(fds)
        self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        for _ in range(READ_BURST):
            try:
                data, rights, flags, _ = self._sock.recvmsg(MAX_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._end()
                return
            fds = _descriptors(rights)
            if not data or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                close_all(fds)
                self._end()
                return
            self._receive(data, fds)
            if not self._open:
                return


def _rights(fds: Sequence[int]) -> list[tuple[int, int, array.array[int]]]:
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []


def _descriptors(rights: Sequence[tuple[int, int, bytes]]) -> list[int]:
    # Not socket.recv_fds(): it drops the flag that keeps them from children (CPython 3.11).
    found = array.array("i")
    for level, kind, data in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def close_all(fds: list[int]) -> None:
    """Close them, and take each from the list, so that none is closed twice."""
    while fds:
        os.close(fds.pop())


def listen(path: Path) -> socket.socket:
    """Listen there, in a directory of our own; a file that nobody listens on is replaced.

    Raises:
        ConfigError: somebody listens there, or nobody can.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        if (other := connect(path)) is not None:
            other.close()
            raise ConfigError(f"a data plane listens on {path} already", hint="end it, or set another run_dir")
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        sock.bind(os.fspath(path))
        path.chmod(0o600)
        sock.listen(4)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise ConfigError(f"cannot listen on {path}: {exc.strerror or exc}", hint="set run_dir") from exc
    except BaseException:
        sock.close()
        raise
    return sock


def connect(path: Path) -> socket.socket | None:
    """A connection to who listens there; None when nobody does. At once: local sockets keep nobody waiting."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.setblocking(False)
    try:
        sock.connect(os.fspath(path))
    except OSError:
        sock.close()
        return None
    return sock


def pid_and_uid(sock: socket.socket) -> tuple[int, int]:
    """Of the process at the other end, as it was when it connected, or began to listen (SO_PEERCRED)."""
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(pid), int(uid)
