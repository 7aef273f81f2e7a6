"""A person at the viewer page with a real Chromium: clipboard and files, by WebRTC and by noVNC."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.e2e.guest import Guest, eventually
from tests.e2e.viewer import Viewer
from tests.x11.desktops import Desktop
from tests.x11.shown import browser, desktop
from tests.x11.test_clipboard_selection import png

__all__ = ["browser", "desktop"]

pytestmark = [pytest.mark.x11, pytest.mark.timeout(170), pytest.mark.asyncio(loop_scope="module")]

MIXED = "Grüße, 世界 🦀 привет"
Transport = Literal["webrtc", "novnc"]


@dataclass
class Person:
    desktop: Desktop
    transport: Transport
    viewer: Viewer

    @property
    def page(self) -> Page:
        return self.viewer.page

    async def copy_here(self, text: str) -> None:
        """In the browser's own clipboard, as another tab or program would."""
        await self.page.evaluate("text => navigator.clipboard.writeText(text)", text)

    async def here(self) -> str:
        return str(await self.page.evaluate("() => navigator.clipboard.readText()"))

    async def there(self, target: str = "UTF8_STRING") -> bytes:
        """What the desktop's programs would paste; the first 48 KiB of it, since a command's answer has no more."""
        shell = f"timeout 10 xclip -o -selection clipboard -t '{target}' 2>/dev/null | base64 -w0"
        return base64.b64decode(await self.desktop.run(shell))

    async def copy_there(self, data: bytes, target: str = "UTF8_STRING") -> None:
        async with self.desktop.http.put(self.desktop.url("/files/.copied"), data=BytesIO(data)) as answer:
            assert answer.status in (200, 201)
        await self.desktop.run(f"setsid -f xclip -i -selection clipboard -t '{target}' $HOME/.copied >/dev/null 2>&1")

    async def comes(self, text: str) -> None:
        async def same() -> bool | None:
            return (await self.there()) == text.encode() or None

        await eventually(same, f"{text!r} on the desktop")

    async def focus(self) -> None:
        """Give the page the focus anew, as coming back from another window does."""
        await self.page.evaluate("() => window.dispatchEvent(new Event('focus'))")


async def opened(
    desktop: Desktop, browser: Browser, transport: Transport, *, role: Literal["control", "view"] = "control",
    permitted: bool = True,
) -> Person:  # fmt: skip
    permissions = ["clipboard-read", "clipboard-write"] if permitted else []
    context = await browser.new_context(viewport={"width": 1280, "height": 780}, permissions=permissions)
    page = await context.new_page()
    if transport == "novnc":
        # A browser without WebRTC.
        await page.add_init_script("delete window.RTCPeerConnection")
    viewer = await Viewer.open(page, desktop.viewer_url(role), transport, desktop.session.display_px)
    return Person(desktop, transport, viewer)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["webrtc", "novnc"])
async def person(request: pytest.FixtureRequest, desktop: Desktop, browser: Browser) -> AsyncIterator[Person]:
    person = await opened(desktop, browser, request.param)
    await eventually(lambda: shown(person.page, "#clipboard"), "the clipboard's button")
    yield person
    await person.page.context.close()


async def shown(page: Page, selector: str) -> bool | None:
    return await page.locator(selector).is_visible() or None


async def terminal(person: Person) -> None:
    guest = Guest(person.desktop.session.link)
    rect = await eventually(lambda: guest.window("xfce4-terminal"), "the terminal", 60)
    await person.viewer.click(*rect.centre)
    await eventually(lambda: guest.has_focus("xfce4-terminal"), "the focus on the terminal")


async def test_what_the_person_copied_is_on_the_desktop_when_the_page_gets_the_focus(person: Person) -> None:
    text = f"{MIXED} {person.transport}"
    await person.copy_here(text)
    await person.focus()
    await person.comes(text)


async def test_pasting_into_the_terminal_pastes_what_was_copied_just_before(person: Person) -> None:
    """The shortcut alone: the page has had no reason to look at the clipboard since."""
    await terminal(person)
    # Other tests press Ctrl+V, which the shell takes for "quote the next key"; Ctrl+C would flush what follows it.
    await person.viewer.type("\n\n", 20)
    file = f"/tmp/pasted-{person.transport}-{os.getpid()}"
    await person.desktop.run(f"rm -f {file}")
    # Else a terminal that is late takes the shell for the one who reads, and says where a paste begins and ends.
    await person.viewer.type("bind 'set enable-bracketed-paste off'\n", 20)
    # What is pasted is in the file at once, with no line's end to wait for.
    await person.viewer.type(f"stty -icanon; cat > {file}\n", 20)
    expected = ""

    async def written() -> bool | None:
        return (await person.desktop.run(f"cat {file} 2>/dev/null || echo none")) == expected or None

    try:
        await eventually(written, "an empty file")
        for number in range(5):
            text = f"{number} {MIXED};"
            await person.copy_here(text)
            await person.page.keyboard.press("Control+Shift+V")
            expected += text
            # A terminal fetches what it pastes a moment after the key.
            await eventually(written, f"{expected!r} in the file")
    except AssertionError as error:
        error.add_note(f"the file: {await person.desktop.run(f'cat {file} || true')!r}")
        await person.viewer.screenshot(f"paste-{person.transport}")
        raise
    finally:
        await person.page.keyboard.press("Control+c")
        await person.viewer.type("stty sane\n", 20)
        await person.desktop.run(f"rm -f {file}")


async def test_what_a_program_copies_is_in_the_browsers_clipboard(person: Person) -> None:
    text = f"from the desktop: {MIXED} {person.transport}"
    await person.copy_there(text.encode())

    async def same() -> bool | None:
        return (await person.here()) == text or None

    await eventually(same, "the desktop's text in the browser")
    # And does not come back as the viewer's: the program still owns it.
    await person.focus()
    await person.page.keyboard.press("Control+v")
    targets = (await person.there("TARGETS")).decode().split()
    assert "TIMESTAMP" not in targets, "the agent owns it, and not xclip any more"


async def test_pictures_go_both_ways(person: Person) -> None:
    side = 37 if person.transport == "webrtc" else 41
    await person.page.evaluate(
        """async (side) => {
          const canvas = new OffscreenCanvas(side, side);
          const context = canvas.getContext('2d');
          context.fillStyle = '#3366cc';
          context.fillRect(0, 0, side, side);
          const blob = await canvas.convertToBlob({type: 'image/png'});
          await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]);
        }""",
        side,
    )
    await person.focus()

    async def there() -> bool | None:
        data = await person.there("image/png")
        return (data[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(data[16:20], "big") == side) or None

    await eventually(there, "the picture on the desktop")

    await person.copy_there(png(2 << 20), "image/png")

    async def here() -> bool | None:
        width = await person.page.evaluate(
            """async () => {
              try {
                const [item] = await navigator.clipboard.read();
                return (await createImageBitmap(await item.getType('image/png'))).width;
              } catch {
                return 0;  // No picture yet, or it came while it was looked at.
              }
            }"""
        )
        return width == 1024 or None

    await eventually(here, "the desktop's picture in the browser", 60)
    # The browser has written a PNG of its own: it is the same picture, and no news to the desktop.
    await person.focus()
    await person.page.keyboard.press("Control+v")
    targets = (await person.there("TARGETS")).decode().split()
    assert "TIMESTAMP" not in targets, "the agent owns it, and not xclip any more"


async def test_where_the_browser_lets_the_page_not_look_the_shortcut_pastes_all_the_same(
    desktop: Desktop, browser: Browser, person: Person
) -> None:
    other = await opened(desktop, browser, person.transport, permitted=False)
    try:
        # The clipboard is the controller's.
        await other.page.click("#deed")
        await person.page.click("#grant")
        await eventually(lambda: shown(other.page, "#clipboard"), "the clipboard's button")
        text = f"without permission, by {person.transport}"
        await other.page.evaluate(
            """text => {
              document.addEventListener('copy', (event) => {
                event.clipboardData.setData('text/plain', text);
                event.preventDefault();
              }, {once: true});
              document.execCommand('copy');
            }""",
            text,
        )
        await other.page.keyboard.press("Control+v")
        await other.comes(text)
        # And by hand.
        await other.page.click("#clipboard")
        await other.page.fill("#clipboard-panel textarea[placeholder]", text + " by hand")
        await other.page.click("#clipboard-panel button.primary")
        await other.comes(text + " by hand")
        await other.page.click("#deed")
        await person.page.click("#deed >> text=Take control")
        await eventually(lambda: shown(person.page, "#clipboard"), "the clipboard's button again")
    finally:
        await other.page.context.close()


async def test_who_may_only_look_gets_none_and_sets_none(desktop: Desktop, browser: Browser, person: Person) -> None:
    await person.copy_here("the controller's")
    await person.focus()
    await person.comes("the controller's")
    watcher = await opened(desktop, browser, person.transport, role="view")
    try:
        await watcher.page.bring_to_front()
        await watcher.copy_here("the watcher's")
        await watcher.focus()
        await watcher.page.keyboard.press("Control+v")
        await person.page.bring_to_front()
        await person.copy_here("the controller's again")
        await person.focus()
        await person.comes("the controller's again")
        assert not await watcher.page.locator("#clipboard").is_visible()
        assert not await watcher.page.locator("#files").is_visible()
    finally:
        await watcher.page.context.close()
        await person.page.bring_to_front()


async def test_the_sessions_switch_is_obeyed_at_once(person: Person) -> None:
    await person.copy_here("before")
    await person.focus()
    await person.comes("before")
    try:
        async with person.desktop.http.patch(person.desktop.url(), json={"clipboard": "to_viewer"}) as answer:
            assert answer.status == 200
        await person.copy_here("meanwhile")
        await person.focus()
        await person.page.keyboard.press("Control+v")
        await person.copy_there(b"still this way")

        async def same() -> bool | None:
            return (await person.here()) == "still this way" or None

        await eventually(same, "the desktop's text in the browser")
        assert await person.there() == b"still this way"
    finally:
        async with person.desktop.http.patch(person.desktop.url(), json={"clipboard": "both"}) as answer:
            assert answer.status == 200


async def test_files_dropped_on_the_desktop_are_in_its_downloads(person: Person) -> None:
    name = f"dropped {person.transport}.txt"
    await person.page.evaluate(
        """([name, text]) => {
          const data = new DataTransfer();
          data.items.add(new File([text], name));
          const stage = document.getElementById('stage');
          stage.dispatchEvent(new DragEvent('dragover', {dataTransfer: data, bubbles: true, cancelable: true}));
          stage.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        [name, MIXED],
    )
    await person.page.wait_for_selector("#files-panel [data-outcome=done]")
    assert await person.desktop.run(f'cat "$HOME/Downloads/{name}"') == MIXED


async def test_files_are_uploaded_and_downloaded_again(person: Person, tmp_path: Path) -> None:
    name = f"large-{person.transport}.bin"
    data = await asyncio.to_thread(os.urandom, 5 << 20)
    source = tmp_path / name
    await asyncio.to_thread(source.write_bytes, data)
    if not await person.page.locator("#files-panel").is_visible():
        await person.page.click("#files")
    for outcome in (name, name.replace(".bin", " (2).bin")):
        await person.page.set_input_files("#files-panel input[type=file]", source)
        await person.page.wait_for_selector(f"#files-panel .entries [title='{outcome}']")
        digest = await person.desktop.run(f'sha256sum < "$HOME/Downloads/{outcome}"')
        assert digest.split()[0] == hashlib.sha256(data).hexdigest()
    async with person.page.expect_download() as downloading:
        await person.page.click(f"#files-panel .entries li:has([title='{name}']) button")
    saved = await (await downloading.value).path()
    assert await asyncio.to_thread(Path(saved).read_bytes) == data
