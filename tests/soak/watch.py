"""Looking, every few seconds, at processes, guests, pages and sessions."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession

from gateway.cli.client import Client
from gateway.errors import GatewayError
from tests.e2e.guest import eventually
from tests.soak import processor
from tests.soak.person import Desk, Person, note_look
from tests.soak.record import KIB_MB, Record, Sample, Series, Trouble, parse_samples

__all__ = ["EVERY_S", "Watch", "sample_process", "watch_inside"]

EVERY_S = 5.0
GUEST_S, TRIES = 20.0, 5
"""To the first line that a guest writes, and how often it is asked to."""
SCRIPT = (Path(__file__).parent / "inside.sh").read_bytes()


def sample_process(pid: int, at_s: float, *, busy: bool) -> Sample:
    """One of this host's. Raises OSError: it has gone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {key: int(value.split()[0]) for key, _, value in (line.partition(":") for line in lines)}
    fds, threads = (len(os.listdir(f"/proc/{pid}/{name}")) for name in ("fd", "task"))
    return Sample(round(at_s, 3), pid, kib["Rss"] * KIB_MB, kib["Pss"] * KIB_MB, fds, threads, busy)


async def watch_inside(desk: Desk, person: Person) -> None:
    """Have the guest write down how its agent is, with the means that a person has: a file and the terminal.

    Raises AssertionError: it does not.
    """
    path = f"/v1/sessions/{desk.sid}/files/soak.sh"

    async def body() -> Any:
        yield SCRIPT

    await desk.api.send(path, body(), len(SCRIPT))

    async def writes() -> bool | None:
        listing = await desk.api.call("GET", f"/v1/sessions/{desk.sid}/files/")
        return any(file["name"] == "soak.txt" and file["size"] for file in listing["files"]) or None

    what = f"{desk.record.name}: the guest writes of its agent"
    for _ in range(TRIES):
        # A busy guest may give the terminal the focus only after the first keys.
        await person.say("clear; (sudo bash ~/soak.sh ~/soak.txt &) 2>/dev/null; clear")
        with suppress(AssertionError):
            await eventually(writes, what, GUEST_S)
            return
    raise AssertionError(what)


class Watch:
    """Args:
    processes: of this host, by name.
    folder: the run's; what names it in its command line is the run's too.
    began, began_epoch_s: of the run, by the monotonic clock and by the clock that guests and pages have.
    """

    def __init__(
        self,
        record: Record,
        desks: list[Desk],
        processes: Mapping[str, int],
        folder: Path,
        began: float,
        began_epoch_s: float,
    ) -> None:
        self.busy = False
        """A session comes or goes just now."""
        self._record = record
        self._desks = desks
        self._processes = dict(processes)
        self._began = began
        self._began_epoch_s = began_epoch_s
        self._devtools: dict[str, CDPSession] = {}
        self._folder = folder
        self._looked = processor.look(0.0, folder)
        for name in processes:
            record.series[name] = Series(name)

    def at_s(self) -> float:
        return time.monotonic() - self._began

    def trouble(self, what: str) -> None:
        self._record.troubles.append(Trouble(round(self.at_s(), 1), what))

    async def look(self) -> None:
        """At all but the guests."""
        looked = await asyncio.to_thread(processor.look, self.at_s(), self._folder)
        self._record.cores.append(processor.between(self._looked, looked))
        self._looked = looked
        for name, pid in list(self._processes.items()):
            try:
                self._record.series[name].samples.append(sample_process(pid, self.at_s(), busy=self.busy))
            except OSError:
                self.trouble(f"the {name} has ended")
                del self._processes[name]
        if not self._desks:
            return
        await self._look_at_sessions(self._desks[0].api)
        for desk in self._desks:
            note_look(desk.record, await desk.viewer.page.evaluate("fensterSoak.take()"), self._began_epoch_s)
            heap = await (await self._devtools_of(desk)).send("Runtime.getHeapUsage")
            desk.record.heap_mb.append((round(self.at_s(), 3), heap["usedSize"] / 1e6))

    async def _look_at_sessions(self, api: Client) -> None:
        views = {view["id"]: view for view in (await api.call("GET", "/v1/sessions"))["sessions"]}
        for desk in self._desks:
            view = views.get(desk.sid)
            if view is None:
                self.trouble(f"{desk.record.name}: the session is gone")
            elif (view["state"], view["viewers"]) != ("ready", 1):
                self.trouble(f"{desk.record.name}: {view['state']}, {view['viewers']} viewers")

    async def _devtools_of(self, desk: Desk) -> CDPSession:
        if desk.sid not in self._devtools:
            page = desk.viewer.page
            self._devtools[desk.sid] = await page.context.new_cdp_session(page)
        return self._devtools[desk.sid]

    async def fetch_inside(self) -> None:
        """What the guests have written of their agents."""
        for desk in self._desks:
            name = f"agent, {desk.record.name}"
            try:
                async with desk.api.fetch(f"/v1/sessions/{desk.sid}/files/soak.txt") as (_, parts):
                    text = b"".join([part async for part in parts]).decode()
            except GatewayError as exc:
                self.trouble(f"{name}: its figures could not be had: {exc}")
                continue
            samples = [sample for sample in parse_samples(text, self._began_epoch_s) if sample.at_s >= 0]
            self._record.series[name] = Series(name, samples)
