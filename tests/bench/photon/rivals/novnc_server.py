"""noVNC's server side: x11vnc, and a page with a WebSocket that is its TCP connection.

``python -m tests.bench.photon.rivals.novnc_server PORT X11VNC-OPTION...``
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.bench.photon.products import PATIENCE_S
from tests.bench.photon.rivals.launch import free_port
from tests.bench.photon.rivals.novnc import NODE_PACKAGE

PAGE = Path(__file__).with_name("novnc.html")
VNC_PORT = web.AppKey("vnc_port", int)
CHUNK_BYTES = 256 * 1024


async def page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


async def bridge(request: web.Request) -> web.WebSocketResponse:
    """Bytes of the TCP connection as binary messages, both ways, at once."""
    # Frames are JPEG and zlib already.
    socket = web.WebSocketResponse(protocols=("binary",), compress=False)
    await socket.prepare(request)
    reader, writer = await asyncio.open_connection("127.0.0.1", request.app[VNC_PORT])

    async def pictures() -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await socket.send_bytes(chunk)
        await socket.close()

    sending = asyncio.create_task(pictures())
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                writer.write(message.data)
                await writer.drain()
    finally:
        writer.close()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return socket


async def serve(port: int, options: list[str]) -> None:
    vnc_port = free_port()
    # XTEST and DAMAGE are X11; a Wayland session around the bench would make x11vnc give up.
    env = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
    x11vnc = await asyncio.create_subprocess_exec(
        "x11vnc", *options, "-localhost", "-nopw", "-rfbport", str(vnc_port), env=env
    )
    app = web.Application()
    app[VNC_PORT] = vnc_port
    app.router.add_get("/", page)
    app.router.add_get("/websockify", bridge)
    app.router.add_static("/novnc", NODE_PACKAGE, follow_symlinks=True)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    ended = asyncio.create_task(x11vnc.wait())
    try:
        await asyncio.wait_for(_accepts(vnc_port), PATIENCE_S)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        told = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set_result, None)
        await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await runner.cleanup()
        if x11vnc.returncode is None:
            x11vnc.terminate()
        await ended


async def _accepts(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        return


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2:]))
