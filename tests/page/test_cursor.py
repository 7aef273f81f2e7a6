"""The pointer as a person sees it: the browser's own, shaped as the guest says, and never in the picture."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from numpy.typing import NDArray
from playwright.async_api import Browser

from gateway.tokens import Role
from tests.e2e.guest import eventually
from tests.e2e.viewer import Viewer
from tests.page.conftest import Show
from tests.unit.test_cursor_image import decoded
from tests.x11.conftest import XServer
from tests.x11.desk import Terminal
from tests.x11.test_cursor import RED, Client

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

CORNER = (1240, 680)
WINDOW = (1100, 600, 180, 120)
"""x, y, width, height in px, around the corner: what gives the pointer its shapes."""
BLUE = 0x0000FF
CANVAS = {"webrtc": "#video", "novnc": "#vnc canvas"}
IMAGE = re.compile(r'url\("data:image/png;base64,([^"]+)"\) (\d+) (\d+), ')


@pytest.fixture
def client(screen: XServer, terminal: Terminal) -> Iterator[Client]:
    client = Client(screen.display, WINDOW)
    yield client
    client.close()


async def cursor(viewer: Viewer, show: Show) -> str:
    found = await viewer.page.evaluate("what => document.querySelector(what).style.cursor", CANVAS[show.transport])
    return str(found)


async def shape(viewer: Viewer, show: Show) -> tuple[int, int, NDArray[Any]] | None:
    """The hotspot and the pixels that the browser shows; None without an image."""
    image = IMAGE.match(await cursor(viewer, show))
    return (int(image[2]), int(image[3]), decoded(base64.b64decode(image[1]))) if image else None


async def ghost(viewer: Viewer, show: Show) -> tuple[bool, float, float, int]:
    """The pointer as a watcher's page shows it: whether it does, x and y in client px, width of the image."""
    shown = await viewer.page.evaluate(
        """frame => {
          const image = document.querySelector(frame + ' + .ghost'), at = image.getBoundingClientRect();
          return [!image.hidden, at.x, at.y, image.naturalWidth];
        }""",
        {"webrtc": "#video", "novnc": "#vnc"}[show.transport],
    )
    return tuple(shown)


def worn(client: Client) -> tuple[int, int, int, int]:
    """The server's cursor: hotspot, width, height."""
    reply = client.fixes.GetCursorImage().reply()
    return reply.xhot, reply.yhot, reply.width, reply.height


async def shows(viewer: Viewer, show: Show, size_px: int, hot_px: int) -> bool | None:
    """A red square of that size and hotspot."""
    found = await shape(viewer, show)
    return (found is not None and (*found[2].shape, *found[:2]) == (size_px, size_px, 4, hot_px, hot_px)) or None


async def test_the_shape_is_the_guests(show: Show, viewer: Viewer, client: Client) -> None:
    """A window's own, another where the terminal is, and both again."""
    client.wear(client.argb(20, RED, 3))
    others = []
    for _ in range(2):
        await viewer.move(*CORNER)
        await eventually(lambda: shows(viewer, show, 20, 3), "the window's own cursor")
        square = await shape(viewer, show)
        assert square is not None
        assert (square[2] == [255, 0, 0, 255]).all(), square[2].tolist()

        async def servers() -> tuple[int, int, NDArray[Any]] | None:
            found = await shape(viewer, show)
            now = worn(client)
            same = found is not None and (*found[:2], *found[2].shape[1::-1]) == now
            return found if same and now != (3, 3, 20, 20) else None

        await viewer.move(*client.centre_of_focused())
        others.append((await eventually(servers, "the terminal's"))[2])
    assert (others[0] == others[1]).all()


async def test_a_page_that_opens_later_has_the_shape_at_once(
    show: Show, viewer: Viewer, browser: Browser, client: Client
) -> None:
    client.wear(client.argb(22, RED, 4))
    await viewer.move(*CORNER)
    await eventually(lambda: shows(viewer, show, 22, 4), "the cursor on the first page")
    second = await show.open(browser)

    async def there() -> bool | None:
        # It does not control, so it sees the pointer itself.
        shown, _, _, width = await ghost(second, show)
        return (shown and width == 22) or None

    try:
        await eventually(there, "the cursor on the second page")
    finally:
        await second.page.context.close()


async def test_a_hidden_pointer_is_hidden(show: Show, viewer: Viewer, client: Client) -> None:
    await viewer.move(*CORNER)
    client.wear(client.argb(16, 0))

    async def hidden() -> bool | None:
        now = await cursor(viewer, show)
        found = await shape(viewer, show)
        # noVNC shows an image with nothing on it.
        return now == "none" or (found is not None and not found[2][..., 3].any()) or None

    await eventually(hidden, "no cursor")


async def test_the_picture_has_no_pointer(show: Show, viewer: Viewer, client: Client) -> None:
    """What is painted around the pointer is all that is there."""
    client.wear(client.argb(32, RED, 16))
    await viewer.move(*CORNER)
    await eventually(lambda: shows(viewer, show, 32, 16), "the cursor")
    client.fill(BLUE)

    async def blue() -> bool | None:
        around = (CORNER[0] - 30, CORNER[1] - 20, 60, 40)
        pixels = await viewer.pixels(f"cursor-{show.transport}", around)
        # Anything over the blue would have to be red, since that is what the pointer is.
        assert not any(red > 128 and blue < 128 for red, _, blue in pixels)
        return all(red < 60 and blue > 200 for red, _, blue in pixels) or None

    await eventually(blue, "the blue square")


@pytest.mark.parametrize("role", ["view", "control"])
async def test_a_watcher_sees_where_the_pointer_goes(
    show: Show, viewer: Viewer, browser: Browser, client: Client, role: Role
) -> None:
    client.wear(client.argb(20, RED, 3))
    await viewer.move(*CORNER)
    watcher = await show.open(browser, role)
    try:
        for place in (CORNER, (1101, 650), (1200, 601)):
            await viewer.move(*place)
            x, y = await watcher.on_page(*place)

            async def there(x: float = x, y: float = y) -> bool | None:
                shown, left, top, _ = await ghost(watcher, show)
                return (shown and abs(left + 3 - x) <= 1 and abs(top + 3 - y) <= 1) or None

            await eventually(there, f"the pointer at {place}")
        assert not (await ghost(viewer, show))[0], "who moves it sees it once"
        own = "what => getComputedStyle(document.querySelector(what)).cursor"
        assert await watcher.page.evaluate(own, CANVAS[show.transport]) in ("auto", "default"), "its own is its own"
    finally:
        await watcher.page.context.close()
