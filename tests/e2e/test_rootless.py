"""The gateway as an ordinary user: doctor, serve, a desktop in the browser, kill -9, and the next one finds it.

The image is the one that root has built: that an ordinary user can build it is not tried here, it takes minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.keyfiles import read_api_key
from gateway.plane.process import SOCKET_NAME
from gateway.settings import Settings
from tests.e2e.browser_host import GATEWAY_IP, BrowserHost, chromium
from tests.e2e.ordinary_user import OrdinaryUser, ordinary_user, processes_of, status_of, subordinates
from tests.e2e.viewer import Viewer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

PYTHON = sys.executable


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    cache = Settings().cache_dir
    with ordinary_user() as made:
        for name in ("golden", "snapshots"):
            made.show(cache / name, f".cache/fenster/{name}")
        try:
            yield made
        finally:
            shutil.rmtree(run_dir(made), ignore_errors=True)


def run_dir(user: OrdinaryUser) -> Path:
    """Where it is by default for a user without a login session."""
    return Path(f"/tmp/fenster-{user.uid}")


class Serve:
    """`fenster serve` as that user, with its own defaults."""

    def __init__(self, user: OrdinaryUser, port: int) -> None:
        self._user = user
        self._argv = [PYTHON, "-m", "gateway.cli", "serve", "--json", "--host", GATEWAY_IP, "--port", str(port)]
        self._log = user.home / "gateway.log"
        self.origin = f"http://{GATEWAY_IP}:{port}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *more: str, until: str) -> dict[str, Any]:
        """Returns the first event of this name."""
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._user.command(*self._argv, *more),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**self._user.environment(), "FENSTER_INSECURE_HTTP": "1"},
                cwd="/",
            )
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            event = json.loads(line)
            if event["event"] == until:
                return dict(event)
        raise AssertionError(f"serve ended: {self._log.read_text()[-3000:]}")

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()

    async def call(self, method: str, path: str) -> tuple[int, bytes]:
        key = read_api_key(self._user.home / ".local/state/fenster")
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http,
            http.request(method, self.origin + path) as response,
        ):
            return response.status, await response.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((GATEWAY_IP, 0))
        return int(probe.getsockname()[1])


def machines(user: OrdinaryUser) -> list[int]:
    """Its QEMUs."""
    return [pid for pid in processes_of(user) if b"\0-uuid\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def check_confined(user: OrdinaryUser, gateway: int) -> None:
    (pid,) = machines(user)
    told = status_of(pid)
    uids = {int(word) for word in told["Uid"].split()}
    assert len(uids) == 1
    assert any(uids <= set(ids) for ids in subordinates(user)), "it is neither root nor the user"
    assert (told["Seccomp"], told["NoNewPrivs"]) == ("2", "1")
    assert int(told["CapPrm"], 16) == int(told["CapBnd"], 16) == 0
    ours, theirs = Path("/proc/self/ns"), Path(f"/proc/{pid}/ns")
    for name in ("user", "net"):
        assert os.readlink(ours / name) != os.readlink(theirs / name)
    # And the gateway is that user to this host, in this host's network.
    assert int(status_of(gateway)["Uid"].split()[0]) == user.uid
    assert os.readlink(f"/proc/{gateway}/ns/net") == os.readlink(ours / "net")


def test_doctor_finds_nothing_that_stands_in_the_way(user: OrdinaryUser) -> None:
    ran = user.run(PYTHON, "-m", "gateway.cli", "doctor", "--json")
    told = json.loads(ran.stdout or "{}")
    found = {one["name"]: one for one in told.get("findings", [])}
    assert found.pop("golden image")
    assert [one for one in found.values() if one["grade"] == "fail"] == [], ran.stderr
    assert "user namespace" in found["namespaces"]["detail"]
    assert found["subordinate ids"]["grade"] == "ok"


async def test_an_ordinary_user_runs_it_all(user: OrdinaryUser, browser_host: BrowserHost) -> None:
    began = time.monotonic()
    browser_host.pass_udp()
    serve = Serve(user, free_port())
    try:
        ready = await serve.start("--open-session", until="ready")
        print(f"\nready after {time.monotonic() - began:.1f} s: {ready['timings']}")
        assert serve.process is not None
        check_confined(user, serve.process.pid)
        async with chromium(browser_host, serve.origin) as browser:
            viewer = await Viewer.open(await browser.new_page(), ready["viewer_url"], "webrtc", (1280, 720))
            assert await viewer.screenshot("rootless")
            print(f"first picture after {time.monotonic() - began:.1f} s")
        before = machines(user)
        await serve.end(signal.SIGKILL)
        assert machines(user) == before

        await serve.start(until="listening")
        status, body = await serve.call("GET", f"/v1/sessions/{ready['id']}")
        assert (status, json.loads(body)["state"]) == (200, "ready")
        assert machines(user) == before
        # The picture comes over a socket that was born in the machine's namespace after the restart.
        status, picture = await serve.call("GET", f"/v1/sessions/{ready['id']}/screenshot")
        assert (status, picture[:4]) == (200, b"\x89PNG")
        print(f"found again after {time.monotonic() - began:.1f} s")
        assert (await serve.call("DELETE", f"/v1/sessions/{ready['id']}"))[0] == 204
        assert machines(user) == []
        assert await serve.end(signal.SIGINT) == 0
        assert [name for name in os.listdir(run_dir(user)) if name != SOCKET_NAME] == []
    finally:
        await serve.end(signal.SIGKILL)
