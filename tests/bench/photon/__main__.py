"""``python -m tests.bench.photon``: see --help."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import async_playwright

from tests.bench.photon.measure import Presses, cost_of, playing, press
from tests.bench.photon.products import Product, fenster
from tests.bench.photon.stats import summary
from tests.e2e.browser_host import CHROMIUM_FLAGS
from tests.x11.conftest import start_xorg


class TargetWindow:
    """target.py as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, display: str) -> TargetWindow:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.photon.target", display, stdin=pipe, stdout=pipe
        )
        window = cls(process)
        await window._answer()
        return window

    async def say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._answer()

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _answer(self) -> None:
        assert self._process.stdout is not None
        if not await self._process.stdout.readline():
            raise RuntimeError("the target window ended")


async def run(options: argparse.Namespace) -> None:
    size = tuple(int(side) for side in options.size.split("x"))
    width, height = size
    dice = random.Random(options.seed)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="photon-")))
        server = start_xorg(folder, (width, height))
        display = next(server).display
        stack.callback(server.close)
        window = await TargetWindow.start(display)
        stack.push_async_callback(window.close)
        products: list[Product] = [await stack.enter_async_context(fenster(display, (width, height), folder))]
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", headless=True, args=CHROMIUM_FLAGS
        )
        stack.push_async_callback(browser.close)
        for kind in ("click", "key"):
            found = {product.name: Presses() for product in products}
            for _ in range(options.rounds):
                for product in products:
                    async with playing(browser, product, (width, height)) as page:
                        await asyncio.sleep(2.0)
                        got = await press(page, product, kind, options.presses // options.rounds, dice)
                        one = found[product.name]
                        one.ms += got.ms
                        one.missed += got.missed
                        one.cpu_s += got.cpu_s
                        one.elapsed_s += got.elapsed_s
            for name, one in found.items():
                print(
                    json.dumps(
                        {
                            "what": kind,
                            "product": name,
                            "n": len(one.ms),
                            "missed": one.missed,
                            **{k: round(v, 1) for k, v in summary(one.ms).items()},
                            "cpu": round(one.cpu_s / one.elapsed_s, 3),
                            "hist": [round(x) for x in sorted(one.ms)][:: max(1, len(one.ms) // 20)],
                        }
                    )
                )
        for motion in ("scroll", "animate", "idle"):
            await window.say("stop" if motion == "idle" else motion)
            for product in products:
                async with playing(browser, product, (width, height)) as page:
                    await asyncio.sleep(3.0)
                    cost = await cost_of(page, product, options.seconds)
                    print(
                        json.dumps(
                            {
                                "what": motion,
                                "product": product.name,
                                "cpu": round(cost.cpu_s / cost.elapsed_s, 3),
                                "fps": round(cost.frames / cost.elapsed_s, 1),
                                "mbps": round(cost.bytes * 8e-6 / cost.elapsed_s, 2),
                            }
                        )
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--presses", type=int, default=200, help="of each product")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each motion")
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
