"""Everything private of aiortc 1.16 that the agent touches.

Stock aiortc encodes by itself, sends a frame's packets without a pause, knows no playout-delay and no transport-wide
feedback, keeps 128 packets for retransmission, answers offers as the DTLS client, and offers no way to hear of
keyframe requests or bitrate estimates. Each function here opens one of those doors; :func:`touched_names` lists the
names, and a test fails when an upgrade moves one. The video sender is in videosender.py.
"""

from __future__ import annotations

import uuid
from typing import Any

import aiortc.rtcsctptransport
from aioice.ice import Connection
from aiortc import RTCRtpSender, RTCRtpTransceiver, sdp
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecCapability, RTCRtpCodecParameters

from guest_agent import videosender
from guest_agent.audio.opus import SoundPacket
from guest_agent.rtpstream import ABS_CAPTURE_TIME_URI, PLAYOUT_DELAY_URI
from guest_agent.twcc import TRANSPORT_CC_URI
from guest_agent.videocodec import Codec, PayloadTypes
from guest_agent.videosender import SENDER_ENCODER, adapt_sender, install_feedback, replace_name, sent_timestamp

__all__ = [
    "adapt_sender",
    "adapt_sound",
    "answer_as_dtls_server",
    "asks_for_sound",
    "describe_opus",
    "ice_connection",
    "install",
    "join_bundle",
    "negotiate_extensions",
    "prefer_h264",
    "sent_timestamp",
    "settle_codecs",
    "touched_names",
]

_SCTP_RTO_INITIAL_S = 0.5
_SCTP_RTO_MIN_S = 0.2
"""RFC 9260 15 says 1 s, made for the internet of 2007: a lost key press would wait that long."""

_EXTENSIONS = (PLAYOUT_DELAY_URI, TRANSPORT_CC_URI, ABS_CAPTURE_TIME_URI)
"""What aiortc does not accept by itself."""


def install() -> None:
    """Set aiortc's module constants, and have it understand transport-wide feedback. Idempotent."""
    replace_name(aiortc.rtcsctptransport, "SCTP_RTO_INITIAL", _SCTP_RTO_INITIAL_S)
    replace_name(aiortc.rtcsctptransport, "SCTP_RTO_MIN", _SCTP_RTO_MIN_S)
    install_feedback()


def prefer_h264(transceiver: RTCRtpTransceiver) -> None:
    """Accept H.264, Constrained Baseline first, since that is what x264 makes, and VP8 where there is none."""
    codecs: list[RTCRtpCodecCapability] = RTCRtpSender.getCapabilities("video").codecs

    def rank(codec: RTCRtpCodecCapability) -> int:
        return 0 if codec.parameters.get("profile-level-id") == "42e01f" else 1

    h264 = sorted((c for c in codecs if c.mimeType == Codec.H264.value), key=rank)
    transceiver.setCodecPreferences(h264 + [c for c in codecs if c.mimeType in (Codec.VP8.value, "video/rtx")])


def settle_codecs(transceiver: RTCRtpTransceiver, offer: sdp.SessionDescription) -> dict[Codec, PayloadTypes]:
    """Of what the offer has, keep the codec that the stream begins with and, with H.264, its 4:4:4 profile.

    Between offer and answer. The answer names both, so a stream changes at a keyframe, without another offer.
    """
    codecs: list[RTCRtpCodecParameters] = transceiver._codecs
    first = codecs[0]
    codec = Codec(first.mimeType)
    types = {c.payloadType for c in codecs if c.mimeType == codec.value}
    kept = [c for c in codecs if c.payloadType in types or c.parameters.get("apt") in types]
    settled = {codec: _payload_types(first, kept)}
    media = next((media for media in offer.media if media.rtp.muxId == transceiver.mid), None)
    if codec is Codec.H264 and media is not None:
        crisp = [_answer_to(c, first) for c in media.rtp.codecs if _has_full_chroma(c)][:1]
        crisp += [c for c in media.rtp.codecs if crisp and c.parameters.get("apt") == crisp[0].payloadType]
        if crisp:
            settled[Codec.H264_444] = _payload_types(crisp[0], crisp)
            kept += crisp
    replace_name(transceiver, "_codecs", kept)
    return settled


def _has_full_chroma(offered: RTCRtpCodecParameters) -> bool:
    """Whether this is H.264 High 4:4:4 Predictive in the form that h264.py packs (RFC 6184 8.1)."""
    if offered.mimeType.lower() != "video/h264" or offered.payloadType is None:
        return False
    if str(offered.parameters.get("packetization-mode")) != "1":
        return False
    try:
        profile, _ = sdp.parse_h264_profile_level_id(str(offered.parameters.get("profile-level-id")))
    except ValueError:
        return False
    # Chromium has more codecs than numbers from 96 on and goes below. aiortc refuses RTCP's, and takes eight bits.
    return offered.payloadType < 128 and profile is sdp.H264Profile.PROFILE_PREDICTIVE_HIGH_444


def _answer_to(offered: RTCRtpCodecParameters, like: RTCRtpCodecParameters) -> RTCRtpCodecParameters:
    """Accept a codec that aiortc does not know, with the feedback that another has."""
    feedback = [f for f in like.rtcpFeedback if f in offered.rtcpFeedback]
    return RTCRtpCodecParameters(
        mimeType=like.mimeType,
        clockRate=like.clockRate,
        payloadType=offered.payloadType,
        rtcpFeedback=feedback,
        parameters=dict(offered.parameters),
    )


def _payload_types(codec: RTCRtpCodecParameters, codecs: list[RTCRtpCodecParameters]) -> PayloadTypes:
    assert codec.payloadType is not None
    repair = next((c.payloadType for c in codecs if c.parameters.get("apt") == codec.payloadType), None)
    return PayloadTypes(codec.payloadType, repair)


def negotiate_extensions(transceiver: RTCRtpTransceiver, offer: sdp.SessionDescription) -> set[str]:
    """Accept header extensions and transport-wide feedback where the offer has them; the accepted URIs.

    After setRemoteDescription, before the answer is made.
    """
    media = next((media for media in offer.media if media.rtp.muxId == transceiver.mid), None)
    if media is None:
        return set()
    offered = [e for e in media.rtp.headerExtensions if e.uri in _EXTENSIONS]
    replace_name(transceiver, "_headerExtensions", [*transceiver._headerExtensions, *offered])
    feedback = RTCRtcpFeedback(type="transport-cc")
    telling = {codec.payloadType for codec in media.rtp.codecs if feedback in codec.rtcpFeedback}
    for codec in transceiver._codecs:
        if codec.payloadType in telling and feedback not in codec.rtcpFeedback:
            codec.rtcpFeedback.append(feedback)
    return {extension.uri for extension in offered}


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
    replace_name(transceiver.sender, SENDER_ENCODER, _Opus())
    replace_name(transceiver.sender, "_stream_id", str(uuid.uuid4()))


def describe_opus(transceiver: RTCRtpTransceiver) -> None:
    """Say in the answer what is sent. After setRemoteDescription."""
    for codec in transceiver._codecs:
        codec.parameters = dict(_OPUS_PARAMETERS)


def join_bundle(transceiver: RTCRtpTransceiver) -> None:
    """Say that a transceiver shares its transport (RFC 8843), as with MAX_BUNDLE it does.

    Otherwise aiortc closes the shared transport itself when the offer's first section is the data channel's (Firefox,
    depending on the page), taking it for a leftover.
    """
    replace_name(transceiver, "_bundled", True)


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


def touched_names(sender: RTCRtpSender, transceiver: RTCRtpTransceiver) -> list[tuple[Any, str]]:
    """(object, attribute) that this module relies on beyond the public API."""
    transport = sender.transport
    return [
        (aiortc.rtcsctptransport, "SCTP_RTO_INITIAL"),
        (aiortc.rtcsctptransport, "SCTP_RTO_MIN"),
        *videosender.touched_names(sender),
        (sender, "_stream_id"),
        (transceiver, "_headerExtensions"),
        (transceiver, "_codecs"),
        (transceiver, "_bundled"),
        (transport, "_role"),
        (transport, "_set_role"),
        (transport.transport.iceGatherer, "_connection"),
    ]
