"""Both RFB handshakes (RFC 6143 7.1 to 7.3): VncAuth towards x11vnc, None towards the viewer.

The viewer's token was checked before; the VNC password stays between the gateway and x11vnc. The two pure
classes take bytes and give bytes; log_in and welcome drive them over a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from gateway.errors import VncError

__all__ = ["ServerLogin", "ViewerWelcome", "log_in", "vnc_auth_response", "welcome"]

VERSION = b"RFB 003.008\n"
SECURITY_NONE, SECURITY_VNC = 1, 2
MAX_REASON_BYTES = 4096

_Steps = Generator[int, bytes, None]
"""Yields how many bytes it needs next."""


def vnc_auth_response(challenge: bytes, password: str) -> bytes:
    """DES of the 16-byte challenge under the password's first 8 bytes, each with its bits reversed (7.2.2)."""
    key = password.encode("latin-1", "replace")[:8].ljust(8, b"\0")
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    # Triple DES under one key thrice is DES, which cryptography no longer has by itself.
    encryptor = Cipher(TripleDES(mirrored * 3), modes.ECB()).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()


class _Handshake:
    """A handshake written as a generator and fed with bytes."""

    def __init__(self) -> None:
        self.done = False
        self.failure: VncError | None = None
        self._out = bytearray()
        self._buffer = bytearray()
        self._steps = self._run()
        self._needed = next(self._steps)

    def _run(self) -> _Steps:
        raise NotImplementedError

    def feed(self, data: bytes) -> bytes:
        """What to send now. Never raises; look at ``failure`` and ``done``."""
        self._buffer += data
        while not self.done and self.failure is None and len(self._buffer) >= self._needed:
            part = bytes(self._buffer[: self._needed])
            del self._buffer[: self._needed]
            try:
                self._needed = self._steps.send(part)
            except StopIteration:
                self.done = True
            except VncError as exc:
                self.failure = exc
        out = bytes(self._out)
        self._out.clear()
        return out

    @property
    def needed(self) -> int:
        """Bytes missing until the next step."""
        return self._needed - len(self._buffer)

    def take_rest(self) -> bytes:
        """Bytes that came after the handshake."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


class ServerLogin(_Handshake):
    """The client's side, towards x11vnc: ends after SecurityResult."""

    def __init__(self, password: str) -> None:
        self._password = password
        super().__init__()

    def _run(self) -> _Steps:
        banner = yield len(VERSION)
        if not (banner.startswith(b"RFB 003.") and banner.endswith(b"\n")):
            raise VncError("x11vnc does not speak RFB.")
        if banner < VERSION:
            raise VncError("x11vnc speaks an RFB older than 3.8.")
        self._out += VERSION
        count = (yield 1)[0]
        if count == 0:
            raise VncError(f"x11vnc refused the connection: {(yield from self._reason())}")
        types = yield count
        if SECURITY_VNC in types:
            self._out.append(SECURITY_VNC)
            challenge = yield 16
            self._out += vnc_auth_response(challenge, self._password)
        elif SECURITY_NONE in types:
            self._out.append(SECURITY_NONE)
        else:
            raise VncError(f"x11vnc offers only the security types {list(types)}.")
        if any((yield 4)):
            raise VncError(
                f"x11vnc refused the password: {(yield from self._reason())}",
                hint="The session's VNC password and x11vnc's differ; create the session anew.",
            )

    def _reason(self) -> Generator[int, bytes, str]:
        length = int.from_bytes((yield 4), "big")
        if not 0 < length <= MAX_REASON_BYTES:
            return "no reason given"
        return (yield length).decode("utf-8", "replace")


class ViewerWelcome(_Handshake):
    """The server's side, towards the viewer: security None, ends after ClientInit.

    ``greeting`` is sent first. ClientInit is the caller's to forward, with the shared flag set, so that one
    viewer cannot disconnect the others.
    """

    greeting = VERSION

    def _run(self) -> _Steps:
        version = yield len(VERSION)
        if not (version.startswith(b"RFB 003.") and version.endswith(b"\n")):
            raise VncError("The viewer does not speak RFB.")
        if version < VERSION:
            raise VncError("The viewer speaks an RFB older than 3.8.")
        self._out += bytes((1, SECURITY_NONE))
        if (yield 1)[0] != SECURITY_NONE:
            raise VncError("The viewer chose a security type that was not offered.")
        self._out += bytes(4)
        yield 1


CLIENT_INIT_SHARED = b"\x01"


async def log_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, password: str) -> None:
    """Log in to x11vnc; ClientInit comes next. Raises VncError, OSError, EOFError; the caller sets the time limit."""
    login = ServerLogin(password)
    while not login.done:
        # Exactly what the next step needs: nothing after the handshake may be taken from the reader.
        out = login.feed(await reader.readexactly(login.needed))
        if login.failure is not None:
            raise login.failure
        writer.write(out)
        await writer.drain()


class _Socket(Protocol):
    async def receive(self) -> bytes | None: ...

    async def send(self, data: bytes) -> None: ...


async def welcome(socket: _Socket, writer: asyncio.StreamWriter) -> bytes:
    """Greet the viewer and pass ClientInit on to x11vnc.

    Returns the bytes that the viewer sent beyond. Raises VncError for nonsense, EOFError when the viewer left.
    """
    viewer = ViewerWelcome()
    await socket.send(viewer.greeting)
    while not viewer.done:
        data = await socket.receive()
        if data is None:
            raise EOFError("The viewer left during the handshake.")
        out = viewer.feed(data)
        if viewer.failure is not None:
            raise viewer.failure
        if out:
            await socket.send(out)
    writer.write(CLIENT_INIT_SHARED)
    await writer.drain()
    return viewer.take_rest()
