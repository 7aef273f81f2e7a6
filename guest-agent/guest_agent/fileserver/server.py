"""The file service's sockets: one request on a connection, one thread for it, at most MAX_CONNECTIONS at once.

Blocking calls in threads, since files have no other; idle, it is one thread in accept(2).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Mapping
from typing import Any

from guest_agent.fileserver.operations import Home, Refused, Upload
from guest_agent.protocol.stream import MAX_HEAD_BYTES, BadHead, decode_head, encode_head, parts_of

__all__ = ["MAX_CONNECTIONS", "FileServer"]

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 16
SILENCE_S = 60.0
"""A gateway that neither sends nor takes a byte for so long is gone."""
CHUNK_BYTES = 256 * 1024
LINGER_S = 10.0
"""How long an upload that failed is still read, so that the answer is not lost to a reset (RFC 9112 9.6)."""


class FileServer:
    """Args:
    home: what is served.
    listener: bound and listening; owned from here on.
    peer: the one address that is answered; any when empty.
    """

    def __init__(self, home: Home, listener: socket.socket, *, peer: str = "") -> None:
        self._home = home
        self._listener = listener
        self._peer = peer
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._closed = False

    def serve(self) -> None:
        """Until :meth:`close`. Raises OSError."""
        while True:
            try:
                sock, (address, *_) = self._listener.accept()
            except OSError as exc:
                if self._closed:
                    return
                if exc.errno == errno.ECONNABORTED:
                    continue
                raise
            if self._peer and address != self._peer:
                logger.warning("x %s may not ask", address)
                sock.close()
            elif not self._places.acquire(blocking=False):
                with sock, contextlib.suppress(OSError):
                    sock.settimeout(1.0)
                    _answer(sock, error="busy", message=f"{MAX_CONNECTIONS} transfers are under way")
            else:
                threading.Thread(target=self._run, args=(sock,), name="request", daemon=True).start()

    def close(self) -> None:
        """Take no more. Idempotent."""
        self._closed = True
        with contextlib.suppress(OSError):
            # close(2) alone would not wake who waits in accept(2).
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _run(self, sock: socket.socket) -> None:
        try:
            with sock:
                sock.settimeout(SILENCE_S)
                self._request(sock)
        except OSError as exc:
            logger.info("x a transfer ended early: %s", exc)
        except Exception:
            logger.exception("! a request")
        finally:
            self._places.release()

    def _request(self, sock: socket.socket) -> None:
        try:
            self._do(sock, decode_head(_read_line(sock)))
        except BadHead as exc:
            _answer(sock, error="bad-request", message=str(exc))
        except Refused as exc:
            _answer(sock, error=exc.kind, message=exc.message, **exc.more)

    def _do(self, sock: socket.socket, head: Mapping[str, Any]) -> None:
        parts = parts_of(head.get("path"))
        match head.get("op"):
            case "stat":
                _answer(sock, **self._home.stat(parts))
            case "list":
                body, truncated = self._home.list(parts)
                _answer(sock, length=len(body), truncated=truncated)
                sock.sendall(body)
            case "read":
                self._read(sock, parts, _whole(head, "start", optional=True), _whole(head, "stop", optional=True))
            case "write":
                size = _whole(head, "size") or 0
                if size < 0:
                    raise BadHead("size is negative")
                self._write(sock, parts, size, exclusive=head.get("exclusive") is True)
            case "delete":
                self._home.delete(parts)
                _answer(sock)
            case _:
                raise BadHead("no such op")

    def _read(self, sock: socket.socket, parts: list[str], start: int | None, stop: int | None) -> None:
        with self._home.read(parts, start, stop) as part:
            _answer(sock, size=part.size, start=part.start, length=part.length, mtime_ns=part.mtime_ns)
            if part.length:
                # A file that is cut short meanwhile ends the connection early, which is how the gateway sees it.
                with open(part.fd, "rb", closefd=False) as file:
                    sock.sendfile(file, part.start, part.length)

    def _write(self, sock: socket.socket, parts: list[str], size: int, *, exclusive: bool) -> None:
        left = size
        try:
            with self._home.upload(parts, size, exclusive=exclusive) as upload:
                _answer(sock)
                left = _receive(sock, upload, size)
                if left:
                    return  # The gateway gave up.
                _answer(sock, **upload.finish())
        except Refused as exc:
            _answer(sock, error=exc.kind, message=exc.message)
            if left:
                _linger(sock)


def _receive(sock: socket.socket, upload: Upload, size: int) -> int:
    """Write what comes; how much is missing when no more does. Raises Refused."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    left = size
    while left:
        count = sock.recv_into(buffer, min(left, CHUNK_BYTES))
        if not count:
            return left
        left -= count
        try:
            part = buffer[:count]
            while part:
                part = part[os.write(upload.fd, part) :]
        except OSError as exc:
            raise Refused.by(exc) from exc
    return 0


def _linger(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)
    sock.settimeout(LINGER_S)
    with contextlib.suppress(OSError):
        while sock.recv(CHUNK_BYTES):
            pass


def _read_line(sock: socket.socket) -> bytes:
    """Up to the first newline. Raises BadHead."""
    line = bytearray()
    while not line.endswith(b"\n"):
        # What follows the line is the body's: it is looked at first, and only the line is taken.
        seen = sock.recv(MAX_HEAD_BYTES, socket.MSG_PEEK)
        end = seen.find(b"\n")
        line += sock.recv(end + 1 if end >= 0 else len(seen))
        if not seen or len(line) > MAX_HEAD_BYTES:
            raise BadHead("the head is cut short or too long")
    return bytes(line)


def _whole(head: Mapping[str, Any], name: str, *, optional: bool = False) -> int | None:
    value = head.get(name)
    if value is None and optional:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 62:
        raise BadHead(f"{name} is not a whole number")
    return value


def _answer(sock: socket.socket, **body: Any) -> None:
    sock.sendall(encode_head(body))
