"""Everything private of aiortc 1.16 that the agent touches.

Stock aiortc encodes by itself, sends a frame's packets without a pause, knows no playout-delay and no transport-wide
feedback, keeps 128 packets for retransmission, answers offers as the DTLS client, and offers no way to hear of
keyframe requests or bitrate estimates. Each function here opens one of those doors; :func:`touched_names` lists the
names, and a test fails when an upgrade moves one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack_from
from typing import Any

import aiortc.rtcsctptransport
from aioice.ice import Connection
from aiortc import RTCRtpSender, RTCRtpTransceiver, sdp
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecCapability, RTCRtpCodecParameters, RTCRtpParameters
from aiortc.rtcrtpsender import random_sequence_number
from aiortc.rtp import AnyRtcpPacket, HeaderExtensionsMap, RtcpRrPacket, RtcpRtpfbPacket, RtcpSrPacket
from aiortc.utils import random32

from guest_agent.errors import AgentError
from guest_agent.h264 import EncodedFrame
from guest_agent.path import LONGEST_WAIT_S, Path
from guest_agent.rtpstream import ABS_CAPTURE_TIME_URI, PLAYOUT_DELAY_URI, RtpStream
from guest_agent.times import now_us
from guest_agent.twcc import TRANSPORT_CC_FMT, TRANSPORT_CC_URI
from guest_agent.videocodec import Codec

__all__ = [
    "adapt_sender",
    "answer_as_dtls_server",
    "ice_connection",
    "install",
    "join_bundle",
    "negotiate_extensions",
    "prefer_h264",
    "sent_timestamp",
    "settle_codec",
    "touched_names",
]

logger = logging.getLogger(__name__)

_SCTP_RTO_INITIAL_S = 0.5
_SCTP_RTO_MIN_S = 0.2
"""RFC 9260 15 says 1 s, made for the internet of 2007: a lost key press would wait that long."""

_YIELD_PACKETS = 16
_OVERHEAD_BYTES = 76
"""Of a payload on the wire: RTP with extensions, SRTP tag, UDP, IP."""
_EXTENSIONS = (PLAYOUT_DELAY_URI, TRANSPORT_CC_URI, ABS_CAPTURE_TIME_URI)
"""What aiortc does not accept by itself."""
_NTP_EPOCH_S = 2_208_988_800
"""1900 to 1970 (RFC 3550 4)."""

_SENDER_ENCODER = "_RTCRtpSender__encoder"
_SENDER_EXTENSIONS = "_RTCRtpSender__rtp_header_extensions_map"
_SENDER_TRACK = "_RTCRtpSender__track"
_SENDER_STARTED = "_RTCRtpSender__rtp_started"
_SENDER_EXITED = "_RTCRtpSender__rtp_exited"
_SENDER_MID = "_RTCRtpSender__mid"
_SENDER_RTX_TYPE = "_RTCRtpSender__rtx_payload_type"
_SENDER_NTP = "_RTCRtpSender__ntp_timestamp"
_SENDER_TIMESTAMP = "_RTCRtpSender__rtp_timestamp"
_SENDER_OCTETS = "_RTCRtpSender__octet_count"
_SENDER_PACKETS = "_RTCRtpSender__packet_count"

_STOCK_RTPFB_PARSE = RtcpRtpfbPacket.parse


def install() -> None:
    """Set aiortc's module constants, and have it understand transport-wide feedback. Idempotent."""
    _replace(aiortc.rtcsctptransport, "SCTP_RTO_INITIAL", _SCTP_RTO_INITIAL_S)
    _replace(aiortc.rtcsctptransport, "SCTP_RTO_MIN", _SCTP_RTO_MIN_S)
    _replace(RtcpRtpfbPacket, "parse", classmethod(_parse_rtpfb))


@dataclass
class TransportFeedback(RtcpRtpfbPacket):
    """Transport-wide feedback (RFC 4585 6.2, format 15), which stock aiortc reads as a list of lost packets."""

    fci: bytes = b""


def _parse_rtpfb(cls: type[RtcpRtpfbPacket], data: bytes, fmt: int) -> RtcpRtpfbPacket:
    if fmt != TRANSPORT_CC_FMT or len(data) < 8:
        return _STOCK_RTPFB_PARSE(data, fmt)
    ssrc, media_ssrc = unpack_from("!LL", data)
    return TransportFeedback(fmt=fmt, ssrc=ssrc, media_ssrc=media_ssrc, fci=data[8:])


class _Estimates:
    """Stands where aiortc keeps its encoder, and hears of the viewer's estimates (REMB)."""

    def __init__(self, on_estimate: Callable[[int], None]) -> None:
        self._on_estimate = on_estimate

    @property
    def target_bitrate(self) -> int:
        return 0

    @target_bitrate.setter
    def target_bitrate(self, estimate_bps: int) -> None:
        self._on_estimate(estimate_bps)


class _Extensions(HeaderExtensionsMap):
    """Remembers which extensions the viewer negotiated under which id."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: dict[str, int] = {}

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        self.ids = {extension.uri: extension.id for extension in parameters.headerExtensions}


def adapt_sender(sender: RTCRtpSender, path: Path, *, on_keyframe: Callable[[], None]) -> None:
    """Make a sender pass on finished frames, at the pace of its path. Before the connection is up.

    The sender's track gives EncodedFrames (track.py). ``on_keyframe`` comes for each PLI and FIR (RFC 4585 6.3.1,
    RFC 5104 4.3.1); the path hears of transport-wide feedback, REMB and receiver reports. None of them may raise: it
    would close the viewer's DTLS transport.
    """
    _Adapted(sender, path, on_keyframe)


class _Adapted:
    """What takes the place of a sender's own methods."""

    def __init__(self, sender: RTCRtpSender, path: Path, on_keyframe: Callable[[], None]) -> None:
        self._sender = sender
        self._path = path
        self._on_keyframe = on_keyframe
        self._stream: RtpStream | None = None
        self._extensions = _Extensions()
        self._stock_handle = sender._handle_rtcp_packet
        _replace(sender, "_handle_rtcp_packet", self._handle)
        _replace(sender, "_send_keyframe", on_keyframe)
        _replace(sender, "_run_rtp", self._run)
        _replace(sender, "_retransmit", self._repeat)
        _replace(sender, _SENDER_ENCODER, _Estimates(path.on_estimate))
        _replace(sender, _SENDER_EXTENSIONS, self._extensions)

    async def _handle(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, TransportFeedback):
            self._path.on_transport_feedback(packet.fci)
            return
        await self._stock_handle(packet)
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == self._sender._ssrc:
                    self._path.on_loss(report.fraction_lost / 256)

    async def _run(self, codec: RTCRtpCodecParameters) -> None:
        """In place of aiortc's loop: frames come finished, and go out paced."""
        sender = self._sender
        track = getattr(sender, _SENDER_TRACK)
        getattr(sender, _SENDER_STARTED).set()
        try:
            self._stream = self._open(codec)
            while True:
                await self._send(await track.recv(), self._stream)
                track.all_sent()
                await self._wait_for_frame()
        except (asyncio.CancelledError, ConnectionError, MediaStreamError):
            pass
        except Exception:
            # A sender that ends without setting its event would hang the connection's close for ever.
            logger.exception("! the video sender ended")
        track.stop()
        getattr(sender, _SENDER_EXITED).set()

    def _open(self, codec: RTCRtpCodecParameters) -> RtpStream:
        sender = self._sender
        assert codec.payloadType is not None
        # Feedback may name the stream of the last packet that came, and that can be a repetition.
        sender.transport._rtp_router.register_sender(sender, ssrc=sender._rtx_ssrc)
        return RtpStream(
            ssrc=sender._ssrc,
            payload_type=codec.payloadType,
            seq=random_sequence_number(),
            timestamp_origin=random32(),
            mid=getattr(sender, _SENDER_MID) or "",
            ids=self._extensions.ids,
            transport_cc_uri=TRANSPORT_CC_URI,
            rtx_ssrc=sender._rtx_ssrc,
            rtx_payload_type=getattr(sender, _SENDER_RTX_TYPE),
            rtx_seq=random_sequence_number(),
        )

    async def _send(self, frame: EncodedFrame, stream: RtpStream) -> None:
        sender, path = self._sender, self._path
        timestamp = stream.timestamp(frame.pts_90k)
        last = len(frame.payloads) - 1
        path.waited_s = 0.0
        if frame.key:
            stream.start_keyframe()
        for i, payload in enumerate(frame.payloads):
            if (wait_s := path.packet_wait_s()) > 0:
                path.waited_s += wait_s
                await asyncio.sleep(wait_s)
            elif i and not i % _YIELD_PACKETS:
                # Sound, reports and data channels are other tasks: none waits for a whole keyframe.
                await asyncio.sleep(0)
            ntp = _ntp_now()
            data = stream.packet(
                payload,
                timestamp,
                marker=i == last,
                transport_seq=path.sent(len(payload) + _OVERHEAD_BYTES),
                abs_send_time=_abs_send_time(ntp),
                captured_ntp=_captured_ntp(frame, ntp) if i == 0 and stream.captures else None,
            )
            await sender.transport._send_rtp(data)
            self._count(ntp, timestamp, len(payload))

    def _count(self, ntp: int, timestamp: int, size_bytes: int) -> None:
        """What aiortc's sender reports are made of (RFC 3550 6.4.1)."""
        sender = self._sender
        setattr(sender, _SENDER_NTP, ntp)
        setattr(sender, _SENDER_TIMESTAMP, timestamp)
        setattr(sender, _SENDER_OCTETS, getattr(sender, _SENDER_OCTETS) + size_bytes)
        setattr(sender, _SENDER_PACKETS, getattr(sender, _SENDER_PACKETS) + 1)

    async def _wait_for_frame(self) -> None:
        waited_s = 0.0
        while waited_s < LONGEST_WAIT_S and (wait_s := self._path.frame_wait_s()) > 0:
            await asyncio.sleep(wait_s)
            waited_s += wait_s

    async def _repeat(self, seq: int) -> None:
        """A packet was reported lost (RFC 4585 6.2.1)."""
        stream, path = self._stream, self._path
        size = None if stream is None else stream.lost(seq, rtt_s=path.rtt_s, now=path.now())
        if stream is None or size is None:
            return
        if not size or not path.may_repeat(size):
            # A keyframe at the rate that the path has now is through before all that it has lost would be.
            self._on_keyframe()
            return
        for _ in range(2 if path.doubles() else 1):
            number = path.sent(size + _OVERHEAD_BYTES)
            data = stream.repeat(seq, transport_seq=number, abs_send_time=_abs_send_time(_ntp_now()))
            await self._sender.transport._send_rtp(data)


def _ntp_now() -> int:
    """Q32.32."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return (seconds + _NTP_EPOCH_S << 32) + (nanoseconds << 32) // 1_000_000_000


def _abs_send_time(ntp: int) -> int:
    """Q6.18."""
    return ntp >> 14 & 0xFFFFFF


def _captured_ntp(frame: EncodedFrame, ntp: int) -> int:
    """The instant of capture in the NTP clock; of a picture that was only encoded again, now."""
    age_us = 0 if frame.stamps is None else now_us() - frame.stamps.captured_us & 0xFFFFFFFF
    return ntp - (age_us << 32) // 1_000_000


def prefer_h264(transceiver: RTCRtpTransceiver) -> None:
    """Accept H.264, Constrained Baseline first, since that is what x264 makes, and VP8 where there is none."""
    codecs: list[RTCRtpCodecCapability] = RTCRtpSender.getCapabilities("video").codecs

    def rank(codec: RTCRtpCodecCapability) -> int:
        return 0 if codec.parameters.get("profile-level-id") == "42e01f" else 1

    h264 = sorted((c for c in codecs if c.mimeType == Codec.H264.value), key=rank)
    transceiver.setCodecPreferences(h264 + [c for c in codecs if c.mimeType in (Codec.VP8.value, "video/rtx")])


def settle_codec(transceiver: RTCRtpTransceiver) -> Codec:
    """Of what the offer has, keep the one codec that the stream will have. Between offer and answer."""
    codecs: list[RTCRtpCodecParameters] = transceiver._codecs
    codec = Codec(codecs[0].mimeType)
    types = {c.payloadType for c in codecs if c.mimeType == codec.value}
    kept = [c for c in codecs if c.payloadType in types or c.parameters.get("apt") in types]
    _replace(transceiver, "_codecs", kept)
    return codec


def negotiate_extensions(transceiver: RTCRtpTransceiver, offer: sdp.SessionDescription) -> set[str]:
    """Accept header extensions and transport-wide feedback where the offer has them; the accepted URIs.

    After setRemoteDescription, before the answer is made.
    """
    media = next((media for media in offer.media if media.rtp.muxId == transceiver.mid), None)
    if media is None:
        return set()
    offered = [e for e in media.rtp.headerExtensions if e.uri in _EXTENSIONS]
    _replace(transceiver, "_headerExtensions", [*transceiver._headerExtensions, *offered])
    feedback = RTCRtcpFeedback(type="transport-cc")
    telling = {codec.payloadType for codec in media.rtp.codecs if feedback in codec.rtcpFeedback}
    for codec in transceiver._codecs:
        if codec.payloadType in telling and feedback not in codec.rtcpFeedback:
            codec.rtcpFeedback.append(feedback)
    return {extension.uri for extension in offered}


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
    own = [
        *(_SENDER_ENCODER, _SENDER_EXTENSIONS, _SENDER_TRACK, _SENDER_STARTED, _SENDER_EXITED, _SENDER_MID),
        *(_SENDER_RTX_TYPE, _SENDER_NTP, _SENDER_TIMESTAMP, _SENDER_OCTETS, _SENDER_PACKETS),
        *("_ssrc", "_rtx_ssrc", "_handle_rtcp_packet", "_send_keyframe", "_run_rtp", "_retransmit"),
    ]
    return [
        (aiortc.rtcsctptransport, "SCTP_RTO_INITIAL"),
        (aiortc.rtcsctptransport, "SCTP_RTO_MIN"),
        (RtcpRtpfbPacket, "parse"),
        *((sender, name) for name in own),
        (transceiver, "_headerExtensions"),
        (transceiver, "_codecs"),
        (transceiver, "_bundled"),
        (transport, "_role"),
        (transport, "_set_role"),
        (transport, "_send_rtp"),
        (transport._rtp_router, "register_sender"),
        (transport.transport.iceGatherer, "_connection"),
    ]


def _replace(owner: Any, name: str, value: Any) -> None:
    if not hasattr(owner, name):
        raise AgentError(
            f"aiortc has no {name} any more", hint="install the aiortc version that pyproject.toml names"
        )
    setattr(owner, name, value)
