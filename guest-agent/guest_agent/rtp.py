"""Everything private of aiortc 1.16 that the agent touches.

Stock aiortc encodes by itself, knows no playout-delay, keeps 128 packets for retransmission, answers offers as the
DTLS client, and offers no way to hear of keyframe requests or bitrate estimates. Each function here opens one of
those doors; :func:`touched_names` lists the names, and a test fails when an upgrade moves one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import aiortc.rtcrtpsender
import aiortc.rtcsctptransport
from aioice.ice import Connection
from aiortc import RTCRtpSender, RTCRtpTransceiver, sdp
from aiortc.rtcrtpparameters import RTCRtpCodecCapability, RTCRtpParameters
from aiortc.rtp import (
    AnyRtcpPacket,
    HeaderExtensions,
    HeaderExtensionsMap,
    RtcpRrPacket,
    RtcpSrPacket,
    pack_header_extensions,
)

from guest_agent.audio.opus import SoundPacket
from guest_agent.errors import AgentError
from guest_agent.h264 import EncodedFrame

__all__ = [
    "PLAYOUT_DELAY_URI",
    "adapt_sender",
    "adapt_sound",
    "answer_as_dtls_server",
    "asks_for_sound",
    "describe_opus",
    "h264_only",
    "ice_connection",
    "install",
    "join_bundle",
    "negotiate_playout_delay",
    "sent_timestamp",
    "touched_names",
]

PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_NO_DELAY = b"\x00\x00\x00"
"""Minimum and maximum of 12 bits each, in 10 ms: show a frame as soon as it is decoded."""
_MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
_ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

_HISTORY_PACKETS = 4096
"""A keyframe alone is up to 220 packets; this is about a second at 20 Mb/s."""
_SCTP_RTO_INITIAL_S = 0.5
_SCTP_RTO_MIN_S = 0.2
"""RFC 9260 15 says 1 s, made for the internet of 2007: a lost key press would wait that long."""

_SENDER_ENCODER = "_RTCRtpSender__encoder"
_SENDER_EXTENSIONS = "_RTCRtpSender__rtp_header_extensions_map"
_SENDER_TIMESTAMP = "_RTCRtpSender__rtp_timestamp"


def install() -> None:
    """Set aiortc's module constants. Idempotent."""
    _replace(aiortc.rtcrtpsender, "RTP_HISTORY_SIZE", _HISTORY_PACKETS)
    _replace(aiortc.rtcsctptransport, "SCTP_RTO_INITIAL", _SCTP_RTO_INITIAL_S)
    _replace(aiortc.rtcsctptransport, "SCTP_RTO_MIN", _SCTP_RTO_MIN_S)


class _Encoder:
    """Stands where aiortc keeps its encoder: frames come in finished, estimates go out."""

    def __init__(self, on_estimate: Callable[[int], None]) -> None:
        self._on_estimate = on_estimate

    def pack(self, frame: EncodedFrame) -> tuple[list[bytes], int]:
        return frame.payloads, frame.pts_90k

    @property
    def target_bitrate(self) -> int:
        return 0

    @target_bitrate.setter
    def target_bitrate(self, estimate_bps: int) -> None:
        self._on_estimate(estimate_bps)


class _Extensions(HeaderExtensionsMap):
    """Writes mid, abs-send-time and playout-delay, where the viewer negotiated them."""

    def __init__(self) -> None:
        super().__init__()
        self._ids: dict[str, int] = {}

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        self._ids = {extension.uri: extension.id for extension in parameters.headerExtensions}

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        found: list[tuple[int, bytes]] = []
        if values.mid is not None and (ident := self._ids.get(_MID_URI)):
            found.append((ident, values.mid.encode()))
        if values.abs_send_time is not None and (ident := self._ids.get(_ABS_SEND_TIME_URI)):
            found.append((ident, values.abs_send_time.to_bytes(3, "big")))
        if ident := self._ids.get(PLAYOUT_DELAY_URI):
            found.append((ident, _NO_DELAY))
        return pack_header_extensions(found)


def adapt_sender(
    sender: RTCRtpSender,
    *,
    on_keyframe: Callable[[], None],
    on_estimate: Callable[[int], None],
    on_loss: Callable[[float], None],
) -> None:
    """Make a sender pass on finished frames. Before the connection is up.

    ``on_keyframe`` comes for each PLI and FIR (RFC 4585 6.3.1, RFC 5104 4.3.1), ``on_estimate`` for each REMB, in
    bit/s, ``on_loss`` for each report block on the stream (RFC 3550 6.4.1), as a fraction. None may raise: it would
    close the viewer's DTLS transport.
    """
    stock = sender._handle_rtcp_packet

    async def handle(packet: AnyRtcpPacket) -> None:
        await stock(packet)
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == sender._ssrc:
                    on_loss(report.fraction_lost / 256)

    _replace(sender, "_handle_rtcp_packet", handle)
    _replace(sender, "_send_keyframe", on_keyframe)
    _replace(sender, _SENDER_ENCODER, _Encoder(on_estimate))
    _replace(sender, _SENDER_EXTENSIONS, _Extensions())


def h264_only(transceiver: RTCRtpTransceiver) -> None:
    """Accept nothing but H.264, Constrained Baseline first: it is what the one shared encode produces."""
    codecs: list[RTCRtpCodecCapability] = RTCRtpSender.getCapabilities("video").codecs

    def rank(codec: RTCRtpCodecCapability) -> int:
        return 0 if codec.parameters.get("profile-level-id") == "42e01f" else 1

    h264 = sorted((c for c in codecs if c.mimeType == "video/H264"), key=rank)
    transceiver.setCodecPreferences(h264 + [c for c in codecs if c.mimeType == "video/rtx"])


def negotiate_playout_delay(transceiver: RTCRtpTransceiver, offer: sdp.SessionDescription) -> bool:
    """Accept the extension where the offer has it. After setRemoteDescription, before the answer is made."""
    for media in offer.media:
        if media.rtp.muxId == transceiver.mid:
            offered = [e for e in media.rtp.headerExtensions if e.uri == PLAYOUT_DELAY_URI]
            _replace(transceiver, "_headerExtensions", [*transceiver._headerExtensions, *offered])
            return bool(offered)
    return False


class _Opus:
    """Stands where aiortc keeps its encoder: packets come in finished."""

    def pack(self, packet: SoundPacket) -> tuple[list[bytes], int]:
        return [packet.payload], packet.pts & 0xFFFFFFFF


_OPUS_PARAMETERS = {"minptime": 10, "stereo": 1, "sprop-stereo": 1}
"""RFC 7587 6.1."""


def asks_for_sound(offer: sdp.SessionDescription) -> bool:
    """Whether the offer's first audio section is to receive Opus."""
    section = next((media for media in offer.media if media.kind == "audio"), None)
    if section is None or section.direction not in ("recvonly", "sendrecv"):
        return False
    return any(codec.mimeType.lower() == "audio/opus" for codec in section.rtp.codecs)


def adapt_sound(transceiver: RTCRtpTransceiver) -> None:
    """Make an audio transceiver pass on finished Opus packets. Before the offer is applied.

    In a media stream of its own: a browser would delay one track of a stream to keep it in step with the other
    (lip sync), and the picture would wait for the sound's jitter buffer.
    """
    join_bundle(transceiver)
    codecs: list[RTCRtpCodecCapability] = RTCRtpSender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
    _replace(transceiver.sender, _SENDER_ENCODER, _Opus())
    _replace(transceiver.sender, "_stream_id", str(uuid.uuid4()))


def describe_opus(transceiver: RTCRtpTransceiver) -> None:
    """Say in the answer what is sent. After setRemoteDescription."""
    for codec in transceiver._codecs:
        codec.parameters = dict(_OPUS_PARAMETERS)


def join_bundle(transceiver: RTCRtpTransceiver) -> None:
    """Say that a transceiver shares its transport (RFC 8843), as with MAX_BUNDLE it does.

    Otherwise aiortc closes the shared transport itself when the offer's first section is the data channel's (Firefox,
    depending on the page), taking it for a leftover.
    """
    _replace(transceiver, "_bundled", True)


def answer_as_dtls_server(transceiver: RTCRtpTransceiver) -> None:
    """Answer ``setup:passive`` (RFC 8842 5.3): the viewer's first flight then starts as soon as its ICE is up.

    Not when the offer leaves no choice.
    """
    transport = transceiver.sender.transport
    if transport._role == "auto":
        transport._set_role("server")


def ice_connection(transceiver: RTCRtpTransceiver) -> Connection:
    """The aioice connection below a transceiver."""
    return transceiver.sender.transport.transport.iceGatherer._connection


def sent_timestamp(sender: RTCRtpSender) -> int:
    """The RTP timestamp of the last packet sent; aiortc adds a random origin to a frame's own."""
    return int(getattr(sender, _SENDER_TIMESTAMP))


def touched_names(sender: RTCRtpSender, transceiver: RTCRtpTransceiver) -> list[tuple[Any, str]]:
    """(object, attribute) that this module relies on beyond the public API."""
    transport = sender.transport
    return [
        (aiortc.rtcrtpsender, "RTP_HISTORY_SIZE"),
        (aiortc.rtcsctptransport, "SCTP_RTO_INITIAL"),
        (aiortc.rtcsctptransport, "SCTP_RTO_MIN"),
        (sender, "_ssrc"),
        (sender, "_handle_rtcp_packet"),
        (sender, "_send_keyframe"),
        (sender, _SENDER_ENCODER),
        (sender, _SENDER_EXTENSIONS),
        (sender, _SENDER_TIMESTAMP),
        (sender, "_stream_id"),
        (transceiver, "_codecs"),
        (transceiver, "_headerExtensions"),
        (transceiver, "_bundled"),
        (transport, "_role"),
        (transport, "_set_role"),
        (transport.transport.iceGatherer, "_connection"),
    ]


def _replace(owner: Any, name: str, value: Any) -> None:
    if not hasattr(owner, name):
        raise AgentError(
            f"aiortc has no {name} any more", hint="install the aiortc version that pyproject.toml names"
        )
    setattr(owner, name, value)
