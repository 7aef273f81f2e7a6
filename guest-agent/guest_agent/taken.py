"""How far the keys of the viewer who controls have come, so that its page can say the rest again by another way.

A page numbers its input across all its connections. When one of them dies, or control passes between two of them,
what was under way there is lost, and only the agent knows how much it was: it tells the page, now and then while it
types, and before it gives control to a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from guest_agent.protocol.messages import Key, Message, ReleaseAll, Taken, Text

__all__ = ["TELL_S", "TakenKeys"]

TELL_S = 0.01
"""Keys that come so close together share one answer."""

CallLater = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


class TakenKeys:
    """Args:
    call_later: the loop's, in seconds.
    tell: sends one message to the peer that controls.
    """

    def __init__(self, call_later: CallLater, tell: Callable[[Taken], None]) -> None:
        self._call_later = call_later
        self._tell = tell
        self._viewer: str | None = None
        self._seq = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def message(self) -> Taken:
        return Taken(self._seq)

    def follow(self, viewer: str | None) -> None:
        """This viewer controls from now on; None says nothing of who comes next."""
        if viewer is None or viewer == self._viewer:
            return
        self._viewer = viewer
        self._seq = 0

    def took(self, message: Message) -> None:
        """This input has counted."""
        match message:
            case Key(seq) | Text(seq) | ReleaseAll(seq):
                self._seq = seq
                if self._timer is None:
                    self._timer = self._call_later(TELL_S, self._due)
            case _:
                pass

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._tell(self.message)
