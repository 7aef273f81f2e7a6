"""aiortc's video sender, made to pass on finished frames at the pace of a viewer's path.

The other half of what is touched of aiortc's private names; rtp.py has the rest and lists both.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack_from
from typing import Any

from aiortc import RTCRtpSender
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpParameters
from aiortc.rtcrtpsender import random_sequence_number
from aiortc.rtp import AnyRtcpPacket, HeaderExtensionsMap, RtcpRrPacket, RtcpRtpfbPacket, RtcpSrPacket
from aiortc.utils import random32

from guest_agent.errors import AgentError
from guest_agent.h264 import EncodedFrame
from guest_agent.path import LONGEST_WAIT_S, Path
from guest_agent.rtpstream import RtpStream
from guest_agent.times import now_us
from guest_agent.twcc import TRANSPORT_CC_FMT, TRANSPORT_CC_URI
from guest_agent.videocodec import Codec

__all__ = ["SENDER_ENCODER", "adapt_sender", "install_feedback", "replace_name", "sent_timestamp", "touched_names"]

logger = logging.getLogger(__name__)

_YIELD_PACKETS = 16
_OVERHEAD_BYTES = 76
"""Of a payload on the wire: RTP with extensions, SRTP tag, UDP, IP."""
_NTP_EPOCH_S = 2_208_988_800
"""1900 to 1970 (RFC 3550 4)."""

SENDER_ENCODER = "_RTCRtpSender__encoder"
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


def install_feedback() -> None:
    """Have aiortc understand transport-wide feedback. Idempotent."""
    replace_name(RtcpRtpfbPacket, "parse", classmethod(_parse_rtpfb))


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
        self._codec = Codec.H264
        """Of the last frame."""
        self._extensions = _Extensions()
        self._stock_handle = sender._handle_rtcp_packet
        replace_name(sender, "_handle_rtcp_packet", self._handle)
        replace_name(sender, "_send_keyframe", on_keyframe)
        replace_name(sender, "_run_rtp", self._run)
        replace_name(sender, "_retransmit", self._repeat)
        replace_name(sender, SENDER_ENCODER, _Estimates(path.on_estimate))
        replace_name(sender, _SENDER_EXTENSIONS, self._extensions)

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
            self._stream, self._codec = self._open(codec), track.codecs[0]
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
        if frame.codec is not self._codec:
            self._codec = frame.codec
            types = getattr(sender, _SENDER_TRACK).payload_types[frame.codec]
            stream.switch(types.media, types.repair)
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


def sent_timestamp(sender: RTCRtpSender) -> int:
    """The RTP timestamp of the last packet sent; a random origin is added to a frame's own."""
    return int(getattr(sender, _SENDER_TIMESTAMP))


def touched_names(sender: RTCRtpSender) -> list[tuple[Any, str]]:
    """(object, attribute) that this module relies on beyond the public API."""
    own = [
        *(SENDER_ENCODER, _SENDER_EXTENSIONS, _SENDER_TRACK, _SENDER_STARTED, _SENDER_EXITED, _SENDER_MID),
        *(_SENDER_RTX_TYPE, _SENDER_NTP, _SENDER_TIMESTAMP, _SENDER_OCTETS, _SENDER_PACKETS),
        *("_ssrc", "_rtx_ssrc", "_handle_rtcp_packet", "_send_keyframe", "_run_rtp", "_retransmit"),
    ]
    return [
        (RtcpRtpfbPacket, "parse"),
        *((sender, name) for name in own),
        (sender.transport, "_send_rtp"),
        (sender.transport._rtp_router, "register_sender"),
    ]


def replace_name(owner: Any, name: str, value: Any) -> None:
    """Set an attribute that must be there. Raises AgentError."""
    if not hasattr(owner, name):
        raise AgentError(
            f"aiortc has no {name} any more", hint="install the aiortc version that pyproject.toml names"
        )
    setattr(owner, name, value)
