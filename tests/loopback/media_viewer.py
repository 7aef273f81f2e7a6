"""Both ends of a WebRTC session in one process: a real aiortc viewer, and a frame source without an X server.

The source encodes real pictures with the real encoder, so what a viewer decodes can be compared with what was
"on screen": the whole picture has one brightness, which is the frame's number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, rtp, sdp
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcdatachannel import RTCDataChannel

from guest_agent import ice
from guest_agent import rtp as agent_rtp
from guest_agent.convert import Picture
from guest_agent.encode import Encoder
from guest_agent.h264 import EncodedFrame, packetize
from guest_agent.media import MediaHub
from guest_agent.ports import OfferResult, PeerEvent, PeerState
from guest_agent.protocol import codec
from guest_agent.protocol.messages import Channel, Direction, Message
from guest_agent.pump import PumpCounters

__all__ = ["LOOPBACK", "Agent", "Recorder", "ScriptedSource", "Viewer", "without_candidates"]

LOOPBACK = "127.0.0.1"
SIZE_PX = (320, 192)


class ScriptedSource:
    """A FrameSource that makes a frame exactly when a test calls ``show``."""

    def __init__(
        self, display: str, deliver: Callable[[EncodedFrame], None], on_size: Callable[[int, int], None]
    ) -> None:
        self.deliver = deliver
        self.on_size = on_size
        self.counters = PumpCounters()
        self.picture = Picture(*SIZE_PX)
        self.encoder = Encoder(*SIZE_PX, max_bps=20_000_000, threads=1)
        self.pts = 0
        self.watched = False
        self.key_wanted = asyncio.Event()
        self.watched_changed = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        self.rates: list[int] = []
        self.closed = False

    def start(self) -> None:
        self.on_size(*SIZE_PX)

    async def close(self) -> None:
        self.closed = True

    def watch(self, on: bool) -> None:
        self.watched = on
        self.watched_changed.set()
        if on:
            self.key_wanted.set()

    def want_key(self) -> None:
        self.key_wanted.set()

    def taken(self) -> None:
        self.idle.set()

    def set_rate(self, max_bps: int) -> None:
        self.rates.append(max_bps)

    async def show(self, brightness: int, *, noise: bool = False) -> EncodedFrame:
        """Encode and deliver one picture, once the last one was taken. A keyframe when one was asked for."""
        await asyncio.wait_for(self.idle.wait(), 10)
        self.idle.clear()
        luma = self.picture.array[: SIZE_PX[1]]
        luma[:] = np.random.default_rng(brightness).integers(0, 255, luma.shape, np.uint8) if noise else brightness
        key = self.key_wanted.is_set()
        self.key_wanted.clear()
        self.pts += 3000
        unit, is_key = self.encoder.encode(self.picture.array, self.pts, key=key)
        frame = EncodedFrame(packetize(unit), self.pts, is_key, len(unit))
        self.deliver(frame)
        return frame


class Recorder:
    """An InputSink that remembers, and says so."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Message]] = []
        self.gone: list[str] = []
        self.arrived = asyncio.Condition()
        self.raising = False
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, peer: str, message: Message) -> None:
        if self.raising:
            raise RuntimeError("the input half is broken")
        self.messages.append((peer, message))
        self._notify()

    def peer_gone(self, peer: str) -> None:
        self.gone.append(peer)
        self._notify()

    def _notify(self) -> None:
        async def wake() -> None:
            async with self.arrived:
                self.arrived.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def count(self, messages: int) -> None:
        """Wait until so many messages came."""
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: len(self.messages) >= messages)


class Agent:
    """A MediaHub on loopback with a scripted source and a recording sink."""

    def __init__(self, **options: Any) -> None:
        self.sink = Recorder()
        self.events: list[PeerEvent] = []
        self.event = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.sources: list[ScriptedSource] = []

        def make(*args: Any) -> ScriptedSource:
            self.sources.append(ScriptedSource(*args))
            return self.sources[-1]

        self.hub = MediaHub(":none", self._on_peer, self.sink, address=LOOPBACK, source=make, **options)
        self.source = self.sources[0]

    def _on_peer(self, event: PeerEvent) -> None:
        self.events.append(event)

        async def wake() -> None:
            async with self.event:
                self.event.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, peer: str, state: PeerState) -> PeerEvent:
        def found() -> list[PeerEvent]:
            return [e for e in self.events if e.peer == peer and e.state is state]

        async with asyncio.timeout(20), self.event:
            await self.event.wait_for(lambda: bool(found()))
        return found()[0]

    async def __aenter__(self) -> Agent:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.hub.close()


class Viewer:
    """What a browser does, with stock aiortc: offers to receive video, opens three data channels.

    With ``sound`` it offers to receive audio too.
    """

    def __init__(
        self,
        *,
        playout_delay: bool = True,
        channels: Iterable[str] = ("input", "pointer", "control"),
        sound: bool = False,
    ) -> None:
        configuration = RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self.connection = RTCPeerConnection(configuration)
        self.transceiver = self.connection.addTransceiver("video", direction="recvonly")
        if sound:
            self.connection.addTransceiver("audio", direction="recvonly")
        self.playout_delay = playout_delay
        self.channels: dict[str, RTCDataChannel] = {}
        self.inbox: asyncio.Queue[bytes | str] = asyncio.Queue(maxsize=1000)
        self.opened: dict[str, asyncio.Event] = {}
        self.closed_channels: asyncio.Queue[str] = asyncio.Queue(maxsize=100)
        self.track: MediaStreamTrack | None = None
        self.sound: MediaStreamTrack | None = None
        self.connected = asyncio.Event()
        self.lost = asyncio.Event()
        self.packets: list[bytes] = []
        for label in channels:
            unreliable: dict[str, Any] = {"ordered": False, "maxRetransmits": 0} if label == "pointer" else {}
            self._open(label, unreliable)
        self.connection.on("track", self._got_track)
        self.connection.on("connectionstatechange", self._state)

    def _open(self, label: str, options: dict[str, Any]) -> None:
        channel = self.connection.createDataChannel(label, **options)
        self.channels[label] = channel
        event = self.opened[label] = asyncio.Event()
        channel.on("open", event.set)
        channel.on("message", self.inbox.put_nowait)
        channel.on("close", lambda: self.closed_channels.put_nowait(label))

    def _got_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self.track = track
        else:
            self.sound = track

    def _state(self) -> None:
        if self.connection.connectionState == "connected":
            self.connected.set()
        elif self.connection.connectionState in ("closed", "failed"):
            self.lost.set()

    async def offer(self) -> str:
        """The offer as the gateway passes it on: without candidates."""
        await ice.gather_on(agent_rtp.ice_connection(self.transceiver), LOOPBACK)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        text = without_candidates(self.connection.localDescription.sdp)
        if self.playout_delay:
            marker = "a=extmap:3 "
            text = text.replace(marker, f"a=extmap:9 {agent_rtp.PLAYOUT_DELAY_URI}\r\n{marker}")
        return text

    async def accept(self, answer: str) -> None:
        self._record()
        self.description = sdp.SessionDescription.parse(answer)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def join(self, agent: Agent, peer: str = "p1", role: str = "control") -> OfferResult:
        """Offer, answer, and wait until media and channels are up."""
        result = await agent.hub.offer(peer, await self.offer(), role)
        await self.accept(result.sdp)
        async with asyncio.timeout(20):
            await self.connected.wait()
            for event in self.opened.values():
                await event.wait()
        return result

    def _record(self) -> None:
        """Keep every RTP packet as it is after decryption."""
        transport = self.transceiver.receiver.transport
        stock = transport._handle_rtp_data

        async def tap(data: bytes, arrival_time_ms: int) -> None:
            self.packets.append(data)
            await stock(data, arrival_time_ms=arrival_time_ms)

        transport._handle_rtp_data = tap  # type: ignore[method-assign]

    def send(self, channel: Channel, message: Message) -> None:
        self.channels[channel.value].send(codec.encode(message))

    async def receive(self) -> Message:
        data = await asyncio.wait_for(self.inbox.get(), 10)
        assert isinstance(data, bytes)
        return codec.decode(data, Channel.CONTROL, Direction.TO_VIEWER)

    async def brightness(self) -> int:
        """Decode the next frame; its mean luma, as ScriptedSource.show set it."""
        assert self.track is not None
        frame: Any = await asyncio.wait_for(self.track.recv(), 20)
        return round(float(frame.to_ndarray(format="yuv420p")[: frame.height].mean()))

    async def ask_keyframe(self) -> None:
        """A PLI for the video stream (RFC 4585 6.3.1)."""
        receiver = self.transceiver.receiver
        await receiver._send_rtcp_pli(rtp.RtpPacket.parse(self.packets[-1]).ssrc)

    async def close(self) -> None:
        await self.connection.close()

    async def __aenter__(self) -> Viewer:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def without_candidates(sdp: str) -> str:
    dropped = ("a=candidate:", "a=end-of-candidates")
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith(dropped))
