"""A whole run: site, gateway, three desktops with their viewers, and what is done with them until it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from gateway.bench.facts import this_host
from gateway.cli.client import Client
from tests.e2e.browser_host import CHROMIUM_FLAGS
from tests.e2e.viewer import Transport, Viewer
from tests.soak.churn import churn
from tests.soak.gateway import SoakedGateway, read_log, soaked_gateway
from tests.soak.person import READ_S, Desk, Person
from tests.soak.record import Record, Trouble, ViewerRecord
from tests.soak.site import Site, site
from tests.soak.watch import EVERY_S, Watch, watch_inside

__all__ = ["VIEWERS", "Plan", "soak"]

CHROMIUM = Path("/usr/bin/chromium")
DISPLAY_PX = (1280, 720)
BAR_PX = 60
COMPLETE_S = 300.0
"""To a desktop whose Chromium has its window, beside others that start."""
VIEWERS: tuple[tuple[str, Transport], ...] = (("WebRTC 1", "webrtc"), ("WebRTC 2", "webrtc"), ("noVNC", "novnc"))
PAGE_SCRIPT = (Path(__file__).parent / "page.js").read_text()
CRUMBS_S = 60.0
LONGEST_READ = 1 / 15
"""Of a run, so that in a short one too each of the people does everything."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    minutes: float
    seed: int = 1


async def soak(plan: Plan, folder: Path, say: Say) -> Record:
    """Run it and report what was seen.

    Args:
        folder: an empty one with a short path.
        say: told in words what is being done.

    Raises:
        Exception: the run could not begin; what goes wrong later is in the record.
    """
    record = Record(datetime.now(UTC).isoformat(timespec="seconds"))
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(site(folder))
        gateway = await stack.enter_async_context(soaked_gateway(folder))
        say(f"the gateway serves on {gateway.api.url} (process {gateway.pid}, data plane {gateway.plane_pid})")
        browser = await stack.enter_async_context(_chromium())
        sids = [await _ready(gateway.api, web, name, say) for name, _ in VIEWERS]
        desks = await asyncio.gather(
            *(_desk(browser, gateway.api, sid, *viewer, say) for sid, viewer in zip(sids, VIEWERS, strict=True))
        )
        read_s = min(READ_S, plan.minutes * 60 * LONGEST_READ)
        people = [
            Person(desk, web, begins_s=read_s * seat / len(desks), read_s=read_s, seed=plan.seed + seat)
            for seat, desk in enumerate(desks)
        ]
        record.viewers = [person.desk.record for person in people]
        record.facts = await _facts(gateway.api, browser, people[0].desk.sid)
        await _use(plan, record, gateway, folder, people, say)
        say("ending the sessions")
    record.left = gateway.left
    for name, path in gateway.logs.items():
        record.logs[name] = read_log(await asyncio.to_thread(_lines, path))
    return record


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def _ready(api: Client, web: Site, name: str, say: Say) -> str:
    """A new session's id, once it is ready. Raises RuntimeError when it fails."""
    size = {"width": DISPLAY_PX[0], "height": DISPLAY_PX[1]}
    sid: str = (await api.call("POST", "/v1/sessions", {"proxy": web.proxy, "display": size}))["id"]
    view = await _until(api, sid, lambda view: view["state"] == "ready")
    say(f"{name}: session {sid} was ready after {view['timings']['ready']:.1f} s")
    return sid


async def _until(api: Client, sid: str, so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The session's first view that is so. Raises RuntimeError, TimeoutError."""
    async with asyncio.timeout(COMPLETE_S), aclosing(api.follow(sid)) as views:
        async for view in views:
            if view["error"] is not None:
                raise RuntimeError(f"session {sid}: {view['error']['message']}")
            if so(view):
                return view
    raise RuntimeError(f"session {sid} has ended")


async def _desk(browser: Browser, api: Client, sid: str, name: str, transport: Transport, say: Say) -> Desk:
    """Its viewer before a session that is complete."""
    await _until(api, sid, lambda view: "complete" in view["timings"])
    record = ViewerRecord(name, transport)
    context = await browser.new_context(viewport={"width": DISPLAY_PX[0], "height": DISPLAY_PX[1] + BAR_PX})
    await context.add_init_script(PAGE_SCRIPT.replace("$TRANSPORT", transport))
    url = api.url + (await api.call("POST", f"/v1/sessions/{sid}/tokens", {}))["viewer_url"]
    viewer = await Viewer.open(await context.new_page(), url, transport, DISPLAY_PX)
    await viewer.controls()
    say(f"{name}: complete and shown")
    return Desk(sid, api, viewer, record)


async def _use(
    plan: Plan, record: Record, gateway: SoakedGateway, folder: Path, people: list[Person], say: Say
) -> None:
    """Everything at once, for as long as planned."""
    desks = [person.desk for person in people]
    for person in people:
        await person.sit_down()
    await asyncio.gather(*(watch_inside(person.desk, person) for person in people))
    for desk in desks:
        await desk.viewer.page.evaluate("fensterSoak.begin()")
        desk.record.presses = 0
    began, began_epoch_s = time.monotonic(), time.time()
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(plan.minutes * 60, over.set)
    watch = Watch(
        record, desks, {"gateway": gateway.pid, "data plane": gateway.plane_pid}, folder, began, began_epoch_s
    )
    for desk in desks:
        _listen(desk.viewer.page, desk.record, watch)
    say(f"for {plan.minutes:g} minutes from now")
    doing = [
        _noted(watch.trouble, "looking", _look_on(watch, over, say, record)),
        _noted(watch.trouble, "creating", churn(gateway.api, watch, record.creates, over)),
        *(_noted(watch.trouble, person.desk.record.name, person.run(over)) for person in people),
    ]
    await asyncio.gather(*doing)
    record.elapsed_s = round(time.monotonic() - began, 1)
    await watch.fetch_inside()
    counters = (await gateway.api.call("GET", "/v1/host"))["counters"]
    record.machines = {name: counters[name] for name in ("clones", "boots", "clone_failures")}


async def _noted(trouble: Callable[[str], None], name: str, work: Coroutine[Any, Any, None]) -> None:
    """Whatever ends it early is a finding, and no reason to end the rest."""
    try:
        await work
    except Exception as exc:
        trouble(f"{name}: {type(exc).__name__}: {str(exc).partition(chr(10))[0]}")


async def _look_on(watch: Watch, over: asyncio.Event, say: Say, record: Record) -> None:
    told = time.monotonic()
    while not over.is_set():
        due = time.monotonic() + EVERY_S
        await watch.look()
        if time.monotonic() - told >= CRUMBS_S:
            told = time.monotonic()
            await watch.fetch_inside()
            say(_crumb(watch, record))
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def _crumb(watch: Watch, record: Record) -> str:
    now = {name: series.samples[-1] for name, series in record.series.items() if series.samples}
    processes = ", ".join(f"{name} {sample.rss_mb:.1f} MB {sample.fds} fds" for name, sample in now.items())
    viewers = ", ".join(
        f"{viewer.name} {viewer.frames} frames, {len(viewer.troubles)} troubles" for viewer in record.viewers
    )
    return f"{watch.at_s() / 60:.1f} min: {processes}; {viewers}; {len(record.creates)} creates"


def _listen(page: Page, record: ViewerRecord, watch: Watch) -> None:
    """What a page cannot say itself."""
    page.on("crash", lambda _: record.troubles.append(Trouble(round(watch.at_s(), 1), "the page crashed")))


async def _facts(api: Client, browser: Browser, sid: str) -> dict[str, str]:
    host, view = this_host(), await api.call("GET", f"/v1/sessions/{sid}")
    versions = (await api.call("GET", "/v1/host"))["versions"]
    return {
        "Processor": f"{host.cores} cores" + (f" of {host.cpu}" if host.cpu else ""),
        "Memory": f"{host.memory_mib / 1024:.1f} GiB",
        "Kernel": host.kernel,
        "Accelerator": str(view["accelerator"]),
        "Viewers": f"Chromium {browser.version}, headless, on the same processor",
        **{name: str(version) for name, version in versions.items()},
    }


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []
