"""One desktop under a gateway of its own, with somebody who watches: what faults are done to, and looked at by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.e2e.guest import Guest, eventually
from tests.e2e.killable import KillableGateway
from tests.faults.table import Loss
from tests.faults.watcher import Watcher

__all__ = ["Desk", "Kept"]

START_S = 300.0
"""For a first start without a snapshot, on a host that does much else."""
MARKER = "fenster-marker"
INVENTORY = f"""
pgrep -ox xfce4-terminal || echo 0
systemctl show --property=MainPID --value fenster-chromium
pgrep -of ^{MARKER} || echo 0
cat ~/kept 2>/dev/null || echo none
cat /proc/sys/kernel/random/boot_id
"""

CHROMIUM_WINDOW = """
exec 3< <(exec stdbuf -oL xprop -root -spy _NET_CLIENT_LIST)
spy=$!
trap 'kill $spy' EXIT
while read -r -u 3 line; do
  # The newest stands last.
  case $(xprop -id "${line##* }" WM_CLASS _NET_WM_PID 2>/dev/null) in
    *"= $0") ;;
    *hromium*) exit 0 ;;
  esac
done
exit 1
"""
"""bash; returns when there is a window of a Chromium with another pid than $0. To poll for it would slow it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What would be lost, as it is named in the guest."""

    terminal: str
    chromium: str
    program: str
    file: str
    boot: str

    def lost_by(self, after: Kept) -> frozenset[Loss]:
        found = {
            Loss.TERMINAL: self.terminal != after.terminal,
            Loss.CHROMIUM: self.chromium != after.chromium,
            Loss.PROGRAMS: self.program != after.program,
            Loss.FILES: self.file != after.file,
            Loss.BOOT: self.boot != after.boot,
        }
        return frozenset(loss for loss, lost in found.items() if lost)


class Desk:
    """Args:
    gateway: that runs.
    sid: of a session that is ready.
    token: a viewer's.
    """

    def __init__(self, gateway: KillableGateway, sid: str, token: str) -> None:
        self.gateway = gateway
        self.sid = sid
        self.token = token
        self.guest = Guest(gateway.link(sid))
        self.watcher = Watcher(gateway.origin, sid, token)
        self.reasons: set[str] = set()
        """That its health gave, and what was refused; a test clears it."""
        self.since = 0.0
        """Its time counts from here (time.monotonic())."""
        self._looking = asyncio.create_task(self._look(), name="health")

    @classmethod
    async def open(cls, gateway: KillableGateway, body: Mapping[str, Any] | None = None) -> Desk:
        """A new session, complete, with a file and a program that are to last."""
        sid = (await gateway.call("POST", "/v1/sessions", body or {}))["id"]
        await gateway.until(sid, "ready", "complete", START_S)
        token = await gateway.call("POST", f"/v1/sessions/{sid}/tokens", {"role": "control"})
        desk = cls(gateway, sid, token["viewer_url"].partition("#token=")[2])
        script = (
            f"echo kept > ~/kept; setsid -f bash -c 'exec -a {MARKER} sleep 99999' </dev/null >/dev/null 2>&1; sync"
        )
        await desk.guest.run("sh", "-c", script)
        await desk.settled(START_S)
        return desk

    async def close(self) -> None:
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        await self.watcher.close()

    # What is there.

    async def kept(self) -> Kept:
        return Kept(*(await self.guest.run("sh", "-c", INVENTORY)).split())

    async def hello(self) -> Mapping[str, Any]:
        return await self.gateway.ask(self.sid, "hello", {}, 3.0)

    async def main_pid(self, unit: str) -> int:
        return int(await self.guest.run("systemctl", "show", "--property=MainPID", "--value", f"fenster-{unit}"))

    async def window_manager_pid(self) -> int:
        return int((await self.guest.run("pgrep", "-ox", "xfwm4|openbox")).strip())

    async def signal(self, name: str, pid: int) -> None:
        """To a process of the guest."""
        await self.guest.run("kill", f"-{name}", str(pid), user=False)

    async def runs(self, pid: int) -> bool:
        """It is no process that a signal has stopped."""
        return (await self.guest.run("ps", "-o", "state=", "-p", str(pid))).strip() not in ("T", "")

    # Whether it is back.

    async def agent_is(self, *, other_than: int) -> bool | None:
        try:
            agent = (await self.hello())["agent"]
        except (AssertionError, TimeoutError):
            return None
        return (agent["state"] == "up" and agent["pid"] != other_than) or None

    async def is_complete(self) -> bool | None:
        """Window manager, terminal and Chromium are there, and work."""
        try:
            await self.window_manager_pid()
            shown = [await self.guest.window(words) for words in ("xfce4-terminal", "chromium")]
        except (AssertionError, TimeoutError):
            return None
        return all(shown) or None

    async def other_chromium(self, pid: int) -> bool | None:
        """Wait for the window of another; None: not within the time of one question."""
        try:
            await self.guest.run("bash", "-c", CHROMIUM_WINDOW, str(pid))
        except (AssertionError, TimeoutError):
            return None
        return True

    async def is_well(self) -> bool | None:
        view = await self.gateway.call("GET", f"/v1/sessions/{self.sid}")
        return view["health"]["ok"] or None

    async def banner(self) -> bool | None:
        """x11vnc answers, for a viewer by the gateway's WebSocket."""
        url = f"{self.gateway.origin}/v1/sessions/{self.sid}/vnc"
        try:
            async with (
                asyncio.timeout(5),
                aiohttp.ClientSession() as http,
                http.ws_connect(url, protocols=("binary", f"fenster.token.{self.token}")) as socket,
            ):
                return (await socket.receive_bytes()).startswith(b"RFB 003.") or None
        except (aiohttp.ClientError, TimeoutError, TypeError):
            return None

    async def settled(self, deadline_s: float = 90.0) -> None:
        """All of it is as it was before a fault: the next may come."""
        now = time.monotonic()
        await eventually(self.is_complete, "the desktop is complete", deadline_s)
        await eventually(lambda: self.agent_is(other_than=0), "an agent", deadline_s)
        await eventually(lambda: self.watcher.sees(now), "a picture", deadline_s)
        # Its reasons come with the next look, and go with the one after it.
        await eventually(self.is_well, "its health", deadline_s)

    def struck(self) -> None:
        """The fault is about to be made; to find what it is done to has taken a while."""
        self.since = time.monotonic()

    def mended(self) -> None:
        """The fault was to last, and is over now: from here on it must come back."""
        self.since = time.monotonic()

    async def has_reason(self, kind: str) -> bool | None:
        return kind in self.reasons or None

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """The API, also where it refuses: status and answer."""
        headers = {"Authorization": f"Bearer {self.gateway.api_key}"}
        async with (
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=90)) as http,
            http.request(method, self.gateway.origin + path, json=body) as response,
        ):
            return response.status, dict(await response.json(content_type=None)) if response.status != 204 else {}

    def told(self) -> str:
        return ", ".join(sorted(self.reasons))

    async def _look(self) -> None:
        """The reasons that its health gives, as the event stream tells them, from whatever gateway there is."""
        while True:
            try:
                view = await self.gateway.call("GET", f"/v1/sessions/{self.sid}")
                self.reasons |= {reason["kind"] for reason in view["health"]["reasons"]}
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            await asyncio.sleep(0.5)
