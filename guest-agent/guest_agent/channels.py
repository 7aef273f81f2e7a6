"""A viewer's data channels: bytes in, typed messages out, and the few answers that need no desktop.

Pure but for the sending, which is a callback. What does not decode is counted and dropped; nothing else notices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guest_agent.ports import InputSink, Role
from guest_agent.protocol import codec
from guest_agent.protocol.messages import (
    VERSION,
    Audio,
    Channel,
    Control,
    Crisp,
    Direction,
    FrameTimes,
    Hello,
    Instant,
    IsCrisp,
    Key,
    Message,
    Ping,
    Pong,
    ReleaseAll,
    Size,
    Text,
    WantTimes,
    Welcome,
)
from guest_agent.taken import TakenKeys
from guest_agent.times import FrameStamps, now_us

__all__ = ["ChannelCounters", "Inbox"]


@dataclass(slots=True)
class ChannelCounters:
    """Shared by all viewers of an agent."""

    messages: int = 0
    malformed: int = 0
    """Not a message, or on the wrong channel."""
    view_dropped: int = 0
    """Input from a viewer who may only look."""
    gated: int = 0
    """Input from a viewer who may control, and does not now."""
    unknown_channels: int = 0
    unsent: int = 0
    """Answers dropped because the viewer does not read."""


class Inbox:
    """Args:
    peer, role: whose messages these are.
    sink: takes the input of the viewer who controls.
    send: puts one message on the viewer's control channel; False when it could not.
    size_px: the display's present width and height.
    listen: the viewer asked to hear the desktop, or no longer to.
    want_crisp: it asked for full chroma, or no longer does.
    controls: whether this viewer's input counts now, by the gateway's word.
    taken: how far the keys of whoever controls have come.
    greeted: called when the viewer has been welcomed.
    """

    def __init__(
        self,
        peer: str,
        role: Role,
        sink: InputSink,
        send: Callable[[bytes], bool],
        size_px: Callable[[], tuple[int, int]],
        counters: ChannelCounters,
        controls: Callable[[], bool],
        taken: TakenKeys,
        *,
        listen: Callable[[bool], None] = lambda on: None,
        want_crisp: Callable[[bool], None] = lambda on: None,
        greeted: Callable[[], None] = lambda: None,
    ) -> None:
        self._is_controller = controls
        self._taken = taken
        self._peer = peer
        self._role = role
        self._sink = sink
        self._send = send
        self._size_px = size_px
        self._counters = counters
        self._greeted = greeted
        self._wants_times = False
        self._told = self._unknowing = False
        """It was told last that its input counts; it was told that it does not, and has not heard yet that it does
        again: what it sent meanwhile it will say again."""
        self._listen = listen
        self._want_crisp = want_crisp

    def receive(self, channel: Channel, data: object) -> None:
        """One message of one channel. Text (a browser's send("...")) is never one of ours."""
        if not isinstance(data, bytes):
            self._counters.malformed += 1
            return
        try:
            message = codec.decode(data, channel, Direction.TO_AGENT)
        except codec.Malformed:
            self._counters.malformed += 1
            return
        self._counters.messages += 1
        match message:
            case Hello():
                width, height = self._size_px()
                self.tell(Welcome(VERSION, self._role is Role.CONTROL, width, height))
                self.control_changed()
                self._greeted()
            case Ping(stamp):
                self.tell(Pong(stamp))
            case WantTimes(on, stamp):
                self._wants_times = on
                self.tell(Instant(stamp, now_us()))
            case Audio(on):
                self._listen(on)
            case Crisp(on):
                self._want_crisp(on)
            case Key() | Text() if self.controls and self._unknowing:
                self._counters.gated += 1
            case _ if self.controls:
                if isinstance(message, ReleaseAll):
                    self._unknowing = False
                self._sink.handle(self._peer, message)
                self._taken.took(message)
            case _ if self._role is Role.CONTROL:
                self._counters.gated += 1
            case _:
                self._counters.view_dropped += 1

    @property
    def controls(self) -> bool:
        """Whether what this viewer does to the desktop counts."""
        return self._role is Role.CONTROL and self._is_controller()

    def control_changed(self) -> None:
        controls = self.controls
        if controls:
            self.tell(self._taken.message)
        if self.tell(Control(controls)):
            self._unknowing |= self._told and not controls
            self._told = controls

    def crisp_changed(self, on: bool) -> None:
        self.tell(IsCrisp(on))

    def display_resized(self) -> None:
        self.tell(Size(*self._size_px()))

    def frame_sent(self, rtp: int, stamps: FrameStamps) -> None:
        """A captured frame went out under this RTP timestamp."""
        if self._wants_times:
            instants = (stamps.damaged_us, stamps.captured_us, stamps.encoded_us, now_us())
            self.tell(FrameTimes(rtp, stamps.input_seq, stamps.received_us, stamps.injected_us, *instants))

    def tell(self, message: Message) -> bool:
        """Send the viewer one message on ``control``; False when it could not be."""
        sent = self._send(codec.encode(message))
        self._counters.unsent += not sent
        return sent
