"""What a gateway's own work costs where it has hundreds of sessions: API, lifecycle, store, namespaces, events.

Run: ``PYTHONPATH=.:guest-agent python tests/bench/bench_api.py [--sessions 200] [--profile]``. Prints JSON lines,
judges nothing. It needs root, or a user namespace of its own (``unshare -Ur``).

The gateway is a real one, with its data plane, SQLite and a network namespace for each session, in a process of its
own; only the machines are doubles that answer at once. So what a machine itself takes is not in these figures.
``--profile`` lists where its time went, by functions.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from gateway import app, log
from gateway.sessions.manager import Room
from gateway.settings import Settings
from gateway.vm.driver import Lan, VmSpec
from gateway.vm.find import processor_s
from tests.fake_guest import FakeGuest
from tests.fake_lan import FakeLan
from tests.fakes import FakeDriver, FakeVm

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 16
ASKED = 50
PATIENCE_S = 120.0
SHOWN = 15


class Machines(FakeDriver):
    """The gateway makes each a real namespace; what is dialled is in none."""

    async def _boot(self, spec: VmSpec, lan: Lan, guest: FakeGuest | None = None) -> FakeVm:
        return await super()._boot(spec, FakeLan(), guest)


async def serve(folder: Path, sessions: int, profile: Path | None) -> None:
    """A gateway whose machines are doubles, until SIGTERM; says where it is on stdout."""
    log.configure("error")
    setattr(app, "make_driver", lambda settings, *, lasting: Machines())  # noqa: B010 - the one double
    setattr(app, "_room", lambda disks: Room(memory_mib=1 << 30, disk_mib=1 << 30))  # noqa: B010 - of no real memory
    settings = Settings(
        port=0, state_dir=folder / "state", cache_dir=folder / "cache", run_dir=folder / "run",
        max_sessions=sessions, creates_per_min=60 * sessions, dataplane="inside",
    )  # fmt: skip
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    profiler = cProfile.Profile()
    async with app.serving(settings, lasting=True) as gateway:
        print(json.dumps({"url": gateway.url, "key": gateway.services.keys.api_key}), flush=True)
        if profile is not None:
            profiler.enable()
        await over.wait()
        profiler.disable()
    if profile is not None:
        profiler.dump_stats(profile)


class Gateway:
    def __init__(self, pid: int, http: aiohttp.ClientSession) -> None:
        self.http = http
        self._pid = pid
        self._proc = Path(f"/proc/{pid}")

    def cpu_s(self) -> float:
        return processor_s(self._pid)

    def rss_kib(self) -> int:
        (line,) = (line for line in (self._proc / "status").read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1])

    def descriptors(self) -> int:
        return len(list((self._proc / "fd").iterdir()))

    async def call(self, method: str, path: str) -> Any:
        async with self.http.request(method, path) as response:
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {response.status} {await response.text()}")
            return await response.json() if response.content_type == "application/json" else await response.read()

    async def reads(self, path: str) -> dict[str, float]:
        """Milliseconds of answers, one after the other."""
        took_ms = []
        for _ in range(ASKED):
            began = time.perf_counter()
            await self.call("GET", path)
            took_ms.append((time.perf_counter() - began) * 1000)
        return {"p50_ms": statistics.median(took_ms), "p95_ms": statistics.quantiles(took_ms, n=20)[-1]}


@asynccontextmanager
async def gateway(folder: Path, sessions: int, profile: Path | None) -> AsyncIterator[Gateway]:
    more = ["--profile-to", str(profile)] if profile is not None else []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bench_api", "--serve", str(folder), "--sessions", str(sessions), *more),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'guest-agent'}"},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            said = json.loads(await process.stdout.readline())
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {said['key']}"}
        async with aiohttp.ClientSession(said["url"], headers=headers, connector=connector) as http:
            yield Gateway(process.pid, http)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def at_once(jobs: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """AT_ONCE of them at any moment."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(job: Callable[[], Awaitable[Any]]) -> Any:
        async with room:
            return await job()

    return list(await asyncio.gather(*map(one, jobs)))


async def listen(one: Gateway, sid: str, heard: asyncio.Event) -> None:
    """A reader of a session's events, who has heard the first."""
    async with one.http.get(f"/v1/sessions/{sid}/events", timeout=aiohttp.ClientTimeout(total=None)) as response:
        async for line in response.content:
            if line.startswith(b"data:"):
                heard.set()


def say(what: str, **figures: Any) -> None:
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps({"what": what, **rounded}), flush=True)


async def until_ready(one: Gateway, count: int) -> None:
    while True:
        states = [session["state"] for session in (await one.call("GET", "/v1/sessions"))["sessions"]]
        if states.count("ready") == count:
            return
        if "failed" in states:
            raise RuntimeError(f"sessions failed: {states.count('failed')}")
        await asyncio.sleep(0.05)


async def measured(one: Gateway, count: int) -> None:
    rss_kib, fds, cpu_s = one.rss_kib(), one.descriptors(), one.cpu_s()
    began = time.perf_counter()
    made = await at_once([lambda: one.call("POST", "/v1/sessions")] * count)
    await until_ready(one, count)
    took_s = time.perf_counter() - began
    spent_s = one.cpu_s() - cpu_s
    say("create", sessions=count, per_s=count / took_s, cpu_ms_each=spent_s / count * 1000)
    kib, own_fds = (one.rss_kib() - rss_kib) / count, (one.descriptors() - fds) / count
    say("a session", memory_kib=kib, descriptors=own_fds)
    ids: list[str] = [told["id"] for told in made]
    for path in ("/healthz", f"/v1/sessions/{ids[0]}", "/v1/sessions", "/v1/host", "/metrics"):
        say(f"GET {path.replace(ids[0], '{id}')}", sessions=count, **await one.reads(path))

    heard = [asyncio.Event() for _ in ids]
    rss_kib = one.rss_kib()
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE_S):
        readers = [asyncio.create_task(listen(one, sid, event)) for sid, event in zip(ids, heard, strict=True)]
        for reader in readers:
            stack.callback(reader.cancel)
        await asyncio.gather(*(event.wait() for event in heard))
        say("readers of events", readers=count, memory_kib_each=(one.rss_kib() - rss_kib) / count)
        say("GET /healthz beside them", **await one.reads("/healthz"))

    cpu_s, began = one.cpu_s(), time.perf_counter()
    await at_once([partial(one.call, "DELETE", f"/v1/sessions/{sid}") for sid in ids])
    took_s = time.perf_counter() - began
    say("delete", sessions=count, per_s=count / took_s, cpu_ms_each=(one.cpu_s() - cpu_s) / count * 1000)


async def bench(count: int, *, profiled: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="fb-", dir="/tmp") as name:
        profile = Path(name) / "profile" if profiled else None
        async with gateway(Path(name), count, profile) as one:
            await measured(one, count)
        if profile is not None:
            pstats.Stats(str(profile)).sort_stats("tottime").print_stats(SHOWN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument(
        "--profile", action="store_true", help="where the gateway's time went; its figures are slower"
    )
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--profile-to", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(serve(given.serve, given.sessions, given.profile_to))
    else:
        asyncio.run(bench(given.sessions, profiled=given.profile))


if __name__ == "__main__":
    main()
