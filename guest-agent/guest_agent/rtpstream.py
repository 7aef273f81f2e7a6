"""One viewer's RTP stream: packets with their header extensions, and what may have to be sent again. Pure.

aiortc builds every packet anew from objects; a stream's headers differ in a few bytes, so here they are a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import pack, pack_into

__all__ = ["ABS_CAPTURE_TIME_URI", "ABS_SEND_TIME_URI", "MID_URI", "PLAYOUT_DELAY_URI", "RtpStream"]

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
ABS_CAPTURE_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
"""Instant of capture in the sender's NTP clock, Q32.32, on a frame's first packet."""

_NO_DELAY = b"\x00\x00\x00"
"""Minimum and maximum of 12 bits each, in 10 ms: show a frame as soon as it is decoded."""
_HISTORY = 4096
"""Packets: a keyframe alone is up to 220; this is about a second at 20 Mb/s."""
_AGAIN_S = 0.02
"""A packet is not sent again sooner: receivers repeat what they miss with every packet that comes."""
_ONE_BYTE = 0xBEDE


@dataclass(slots=True)
class _Sent:
    seq: int
    timestamp: int
    marker: bool
    payload: bytes
    repeated_at: float


class _Extensions:
    """A header extension block (RFC 8285 4.2) and where its variable values stand in it."""

    def __init__(self, parts: list[tuple[int, str, bytes]]) -> None:
        body = bytearray()
        self.at: dict[str, int] = {}
        for ident, name, value in parts:
            body.append(ident << 4 | len(value) - 1)
            self.at[name] = 12 + 4 + len(body)
            body += value
        body += bytes(-len(body) % 4)
        self.block = pack("!HH", _ONE_BYTE, len(body) // 4) + body if body else b""


class RtpStream:
    """Args:
    ids: negotiated extension ids by URI; those that are unknown here are left out.
    transport_cc_uri: whose id carries the transport-wide number.
    rtx_payload_type: of retransmissions (RFC 4588); None repeats packets as they were.
    """

    def __init__(
        self,
        *,
        ssrc: int,
        payload_type: int,
        seq: int,
        timestamp_origin: int,
        mid: str,
        ids: Mapping[str, int],
        transport_cc_uri: str,
        rtx_ssrc: int,
        rtx_payload_type: int | None,
        rtx_seq: int,
    ) -> None:
        self._ssrc, self._payload_type, self._seq = ssrc, payload_type, seq
        self._origin = timestamp_origin
        self._key_seq = seq
        self._rtx_ssrc, self._rtx_payload_type, self._rtx_seq = rtx_ssrc, rtx_payload_type, rtx_seq
        variable = {ABS_SEND_TIME_URI: 3, transport_cc_uri: 2}
        parts = [(ids[MID_URI], MID_URI, mid.encode())] if MID_URI in ids and mid else []
        parts += [(ids[uri], uri, bytes(size)) for uri, size in variable.items() if uri in ids]
        parts += [(ids[PLAYOUT_DELAY_URI], PLAYOUT_DELAY_URI, _NO_DELAY)] if PLAYOUT_DELAY_URI in ids else []
        # Ids above 14 would need the two-byte form (RFC 8285 4.3); no browser offers one for these.
        parts = [part for part in parts if 0 < part[0] < 15]
        self._plain = self._first = _Extensions(parts)
        capture_id = ids.get(ABS_CAPTURE_TIME_URI, 0)
        self.captures = 0 < capture_id < 15
        """The viewer wants the instant of capture."""
        if self.captures:
            self._first = _Extensions([*parts, (capture_id, ABS_CAPTURE_TIME_URI, bytes(8))])
        self._transport_cc_uri = transport_cc_uri
        self._history: list[_Sent | None] = [None] * _HISTORY

    def timestamp(self, pts_90k: int) -> int:
        """A frame's RTP timestamp."""
        return (self._origin + pts_90k) & 0xFFFFFFFF

    def packet(
        self,
        payload: bytes,
        timestamp: int,
        *,
        marker: bool,
        transport_seq: int,
        abs_send_time: int,
        captured_ntp: int | None = None,
    ) -> bytes:
        """The next packet of the stream, remembered. ``captured_ntp`` on a frame's first."""
        seq, self._seq = self._seq, self._seq + 1 & 0xFFFF
        self._history[seq % _HISTORY] = _Sent(seq, timestamp, marker, payload, float("-inf"))
        extensions = self._plain if captured_ntp is None else self._first
        packet_type = self._payload_type | (0x80 if marker else 0)
        data = self._header(extensions, packet_type, seq, timestamp, self._ssrc, transport_seq, abs_send_time)
        if captured_ntp is not None and self.captures:
            pack_into("!Q", data, extensions.at[ABS_CAPTURE_TIME_URI], captured_ntp)
        return bytes(data) + payload

    def start_keyframe(self) -> None:
        """The next packet is the first of a keyframe: nobody needs what was before it any more."""
        self._key_seq = self._seq

    def switch(self, payload_type: int, rtx_payload_type: int | None) -> None:
        """The next packet is of another codec; it is a keyframe's first, so nothing older is repeated."""
        self._payload_type, self._rtx_payload_type = payload_type, rtx_payload_type

    def lost(self, seq: int, *, rtt_s: float, now: float) -> int | None:
        """A packet was reported lost: its payload's size, if it is to be sent again.

        None: nothing has to be done, since a keyframe followed, or since it went again so recently that the report
        does not know of it. 0: it is forgotten, and only a keyframe helps.
        """
        if seq - self._key_seq & 0xFFFF >= 0x8000:
            return None
        sent = self._history[seq % _HISTORY]
        if sent is None or sent.seq != seq:
            return 0
        if now < sent.repeated_at + max(_AGAIN_S, rtt_s):
            return None
        sent.repeated_at = now
        return len(sent.payload)

    def repeat(self, seq: int, *, transport_seq: int, abs_send_time: int) -> bytes:
        """A packet that ``lost`` has just found, once more."""
        sent = self._history[seq % _HISTORY]
        assert sent is not None
        mark = 0x80 if sent.marker else 0
        if self._rtx_payload_type is None:
            kind, number, ssrc, payload = self._payload_type, sent.seq, self._ssrc, sent.payload
        else:
            kind, number, ssrc = self._rtx_payload_type, self._rtx_seq, self._rtx_ssrc
            self._rtx_seq = self._rtx_seq + 1 & 0xFFFF
            payload = sent.seq.to_bytes(2, "big") + sent.payload
        data = self._header(self._plain, kind | mark, number, sent.timestamp, ssrc, transport_seq, abs_send_time)
        return bytes(data) + payload

    def _header(
        self,
        extensions: _Extensions,
        packet_type: int,
        seq: int,
        timestamp: int,
        ssrc: int,
        transport_seq: int,
        abs_send_time: int,
    ) -> bytearray:
        """RFC 3550 5.1 with the extension block."""
        data = bytearray(pack("!BBHLL", 0x90 if extensions.block else 0x80, packet_type, seq, timestamp, ssrc))
        data += extensions.block
        at = extensions.at
        if (where := at.get(self._transport_cc_uri)) is not None:
            pack_into("!H", data, where, transport_seq)
        if (where := at.get(ABS_SEND_TIME_URI)) is not None:
            pack_into("!BH", data, where, abs_send_time >> 16, abs_send_time & 0xFFFF)
        return data
