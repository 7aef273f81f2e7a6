"""The part of STUN (RFC 8489) that lets a datagram in: is it a binding request, for whom, and is it genuine. Pure.

Read by hand because every datagram of a stranger passes here first. Total: any bytes give a verdict. Of a
message nothing is believed that stands behind MESSAGE-INTEGRITY, as RFC 8489 14.5 asks.
"""

from __future__ import annotations

import hmac
from binascii import crc32
from dataclasses import dataclass
from enum import Enum
from struct import Struct

__all__ = [
    "COOKIE",
    "FIRST_BYTE_AFTER_STUN",
    "HEADER_BYTES",
    "BindingRequest",
    "Refusal",
    "is_genuine",
    "read_binding_request",
]

_HEADER = Struct("!HHI")
_ATTRIBUTE = Struct("!HH")

FIRST_BYTE_AFTER_STUN = 4
"""A datagram that begins lower is STUN; DTLS and RTP begin at 20 and 128 (RFC 7983 7)."""
HEADER_BYTES = 20
MAGIC_COOKIE = 0x2112A442
COOKIE = MAGIC_COOKIE.to_bytes(4, "big")
"""As it stands in bytes 4 to 8 of every message."""
BINDING_REQUEST = 0x0001
USERNAME, MESSAGE_INTEGRITY, FINGERPRINT = 0x0006, 0x0008, 0x8028
INTEGRITY_BYTES = 20
FINGERPRINT_XOR = 0x5354554E
MAX_USERNAME_BYTES = 513
"""RFC 8489 14.3: USERNAME is shorter than 509 bytes; RFC 8445 5.3 allows two of 256 and a colon."""


class Refusal(Enum):
    """Why a datagram is no binding request to look at."""

    NOT_STUN = "not_stun"
    """No STUN header: media of a client whose mapping is gone, or noise."""
    NOT_REQUEST = "not_request"
    """STUN, but a response, an indication or another method."""
    MALFORMED = "malformed"
    """A length that does not fit, or a FINGERPRINT that is wrong."""
    NO_USERNAME = "no_username"
    NO_INTEGRITY = "no_integrity"


@dataclass(frozen=True, slots=True)
class BindingRequest:
    ufrag: bytes
    """The receiver's: USERNAME up to the colon (RFC 8445 7.2.2)."""
    integrity_at: int
    """Where the MESSAGE-INTEGRITY attribute begins."""


def read_binding_request(data: bytes | memoryview) -> BindingRequest | Refusal:
    """Find the receiver's ufrag and MESSAGE-INTEGRITY in a datagram."""
    size = len(data)
    if size < HEADER_BYTES:
        return Refusal.NOT_STUN
    kind, length, cookie = _HEADER.unpack_from(data)
    if cookie != MAGIC_COOKIE or kind >> 14:
        return Refusal.NOT_STUN
    if kind != BINDING_REQUEST:
        return Refusal.NOT_REQUEST
    if length % 4 or length + HEADER_BYTES != size:
        return Refusal.MALFORMED
    username: bytes | None = None
    integrity_at = 0
    at = HEADER_BYTES
    while at < size:
        # size is a multiple of 4 and so is at: an attribute's header is always whole.
        name, value_bytes = _ATTRIBUTE.unpack_from(data, at)
        value_at = at + 4
        if value_at + value_bytes > size:
            return Refusal.MALFORMED
        if name == FINGERPRINT:
            if not _fingerprint_fits(data, at, value_bytes):
                return Refusal.MALFORMED
        elif not integrity_at:
            # Of attributes that come twice the first counts (RFC 8489 14).
            if name == USERNAME and username is None:
                username = bytes(data[value_at : value_at + value_bytes])
            elif name == MESSAGE_INTEGRITY:
                if value_bytes != INTEGRITY_BYTES:
                    return Refusal.MALFORMED
                integrity_at = at
        at = value_at + (value_bytes + 3 & ~3)
    if username is None or len(username) > MAX_USERNAME_BYTES:
        return Refusal.NO_USERNAME
    if not integrity_at:
        return Refusal.NO_INTEGRITY
    ufrag, colon, _ = username.partition(b":")
    return BindingRequest(ufrag, integrity_at) if ufrag and colon else Refusal.NO_USERNAME


def is_genuine(request: BindingRequest, data: bytes | memoryview, pwd: bytes) -> bool:
    """Whether MESSAGE-INTEGRITY was made with ``pwd`` (short-term credentials, RFC 8489 9.1.3 and 14.5).

    ``data`` is what ``request`` was read from.
    """
    at = request.integrity_at
    signed = bytearray(data[:at])
    # The length field as it was when the HMAC was made: MESSAGE-INTEGRITY in, what follows it out.
    signed[2:4] = (at + 4 + INTEGRITY_BYTES - HEADER_BYTES).to_bytes(2, "big")
    return hmac.compare_digest(hmac.digest(pwd, signed, "sha1"), data[at + 4 : at + 4 + INTEGRITY_BYTES])


def _fingerprint_fits(data: bytes | memoryview, at: int, value_bytes: int) -> bool:
    """FINGERPRINT is the last attribute and the CRC of all before it (RFC 8489 14.7)."""
    if value_bytes != 4 or at + 8 != len(data):
        return False
    return int.from_bytes(data[at + 4 :], "big") == crc32(data[:at]) ^ FINGERPRINT_XOR
