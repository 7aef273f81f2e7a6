"""The pointer's shape and place for several viewers: each image once, the newest always, places to watchers."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from guest_agent.cursor_image import HIDDEN, CursorImage
from guest_agent.cursor_share import CursorBoard, CursorSlots
from guest_agent.protocol.messages import CURSOR_SLOTS, Cursor, Message, Pointer


def shape(number: int) -> CursorImage:
    return CursorImage(number % 7, number % 5, b"png %d" % number)


class Viewer:
    """A page: what it was sent, and what it shows by that."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.got: list[Message] = []
        self.slots: dict[int, bytes] = {}
        self.shows: tuple[int, int, bytes] | None = None

    def send(self, message: Message) -> bool:
        if not self.reads:
            return False
        self.got.append(message)
        if isinstance(message, Cursor):
            assert message.slot < CURSOR_SLOTS
            if message.image:
                self.slots[message.slot] = message.image
            self.shows = (message.x, message.y, self.slots.get(message.slot, b""))
        return True

    @property
    def images(self) -> list[bytes]:
        return [message.image for message in self.got if isinstance(message, Cursor)]


class Later:
    """call_later, whose time comes when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def __call__(self, delay_s: float, callback: Callable[[], None], /) -> Later:
        self.calls.append(callback)
        return self

    def cancel(self) -> None:
        self.calls.clear()


def test_an_image_goes_once_and_is_then_named() -> None:
    board, viewer = CursorBoard(Later()), Viewer()
    board.feed(viewer.send, follows=False).start()
    for number in (1, 2, 1, 1, 2):
        board.show(shape(number))
    assert viewer.images == [b"png 1", b"png 2", b"", b""]
    assert viewer.shows == (2, 2, b"png 2")


def test_a_hidden_pointer_needs_no_image() -> None:
    board, viewer = CursorBoard(Later()), Viewer()
    board.feed(viewer.send, follows=False).start()
    board.show(HIDDEN)
    assert viewer.got == [Cursor(0, 0, 0, b"")]


def test_a_new_viewer_is_told_what_there_is_when_it_starts() -> None:
    board, viewer = CursorBoard(Later()), Viewer()
    board.show(shape(1))
    feed = board.feed(viewer.send, follows=True)
    assert viewer.got == []
    feed.start()
    assert viewer.shows == (1, 1, b"png 1")


@given(st.lists(st.integers(0, 80), max_size=300))
def test_whatever_comes_the_viewer_shows_it(numbers: list[int]) -> None:
    slots, viewer = CursorSlots(), Viewer()
    for number in numbers:
        image = shape(number) if number else HIDDEN
        message = slots.message(image)
        assert viewer.send(message)
        slots.sent(image, message)
        assert viewer.shows == (image.hot_x, image.hot_y, image.png)
        assert message.slot != 0 or image is HIDDEN


def test_the_shape_shown_longest_ago_gives_way() -> None:
    slots = CursorSlots(3)

    def show(number: int) -> bytes:
        message = slots.message(shape(number))
        slots.sent(shape(number), message)
        return message.image

    assert [show(number) for number in (1, 2, 1, 3, 1, 2)] == [b"png 1", b"png 2", b"", b"png 3", b"", b"png 2"]


def test_a_viewer_that_does_not_read_is_told_the_newest_later() -> None:
    later = Later()
    board, viewer, other = CursorBoard(later), Viewer(reads=False), Viewer()
    for each in (viewer, other):
        board.feed(each.send, follows=False).start()
    board.show(shape(1))
    board.show(shape(2))
    assert viewer.got == []
    assert len(later.calls) == 1
    viewer.reads = True
    later.calls[0]()
    assert viewer.images == [b"png 2"]
    board.show(shape(1))
    assert viewer.images == [b"png 2", b"png 1"]
    assert other.images == [b"png 1", b"png 2", b""]


def test_places_go_to_those_who_follow() -> None:
    told: list[bool] = []
    board = CursorBoard(Later(), told.append)
    watcher, controller = Viewer(), Viewer()
    feed = board.feed(watcher.send, follows=True)
    assert told == []
    feed.start()
    board.feed(controller.send, follows=False).start()
    board.point(1, 2)
    board.point(1, 2)
    assert (watcher.got, controller.got) == ([Pointer(1, 2)], [])
    assert told == [True]
    feed.close()
    feed.close()
    board.point(3, 4)
    assert len(watcher.got) == 1
    assert told == [True, False]


def test_who_takes_over_stops_following() -> None:
    told: list[bool] = []
    board, viewer = CursorBoard(Later(), told.append), Viewer()
    feed = board.feed(viewer.send, follows=True)
    feed.start()
    board.point(1, 2)
    feed.follows = False
    board.point(3, 4)
    feed.follows = True
    assert viewer.got == [Pointer(1, 2)], "an old place is nobody's"
    board.point(3, 4)
    assert viewer.got == [Pointer(1, 2), Pointer(3, 4)]
    assert told == [True, False, True]
