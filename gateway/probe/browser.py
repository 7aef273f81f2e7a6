"""The viewer page in a real browser, pressed by the browser's own mouse or keyboard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Error, Page, Response

from gateway.bench.browser import first_line
from gateway.errors import GatewayError
from gateway.probe.api import ProbeError, Session, marker_body
from gateway.probe.clocks import Clock, Ping
from gateway.probe.samples import Motion, Press, split_frame
from guest_agent.protocol import codec
from guest_agent.protocol.messages import Channel, Direction, FrameTimes, Instant, WantTimes

__all__ = ["BrowserWay"]

PAINT_MS = 60_000
PRESS_MS = 2_000
RETURN_MS = 60_000
PINGS = 10
FRAME_TIMES_S = 1.0
"""They come a moment after the frame."""
BAR_PX = 60
_SCRIPT = (Path(__file__).parent / "page.js").read_text()

Kind = Literal["click", "key"]


class BrowserWay:
    """Args:
    browser: of Playwright.
    transport: what the page is to show the desktop by.
    kind: what is pressed.
    """

    def __init__(self, browser: Browser, transport: Literal["webrtc", "novnc"], kind: Kind) -> None:
        self.name: str = transport
        self._browser = browser
        self._kind = kind

    def facts(self) -> dict[str, str]:
        return {"Browser": f"Chromium {self._browser.version}"}

    @asynccontextmanager
    async def connect(self, session: Session) -> AsyncIterator[_BrowserConnection]:
        """A page of a profile of its own. Raises ProbeError when it shows no picture by this transport."""
        width, height = session.display_px
        context = await self._browser.new_context(viewport={"width": width, "height": height + BAR_PX})
        try:
            await context.add_init_script(_SCRIPT.replace("$TRANSPORT", self.name))
            page = await context.new_page()
            connection = _BrowserConnection(page, session, self.name, self._kind)
            try:
                await connection.open()
                yield connection
            except Error as exc:
                raise ProbeError(f"the page fails by {self.name}: {first_line(exc)}") from exc
        finally:
            await context.close()


class _BrowserConnection:
    def __init__(self, page: Page, session: Session, transport: str, kind: Kind) -> None:
        self.first_frame_ms = 0.0
        self._page = page
        self._session = session
        self._transport = transport
        self._kind = kind
        self._clock = Clock()
        self._times: dict[int, FrameTimes] = {}
        self._pinged: dict[int, float] = {}
        self._peers: list[str] = []
        page.on("response", self._note_peer)

    async def open(self) -> None:
        await self._page.goto(self._session.viewer_url)
        await self._until_painted(self._transport, PAINT_MS)
        # performance.now() counts from the navigation.
        self.first_frame_ms = await self._page.evaluate("fensterProbe.pictures[0].at")
        x, y = await self._page.evaluate("place => fensterProbe.where(place)", self._session.patch.as_json())
        await self._page.mouse.move(x, y)
        for _ in range(PINGS):
            await self._ping()

    async def press(self) -> Press | None:
        await self._ping()
        await self._page.evaluate(
            "([place, limit]) => fensterProbe.arm(place, limit)", [self._session.patch.as_json(), PRESS_MS]
        )
        await self._down()
        found = await self._page.evaluate("fensterProbe.found")
        await self._up()
        if found is None:
            return None
        total_ms = found["seen"] - found["pressed"]
        stages = await (self._frame_stages(found) if found["frame"] is not None else self._vnc_stages(found))
        return Press(total_ms, stages)

    async def watch(self, seconds: float) -> Motion:
        found = await self._page.evaluate(
            "([place, ms]) => fensterProbe.watch(place, ms)", [self._session.strip.as_json(), seconds * 1000]
        )
        return Motion(found["elapsed"] / 1000, found["changes"], found["bytes"], found["packets"], found["lost"])

    async def reconnect(self) -> tuple[float, float]:
        seen = await self._page.evaluate("fensterProbe.pictures.length")
        began = await self._take_away()
        try:
            await self._page.wait_for_function(
                "seen => fensterProbe.pictures.length > seen", arg=seen, timeout=RETURN_MS
            )
            await self._until_painted(self._transport, RETURN_MS)
        except Error as exc:
            raise ProbeError(f"{self._transport} did not come back within {RETURN_MS / 1000:g} s") from exc
        pictures = (await self._page.evaluate("fensterProbe.pictures"))[seen:]
        back = next(picture["at"] for picture in pictures if picture["transport"] == self._transport)
        return pictures[0]["at"] - began, back - began

    async def _take_away(self) -> float:
        if self._transport == "novnc":
            began: float = await self._page.evaluate(
                "() => { const now = performance.now(); fensterProbe.socket.close(); return now; }"
            )
            return began
        began = await self._page.evaluate("performance.now()")
        await self._session.api.call("DELETE", self._peers[-1])
        return began

    def _note_peer(self, response: Response) -> None:
        location = response.headers.get("location", "")
        if response.request.method == "POST" and "/whep/" in location:
            self._peers.append(location)

    async def _until_painted(self, transport: str, timeout_ms: int) -> None:
        try:
            await self._page.wait_for_function(
                "way => fensterProbe.shows(way)",
                arg=transport,
                timeout=timeout_ms,
            )
        except Error as exc:
            said = await self._page.evaluate("() => ({ ...document.documentElement.dataset })")
            raise ProbeError(f"no picture by {transport}: the page says {said}", hint="open its viewer page") from exc

    async def _down(self) -> None:
        await (self._page.mouse.down() if self._kind == "click" else self._page.keyboard.down("a"))

    async def _up(self) -> None:
        await (self._page.mouse.up() if self._kind == "click" else self._page.keyboard.up("a"))

    async def _ping(self) -> None:
        """Ask what the guest's clock says; by noVNC over HTTP, which also takes what was pressed so far."""
        if self._transport == "novnc":
            await self._call_marker()
            return
        stamp = len(self._pinged)
        message = list(codec.encode(WantTimes(True, stamp)))
        self._pinged[stamp] = await self._page.evaluate("bytes => fensterProbe.say(bytes)", message)
        await self._listen()

    async def _listen(self) -> None:
        for heard in await self._page.evaluate("fensterProbe.listen()"):
            try:
                message = codec.decode(bytes(heard["bytes"]), Channel.CONTROL, Direction.TO_VIEWER)
            except codec.Malformed:
                continue  # The viewer page counts it.
            match message:
                case FrameTimes():
                    self._times[message.rtp] = message
                case Instant(stamp, at) if stamp in self._pinged:
                    self._clock.add(Ping(self._pinged[stamp], heard["at"], at))

    async def _frame_stages(self, found: dict[str, Any]) -> dict[str, float]:
        frame = found["frame"]
        if frame["received"] is None or frame["rtp"] is None:
            return {}
        try:
            async with asyncio.timeout(FRAME_TIMES_S):
                while frame["rtp"] not in self._times:
                    await self._listen()
        except TimeoutError:
            return {}
        times = self._times.pop(frame["rtp"])
        self._times.clear()
        return split_frame(
            times, self._clock, pressed_ms=found["pressed"], received_ms=frame["received"],
            decoded_ms=frame["presented"], seen_ms=found["seen"],
        )  # fmt: skip

    async def _vnc_stages(self, found: dict[str, Any]) -> dict[str, float]:
        pressed, seen = found["pressed"], found["seen"]
        for flip in await self._call_marker():
            read, drew = (self._clock.to_ms(at, pressed) for at in flip)
            error = self._clock.error_ms(pressed)
            if read is None or drew is None or error is None:
                continue
            if read >= pressed - error and drew <= seen + error:
                return {"input": read - pressed, "x": drew - read, "rest": seen - drew}
        return {}

    async def _call_marker(self) -> list[list[int]]:
        said = await self._page.evaluate(
            "([path, key, body]) => fensterProbe.call('PUT', path, key, body)",
            [self._session.marker_path, self._session.api.api_key, marker_body()],
        )
        if not said["ok"]:
            raise GatewayError(str(said["answer"].get("detail", "the gateway refused")))
        self._clock.add(Ping(said["sent"], said["back"], said["answer"]["at_us"]))
        flips: list[list[int]] = said["answer"]["flips"]
        return flips
