"""Looking into the guest from the test, over the agent link."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

__all__ = ["Guest", "Rect", "eventually"]

T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T | None]], what: str, deadline_s: float = 30.0) -> T:
    """Ask until the answer is not None; the guest has no way to push this to us. Fails naming ``what``."""
    interval_s = 0.1
    try:
        async with asyncio.timeout(deadline_s):
            while (found := await probe()) is None:
                await asyncio.sleep(interval_s)
                interval_s = min(interval_s * 1.5, 1.0)
            return found
    except TimeoutError:
        raise AssertionError(f"{what}: not within {deadline_s} s") from None


@dataclass(frozen=True, slots=True)
class Rect:
    """A window's place on the guest's display, in px."""

    x: int
    y: int
    width: int
    height: int

    @property
    def centre(self) -> tuple[int, int]:
        return self.x + self.width // 2, self.y + self.height // 2


class Link(Protocol):
    async def call(self, method: str, params: Mapping[str, Any], *, timeout_s: float = 10.0) -> Mapping[str, Any]: ...


class Guest:
    def __init__(self, link: Link) -> None:
        self._link = link

    async def run(self, *argv: str, user: bool = True, stdin: str = "", timeout_s: float = 20.0) -> str:
        """Run a command inside; its stdout. Raises AssertionError when it fails."""
        result = await self._link.call(
            "exec",
            {"argv": list(argv), "timeout_s": timeout_s, "as_user": user, "stdin": stdin},
            timeout_s=timeout_s + 10,
        )
        assert result["code"] == 0, f"{argv}: {result}"
        return str(result["stdout"])

    async def read(self, path: str) -> str | None:
        """A file's text, or None while there is no such file."""
        result = await self._link.call(
            "exec", {"argv": ["cat", path], "timeout_s": 10, "as_user": True, "stdin": ""}, timeout_s=20
        )
        return str(result["stdout"]) if result["code"] == 0 else None

    async def write(self, path: str, text: str) -> None:
        await self.run("tee", path, stdin=text)

    async def window(self, words: str) -> Rect | None:
        """Where the first mapped window is that has these words in its class or name."""
        ids = re.findall(r"0x[0-9a-f]+", await self.run("xprop", "-root", "_NET_CLIENT_LIST"))
        for window in ids:
            if await self._is_called(window, words):
                info = await self.run("xwininfo", "-id", window)
                values = [
                    int(re.search(rf"{key}: +(-?\d+)", info).group(1))  # type: ignore[union-attr]
                    for key in ("Absolute upper-left X", "Absolute upper-left Y", "Width", "Height")
                ]
                return Rect(*values)
        return None

    async def has_focus(self, words: str) -> bool | None:
        """True when the active window is called so, else None."""
        found = re.search(r"0x[0-9a-f]+", await self.run("xprop", "-root", "_NET_ACTIVE_WINDOW"))
        active = found is not None and found[0] != "0x0" and await self._is_called(found[0], words)
        return active or None

    async def _is_called(self, window: str, words: str) -> bool:
        named = await self.run("xprop", "-id", window, "WM_CLASS", "_NET_WM_NAME")
        return words.lower() in named.lower()
