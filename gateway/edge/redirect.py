"""What plain HTTP on a TLS port is told: the same, by https. One answer, then the connection ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

__all__ = ["MAX_HEAD_BYTES", "Redirect", "redirection"]

MAX_HEAD_BYTES = 16 * 1024
HEAD_S = 10.0

_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[\x21-\x7e]*) HTTP/1\.[01]")
_END = re.compile(rb"\r?\n\r?\n")


def redirection(head: bytes, knows: Callable[[str], bool]) -> bytes:
    """The answer to a request's head. Pure.

    Nobody is sent to a host that this gateway is not; a page's credentials are in its fragment, which browsers keep.

    Args:
        knows: whether a Host header names this gateway.
    """
    first, *rest = re.split(rb"\r?\n", head)
    found = _REQUEST.fullmatch(first)
    hosts = [line.split(b":", 1)[1].strip() for line in rest if line.lower().startswith(b"host:")]
    if found is None or len(hosts) != 1 or not knows(hosts[0].decode("latin-1")):
        return _answer(b"400 Bad Request", b"this port speaks HTTPS\n")
    return _answer(
        b"308 Permanent Redirect",
        b"this port speaks HTTPS\n",
        b"Location: https://" + hosts[0] + found[2] + b"\r\nCache-Control: no-store\r\n",
    )


def _answer(status: bytes, body: bytes, headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % (status, len(body))
    return head + headers + b"Connection: close\r\n\r\n" + body


class Redirect(asyncio.Protocol):
    """A connection that is told once."""

    def __init__(self, knows: Callable[[str], bool], *, head_s: float = HEAD_S) -> None:
        self._knows = knows
        self._head_s = head_s
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # For its answer too, which the other side may not take.
        self._deadline = asyncio.get_running_loop().call_later(self._head_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        self._head += data
        end = _END.search(self._head)
        if end is not None or len(self._head) > MAX_HEAD_BYTES:
            head = bytes(self._head[: end.start()]) if end is not None else b""
            self._transport.write(redirection(head, self._knows))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
