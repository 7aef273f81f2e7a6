"""A person with Firefox: without H.264, so VP8 is what it plays, and with its own ways of keys and clipboard."""

from __future__ import annotations

import asyncio
import contextlib
import math
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from tests.e2e.guest import eventually
from tests.e2e.viewer import RESULTS
from tests.page.conftest import DISPLAY_PX, Show
from tests.page.firefox import FirefoxPage, firefox
from tests.page.keyboard import Keyboard, own_display
from tests.page.mouse import WHEEL_DOWN, WHEEL_UP, Mouse, pixels_of
from tests.page.test_layouts import LAYOUTS, typed
from tests.x11.conftest import XServer
from tests.x11.desk import KeyWindow, Programs, Terminal
from tests.x11.painter import Painter
from tests.x11.test_cursor import RED, Client

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

SCREEN_PX = (DISPLAY_PX[0], 800)
"""As wide as the guest's display, so that it is shown pixel for pixel."""
HERE = (500, 300)
MIXED = "Grüße, 世界 🦀 привет"
COLOURS = (0xFF0000, 0x00FF00, 0x0000FF, 0xFFFF00, 0xFFFFFF, 0x000000, 0x7F7F7F, 0x2F6FED)
SIDE_PX = 80
CLOSE = 6
"""Of 255: what VP8 makes of a flat colour, in each of red, green and blue, at most."""
LIKE_DB = 28.0
"""Peak signal to noise of small text: 20 dB is text that is hard to read."""
CODEC = """async () => {
  for (const peer of window.keptPeers) {
    for (const one of (await peer.getStats()).values()) {
      if (one.type !== 'inbound-rtp' || one.kind !== 'video') continue;
      const codec = (await peer.getStats()).get(one.codecId);
      return [codec.mimeType, one.framesDecoded];
    }
  }
}"""


@dataclass
class Person:
    """At a machine with a German keyboard."""

    page: FirefoxPage
    keyboard: Keyboard
    mouse: Mouse
    programs: Programs
    """On the person's machine."""

    async def move(self, x_px: int, y_px: int) -> None:
        """Point at a place of the guest's display."""
        await asyncio.to_thread(self.mouse.move, *await self.page.on_screen(x_px, y_px))

    async def focus(self) -> None:
        """Click into the guest's display: the page has the keyboard."""
        await self.move(*HERE)
        await asyncio.to_thread(self.mouse.click)
        await self.page.until("() => document.hasFocus() && document.activeElement.id === 'keys'", "the focus")

    async def press(self, strokes: str) -> None:
        await asyncio.to_thread(self.keyboard.press, strokes)

    async def sees(self, name: str) -> NDArray[np.uint8]:
        """The guest's display on the person's screen; the whole screen is kept under test-results/."""
        screen = await asyncio.to_thread(pixels_of, self.programs.xserver.display)
        keep(screen, name)
        left, top, width, height = (round(part) for part in await self.page.picture())
        assert (width, height) == DISPLAY_PX
        return screen[top : top + height, left : left + width]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person(show: Show, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Person]:
    folder = tmp_path_factory.mktemp("person")
    with own_display(folder, "de", size_px=SCREEN_PX) as (keyboard, programs):
        async with firefox(show.host, show.gateway.origin, programs.env, folder, DISPLAY_PX) as page:
            with contextlib.closing(Mouse(programs.xserver.display)) as mouse:
                await page.open(show.gateway.viewer_url(show.session.id, "control"), show.transport)
                yield Person(page, keyboard, mouse, programs)


@pytest.fixture
def painter(screen: XServer) -> Iterator[Painter]:
    with contextlib.closing(Painter(screen.display)) as painter:
        yield painter


@pytest.fixture
def window(screen: XServer, terminal: Terminal) -> Iterator[KeyWindow]:
    with contextlib.closing(KeyWindow(screen.display, DISPLAY_PX)) as window:
        yield window


def keep(image: NDArray[np.uint8], name: str) -> None:
    import av

    RESULTS.mkdir(exist_ok=True)
    codec: Any = av.CodecContext.create("png", "w")
    codec.height, codec.width, codec.pix_fmt, codec.time_base = *image.shape[:2], "rgb24", Fraction(1)
    packets = codec.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"))
    (RESULTS / f"{name}.png").write_bytes(b"".join(bytes(packet) for packet in packets))


def psnr_db(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    error = float(((one.astype(np.float32) - other) ** 2).mean())
    return 10 * math.log10(255**2 / max(error, 1e-9))


@pytest.mark.parametrize("show", ["webrtc"], indirect=True)
async def test_the_codec_is_vp8(person: Person) -> None:
    codec, frames = await person.page.evaluate(CODEC)
    assert codec == "video/VP8"
    assert frames > 0


async def test_the_picture_is_the_guests(show: Show, person: Person, painter: Painter, screen: XServer) -> None:
    """Colours and small text, on the person's screen and on the guest's, pixel by pixel."""
    painter.page(1)
    for at, colour in enumerate(COLOURS):
        painter.fill(40 + 150 * at, 200, SIDE_PX, SIDE_PX, colour)
    guests = pixels_of(screen.display)

    async def alike() -> NDArray[np.uint8] | None:
        seen = await person.sees(f"firefox-{show.transport}")
        return seen if psnr_db(seen, guests) > LIKE_DB else None

    seen = await eventually(alike, "the guest's picture")
    print(f"\n{show.transport}: {psnr_db(seen, guests):.1f} dB")
    assert psnr_db(np.roll(seen, 1, axis=1), guests) < LIKE_DB, "a pixel aside is told apart"
    for at, colour in enumerate(COLOURS):
        left = 40 + 150 * at + SIDE_PX // 4
        patch = seen[200 + SIDE_PX // 4 : 200 + 3 * SIDE_PX // 4, left : left + SIDE_PX // 2]
        wanted = np.array([colour >> 16, colour >> 8 & 255, colour & 255])
        assert (abs(patch.mean(axis=(0, 1)) - wanted) <= CLOSE).all(), f"{colour:06x}: {patch.mean(axis=(0, 1))}"


@pytest.mark.parametrize(("layout", "variant", "lines"), LAYOUTS)
async def test_a_layout(
    person: Person, terminal: Terminal, layout: str, variant: str, lines: list[tuple[str, str]]
) -> None:
    """Firefox makes text of dead keys by GTK's input method, and not by events that name the character."""
    person.keyboard.layout(layout, variant)
    await person.focus()
    got = []
    for strokes, text in lines:
        await person.press(strokes)
        got.append(await typed(terminal, text))
    assert got == [text for _, text in lines]


async def test_clicks_and_the_wheel(person: Person, window: KeyWindow) -> None:
    """One for one: Firefox makes six lines of a notch, and tells of the notch only beside them."""
    await person.move(*HERE)
    # Clicks of tests before may still wait for the guest's window manager; once this one has come, they have.
    await asyncio.to_thread(person.mouse.click, 2)
    await heard(window, 2)
    for button in (1, 3, WHEEL_DOWN, WHEEL_DOWN, WHEEL_DOWN, WHEEL_UP):
        await asyncio.to_thread(person.mouse.click, button)
        # Each before the next: notches of one millisecond are one to Firefox.
        assert await heard(window, button) == [("press", button, *HERE), ("release", button, *HERE)]


async def heard(window: KeyWindow, button: int) -> list[tuple[str, int, int, int]]:
    """Presses and releases until the release of that button."""
    found: list[tuple[str, int, int, int]] = []
    while not found or found[-1][:2] != ("release", button):
        events = await asyncio.to_thread(window.pointer, 1)
        found += [event for event in events if event[0] != "move"]
    return found


async def test_the_pointer_has_the_guests_shape(show: Show, person: Person, screen: XServer) -> None:
    """What the person's own X server shows."""
    with (
        contextlib.closing(Client(screen.display, (HERE[0] - 50, HERE[1] - 50, 100, 100))) as guest,
        contextlib.closing(Client(person.programs.xserver.display)) as own,
    ):
        guest.wear(guest.argb(20, RED, 3))
        await person.move(*HERE)

        async def worn() -> bool | None:
            shown = own.fixes.GetCursorImage().reply()
            square = (shown.xhot, shown.yhot, shown.width, shown.height) == (3, 3, 20, 20)
            return (square and set(shown.cursor_image) == {RED}) or None

        await eventually(worn, "a red square")


def copy(programs: Programs, text: str) -> None:
    """As a program on that display does, which then owns the clipboard."""
    program = programs.start(["xclip", "-quiet", "-i", "-selection", "clipboard"], stdin=subprocess.PIPE)
    assert program.stdin is not None
    program.stdin.write(text.encode())
    program.stdin.close()


async def pasted(programs: Programs) -> bytes:
    """What a program on that display would paste."""
    xclip = await asyncio.create_subprocess_exec(
        *("timeout", "5", "xclip", "-o", "-selection", "clipboard"),
        env=programs.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return (await xclip.communicate())[0]


async def copied(programs: Programs, text: str) -> None:
    async def same() -> bool | None:
        return await pasted(programs) == text.encode() or None

    await eventually(same, f"{text!r} in the clipboard of {programs.xserver.display}")


async def test_pasting_brings_what_the_person_copied(
    show: Show, person: Person, programs: Programs, terminal: Terminal
) -> None:
    """The shortcut alone: Firefox lets no page look into the clipboard."""
    text = f"{MIXED} {show.transport}"
    copy(person.programs, text)
    await copied(person.programs, text)
    await person.focus()
    await person.press("C-v")
    assert await typed(terminal, "\x16") == "\x16"
    await copied(programs, text)


async def test_what_the_guest_copies_comes_with_a_gesture(show: Show, person: Person, programs: Programs) -> None:
    """At once within 5 s of one, which is as long as Firefox counts it; else with the next."""
    soon, later = (f"{when}: {MIXED} {show.transport}" for when in ("soon", "later"))
    await person.focus()
    copy(programs, soon)
    await copied(person.programs, soon)
    await person.page.until("() => !navigator.userActivation.isActive", "the end of a gesture")
    copy(programs, later)
    await person.page.until("() => document.querySelector('#clipboard').dataset.news === 'true'", "news in the page")
    assert await pasted(person.programs) == soon.encode()
    await asyncio.to_thread(person.mouse.click)
    await copied(person.programs, later)
    await person.page.until("() => document.querySelector('#clipboard').dataset.news === 'false'", "no news")
