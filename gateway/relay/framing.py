"""Datagrams on a TCP stream (RFC 4571 2): two bytes with the length, high byte first, then the datagram. Pure."""

from __future__ import annotations

from struct import Struct

from gateway.errors import FramingError

__all__ = ["HEADER_BYTES", "MAX_FRAME_BYTES", "Deframer", "put_header"]

HEADER_BYTES = 2
MAX_FRAME_BYTES = 4096
"""Of what a viewer sends: WebRTC stays below one Ethernet packet, and what a stranger makes us keep is this."""

_HEADER = Struct("!H")


def put_header(buffer: bytearray, size_bytes: int) -> None:
    """Write the header of a datagram of 0 to 65,535 bytes to the start of ``buffer``."""
    _HEADER.pack_into(buffer, 0, size_bytes)


class Deframer:
    """Cuts a stream into its datagrams. Keeps the incomplete last one: less than a header and ``max_frame_bytes``."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._partial = b""

    @property
    def kept_bytes(self) -> int:
        """What waits for the rest of its frame."""
        return len(self._partial)

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """The datagrams that ``data`` completes, in order; empty ones, which RFC 4571 allows, are left out.

        Raises FramingError as soon as a header announces more than ``max_frame_bytes``. Nothing can be read
        from the stream after that.
        """
        stream = self._partial + bytes(data)
        frames: list[bytes] = []
        at, end = 0, len(stream)
        while end - at >= HEADER_BYTES:
            (size,) = _HEADER.unpack_from(stream, at)
            if size > self._max_frame_bytes:
                raise FramingError(f"A frame of {size} bytes; at most {self._max_frame_bytes} are taken.")
            after = at + HEADER_BYTES + size
            if after > end:
                break
            if size:
                frames.append(stream[at + HEADER_BYTES : after])
            at = after
        self._partial = stream[at:]
        return frames
