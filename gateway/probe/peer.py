"""A viewer without a browser: aiortc decodes the picture, so that a host without Chromium can be probed.

It has no page: its stages end with the decoded frame in this process, and its decoder is FFmpeg's.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import aiortc
import av
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs.h264 import h264_depayload
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket, unwrap_rtx

from gateway.probe.api import Place, ProbeError, Session
from gateway.probe.assemble import Assembler
from gateway.probe.clocks import Clock, Ping
from gateway.probe.samples import Motion, Press, split_frame
from guest_agent.protocol import codec
from guest_agent.protocol.messages import (
    VERSION,
    Button,
    Channel,
    Direction,
    FrameTimes,
    Hello,
    Instant,
    Key,
    Message,
    Move,
    WantTimes,
)

__all__ = ["PeerWay"]

CONNECT_S = 60.0
PRESS_S = 2.0
FRAME_TIMES_S = 1.0
PINGS = 10
KEPT = 256
"""Frames whose times are remembered."""
KEYSYM_A = 0x61
RTP_HEADER_BYTES = 12
RTX_HEADER_BYTES = 2
"""RFC 4588 section 4."""


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


class PeerWay:
    """Args:
    kind: what is pressed.
    """

    name = "peer"

    def __init__(self, kind: Literal["click", "key"]) -> None:
        self._kind = kind

    def facts(self) -> dict[str, str]:
        return {"Peer": f"aiortc {aiortc.__version__}"}

    @asynccontextmanager
    async def connect(self, session: Session) -> AsyncIterator[_PeerConnection]:
        """Raises ProbeError when no picture comes."""
        connection = _PeerConnection(session, self._kind)
        try:
            await connection.open()
            yield connection
        finally:
            await connection.close()


class _Viewer:
    """One RTCPeerConnection: bytes of the control channel and decoded frames go to callbacks."""

    def __init__(self, hear: Callable[[bytes, float], None], see: Callable[[Any, int, float], None]) -> None:
        configuration = RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self.connection = RTCPeerConnection(configuration)
        self.receiver = self.connection.addTransceiver("video", direction="recvonly").receiver
        self.channels = {
            "input": self.connection.createDataChannel("input"),
            "pointer": self.connection.createDataChannel("pointer", ordered=False, maxRetransmits=0),
            "control": self.connection.createDataChannel("control"),
        }
        self.ready = asyncio.Event()
        self.resource = ""
        self.bytes = 0
        self._media: tuple[int, int] | None = None
        """SSRC and payload type; packets of another SSRC are retransmissions."""
        self._assembler = Assembler()
        self._decoder = _decoder()
        self._see = see
        self._draining: asyncio.Task[None] | None = None
        self.channels["control"].on("message", lambda data: hear(data, now_ms()) if isinstance(data, bytes) else None)
        self.channels["control"].on("open", self.ready.set)
        self.connection.on("track", self._track)
        self._tap()

    async def offer(self, session: Session) -> None:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        path = f"/v1/sessions/{session.sid}/whep"
        answer, self.resource = await session.api.offer(path, self.connection.localDescription.sdp)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        await self.connection.close()
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.gather(self._draining, return_exceptions=True)

    def _tap(self) -> None:
        # A private name of aiortc's (pinned exactly): packets are nowhere else to be had.
        stock = self.receiver._handle_rtp_packet

        async def handle(packet: RtpPacket, arrival_time_ms: int) -> None:
            at_ms = now_ms()
            self.bytes += len(packet.payload) + RTP_HEADER_BYTES
            gave_up = self._assembler.gave_up
            self._assemble(packet, at_ms)
            if self._assembler.gave_up > gave_up:
                await self.receiver._send_rtcp_pli(packet.ssrc)
            # For its reports, its retransmissions and its estimate.
            await stock(packet, arrival_time_ms)

        setattr(self.receiver, "_handle_rtp_packet", handle)  # noqa: B010

    def _assemble(self, packet: RtpPacket, at_ms: float) -> None:
        if self._media is None:
            self._media = (packet.ssrc, packet.payload_type)
        ssrc, payload_type = self._media
        if packet.ssrc != ssrc:
            if len(packet.payload) < RTX_HEADER_BYTES:
                return
            packet = unwrap_rtx(packet, payload_type, ssrc)
        try:
            data = h264_depayload(packet.payload) if packet.payload else b""
        except ValueError:
            return
        for unit in self._assembler.add(packet.sequence_number, packet.timestamp, bool(packet.marker), data):
            for frame in self._decoder.decode(av.Packet(unit.data)):
                self._see(frame, unit.timestamp, at_ms)

    def _track(self, track: Any) -> None:
        self._draining = asyncio.get_running_loop().create_task(_drain(track), name="drain")


async def _drain(track: Any) -> None:
    """aiortc decodes too, and keeps what nobody takes."""
    with suppress(MediaStreamError):
        while True:
            await track.recv()


def _decoder() -> Any:
    decoder = av.CodecContext.create("h264", "r")
    # A frame for a packet, without waiting for more.
    decoder.thread_count = 1
    decoder.flags |= av.codec.context.Flags.low_delay
    return decoder


class _PeerConnection:
    def __init__(self, session: Session, kind: str) -> None:
        self.first_frame_ms = 0.0
        self._session = session
        self._kind = kind
        self._clock = Clock()
        self._times: OrderedDict[int, FrameTimes] = OrderedDict()
        self._pinged: dict[int, float] = {}
        self._seq = 0
        self._changed = asyncio.Condition()
        self._patch: int | None = None
        self._strip: int | None = None
        self._patch_frame = (0, 0.0, 0.0)
        """RTP timestamp of the frame that changed the patch, when it was there, and when it was decoded."""
        self._strip_changes = self._frames = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._viewer = _Viewer(self._hear, self._see)

    async def open(self) -> None:
        began = now_ms()
        await self._connect("no picture came")
        self.first_frame_ms = now_ms() - began
        self._say(Move(self._next(), *self._at()))
        for _ in range(PINGS):
            await self._ping()

    async def close(self) -> None:
        await self._viewer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def press(self) -> Press | None:
        await self._ping()
        was, pressed = self._patch, now_ms()
        self._press(down=True)
        try:
            await self._until(lambda: self._patch != was, PRESS_S)
        except TimeoutError:
            return None
        finally:
            self._press(down=False)
        rtp, arrived, seen = self._patch_frame
        with suppress(TimeoutError):
            await self._until(lambda: rtp in self._times, FRAME_TIMES_S)
        if rtp not in self._times:
            return Press(seen - pressed)
        times = self._times.pop(rtp)
        spans = split_frame(
            times, self._clock, pressed_ms=pressed, received_ms=arrived, decoded_ms=seen, seen_ms=seen
        )
        spans.pop("paint", None)
        return Press(seen - pressed, spans)

    async def watch(self, seconds: float) -> Motion:
        before, began = await self._counted(), now_ms()
        changes = self._strip_changes
        await asyncio.sleep(seconds)
        elapsed_s, after = (now_ms() - began) / 1000, await self._counted()
        spent = [now - then for now, then in zip(after, before, strict=True)]
        return Motion(elapsed_s, self._strip_changes - changes, *spent)

    async def reconnect(self) -> tuple[float, float]:
        # How soon a viewer notices is its own affair, and a page's; this one knows at once.
        began = now_ms()
        await self._session.api.call("DELETE", self._viewer.resource)
        await self._viewer.close()
        self._viewer = _Viewer(self._hear, self._see)
        await self._connect("no picture came again")
        took = now_ms() - began
        return took, took

    async def _connect(self, trouble: str) -> None:
        frames = self._frames
        await self._viewer.offer(self._session)
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._viewer.ready.wait()
            self._say(Hello(VERSION))
            await self._until(lambda: self._frames > frames, CONNECT_S)
        except TimeoutError:
            raise ProbeError(
                f"{trouble} within {CONNECT_S:g} s",
                hint="this host needs an address besides loopback, and a free way to the gateway's media port",
            ) from None

    async def _counted(self) -> list[int]:
        """Bytes, packets and lost packets of the video so far."""
        stats = await self._viewer.receiver.getStats()
        inbound = next((one for one in stats.values() if one.type == "inbound-rtp"), None)
        packets, lost = (inbound.packetsReceived, inbound.packetsLost) if inbound is not None else (0, 0)
        return [self._viewer.bytes, packets, max(0, lost)]

    def _hear(self, data: bytes, at_ms: float) -> None:
        try:
            message = codec.decode(data, Channel.CONTROL, Direction.TO_VIEWER)
        except codec.Malformed:
            return
        match message:
            case FrameTimes():
                self._times[message.rtp] = message
                while len(self._times) > KEPT:
                    self._times.popitem(last=False)
            case Instant(stamp, at) if stamp in self._pinged:
                self._clock.add(Ping(self._pinged.pop(stamp), at_ms, at))
        self._wake()

    def _see(self, frame: Any, rtp: int, arrived_ms: float) -> None:
        self._frames += 1
        patch, strip = _grey(frame, self._session.patch), _grey(frame, self._session.strip)
        if patch != self._patch:
            self._patch, self._patch_frame = patch, (rtp, arrived_ms, now_ms())
        self._strip_changes += strip != self._strip
        self._strip = strip
        self._wake()

    def _wake(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until(self, so: Callable[[], bool], within_s: float) -> None:
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(so)

    async def _ping(self) -> None:
        stamp = self._next()
        self._pinged[stamp] = now_ms()
        self._say(WantTimes(True, stamp))
        with suppress(TimeoutError):
            await self._until(lambda: stamp not in self._pinged, FRAME_TIMES_S)

    def _press(self, *, down: bool) -> None:
        if self._kind == "click":
            self._say(Button(self._next(), 1, down, *self._at()))
        else:
            self._say(Key(self._next(), KEYSYM_A, down))

    def _at(self) -> tuple[int, int]:
        return int(self._session.patch.x * 65536), int(self._session.patch.y * 65536)

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _say(self, message: Message) -> None:
        self._viewer.channels[message.channel.value].send(codec.encode(message))


def _grey(frame: Any, place: Place) -> int:
    """Which of the marker's four, by the luma plane, which is limited range (BT.601, BT.709: 16 to 235)."""
    plane = frame.planes[0]
    x, y = int(place.x * frame.width), int(place.y * frame.height)
    luma: int = memoryview(plane)[y * plane.line_size + x]
    return round((luma - 16) / 73)
