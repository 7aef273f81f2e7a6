"""One TCP port for HTTP, HTTPS and media: each connection is handed on by its first byte, which stays unread.

A viewer's ICE-TCP connection begins with the length of a STUN message (RFC 4571, below 1 KiB), TLS with 0x16
(RFC 8446 5.1), HTTP with a letter or an empty line (RFC 9112 2.2): no two share a first byte. Where TLS is spoken,
plain HTTP is told to come by it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Mapping

from gateway.edge.places import Places

__all__ = ["FIRST_BYTE_S", "MAX_SILENT", "TcpDemux", "is_media"]

logger = logging.getLogger(__name__)

FIRST_BYTE_S = 30.0
"""A browser opens connections ahead of need, and keeps them silent for a while."""
MAX_SILENT = 256
"""Connections that have not sent a byte; the oldest gives way to a new one, so that they keep nobody out."""
HANDSHAKE_S = 10.0
MAX_HANDSHAKES = 512
"""TLS connections that have not agreed on keys; one more is closed."""
TLS_RECORD = 0x16
ACCEPT_BURST = 64
"""Connections accepted before the loop sees to the others."""
ACCEPT_RETRY_S = 0.5
"""When the process has no descriptor left."""
CLOSE_S = 1.0
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def is_media(first: int) -> bool:
    """Whether a connection that begins with this byte is a viewer's by ICE-TCP."""
    return first < 4


class TcpDemux:
    """Owns a listening socket, and each accepted one until its first byte is here.

    Args:
        listening: non-blocking.
        http: makes the protocol of an HTTP connection, as aiohttp's Server does.
        media: takes over viewers' connections; None: there are none, HTTP refuses them.
        tls: of HTTP; None is plain.
        redirect: makes the protocol of plain HTTP where there is TLS; without it, plain HTTP is refused as TLS.
        places: how many connections each address may have; those of media are the relay's to bound.
        first_byte_s: how long a connection may be silent.
        max_silent: how many may be.
    """

    def __init__(
        self,
        listening: socket.socket,
        *,
        http: Callable[[], asyncio.BaseProtocol],
        media: Callable[[socket.socket], None] | None = None,
        tls: ssl.SSLContext | None = None,
        redirect: Callable[[], asyncio.BaseProtocol] | None = None,
        places: Places | None = None,
        handshake_s: float = HANDSHAKE_S,
        max_handshakes: int = MAX_HANDSHAKES,
        first_byte_s: float = FIRST_BYTE_S,
        max_silent: int = MAX_SILENT,
    ) -> None:
        self._listening = listening
        self._http = http
        self._media = media
        self._tls = tls
        self._redirect = redirect
        self._places = places if places is not None else Places()
        self._handshake_s = handshake_s
        self._max_handshakes = max_handshakes
        self._first_byte_s = first_byte_s
        self._max_silent = max_silent
        self._loop = asyncio.get_running_loop()
        self._silent: dict[socket.socket, tuple[asyncio.TimerHandle, str]] = {}
        """Oldest first, each with its time limit and the address that it is from."""
        self._handovers: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._counts = dict.fromkeys(
            ["http", "redirected", "media", "left", "too_late", "crowded_out", "too_many"], 0
        )

    def counters(self) -> Mapping[str, int]:
        """Connections by what became of them, since start; ``silent`` is how many have sent nothing yet."""
        return {**self._counts, "silent": len(self._silent)}

    def use(self, tls: ssl.SSLContext) -> None:
        """For TLS connections from now on."""
        self._tls = tls

    def start(self) -> None:
        """Accept from now on."""
        self._retry = None
        self._loop.add_reader(self._listening, self._accept)

    async def close(self) -> None:
        """Stop listening, and end what has not been handed on. Idempotent; HTTP's connections are not touched."""
        if self._retry is not None:
            self._retry.cancel()
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
            self._listening.close()
        for sock in list(self._silent):
            self._forget(sock)
            sock.close()
        if self._handovers:
            # Not cancelled at once: a task that never began would leave its socket open.
            _, late = await asyncio.wait(self._handovers, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(ACCEPT_BURST):
            try:
                sock, name = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno not in _NO_ROOM:
                    # Of that one connection (accept(2)); the next has its own turn.
                    return
                # The listening socket stays readable: without a pause this would spin.
                logger.error("! no connection can be accepted: %s", exc.strerror)
                self._loop.remove_reader(self._listening)
                self._retry = self._loop.call_later(ACCEPT_RETRY_S, self.start)
                return
            address = str(name[0])
            if not self._places.free(address):
                self._counts["too_many"] += 1
                sock.close()
                continue
            sock.setblocking(False)
            if len(self._silent) >= self._max_silent:
                self._end(next(iter(self._silent)), "crowded_out")
            self._places.take(address)
            limit = self._loop.call_later(self._first_byte_s, self._end, sock, "too_late")
            self._silent[sock] = limit, address
            self._loop.add_reader(sock, self._decide, sock)

    def _decide(self, sock: socket.socket) -> None:
        """The first byte is here, or the end. It is looked at once, so nobody can keep the loop busy with a part."""
        try:
            first = sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        if not first:
            self._end(sock, "left")
            return
        address = self._forget(sock)
        if self._media is not None and is_media(first[0]):
            self._counts["media"] += 1
            self._media(sock)
            return
        plain = self._tls is not None and self._redirect is not None and first[0] != TLS_RECORD
        if len(self._handovers) >= self._max_handshakes:
            self._counts["crowded_out"] += 1
            sock.close()
            return
        self._counts["redirected" if plain else "http"] += 1
        # Its place is its own until HTTP has taken one for it.
        self._places.take(address)
        task = self._loop.create_task(self._serve(sock, address, plain=plain), name="a connection for HTTP")
        self._handovers.add(task)
        task.add_done_callback(self._handovers.discard)

    async def _serve(self, sock: socket.socket, address: str, *, plain: bool) -> None:
        tls, make = (self._tls, self._http) if not plain or self._redirect is None else (None, self._redirect)
        limit_s = self._handshake_s if tls is not None else None
        try:
            await self._loop.connect_accepted_socket(make, sock, ssl=tls, ssl_handshake_timeout=limit_s)
        except (OSError, TimeoutError) as exc:
            # Whoever it was spoke no TLS, or left. ssl.SSLError is an OSError.
            logger.debug("a connection was not established: %s", exc)
            sock.close()
        finally:
            self._places.give_back(address)

    def _forget(self, sock: socket.socket) -> str:
        """The address that it is from."""
        limit, address = self._silent.pop(sock)
        limit.cancel()
        self._loop.remove_reader(sock)
        self._places.give_back(address)
        return address

    def _end(self, sock: socket.socket, reason: str) -> None:
        self._counts[reason] += 1
        self._forget(sock)
        sock.close()
