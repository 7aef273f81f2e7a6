"""``python -m tests.bench.photon.vm``: press to photon, and motion, of a desktop in a real microVM.

The window of target.py runs inside the guest and scrolls as a person does who turns the wheel quickly: 20 notches a
second, since under emulation drawing 60 takes more than showing what can be shown of them. There is no rival to
compare with: under emulation the figures say how much of the host's processor is left, and whether the picture still
moves.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import async_playwright
from rich.console import Console

from gateway.settings import Settings
from gateway.vm.binary import find_qemu
from gateway.vm.qemu_vm import QemuVm
from tests.bench.photon import target
from tests.bench.photon.products import Product, play_fenster
from tests.bench.photon.report import print_tables
from tests.bench.photon.results import Results
from tests.bench.photon.run import CHROMIUM, Plan, facts, rounds
from tests.e2e.browser_host import CHROMIUM_FLAGS
from tests.e2e.gateway import Gateway, running_gateway
from tests.e2e.guest import Guest, eventually

START_S = 300.0
"""To a desktop whose Chromium shows its page; what starts after that is quiet."""
GUEST_PYTHON = "/opt/fenster/bin/python"
FOLDER = "/tmp/photon"
STEPS_PER_S = 20
SOURCE = Path(target.__file__).read_text()


class GuestWindow:
    """target.py on the guest's display."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._said = 0

    async def start(self) -> None:
        await self._guest.run("mkdir", FOLDER)
        await self._guest.write(f"{FOLDER}/target.py", SOURCE)
        # Both ends of the pipe are its own, so that it does not end between two commands.
        start = f"cd {FOLDER} && mkfifo in && (setsid {GUEST_PYTHON} target.py :1 {STEPS_PER_S} <>in >out 2>&1 &)"
        await self._guest.run("sh", "-c", start)
        await self._answered("ready")

    async def say(self, command: str) -> None:
        await self._guest.run("sh", "-c", f"echo {command} >{FOLDER}/in")
        self._said += 1
        await self._answered("ok")

    async def _answered(self, word: str) -> None:
        async def answer() -> bool | None:
            lines = (await self._guest.read(f"{FOLDER}/out") or "").split()
            return (lines[-1:] == [word] and len(lines) == self._said + 1) or None

        await eventually(answer, f"the target window's {word!r}")


@asynccontextmanager
async def desktop(gateway: Gateway) -> AsyncIterator[tuple[Product, GuestWindow]]:
    """A new session with the window in it, over everything."""
    session = await gateway.manager.create()
    async with asyncio.timeout(START_S):
        await session.wait_ready()
        guest = Guest(session.link)
        await eventually(lambda: guest.window("Fenster - Chromium"), "the start page", START_S)
        window = GuestWindow(guest)
        await window.start()
    machine = session.vm
    assert isinstance(machine, QemuVm)
    qemu = await find_qemu()
    yield (
        Product(
            "fenster-vm",
            gateway.viewer_url(session.id, "control"),
            "document.querySelector('#video')",
            machine.process.pid,
            play_fenster,
            version=f"QEMU {qemu.version} on {session.accelerator}",
        ),
        window,
    )
    await gateway.manager.destroy(session.id)


async def measure(plan: Plan) -> Results:
    with tempfile.TemporaryDirectory(prefix="photon-") as folder:
        settings = Settings(port=0, state_dir=Path(folder) / "state", run_dir=Path(folder) / "run")
        async with (
            running_gateway(settings) as gateway,
            desktop(gateway) as (product, window),
            async_playwright() as lib,
        ):
            browser = await lib.chromium.launch(executable_path=CHROMIUM, headless=True, args=CHROMIUM_FLAGS)
            try:
                began = datetime.now(UTC).isoformat(timespec="seconds")
                results = Results(plan.size_px, began, facts(browser, [product]))
                await rounds(plan, [product], browser, window, results, lambda said: print(said, file=sys.stderr))
            finally:
                await browser.close()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--presses", type=int, default=60, help="of each kind, in all rounds together")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each motion, likewise")
    options = parser.parse_args()
    plan = Plan((1280, 720), options.rounds, options.presses, options.seconds, seed=1)
    results = asyncio.run(measure(plan))
    console = Console(width=max(140, Console().width))
    for name, fact in results.facts.items():
        console.print(f"{name}: {fact}")
    print_tables(results, console)


if __name__ == "__main__":
    main()
