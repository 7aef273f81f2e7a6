"""The media half of the agent in one object: viewers in, desktop out.

Path of a video frame: pump.py (capture, convert, encode, packetise in the media thread) -> broadcast.py (the loop) ->
track.py -> aiortc's sender through rtp.py -> ice.py. Path of an input message: peer.py -> channels.py -> the
InputSink. The sound has a path of its own (audio/).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Protocol

from guest_agent import ice, rtp
from guest_agent.audio.capture import Capture
from guest_agent.audio.opus import SoundPacket
from guest_agent.audio.sound import Sound, SoundSource
from guest_agent.broadcast import Broadcast, Source, Stream
from guest_agent.channels import ChannelCounters
from guest_agent.cursor_share import CursorBoard
from guest_agent.errors import NotReady, OfferError
from guest_agent.h264 import EncodedFrame
from guest_agent.peer import Peer
from guest_agent.ports import ClipboardSink, InputSink, OfferResult, PeerEvent, PeerInfo, PeerState, Role
from guest_agent.protocol.messages import Taken
from guest_agent.pump import Pump, PumpCounters
from guest_agent.taken import TakenKeys

__all__ = ["GUEST_IP", "MAX_PEERS", "FrameSource", "MediaHub"]

logger = logging.getLogger(__name__)

GUEST_IP = "169.254.0.21"
MAX_PEERS = 16
CONNECT_S = 30.0
"""A viewer that is not connected by then is gone; nothing else would ever say so."""


class FrameSource(Source, Protocol):
    """The media thread, seen from the loop (pump.Pump)."""

    counters: PumpCounters

    def start(self) -> None: ...
    async def close(self) -> None: ...


SourceFactory = Callable[[str, Callable[[EncodedFrame], None], Callable[[int, int], None]], FrameSource]
SoundFactory = Callable[[Callable[[SoundPacket], None]], SoundSource]


class MediaHub:
    """Made on the running loop; its media thread starts at once and waits.

    Args:
        display: ":1".
        on_peer: called on the loop when a viewer connects or is gone. Must not raise.
        input_sink: takes the viewers' input.
        clipboard: takes their clipboards; None has none.
        address: where the media's UDP socket binds.
        connect_s: how long a viewer may take from its offer to being connected.
        source: makes the frames' source; the media thread unless a test says otherwise.
        sound: makes the sound's source, likewise.
        cursors: what viewers are told of the pointer; nothing unless given. The hub closes it.
    """

    def __init__(
        self,
        display: str,
        on_peer: Callable[[PeerEvent], None],
        input_sink: InputSink,
        *,
        clipboard: ClipboardSink | None = None,
        address: str = GUEST_IP,
        max_peers: int = MAX_PEERS,
        connect_s: float = CONNECT_S,
        source: SourceFactory = Pump,
        sound: SoundFactory = Capture,
        cursors: CursorBoard | None = None,
    ) -> None:
        ice.install()
        rtp.install()
        self._on_peer = on_peer
        self._sink = input_sink
        self._clipboard = clipboard
        self._address = address
        self._max_peers = max_peers
        self._connect_s = connect_s
        self._loop = asyncio.get_running_loop()
        self._peers: dict[str, Peer] = {}
        self._streams: dict[str, Stream] = {}
        """Of the peers that may control."""
        self._controller: str | None = None
        """Whose input counts; the gateway may name a peer before its offer comes."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[Peer, asyncio.TimerHandle] = {}
        self._taken = TakenKeys(self._loop.call_later, self._tell_taken)
        self._channel_counters = ChannelCounters()
        self._cursors = cursors or CursorBoard(self._loop.call_later)
        self._offers = self._refused = 0
        self._closed = False
        self.size_px = (0, 0)
        """The display's width and height; zero until the X server has answered."""
        self._source = source(display, self._deliver, self._resized)
        self._broadcast = Broadcast(self._source, self._loop.time)
        self._sound = Sound(sound)
        self._source.start()

    async def offer(self, peer: str, sdp: str, role: str) -> OfferResult:
        """Answer a viewer. A peer of the same name is replaced.

        Raises OfferError (bad description, bad role, too many viewers) or NotReady (no address, closing).
        """
        if self._closed:
            raise NotReady("the agent is stopping")
        try:
            wanted = Role(role)
        except ValueError as exc:
            raise OfferError(f"no role {role!r}", hint="control or view") from exc
        await self._drop(self._peers.get(peer), "replaced")
        if len(self._peers) >= self._max_peers:
            self._refused += 1
            raise OfferError(f"{len(self._peers)} viewers already", hint="close one of them")
        self._offers += 1
        viewer = self._make(peer, wanted)
        self._peers[peer] = viewer
        try:
            result = await viewer.answer(sdp, self._address)
        except BaseException:
            self._refused += 1
            self._forget(viewer)
            raise
        self._timers[viewer] = self._loop.call_later(self._connect_s, self._give_up, viewer)
        return result

    async def bye(self, peer: str) -> None:
        """Close a viewer. Idempotent."""
        await self._drop(self._peers.get(peer), "bye")

    def control(self, peer: str | None, viewer: str | None = None) -> None:
        """Let only this peer's input count, make the picture for it, and let every viewer know; what the former one
        held goes up. ``viewer`` is whose peer it is."""
        former, self._controller = self._controller, peer
        self._taken.follow(viewer)
        if former is not None and former != peer:
            self._sink.release(former)
        self._lead()
        if self._clipboard is not None:
            self._clipboard.control(peer)
        for each in self._peers.values():
            each.control_changed()

    def peers(self) -> list[PeerInfo]:
        """Viewers that have an answer, connected or not yet."""
        return [
            PeerInfo(p.ident, r.ufrag, r.pwd, r.port) for p in self._peers.values() if (r := p.result) is not None
        ]

    def counters(self) -> Mapping[str, int]:
        """Since start; ``viewers``, rates, paths and the ``_us`` of the last frame are momentary."""
        stream = self._broadcast
        return {
            "viewers": sum(p.connected for p in self._peers.values()),
            "offers": self._offers,
            "offers_refused": self._refused,
            "frames": stream.frames,
            "keyframes": stream.keyframes,
            "frame_bytes": stream.bytes,
            "frames_dropped": stream.dropped,
            "key_requests": stream.key_requests,
            "still_requests": stream.still_requests,
            **stream.counters(),
            **asdict(self._channel_counters),
            **self._sound.counters(),
            **asdict(self._source.counters),
        }

    async def close(self) -> None:
        """Close every viewer and the media thread. Idempotent."""
        self._closed = True
        for viewer in tuple(self._peers.values()):
            await self._drop(viewer, "agent stopping")
        while self._tasks:
            await asyncio.gather(*self._tasks)
        await self._sound.close()
        self._cursors.close()
        self._taken.close()
        await self._source.close()

    def _make(self, ident: str, role: Role) -> Peer:
        stream = self._broadcast.stream()
        if role is Role.CONTROL:
            self._streams[ident] = stream
            self._lead()
        return Peer(
            ident,
            role,
            stream.track,
            stream.path,
            self._sound.track(),
            self._sink,
            on_state=self._state_changed,
            on_key=lambda: self._broadcast.want_key(stream),
            want_crisp=lambda on: self._broadcast.want_crisp(stream, on),
            size_px=lambda: self.size_px,
            counters=self._channel_counters,
            clipboard=self._clipboard,
            controls=lambda: self._controller == ident,
            taken=self._taken,
            cursors=self._cursors,
        )

    def _tell_taken(self, message: Taken) -> None:
        if self._controller is not None and (peer := self._peers.get(self._controller)) is not None:
            peer.tell(message)

    def _lead(self) -> None:
        self._broadcast.lead(None if self._controller is None else self._streams.get(self._controller))

    def _deliver(self, frame: EncodedFrame) -> None:
        if not self._closed:
            self._broadcast.deliver(frame)

    def _resized(self, width_px: int, height_px: int) -> None:
        if (width_px, height_px) == self.size_px:
            return
        logger.info("= display %dx%d", width_px, height_px)
        self.size_px = (width_px, height_px)
        for viewer in self._peers.values():
            viewer.display_resized()

    def _state_changed(self, viewer: Peer, state: PeerState, reason: str) -> None:
        if self._peers.get(viewer.ident) is not viewer:
            return
        if state is PeerState.CONNECTED:
            self._cancel_timer(viewer)
            logger.info("= peer %s connected", viewer.ident)
            self._on_peer(PeerEvent(viewer.ident, state))
        else:
            self._spawn_drop(viewer, reason)

    def _give_up(self, viewer: Peer) -> None:
        if not viewer.connected:
            self._spawn_drop(viewer, "never connected")

    def _spawn_drop(self, viewer: Peer, reason: str) -> None:
        task = self._loop.create_task(self._drop(viewer, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drop(self, viewer: Peer | None, reason: str) -> None:
        """Forget a viewer first, so that its late callbacks find nobody, then close it."""
        if viewer is None or self._peers.get(viewer.ident) is not viewer:
            return
        self._forget(viewer)
        self._sink.peer_gone(viewer.ident)
        logger.info("= peer %s closed: %s", viewer.ident, reason)
        self._on_peer(PeerEvent(viewer.ident, PeerState.CLOSED, reason))
        await viewer.close()

    def _forget(self, viewer: Peer) -> None:
        if self._peers.get(viewer.ident) is viewer:
            del self._peers[viewer.ident]
            self._streams.pop(viewer.ident, None)
        self._cancel_timer(viewer)

    def _cancel_timer(self, viewer: Peer) -> None:
        timer = self._timers.pop(viewer, None)
        if timer is not None:
            timer.cancel()
