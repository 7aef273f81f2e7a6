"""`fenster serve --open-session`, as make run starts it: a URL is printed, and the URL shows a desktop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.browser_host import GATEWAY_IP, BrowserHost, chromium
from tests.e2e.viewer import Viewer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


async def events(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        yield json.loads(line)


async def test_the_printed_url_shows_a_desktop(browser_host: BrowserHost, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="fe2e-", dir="/tmp") as run_dir:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "serve", "--open-session", "--json"),
            *("--host", GATEWAY_IP, "--port", "0", "--state-dir", str(tmp_path), "--run-dir", run_dir),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            ready = None
            async for event in events(process):
                if event["event"] == "ready":
                    ready = event
                    break
            assert ready is not None, "serve ended before its session was ready"
            print("stages in seconds:", ready["timings"])
            origin = ready["viewer_url"].partition("/s/")[0]
            browser_host.pass_udp()
            async with chromium(browser_host, origin) as browser:
                # Off the loopback address its certificate is its own.
                page = await browser.new_page(ignore_https_errors=True)
                viewer = await Viewer.open(page, ready["viewer_url"], "webrtc", (1280, 720))
                assert await viewer.screenshot("serve")
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            code = await process.wait()
        assert code == 0
        assert os.listdir(run_dir) == []
