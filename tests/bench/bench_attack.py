"""What a viewer notices while others mean ill: 1,000 slow connections on HTTP, as many on the session's own proxy,
and 20,000 junk datagrams a second on the relay's port.

Run: ``PYTHONPATH=.:guest-agent python tests/bench/bench_attack.py [--seconds 20] [--rounds 1] [--json FILE]``.
Prints a JSON line for each attack; ``--strict`` fails when a viewer's p95 is twice that of the quiet minutes between.

A real gateway with a desktop of the ``process`` driver, an aiortc viewer that presses and waits for the pixel, and
the attackers are processes of this one machine, so an attacker's own work (core_share) counts against the viewer too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from gateway.cli.client import Client, client
from gateway.exits import PROXY_PORT
from gateway.keyfiles import read_api_key
from gateway.probe.api import Connection, Session, marked
from gateway.probe.peer import PRESS_S, PeerWay
from tests.leaks import namespace_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
PAUSE_S = (0.05, 0.15)
SETTLE_S = 3.0
MARK_EVERY_S = 5.0
ASK_EVERY_S = 0.5
LOOPBACK, HOST_IN_GUEST = "127.0.0.1", "169.254.0.22"
STRANGER = "127.0.0.2"
"""Where attacks come from, so that limits of one address are its own."""
WORST_RATIO = 2.0


@dataclass
class Gateway:
    url: str
    sid: str
    media_port: int
    folder: Path

    def cpu_s(self) -> float:
        """That its processes, the data plane's among them, have spent so far."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (path / "cmdline").read_text(errors="replace")
                if "gateway.cli" in line and str(self.folder) in line:
                    fields = (path / "stat").read_text().rpartition(")")[2].split()
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def guest_pid(self) -> int:
        """A process in the network of its session."""
        mine, folder = namespace_of(os.getpid()), str(self.folder)
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                told = (path / "environ").read_text(errors="replace") + (path / "cmdline").read_text(errors="replace")
                if folder in told and namespace_of(int(path.name)) != mine:
                    return int(path.name)
        raise RuntimeError("the session has no process")


def _environ() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FENSTER_")}
    return kept | {"PYTHONPATH": f"{ROOT}:{ROOT / 'guest-agent'}"}


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Gateway]:
    """``fenster serve`` with one desktop that is ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "serve", "--open-session", "--json", "--driver", "process"),
        *("--host", LOOPBACK, "--port", "0", "--display", "1280x720", "--log-level", "error"),
        *("--state-dir", str(folder / "state"), "--run-dir", str(folder / "run")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=_environ(),
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert process.stdout is not None
            media_port = 0
            async for line in process.stdout:
                event = json.loads(line)
                media_port = event.get("media_port", media_port)
                if event["event"] == "ready":
                    url, _, rest = event["viewer_url"].partition("/s/")
                    break
            else:
                raise RuntimeError("the gateway ended before its session was ready")
        yield Gateway(url, rest.partition("#")[0], media_port, folder)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


@asynccontextmanager
async def attacker(*argv: str, inside: int | None = None) -> AsyncIterator[dict[str, Any]]:
    """One that has begun, in the network of process ``inside``; what it did is in the mapping afterwards."""
    enter: list[str] = []
    if inside is not None:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        enter = ["nsenter", f"--target={inside}", "--net", *user]
    process = await asyncio.create_subprocess_exec(
        *enter, sys.executable, "-m", "tests.bench.attackers", *argv,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env=_environ(),
    )  # fmt: skip
    did: dict[str, Any] = {}
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert json.loads(await process.stdout.readline())["event"] == "ready"
        yield did
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            did.update(json.loads(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


@dataclass
class Seen:
    """By the viewer, and of the gateway, in all phases of one name."""

    presses_ms: list[float] = field(default_factory=list)
    missed: int = 0
    answers_ms: list[float] = field(default_factory=list)
    """Of GET /healthz, each on a connection of its own."""
    unanswered: int = 0
    gateway_core_share: list[float] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    attacker: dict[str, Any] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        return {
            "presses": len(self.presses_ms) - self.missed,
            "missed": self.missed,
            "p50_ms": round(statistics.median(self.presses_ms), 1),
            "p95_ms": round(p95(self.presses_ms), 1),
            "http_p95_ms": round(p95(self.answers_ms), 1) if len(self.answers_ms) > 1 else None,
            "http_unanswered": self.unanswered,
            "gateway_core_share": round(statistics.mean(self.gateway_core_share), 3),
            **({"counted": self.counted} if self.counted else {}),
            **({"attacker": self.attacker} if self.attacker else {}),
        }


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


async def counters(api: Client) -> Mapping[str, int]:
    found: Mapping[str, int] = (await api.call("GET", "/v1/host"))["counters"]
    return found


async def ask(url: str, seen: Seen) -> None:
    """Whether anybody else still gets an answer."""
    while True:
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(PRESS_S),
                aiohttp.ClientSession() as http,
                http.get(f"{url}/healthz") as answer,
            ):
                await answer.read()
            seen.answers_ms.append((time.monotonic() - began) * 1000)
        except (TimeoutError, aiohttp.ClientError):
            seen.unanswered += 1
        await asyncio.sleep(ASK_EVERY_S)


async def watch(
    site: Gateway, session: Session, viewer: Connection, seen: Seen, seconds: float, dice: random.Random
) -> None:
    """Press for so long."""
    asking = asyncio.create_task(ask(site.url, seen))
    began, cpu, marked_at = time.monotonic(), site.cpu_s(), 0.0
    try:
        while (now := time.monotonic()) < began + seconds:
            if now > marked_at + MARK_EVERY_S:
                await session.mark()
                marked_at = now
            await asyncio.sleep(dice.uniform(*PAUSE_S))
            press = await viewer.press()
            seen.missed += press is None
            # One that was not seen is as late as may be.
            seen.presses_ms.append(PRESS_S * 1000 if press is None else press.total_ms)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    seen.gateway_core_share.append((site.cpu_s() - cpu) / (time.monotonic() - began))


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Seen]:
    names = ("quiet", "slow HTTP", "slow proxy", "junk flood")
    seen = {name: Seen() for name in names}
    dice = random.Random(20)
    async with gateway(folder) as site, client(site.url, read_api_key(folder / "state")) as api:
        inside = site.guest_pid()
        count, port = str(options.connections), site.url.rpartition(":")[2]
        attacks: dict[str, tuple[tuple[str, ...], int | None]] = {
            "slow HTTP": (("loris", LOOPBACK, port, count, STRANGER), None),
            "slow proxy": (("loris", HOST_IN_GUEST, str(PROXY_PORT), count), inside),
            "junk flood": (("flood", LOOPBACK, str(site.media_port), str(options.rate), STRANGER), None),
        }
        async with marked(api, site.sid) as session, PeerWay("click").connect(session) as viewer:
            await asyncio.sleep(SETTLE_S)
            await viewer.press()
            for _ in range(options.rounds):
                for name in dice.sample(names[1:], 3):
                    await watch(site, session, viewer, seen["quiet"], options.seconds, dice)
                    print(f"{name} ...", file=sys.stderr)
                    argv, where = attacks[name]
                    before = await counters(api)
                    async with attacker(*argv, inside=where) as did:
                        await watch(site, session, viewer, seen[name], options.seconds, dice)
                        during = await counters(api)
                    seen[name].attacker = {key: value for key, value in did.items() if key != "event"}
                    grown = {key: during[key] - before.get(key, 0) for key in during}
                    told = ("dropped_", "http", "tcp_closed", "egress_error")
                    seen[name].counted = {key: by for key, by in grown.items() if by and key.startswith(told)}
                    await asyncio.sleep(SETTLE_S)
            await watch(site, session, viewer, seen["quiet"], options.seconds, dice)
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each attack, and of the quiet before it")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=20_000, help="datagrams a second")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--strict", action="store_true", help=f"fail when a ratio is {WORST_RATIO:g} or more")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fen") as folder:
        seen = asyncio.run(measure(options, Path(folder)))
    quiet = p95(seen["quiet"].presses_ms)
    found = [
        {"name": name, "p95_ratio": round(p95(one.presses_ms) / quiet, 2), **one.figures()}
        for name, one in seen.items()
    ]
    for line in found:
        print(json.dumps(line))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 1 if options.strict and any(line["p95_ratio"] >= WORST_RATIO for line in found) else 0


if __name__ == "__main__":
    sys.exit(main())
