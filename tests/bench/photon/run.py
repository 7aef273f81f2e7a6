"""One whole comparison: the X server, the window, the servers, the browser, and the rounds through all of them."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from playwright.async_api import Browser, async_playwright

from gateway.bench.facts import this_host
from tests.bench.photon.measure import cost_of, playing, press
from tests.bench.photon.products import Product
from tests.bench.photon.results import Cost, Presses, Results
from tests.e2e.browser_host import CHROMIUM_FLAGS
from tests.x11.conftest import start_xorg

__all__ = ["CHROMIUM", "MOTIONS", "PRESSES", "Plan", "Starter", "Window", "facts", "rounds", "run"]

PRESSES = ("click", "key")
MOTIONS = ("scroll", "animate", "idle")
SETTLE_S = 2.0
"""A connection's first keyframes and refinements are not what is measured."""
CHROMIUM = Path("/usr/bin/chromium")

Starter = Callable[[str, tuple[int, int], Path], AbstractAsyncContextManager[Product]]
"""Display, its size in px, a folder to write in."""


@dataclass(frozen=True)
class Plan:
    """Args:
    presses: of each kind and product, in all rounds together.
    motion_s: of each motion and product, in all rounds together.
    """

    size_px: tuple[int, int]
    rounds: int
    presses: int
    motion_s: float
    seed: int
    kinds: Sequence[str] = PRESSES
    motions: Sequence[str] = MOTIONS


class Window(Protocol):
    """target.py, wherever it runs."""

    async def say(self, command: str) -> None:
        """One of its commands; returns once it was heard."""


class TargetWindow:
    """target.py as a process on a display."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self.answer()

    async def answer(self) -> None:
        assert self._process.stdout is not None
        if not await self._process.stdout.readline():
            raise RuntimeError("the target window ended")


@asynccontextmanager
async def target_window(display: str) -> AsyncIterator[TargetWindow]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.photon.target", display),
        stdin=pipe,
        stdout=pipe,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    try:
        window = TargetWindow(process)
        await window.answer()
        yield window
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def run(plan: Plan, starters: Sequence[Starter], folder: Path, say: Callable[[str], None]) -> Results:
    """Measure every product, in turn, round after round.

    Args:
        folder: an empty one, for what the servers write.
        say: told in words what is being done.
    """
    async with AsyncExitStack() as stack:
        server = start_xorg(folder, plan.size_px)
        display = next(server).display
        stack.callback(server.close)
        window = await stack.enter_async_context(target_window(display))
        products: list[Product] = []
        for starter in starters:
            products.append(await stack.enter_async_context(starter(display, plan.size_px, folder)))
            say(f"{products[-1].name} serves")
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=CHROMIUM_FLAGS)
        stack.push_async_callback(browser.close)
        began = datetime.now(UTC).isoformat(timespec="seconds")
        results = Results(plan.size_px, began, facts(browser, products))
        await rounds(plan, products, browser, window, results, say)
        return results


async def rounds(
    plan: Plan,
    products: Sequence[Product],
    browser: Browser,
    window: Window,
    results: Results,
    say: Callable[[str], None],
) -> None:
    """All rounds of a plan; what they find is added to ``results``."""
    dice = random.Random(plan.seed)
    for number in range(plan.rounds):
        # Whoever comes first in a round, or after whom, is left to chance.
        for product in dice.sample(products, len(products)):
            say(f"round {number + 1} of {plan.rounds}: {product.name}")
            async with playing(browser, product, plan.size_px) as page:
                await asyncio.sleep(SETTLE_S)
                for kind in plan.kinds:
                    share = (number + 1) * plan.presses // plan.rounds - number * plan.presses // plan.rounds
                    found = await press(page, product, kind, share, dice)
                    results.presses.setdefault(kind, {}).setdefault(product.name, Presses()).add(found)
                for motion in plan.motions:
                    await window.say("stop" if motion == "idle" else motion)
                    await asyncio.sleep(SETTLE_S)
                    cost = await cost_of(page, product, plan.motion_s / plan.rounds)
                    results.costs.setdefault(motion, {}).setdefault(product.name, Cost()).add(cost)
                    await window.say("stop")


def facts(browser: Browser, products: Sequence[Product]) -> dict[str, str]:
    """What the figures depend on, by name."""
    host = this_host()
    return {
        "Processor": f"{host.cores} cores" + (f" of {host.cpu}" if host.cpu else ""),
        "Memory": f"{host.memory_mib / 1024:.1f} GiB",
        "Kernel": host.kernel,
        "Browser": f"Chromium {browser.version}, headless, on the same processor",
        **{product.name: product.version for product in products},
    }
