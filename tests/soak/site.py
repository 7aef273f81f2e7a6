"""A web site behind an upstream proxy, for the guests' browsers: long pages that say when they are shown."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.loopback.egress_upstreams import tinyproxy
from tests.loopback.egress_world import NAME, served

__all__ = ["Site", "site"]

USER, PASSWORD = "soak", "Vt5kQ8rNz2mXw7Lc"
PARAGRAPHS = 120
_PAGE = """<!doctype html><meta charset=utf-8><title>Page {path}</title>
<style>body {{ margin: 0; font: 18px/1.5 sans-serif }} a {{ display: block; height: 320px; background: {colour} }}
p {{ margin: 12px }}</style><a href="{next}">Next</a>{paragraphs}
<script>
addEventListener("load", () => requestAnimationFrame(() => setTimeout(() => {{ fetch("/shown{path}"); }})));
</script>"""
COLOURS = ("#cfe8ff", "#ffe3c2", "#d8f5d0", "#f3d3f0")


class Site:
    """Made by :func:`site`. Every page has a name of its own, and links to the next from a large block at its top."""

    def __init__(self, proxy: str) -> None:
        self.proxy = proxy
        """What a session is to leave by."""
        self.port = 0
        self._numbers = itertools.count(1)
        self._asked: dict[str, float] = {}
        self._shown: dict[str, float] = {}
        self._changed = asyncio.Condition()

    def new_page(self, desk: str) -> str:
        """A URL that nobody has been to yet."""
        return f"{NAME}:{self.port}/{desk}/{next(self._numbers)}"

    async def shown(self, url: str, within_s: float) -> float | None:
        """Seconds from the request of that page until it was painted in the guest; None when it was not in time."""
        path = url.partition("/")[2]
        try:
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(lambda: path in self._shown)
        except TimeoutError:
            return None
        return self._shown.pop(path) - self._asked.pop(path)

    @staticmethod
    def after(url: str) -> str:
        """The page that this one links to."""
        return f"{url}-next"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split()[1].decode("latin-1").lstrip("/")
            body = await self._answer(path)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()

    async def _answer(self, path: str) -> bytes:
        if path.startswith("shown/"):
            async with self._changed:
                self._shown.setdefault(path.removeprefix("shown/"), time.monotonic())
                self._changed.notify_all()
            return b""
        if path == "favicon.ico":
            return b""
        self._asked.setdefault(path, time.monotonic())
        colour = COLOURS[len(self._asked) % len(COLOURS)]
        text = f"{path}: the quick brown fox jumps over the lazy dog, again and again, until the day is over."
        paragraphs = "".join(f"<p>{number}. {text}</p>" for number in range(PARAGRAPHS))
        return _PAGE.format(path=f"/{path}", next=f"/{path}-next", colour=colour, paragraphs=paragraphs).encode()


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """The site, and a tinyproxy before it with a user of its own."""
    async with tinyproxy(folder, USER, PASSWORD) as (proxy_port, _):
        made = Site(f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy_port}")
        async with served(made.serve) as made.port:
            yield made
