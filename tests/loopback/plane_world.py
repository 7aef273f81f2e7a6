"""A VM without a VM: a process in the network that a data plane made, which echoes and uses its proxy."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.exits import PROXY_PORT, Exit
from gateway.netns.lan import GUEST_IP, HOST_IP
from gateway.vm.driver import Command, Lan
from tests.loopback.egress_world import served
from tests.loopback.relay_lan import LOOPBACK

__all__ = ["ECHO_PORT", "Guest", "guest_in", "upstream"]

ECHO_PORT = 7000
"""TCP and UDP."""

SCRIPT = f"""
import asyncio, sys

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

class Udp(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, addr): self.transport.sendto(data, addr)

async def main():
    loop = asyncio.get_running_loop()
    await asyncio.start_server(echo, "{GUEST_IP}", {ECHO_PORT})
    await loop.create_datagram_endpoint(Udp, ("{GUEST_IP}", {ECHO_PORT}))
    print("up", flush=True)
    opened = []
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        try:
            if line == "open":
                reader, writer = await asyncio.open_connection("{HOST_IP}", {PROXY_PORT})
                writer.write(b"CONNECT web.example.test:443 HTTP/1.1\\r\\nHost: web.example.test:443\\r\\n\\r\\n")
                opened.append((reader, writer))
                answer = (await reader.readuntil(b"\\r\\n\\r\\n")).split(b"\\r\\n")[0].decode()
            else:
                reader, writer = opened[-1]
                writer.write(line.encode() + b"\\n")
                answer = (await reader.readline()).decode().strip() or "cut"
        except (OSError, EOFError) as exc:
            answer = type(exc).__name__
        print(answer, flush=True)

asyncio.run(main())
"""


class Guest:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    async def says(self, line: str) -> str:
        """``open``: a tunnel through the proxy; anything else goes through the last one. What comes back."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{line}\n".encode())
        stdin.flush()
        return (await asyncio.to_thread(stdout.readline)).decode().strip()


@asynccontextmanager
async def guest_in(lan: Lan) -> AsyncIterator[Guest]:
    await lan.open_loopback_guest()
    command = Command([sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process = await lan.spawn(command)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await asyncio.to_thread(process.stdout.readline) == b"up\n"
        yield Guest(process)
    finally:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        await asyncio.to_thread(process.wait)


@asynccontextmanager
async def upstream() -> AsyncIterator[Exit]:
    """A proxy on this host that takes every CONNECT and echoes what comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while data := await reader.read(65536):
            writer.write(data)

    async with served(serve) as port:
        yield Exit(type="http", host=LOOPBACK, port=port)
