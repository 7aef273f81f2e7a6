"""What a page and its gateway said to each other, for the text of a failure: requests, sockets, the console."""

from __future__ import annotations

import time
from collections import Counter, deque
from pathlib import Path

from playwright.async_api import ConsoleMessage, Page, Request, Response, WebSocket

__all__ = ["Wire", "processes"]

MOST_LINES = 60
"""The last; older ones tell of what went well."""
STATES = ("State", "Threads", "voluntary_ctxt_switches")


class Wire:
    """Follows a page from when it is made. Bodies are not kept: they hold tokens."""

    def __init__(self, page: Page) -> None:
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._since = time.monotonic()
        page.on("request", self._asks)
        page.on("response", self._answered)
        page.on("requestfailed", self._failed)
        page.on("websocket", self._socket)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._note(f"! {error}"))

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def _note(self, text: str) -> None:
        self._lines.append(f"{time.monotonic() - self._since:7.2f} s {text}")

    def _asks(self, request: Request) -> None:
        self._note(f"> {request.method} {_path(request.url)}")

    def _answered(self, response: Response) -> None:
        self._note(f"< {response.status} {response.request.method} {_path(response.url)}")

    def _failed(self, request: Request) -> None:
        self._note(f"x {request.method} {_path(request.url)}: {request.failure}")

    def _console(self, message: ConsoleMessage) -> None:
        self._note(f"= {message.type} {message.text}")

    def _socket(self, socket: WebSocket) -> None:
        frames: Counter[str] = Counter()
        self._note(f"> WebSocket {_path(socket.url)}")
        socket.on("framesent", lambda _: frames.update(["sent"]))
        socket.on("framereceived", lambda _: frames.update(["received"]))
        socket.on("socketerror", lambda error: self._note(f"x WebSocket: {error}"))
        socket.on("close", lambda _: self._note(f"x WebSocket ends; frames: {dict(frames)}"))


def _path(url: str) -> str:
    """Without what comes before it, and without a query, in which a ticket may stand."""
    return "/" + url.partition("://")[2].partition("/")[2].partition("?")[0]


def processes(name: str) -> str:
    """How the programs of this name are, by proc_pid_status(5) and proc_pid_wchan(5), and how they were called."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() != name:
                continue
            status = [line for line in (folder / "status").read_text().splitlines() if line.startswith(STATES)]
            called = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found.append(f"{folder.name}: {'; '.join(status)}; waits in {(folder / 'wchan').read_text()}; {called}")
        except OSError:
            continue  # It has just ended.
    return "\n".join(found) or f"no {name} runs"
