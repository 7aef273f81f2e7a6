"""One request to a service in the guest (guest_agent/protocol/stream.py): a line of JSON each way, and raw bytes.

A guest is not trusted: what it answers is bounded and checked here, and means nothing beyond its own session. At most
CHUNK_BYTES of a body are held in each direction; a side that is slow stops the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from gateway.errors import (
    AlreadyThere,
    BadRange,
    BadRequest,
    CapacityError,
    Conflict,
    Forbidden,
    GatewayError,
    GuestDiskFull,
    GuestServiceError,
    NetnsError,
    NotFound,
    TooLarge,
)
from guest_agent.protocol.plainjson import one_line
from guest_agent.protocol.stream import MAX_HEAD_BYTES, BadHead, decode_head, encode_head

__all__ = ["CHUNK_BYTES", "Dial", "GuestStream", "asking", "whole"]

Dial = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Connects to a TCP port in the guest (Vm.dial)."""

CHUNK_BYTES = 256 * 1024
SILENCE_S = 60.0
"""A guest that neither sends nor takes a byte for so long is given up."""

_ERRORS: Mapping[str, tuple[type[GatewayError], str]] = {
    "bad-request": (BadRequest, ""),
    "busy": (CapacityError, "wait until one of them has ended"),
    "denied": (Forbidden, "paths begin at the desktop user's home, and no link may lead out of it"),
    "exists": (AlreadyThere, "choose another name, or leave If-None-Match out to replace it"),
    "is-directory": (Conflict, "a path that ends in / lists a folder"),
    "no-space": (GuestDiskFull, "delete something on the desktop, or start it from a template with a larger disk"),
    "not-directory": (Conflict, "leave the / at the end of the path out"),
    "not-file": (Conflict, "only ordinary files can be transferred"),
    "not-found": (NotFound, "a path that ends in / lists a folder"),
    "off": (Forbidden, "the session's switch is off"),
    "too-large": (TooLarge, ""),
}


class GuestStream:
    """A request that was answered; made by :func:`asking`.

    ``answer`` is the guest's head.
    """

    def __init__(self, answer: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answer = answer
        self._reader = reader
        self._writer = writer

    async def body(self, length: int) -> AsyncIterator[bytes]:
        """Exactly ``length`` bytes, as they come. Raises GuestServiceError when there are fewer."""
        left = length
        while left:
            with _in_time():
                async with asyncio.timeout(SILENCE_S):
                    data = await self._reader.read(min(left, CHUNK_BYTES))
            if not data:
                raise GuestServiceError("the desktop sent less than it said")
            left -= len(data)
            yield data

    async def send(self, chunks: AsyncIterator[bytes]) -> Mapping[str, Any]:
        """Send a body; the guest's answer to all of it. One that comes earlier ends the sending.

        Raises:
            GatewayError: the guest refused it.
        """
        sending = asyncio.create_task(self._send_all(chunks), name="to the guest")
        answering = asyncio.create_task(_read_answer(self._reader), name="guest's answer")
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                await sending
                with _in_time():
                    async with asyncio.timeout(SILENCE_S):
                        await asyncio.wait({answering})
            return answering.result()
        finally:
            sending.cancel()
            answering.cancel()
            await asyncio.wait({sending, answering})

    async def _send_all(self, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            try:
                self._writer.write(chunk)
                with _in_time():
                    async with asyncio.timeout(SILENCE_S):
                        await self._writer.drain()
            except ConnectionError:
                # Why the guest hung up stands in its answer.
                return


@asynccontextmanager
async def asking(dial: Dial, port: int, **head: Any) -> AsyncIterator[GuestStream]:
    """Ask on a connection of its own, which is closed on leaving, whatever is still under way.

    Raises:
        GuestServiceError: nobody answers there, or nonsense.
        GatewayError: the service's own refusal.
    """
    try:
        reader, writer = await dial(port)
    except NetnsError as exc:
        raise GuestServiceError(
            f"the desktop's service does not answer: {exc.message}",
            hint="it starts with the desktop; an older image has none: fenster build",
        ) from exc
    writer.transport.set_write_buffer_limits(high=CHUNK_BYTES)
    try:
        writer.write(encode_head(head))
        with _in_time():
            async with asyncio.timeout(SILENCE_S):
                answer = await _read_answer(reader)
        yield GuestStream(answer, reader, writer)
    finally:
        # Not close(): what the guest has not taken by now would be kept for it.
        writer.transport.abort()


def whole(answer: Mapping[str, Any], name: str, most: int = 1 << 62) -> int:
    """A number of the guest's. Raises GuestServiceError when it is none, or over ``most``."""
    value = answer.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise GuestServiceError("the desktop's answer makes no sense")
    return value


async def _read_answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    try:
        answer = decode_head(await reader.readuntil(b"\n"))
    except (BadHead, EOFError, asyncio.LimitOverrunError, ConnectionError) as exc:
        raise GuestServiceError("the desktop's service hung up, or spoke nonsense") from exc
    if "error" not in answer:
        return answer
    kind, said = str(answer["error"]), one_line(answer.get("message")) or "it cannot be done"
    if kind == "range":
        raise BadRange(said, size=whole(answer, "size"))
    error, hint = _ERRORS.get(kind, (GuestServiceError, ""))
    raise error(said, hint=hint)


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise GuestServiceError(f"the desktop was silent for {SILENCE_S:g} s", hint="try again") from exc


assert MAX_HEAD_BYTES < 64 * 1024, "asyncio's streams read lines of 64 KiB"
