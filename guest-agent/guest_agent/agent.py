"""The agent: what the zygote forks. Streams the display to viewers and lets them type.

One asyncio loop joins the line to the zygote, the media hub (media.py), the input worker (input/) and the window
watcher. It ends when the line does, or when the X server is gone; the zygote then forks another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from guest_agent.clipboard.content import Ways
from guest_agent.clipboard.exchange import ClipboardExchange
from guest_agent.clipboard.selection import SelectionWorker
from guest_agent.clipboard.service import ClipboardService
from guest_agent.cursor import CursorWatcher
from guest_agent.cursor_share import CursorBoard
from guest_agent.errors import AgentError, DisplayError, NotReady, OfferError
from guest_agent.input.sink import XInputSink
from guest_agent.input.worker import InputWorker
from guest_agent.liveness import BEAT_S
from guest_agent.media import GUEST_IP, MediaHub
from guest_agent.ports import PeerEvent
from guest_agent.probe import MarkerAsk, MarkerRun
from guest_agent.protocol.rpc import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    Failure,
    Incoming,
    LineDecoder,
    Notification,
    Request,
    Result,
    encode,
)
from guest_agent.pump import Pump
from guest_agent.resize import resize
from guest_agent.screen_service import ScreenService
from guest_agent.times import InputTimes
from guest_agent.warm import warm
from guest_agent.windows import WindowWatcher

__all__ = ["DISPLAY_LOST", "Agent", "run"]

logger = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
DISPLAY_RETRY_S = (0.1, 2.0)
"""First and longest pause between tries to reach the X server, which may start after us."""
WARM_S = 20.0
DISPLAY_LOST = 3
"""Exit status when the X server went away."""


def run(sock: socket.socket, display: str) -> int:
    """Be the agent until the line to the zygote ends. Returns the exit status."""
    sock.setblocking(False)
    return asyncio.run(Agent(display).serve(sock))


class Agent:
    def __init__(self, display: str) -> None:
        self._display = display
        self._size_px: tuple[int, int] | None = None
        self._resize_due = asyncio.Event()
        self._lost = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._hub: MediaHub | None = None
        self._times = InputTimes()
        self._marker = MarkerRun(display)
        self._clipboard: ClipboardExchange | None = None

    async def serve(self, sock: socket.socket) -> int:
        reader, self._writer = await asyncio.open_connection(sock=sock)
        self._clipboard = ClipboardExchange()
        reading = asyncio.create_task(self._read(reader), name="line")
        working = asyncio.create_task(self._work(), name="work")
        beating = asyncio.create_task(self._beat(), name="beat")
        try:
            await asyncio.wait({reading, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
                return DISPLAY_LOST
            return 0
        finally:
            every = (reading, working, beating, *self._tasks)
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)
            self._writer.close()

    async def _beat(self) -> None:
        """Tell the zygote that this loop turns; an agent that does not is replaced."""
        while True:
            self._notify("beat", {})
            await asyncio.sleep(BEAT_S)

    async def _work(self) -> None:
        """Serve the display; returns when it is lost."""
        loop = asyncio.get_running_loop()
        worker = await self._reach_display(loop)
        worker.start()
        sink = XInputSink(worker, times=self._times)
        watcher = await asyncio.to_thread(
            WindowWatcher, self._display, lambda classes: loop.call_soon_threadsafe(self._tell_windows, classes)
        )
        assert self._clipboard is not None
        selection = await asyncio.to_thread(SelectionWorker, self._display, self._clipboard.copied, loop)
        selection.start()
        self._clipboard.join(selection)
        service = ClipboardService(self._clipboard)
        await service.start()
        screen = ScreenService(self._display)
        await screen.start()
        board = CursorBoard(loop.call_later)
        cursor = await asyncio.to_thread(
            CursorWatcher,
            self._display,
            lambda image: loop.call_soon_threadsafe(board.show, image),
            lambda x, y: loop.call_soon_threadsafe(board.point, x, y),
        )
        board.on_followed = cursor.follow
        pump = partial(Pump, times=self._times)
        self._hub = MediaHub(
            self._display, self._tell_peer, sink, clipboard=self._clipboard, source=pump, cursors=board
        )
        try:
            self._notify("ready", {})
            resizing = asyncio.create_task(self._keep_size(), name="resize")
            self._tasks.add(resizing)
            await self._lost.wait()
        finally:
            await self._marker.close()
            await self._hub.close()
            await service.close()
            await screen.close()
            await asyncio.to_thread(selection.close)
            sink.close()
            await asyncio.to_thread(watcher.close)
            await asyncio.to_thread(cursor.close)
            await asyncio.to_thread(worker.close)
            logger.info("= input %s, refused or late %s", asdict(worker.counters), asdict(sink.state.counters))

    async def _reach_display(self, loop: asyncio.AbstractEventLoop) -> InputWorker:
        pause_s, longest_s = DISPLAY_RETRY_S
        while True:
            try:
                return await asyncio.to_thread(
                    InputWorker,
                    self._display,
                    on_lost=lambda: loop.call_soon_threadsafe(self._lost.set),
                    prepare=True,
                    times=self._times,
                )
            except DisplayError as exc:
                logger.debug("! %s", exc)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, longest_s)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = LineDecoder()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(READ_BYTES):
                for message in decoder.feed(data):
                    self._take(message)

    def _take(self, message: Incoming) -> None:
        match message:
            case Request():
                # Bounded: the zygote passes on so many and no more (zygote_core.MAX_PENDING).
                task = asyncio.create_task(self._answer(message), name=message.method)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Notification("display", params):
                width, height = params["size"]
                self._size_px = (width, height)
                self._resize_due.set()
            case Notification("clipboard", params):
                if self._clipboard is not None:
                    self._clipboard.allow(Ways.of_policy(str(params.get("policy"))))
            case Notification("control", params) if self._hub is not None:
                self._hub.control(params["peer"], params.get("viewer"))
            case _:
                logger.warning("! the zygote said something odd")

    async def _answer(self, request: Request) -> None:
        reply: Result | Failure
        try:
            reply = Result(request.id, await self._call(request.method, request.params))
        except AgentError as exc:
            reply = Failure(request.id, exc.code, str(exc))
        except Exception as exc:
            logger.exception("x %s", request.method)
            reply = Failure(request.id, INTERNAL_ERROR, f"{type(exc).__name__} in the agent")
        self._send(reply)

    async def _call(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        hub = self._hub
        if hub is None:
            raise NotReady("the display is not there yet")
        if method == "warm":
            await self._warm(hub)
            return {}
        if method == "marker":
            return await self._marker.ask(MarkerAsk.parse(params))
        if method == "counters":
            return hub.counters()
        peer = params.get("peer")
        if not isinstance(peer, str) or not peer:
            raise OfferError("peer is not a name")
        match method:
            case "offer":
                sdp, role = params.get("sdp"), params.get("role")
                if not isinstance(sdp, str) or not isinstance(role, str):
                    raise OfferError("sdp or role is not a string")
                return asdict(await hub.offer(peer, sdp, role))
            case "bye":
                await hub.bye(peer)
                return {}
            case _:
                raise _Unknown(f"no method {method!r}")

    async def _warm(self, hub: MediaHub) -> None:
        try:
            await warm(hub, GUEST_IP, timeout_s=WARM_S)
        except TimeoutError:
            raise NotReady(f"no frame within {WARM_S:g} s") from None

    async def _keep_size(self) -> None:
        """Set each size asked for; of several that come meanwhile, the newest."""
        while True:
            await self._resize_due.wait()
            self._resize_due.clear()
            if self._size_px is None:
                continue
            try:
                got = await asyncio.to_thread(resize, self._display, self._size_px)
                logger.info("= display %dx%d", *got)
            except DisplayError as exc:
                logger.error("! %s", exc)

    def _tell_windows(self, classes: list[str]) -> None:
        self._notify("desktop", {"windows": classes})

    def _tell_peer(self, event: PeerEvent) -> None:
        self._notify("peer", {"peer": event.peer, "state": event.state.value, "reason": event.reason})

    def _notify(self, method: str, params: Mapping[str, Any]) -> None:
        self._send(Notification(method, params))

    def _send(self, message: Result | Failure | Notification) -> None:
        # The zygote always reads, so this needs no bound.
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))


class _Unknown(AgentError):
    code = METHOD_NOT_FOUND
