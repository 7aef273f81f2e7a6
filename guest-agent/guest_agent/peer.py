"""One viewer: the only module that registers callbacks on aiortc's objects.

A callback that raises closes the viewer's DTLS transport, so each is wrapped in :func:`_total`. What they report
leaves here as typed calls.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
    sdp,
)
from aiortc.rtcdatachannel import RTCDataChannel

from guest_agent import ice, rtp
from guest_agent.audio.track import SoundTrack
from guest_agent.channels import ChannelCounters, Inbox
from guest_agent.cursor_share import CursorBoard
from guest_agent.errors import AgentError, OfferError
from guest_agent.h264 import EncodedFrame
from guest_agent.path import Path
from guest_agent.ports import ClipboardSink, InputSink, OfferResult, PeerState, Role
from guest_agent.protocol.messages import Channel, Message
from guest_agent.taken import TakenKeys
from guest_agent.track import ScreenTrack

__all__ = ["MAX_SDP_BYTES", "Peer"]

logger = logging.getLogger(__name__)

MAX_SDP_BYTES = 64 * 1024
"""A browser's offer has 5 to 8 KiB."""
_MAX_BUFFERED_BYTES = 64 * 1024
"""Unread answers beyond this are dropped: a viewer that pings and never reads costs no memory."""
_CHANNELS = {channel.value: channel for channel in Channel}


def _total(callback: Callable[..., None]) -> Callable[..., None]:
    """A callback that cannot raise."""

    def run(*args: Any) -> None:
        try:
            callback(*args)
        except Exception:
            logger.exception("! callback %r", callback)

    return run


class Peer:
    """Args:
    ident: the gateway's name for it.
    track, path: its end of the shared stream, and what is known of the way there.
    sound: its end of the desktop's sound, used when its offer has a section for it.
    on_state: CONNECTED once; CLOSED, with a reason, when the connection is lost. Not called for ``close``.
    on_key: it needs a keyframe.
    want_crisp: it asks for full chroma, or no longer does.
    size_px: the display's present width and height.
    clipboard: takes its clipboard; None where there is none.
    controls: whether its input counts now.
    taken: how far the keys of whoever controls have come.
    cursors: what the pointer looks like and where it is.
    """

    def __init__(
        self,
        ident: str,
        role: Role,
        track: ScreenTrack,
        path: Path,
        sound: SoundTrack,
        sink: InputSink,
        *,
        on_state: Callable[[Peer, PeerState, str], None],
        on_key: Callable[[], None],
        want_crisp: Callable[[bool], None],
        size_px: Callable[[], tuple[int, int]],
        counters: ChannelCounters,
        controls: Callable[[], bool],
        taken: TakenKeys,
        cursors: CursorBoard,
        clipboard: ClipboardSink | None = None,
    ) -> None:
        self.ident = ident
        self.role = role
        self.track = track
        self.sound = sound
        self.connected = False
        self._crisp = False
        """The last frame had full chroma."""
        self.result: OfferResult | None = None
        self._counters = counters
        self._clipboard = clipboard
        self._on_state = on_state
        self._channels: dict[Channel, RTCDataChannel] = {}
        self._cursor = cursors.feed(lambda message: self._inbox.tell(message), follows=True)
        self._inbox = Inbox(
            ident,
            role,
            sink,
            self._send,
            size_px,
            counters,
            controls,
            taken,
            listen=self._listen,
            want_crisp=want_crisp,
            greeted=self._greeted,
        )
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._transceiver = self._connection.addTransceiver(track, direction="sendonly")
        self._sound_sender: RTCRtpTransceiver | None = None
        rtp.join_bundle(self._transceiver)
        rtp.prefer_h264(self._transceiver)
        rtp.adapt_sender(self._transceiver.sender, path, on_keyframe=_total(on_key))
        track.on_sent = _total(self._frame_sent)
        self._connection.on("connectionstatechange", _total(self._state_changed))
        self._connection.on("datachannel", _total(self._channel_opened))

    async def answer(self, offer: str, address: str) -> OfferResult:
        """Answer a viewer's offer with one host candidate on ``address``.

        Raises OfferError (its fault) or NotReady (no such address); the peer is closed then.
        """
        try:
            self.result = await self._negotiate(offer, address)
        except AgentError:
            await self.close()
            raise
        except Exception as exc:
            # What a bad description makes aiortc raise has no common base (ValueError, KeyError, assertions).
            await self.close()
            raise OfferError(
                f"the offer cannot be answered: {type(exc).__name__}",
                hint="the browser must offer to receive H.264 or VP8 video over WebRTC",
            ) from exc
        except BaseException:
            await self.close()
            raise
        return self.result

    async def _negotiate(self, offer: str, address: str) -> OfferResult:
        if len(offer) > MAX_SDP_BYTES:
            raise OfferError(f"offer of {len(offer)} characters, at most {MAX_SDP_BYTES}")
        description = sdp.SessionDescription.parse(offer)
        if sum(media.kind == "video" for media in description.media) != 1:
            raise OfferError("the offer must have exactly one video section")
        if not all(media.dtls and media.dtls.fingerprints for media in description.media):
            raise OfferError("the offer has no DTLS fingerprint")
        connection = rtp.ice_connection(self._transceiver)
        identity = ice.give_identity(connection)
        port = await ice.gather_on(connection, address)
        if rtp.asks_for_sound(description):
            self._sound_sender = self._connection.addTransceiver(self.sound, direction="sendonly")
            rtp.adapt_sound(self._sound_sender)
        await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for other in self._connection.getTransceivers():
            if other not in (self._transceiver, self._sound_sender):
                other.direction = "inactive"
        if self._sound_sender is not None:
            rtp.describe_opus(self._sound_sender)
        self.track.settle(rtp.settle_codecs(self._transceiver, description))
        rtp.negotiate_extensions(self._transceiver, description)
        rtp.answer_as_dtls_server(self._transceiver)
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        if self._transceiver.currentDirection != "sendonly":
            raise OfferError("the offer does not receive video", hint="its video section must be recvonly")
        return OfferResult(self._connection.localDescription.sdp, identity.ufrag, identity.pwd, port)

    def display_resized(self) -> None:
        """Tell the viewer the display's new size, if it listens yet."""
        if Channel.CONTROL in self._channels:
            self._inbox.display_resized()

    def tell(self, message: Message) -> None:
        """Send the viewer a message on ``control``, if it listens."""
        self._inbox.tell(message)

    def control_changed(self) -> None:
        """Tell the viewer whether it controls, if it listens yet. Who controls sees no pointer but its own."""
        self._cursor.follows = not self._inbox.controls
        if Channel.CONTROL in self._channels:
            self._inbox.control_changed()

    async def close(self) -> None:
        """End the connection. Idempotent."""
        self._cursor.close()
        self.track.stop()
        self.sound.stop()
        self._channel_closed(Channel.CLIPBOARD)
        await self._connection.close()

    def _greeted(self) -> None:
        self._cursor.follows = not self._inbox.controls
        self._cursor.start()

    def _frame_sent(self, frame: EncodedFrame) -> None:
        if frame.codec.full_chroma is not self._crisp:
            self._crisp = frame.codec.full_chroma
            self._inbox.crisp_changed(self._crisp)
        if frame.stamps is not None:
            self._inbox.frame_sent(rtp.sent_timestamp(self._transceiver.sender), frame.stamps)

    def _listen(self, on: bool) -> None:
        if self._sound_sender is not None:
            self.sound.listen(on)

    def _send(self, data: bytes) -> bool:
        channel = self._channels.get(Channel.CONTROL)
        if channel is None or channel.readyState != "open" or channel.bufferedAmount > _MAX_BUFFERED_BYTES:
            return False
        channel.send(data)
        return True

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        if state == "connected" and not self.connected:
            self.connected = True
            self._on_state(self, PeerState.CONNECTED, "")
        elif state == "failed":
            self._on_state(self, PeerState.CLOSED, "connection lost" if self.connected else "connection failed")
        elif state == "closed":
            self._on_state(self, PeerState.CLOSED, "viewer left")

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        kind = _CHANNELS.get(channel.label)
        if kind is None or kind in self._channels or (kind is Channel.CLIPBOARD and self._clipboard is None):
            self._counters.unknown_channels += 1
            channel.close()
            return
        self._channels[kind] = channel
        if kind is Channel.CLIPBOARD:
            self._carry_clipboard(channel)
            return
        channel.on("message", _total(functools.partial(self._inbox.receive, kind)))
        channel.on("close", _total(functools.partial(self._channel_closed, kind)))

    def _carry_clipboard(self, channel: RTCDataChannel) -> None:
        assert self._clipboard is not None
        self._clipboard.opened(self.ident, self.role, channel)
        channel.on("message", _total(functools.partial(self._clipboard.receive, self.ident)))
        channel.on("bufferedamountlow", _total(functools.partial(self._clipboard.writable, self.ident)))
        channel.on("close", _total(functools.partial(self._channel_closed, Channel.CLIPBOARD)))

    def _channel_closed(self, kind: Channel) -> None:
        channel = self._channels.pop(kind, None)
        if kind is Channel.CLIPBOARD and channel is not None and self._clipboard is not None:
            self._clipboard.closed(self.ident, channel)
