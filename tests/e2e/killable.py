"""The test's side of child_gateway.py: start it, kill it, start the next, and call its API."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from gateway.app import disk_dir, store_path
from gateway.keyfiles import read_api_key
from gateway.plane.process import SOCKET_NAME, pid_of
from gateway.sessions.store import machine_uuids
from gateway.settings import Settings
from gateway.vm.find import find_process
from tests.e2e.guest import eventually
from tests.processes import ended

__all__ = ["KillableGateway"]


class KillableGateway:
    """Gateways that follow each other on one address and one state.

    Args:
        home: for state, disks and log; the golden images are the user's.
        run_dir: short.
    """

    def __init__(self, host: str, port: int, home: Path, run_dir: Path) -> None:
        self.origin = f"http://{host}:{port}"
        self.recovered: dict[str, str] = {}
        """State by id of the sessions that the last start found."""
        cache, mine = Settings().cache_dir, home / "cache"
        mine.mkdir()
        for name in ("golden", "snapshots"):
            (mine / name).symlink_to(cache / name)
        self._settings = Settings(
            host=host, insecure_http=True, port=port, state_dir=home / "state", run_dir=run_dir, cache_dir=mine
        )
        paths = (self._settings.state_dir, run_dir, mine)
        self._argv = [sys.executable, "-m", "tests.e2e.child_gateway", host, str(port), *map(str, paths)]
        self._log = home / "gateway.log"
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        """Returns when it listens."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1 << 20,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        assert self._process.stdout is not None
        first = await self._process.stdout.readline()
        assert first, f"the gateway ended: {self._log.read_text()[-2000:]}"
        self.recovered = json.loads(first)["recovered"]
        self._reading = asyncio.create_task(self._read(self._process.stdout))

    def send(self, number: signal.Signals) -> None:
        """Send it, and do not wait for what it does."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the process that way."""
        self.send(number)
        assert self._process is not None
        await self._process.wait()
        if self._reading is not None:
            await self._reading
        transport = self._process.stdin
        if transport is not None:
            transport.close()

    async def close(self) -> None:
        """End what runs, sessions too, whatever state the test has left."""
        if self._process is None or self._process.returncode is not None:
            with contextlib.suppress(AssertionError):
                await self.start()
        if self._process is not None and self._process.returncode is None:
            for view in (await self.call("GET", "/v1/sessions"))["sessions"]:
                await self.call("DELETE", f"/v1/sessions/{view['id']}")
            plane = self.data_plane()
            await self.kill(signal.SIGTERM)
            if plane is not None:
                await ended(plane)

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The API. Raises aiohttp.ClientError."""
        key = self.api_key
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.request(
                method, self.origin + path, json=body, headers={"Authorization": f"Bearer {key}", **(headers or {})}
            ) as response,
        ):
            return dict(await response.json()) if response.status != 204 else {}

    @property
    def api_key(self) -> str:
        return read_api_key(self._settings.state_dir)

    async def until(
        self, sid: str, state: str, stage: str | None = None, deadline_s: float = 120.0
    ) -> dict[str, Any]:
        """A session's view once it is in this state, and has reached this stage."""

        async def look() -> dict[str, Any] | None:
            view = await self.call("GET", f"/v1/sessions/{sid}")
            assert view["error"] is None, view
            return view if view["state"] == state and (stage is None or stage in view["timings"]) else None

        return await eventually(look, f"session {sid} is {state}", deadline_s)

    def processes(self) -> list[int]:
        """QEMUs of machines that this state knows."""
        found = [find_process(uuid) for uuid in machine_uuids(store_path(self._settings))]
        return [pid for pid in found if pid is not None]

    def data_plane(self) -> int | None:
        """The process that holds networks, relay and proxies."""
        return pid_of(self._settings.run_dir / SOCKET_NAME)

    def machines(self) -> int:
        """How many this state knows."""
        return len(machine_uuids(store_path(self._settings)))

    def left(self) -> list[str]:
        """What is left of machines, anywhere."""
        folders = [self._settings.run_dir, disk_dir(self._settings)]
        files = [path for folder in folders if folder.exists() for path in folder.iterdir()]
        return [*map(str, self.processes()), *(str(path) for path in files if path.name != SOCKET_NAME)]

    def link(self, sid: str) -> ChildLink:
        return ChildLink(self, sid)

    async def ask(self, sid: str, method: str, params: Mapping[str, Any], timeout_s: float) -> Mapping[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        waiter: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiter
        asked = {"id": number, "sid": sid, "method": method, "params": dict(params), "timeout_s": timeout_s}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        try:
            async with asyncio.timeout(timeout_s + 10):
                return await waiter
        finally:
            del self._waiting[number]

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            told = json.loads(line)
            waiter = self._waiting.get(told["id"])
            if waiter is not None and "error" in told:
                waiter.set_exception(AssertionError(told["error"]))
            elif waiter is not None:
                waiter.set_result(told["result"])


class ChildLink:
    """A session's agent link, through the child."""

    def __init__(self, gateway: KillableGateway, sid: str) -> None:
        self._gateway = gateway
        self._sid = sid

    async def call(self, method: str, params: Mapping[str, Any], *, timeout_s: float = 10.0) -> Mapping[str, Any]:
        return await self._gateway.ask(self._sid, method, params, timeout_s)
