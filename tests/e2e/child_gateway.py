"""A lasting gateway in a process of its own, to be killed; looks into its guests when it is asked on standard input.

Each line in is {"id", "sid", "method", "params", "timeout_s"} for the session's agent link, each line out
{"id", "result"} or {"id", "error"}. The first line out is {"event": "listening", "url", "recovered": [...]}.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from gateway import log
from gateway.app import serving
from gateway.errors import GatewayError
from gateway.sessions.manager import SessionManager
from gateway.settings import Settings


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


async def ask(manager: SessionManager, asked: dict[str, Any]) -> None:
    try:
        link = manager.get(asked["sid"]).link
        result = await link.call(asked["method"], asked["params"], timeout_s=asked["timeout_s"])
        say({"id": asked["id"], "result": dict(result)})
    except GatewayError as exc:
        say({"id": asked["id"], "error": str(exc)})


async def main(host: str, port: int, state_dir: Path, run_dir: Path, cache_dir: Path) -> None:
    settings = Settings(
        host=host, insecure_http=True, port=port, state_dir=state_dir, run_dir=run_dir, cache_dir=cache_dir
    )
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    asking: set[asyncio.Task[None]] = set()
    async with serving(settings, lasting=True) as gateway:
        manager = gateway.services.manager
        states = {session.id: session.state.value for session in manager.list()}
        say({"event": "listening", "url": gateway.url, "recovered": states})
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            reading = asyncio.create_task(reader.readline())
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            line = reading.result() if reading.done() else b""
            reading.cancel()
            if not line:
                break
            task = asyncio.create_task(ask(manager, json.loads(line)))
            asking.add(task)
            task.add_done_callback(asking.discard)
        stopping.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        if stop.is_set():
            await manager.leave()


if __name__ == "__main__":
    log.configure("info", json=False)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *map(Path, sys.argv[3:6])))
