"""The pointer's shape and place, shared out to viewers: the newest of each, and a shape's image once to each of them.

On the loop's thread; the X side is cursor.py, which calls :meth:`CursorBoard.show` and :meth:`CursorBoard.point`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from guest_agent.cursor_image import HIDDEN, CursorImage
from guest_agent.protocol.messages import CURSOR_SLOTS, Cursor, Message, Pointer

__all__ = ["CursorBoard", "CursorFeed", "CursorSlots"]

RETRY_S = 0.1
"""A viewer whose channel was full is told what is newest then."""


class CursorSlots:
    """What one viewer keeps: the shapes shown to it last, each in a slot. Pure."""

    def __init__(self, slots: int = CURSOR_SLOTS) -> None:
        self._free = list(range(slots - 1, 0, -1))
        self._kept: OrderedDict[CursorImage, int] = OrderedDict()
        """The one shown longest ago first."""

    def message(self, image: CursorImage) -> Cursor:
        """What shows it; call :meth:`sent` when that is on its way."""
        if image == HIDDEN:
            return Cursor(0, 0, 0, b"")
        if (kept := self._kept.get(image)) is not None:
            return Cursor(kept, image.hot_x, image.hot_y, b"")
        slot = self._free[-1] if self._free else next(iter(self._kept.values()))
        return Cursor(slot, image.hot_x, image.hot_y, image.png)

    def sent(self, image: CursorImage, message: Cursor) -> None:
        if message.image:
            if self._free:
                self._free.pop()
            else:
                self._kept.popitem(last=False)
            self._kept[image] = message.slot
        elif image in self._kept:
            self._kept.move_to_end(image)


class CursorFeed:
    """One viewer's part. Silent until started. Made by CursorBoard.feed."""

    def __init__(self, board: CursorBoard, send: Callable[[Message], bool], follows: bool) -> None:
        self._board = board
        self._send = send
        self._slots = CursorSlots()
        self._shown: CursorImage | None = None
        self._pointed: tuple[int, int] | None = None
        self._follows = follows
        self.started = False

    @property
    def follows(self) -> bool:
        """Does this viewer see where the pointer goes? Who moves it knows."""
        return self._follows

    @follows.setter
    def follows(self, follows: bool) -> None:
        if follows == self._follows:
            return
        self._follows = follows
        # It has forgotten the place while it moved the pointer itself.
        self._pointed = None
        self._board.changed()

    def start(self) -> None:
        """Tell the viewer what there is, and what comes."""
        self.started = True
        self._board.changed()

    def close(self) -> None:
        """Idempotent."""
        self._board.leave(self)

    def update(self, image: CursorImage | None, place: tuple[int, int] | None) -> bool:
        """Send what this viewer has not been told. False when it could not be."""
        if image is not None and image != self._shown:
            message = self._slots.message(image)
            if not self._send(message):
                return False
            self._slots.sent(image, message)
            self._shown = image
        if self._follows and place is not None and place != self._pointed:
            if not self._send(Pointer(*place)):
                return False
            self._pointed = place
        return True


class Timer(Protocol):
    def cancel(self) -> None: ...


class Delay(Protocol):
    """``call_later`` of an event loop."""

    def __call__(self, delay_s: float, callback: Callable[[], None], /) -> Timer: ...


class CursorBoard:
    """Args:
    call_later: of the loop.
    on_followed: told whether any viewer follows the pointer, when that changes.
    """

    def __init__(self, call_later: Delay, on_followed: Callable[[bool], None] = lambda followed: None) -> None:
        self._call_later = call_later
        self.on_followed = on_followed
        self._followed = False
        self._feeds: list[CursorFeed] = []
        self._image: CursorImage | None = None
        self._place: tuple[int, int] | None = None
        self._retry: Timer | None = None

    def feed(self, send: Callable[[Message], bool], *, follows: bool) -> CursorFeed:
        """A new viewer's. ``send`` says whether it could."""
        feed = CursorFeed(self, send, follows)
        self._feeds.append(feed)
        return feed

    def show(self, image: CursorImage) -> None:
        """The pointer looks like this now."""
        self._image = image
        self._update()

    def point(self, x: int, y: int) -> None:
        """The pointer stands here now, in fractions of the display (messages.py)."""
        self._place = (x, y)
        self._update()

    def changed(self) -> None:
        """A feed has started, or follows or no longer does."""
        self._tell_followed()
        self._update()

    def leave(self, feed: CursorFeed) -> None:
        if feed in self._feeds:
            self._feeds.remove(feed)
            self._tell_followed()

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _tell_followed(self) -> None:
        followed = any(feed.started and feed.follows for feed in self._feeds)
        if followed != self._followed:
            self._followed = followed
            # Old by the time somebody follows again.
            self._place = None
            self.on_followed(followed)

    def _update(self) -> None:
        told = [feed.update(self._image, self._place) for feed in self._feeds if feed.started]
        if not all(told) and self._retry is None:
            self._retry = self._call_later(RETRY_S, self._again)

    def _again(self) -> None:
        self._retry = None
        self._update()
