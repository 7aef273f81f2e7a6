"""What a viewer may say to x11vnc: RFB client messages (RFC 6143 7.5), read, filtered by role. Pure.

Begins after ClientInit. Knows the messages of RFC 6143 and those noVNC adds: EnableContinuousUpdates,
ClientFence, SetDesktopSize, xvp, QEMU extended key events, extended clipboard
(https://github.com/rfbproto/rfbproto). A message type outside this list cannot be skipped, since RFB has no
common length field, so it ends the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import Literal

from gateway.errors import VncError

__all__ = ["MAX_CUT_TEXT_BYTES", "MAX_ENCODINGS", "MAX_HELD_KEYS", "ClientFilter", "Kind", "Role"]

Role = Literal["control", "view"]

MAX_CUT_TEXT_BYTES = 1024 * 1024
MAX_ENCODINGS = 1024
MAX_HELD_KEYS = 64
"""Keys one viewer can hold; more presses are dropped until one is released."""
MAX_FENCE_BYTES = 64
MAX_SCREENS = 16


class Kind(IntEnum):
    """Message types of the client."""

    SET_PIXEL_FORMAT = 0
    SET_ENCODINGS = 2
    UPDATE_REQUEST = 3
    KEY = 4
    POINTER = 5
    CUT_TEXT = 6
    CONTINUOUS_UPDATES = 150
    FENCE = 248
    XVP = 250
    SET_DESKTOP_SIZE = 251
    QEMU = 255


EXTENDED_MOUSE_BUTTONS = -316
"""Taken out of SetEncodings: once a server agrees to it, PointerEvent has no fixed length any more."""

_KEY = Struct("!BB2xI")
_POINTER = Struct("!BBHH")
_QEMU_KEY = Struct("!BBHII")

_FIXED: dict[int, int] = {
    Kind.SET_PIXEL_FORMAT: 20,
    Kind.UPDATE_REQUEST: 10,
    Kind.KEY: 8,
    Kind.POINTER: 6,
    Kind.CUT_TEXT: 8,
    Kind.CONTINUOUS_UPDATES: 10,
    Kind.XVP: 4,
}
"""Bytes of the messages that always have as many; of cut text, its head."""
_NOBODYS: frozenset[int] = frozenset({Kind.XVP, Kind.CUT_TEXT})
_INPUT: frozenset[int] = frozenset({Kind.KEY, Kind.POINTER, Kind.QEMU, Kind.SET_DESKTOP_SIZE})
"""What a viewer without control may not send: it changes what is on the desktop."""


class ClientFilter:
    """One viewer's messages, fed as they come. One of the control role controls until :meth:`control` says otherwise.

    At most one message's head (4,100 bytes) is buffered. Two kinds are dropped for every role: xvp can shut the
    machine down, which only the API may; and clipboards go over HTTP (routes/clipboard.py), where the session's
    switch is kept and all of Unicode and pictures pass. x11vnc knows Latin-1; it runs with -nosel and sends none.
    """

    def __init__(self, role: Role) -> None:
        self.role: Role = role
        self._controls = role == "control"
        self.dropped = 0
        """Messages that went no further."""
        self.failure: VncError | None = None
        """Set once by nonsense; nothing is forwarded from there on."""
        self._buffer = bytearray()
        self._body_bytes = 0
        """Bytes of a cut text still to come."""
        self._held: dict[tuple[int, int | None], None] = {}
        """(keysym, QEMU keycode or None), in the order of their pressing."""
        self._buttons = 0
        self._position = (0, 0)

    def feed(self, data: bytes) -> bytes:
        """What of ``data``, and of what waited for it, goes to the server. Never raises."""
        if self.failure is not None:
            return b""
        self._buffer += data
        out = bytearray()
        try:
            while self._step(out):
                pass
        except VncError as exc:
            self.failure = exc
            self._buffer.clear()
        return bytes(out)

    def control(self, controls: bool) -> bytes:
        """Let this viewer's input through from now on, or no more; a view role's never is.

        Returns the messages that release what it holds.
        """
        self._controls = controls and self.role == "control"
        return b"" if self._controls else self.release_all()

    @property
    def holds(self) -> bool:
        """Is a key or button of this viewer down?"""
        return bool(self._held or self._buttons)

    def release_all(self) -> bytes:
        """Messages that release every key and button this viewer holds; it then holds none."""
        if not self.holds:
            return b""
        out = bytearray()
        for keysym, keycode in reversed(self._held):
            out += (
                _KEY.pack(Kind.KEY, 0, keysym)
                if keycode is None
                else _QEMU_KEY.pack(Kind.QEMU, 0, 0, keysym, keycode)
            )
        if self._buttons:
            out += _POINTER.pack(Kind.POINTER, 0, *self._position)
        self._held.clear()
        self._buttons = 0
        return bytes(out)

    def _step(self, out: bytearray) -> bool:
        """Take one message, or a part of a cut text, off the buffer. False when more bytes are needed."""
        buffer = self._buffer
        if not buffer:
            return False
        if self._body_bytes:
            take = min(self._body_bytes, len(buffer))
            del buffer[:take]
            self._body_bytes -= take
            return True
        size = _message_bytes(buffer)
        if size is None or len(buffer) < size:
            return False
        message = bytes(buffer[:size])
        del buffer[:size]
        out += self._judge(message)
        return True

    def _judge(self, message: bytes) -> bytes:
        kind = message[0]
        allowed = kind not in _NOBODYS and (self._controls or kind not in _INPUT)
        if kind == Kind.CUT_TEXT:
            self._body_bytes = _cut_text_bytes(message)
        if allowed and (track := _TRACKED.get(kind)) is not None:
            message = track(self, message)
            allowed = bool(message)
        if allowed:
            return message
        self.dropped += 1
        return b""

    def _track_key(self, message: bytes) -> bytes:
        _, down, keysym = _KEY.unpack(message)
        return message if self._hold((keysym, None), down) else b""

    def _track_qemu_key(self, message: bytes) -> bytes:
        _, _, down, keysym, keycode = _QEMU_KEY.unpack(message)
        return message if self._hold((keysym, keycode), down) else b""

    def _hold(self, key: tuple[int, int | None], down: int) -> bool:
        """False when the press must not go on: it could not be released later."""
        if not down:
            self._held.pop(key, None)
        elif key not in self._held and len(self._held) >= MAX_HELD_KEYS:
            return False
        else:
            self._held[key] = None
        return True

    def _track_pointer(self, message: bytes) -> bytes:
        _, self._buttons, x, y = _POINTER.unpack(message)
        self._position = (x, y)
        return message

    def _track_encodings(self, message: bytes) -> bytes:
        marker = EXTENDED_MOUSE_BUTTONS.to_bytes(4, "big", signed=True)
        kept = [message[at : at + 4] for at in range(4, len(message), 4)]
        kept = [encoding for encoding in kept if encoding != marker]
        return message[:2] + len(kept).to_bytes(2, "big") + b"".join(kept)


_TRACKED: dict[int, Callable[[ClientFilter, bytes], bytes]] = {
    Kind.KEY: ClientFilter._track_key,
    Kind.QEMU: ClientFilter._track_qemu_key,
    Kind.POINTER: ClientFilter._track_pointer,
    Kind.SET_ENCODINGS: ClientFilter._track_encodings,
}


def _message_bytes(buffer: bytearray) -> int | None:
    """Length of the message at the start of ``buffer``, for cut text of its head; None when not yet known.

    Raises VncError.
    """
    kind = buffer[0]
    if (fixed := _FIXED.get(kind)) is not None:
        return fixed
    match kind:
        case Kind.SET_ENCODINGS:  # type, padding, u16 count
            if len(buffer) < 4:
                return None
            return 4 + 4 * _bounded(int.from_bytes(buffer[2:4], "big"), MAX_ENCODINGS, "encodings")
        case Kind.FENCE:  # type, 3 padding, u32 flags, u8 length
            if len(buffer) < 9:
                return None
            return 9 + _bounded(buffer[8], MAX_FENCE_BYTES, "fence bytes")
        case Kind.SET_DESKTOP_SIZE:  # type, padding, u16 width, u16 height, u8 screens, padding
            if len(buffer) < 8:
                return None
            return 8 + 16 * _bounded(buffer[6], MAX_SCREENS, "screens")
        case Kind.QEMU:
            if len(buffer) >= 2 and buffer[1] != 0:
                raise VncError(f"The viewer sent QEMU message {buffer[1]}, which is not known here.")
            return _QEMU_KEY.size
        case _:
            raise VncError(f"The viewer sent message type {kind}, which is not known here.")


def _cut_text_bytes(head: bytes) -> int:
    """Body length of ClientCutText; a negative one marks the extended clipboard, which has 4 bytes of flags."""
    length = int.from_bytes(head[4:8], "big", signed=True)
    if -4 < length < 0:
        raise VncError("The viewer sent an extended cut text without its flags.")
    return _bounded(abs(length), MAX_CUT_TEXT_BYTES, "bytes of cut text")


def _bounded(count: int, most: int, what: str) -> int:
    if count > most:
        raise VncError(f"The viewer sent {count} {what}; at most {most} are taken.")
    return count
