"""A viewer by ICE-TCP on the port that serves HTTPS: signalled over TLS, connected, and disturbed by nothing there.

The whole gateway, its relay and both peers are real; the machine is a double, whose agent's network is loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aioice.utils import random_string

from gateway import app
from gateway.edge.certificate import CertificateFiles, own_certificate
from gateway.netns.thread import NamespaceThread
from gateway.plane import compose
from gateway.sessions.lifecycle import State
from gateway.settings import Settings
from tests.fake_guest import FakeGuest
from tests.fakes import FakeDriver, FakeLan
from tests.loopback.framed_tcp import framed_end, tunnel
from tests.loopback.relay_lan import LOOPBACK, LoopbackLan
from tests.loopback.test_relay_peers import Agent, Browser
from tests.sessions import turns_until, until
from tests.stun_messages import binding_request

VIEWER = "ab" * 16
CANDIDATE = r"a=candidate:\S+ 1 tcp \d+ 127\.0\.0\.1 (\d+) typ host tcptype passive\r\n"
BIG = "x" * 100_000
"""Many frames in both directions, so that what else the port does falls between them."""


class Lan(FakeLan):
    """Media goes to real agents of this process."""

    async def udp(self, guest_port: int) -> socket.socket:
        return await LoopbackLan().udp(guest_port)


async def open_lan(namespaces: NamespaceThread, vm_id: str, pid: int | None) -> Lan:
    return Lan()


class World:
    def __init__(self, gateway: app.Serving, http: aiohttp.ClientSession, files: CertificateFiles) -> None:
        self.gateway, self.http, self.files = gateway, http, files
        self.port = int(gateway.url.rpartition(":")[2])
        self.tunnel = 0
        """The UDP port before a framed connection to the port."""
        self.location = self.whep = ""

    async def call(self, method: str, path: str, status: int, **more: Any) -> str:
        """By HTTPS, each on a connection of its own."""
        headers = {
            "Authorization": f"Bearer {self.gateway.services.keys.api_key}",
            "Fenster-Viewer": VIEWER,
            "Connection": "close",
            **more.pop("headers", {}),
        }
        context = ssl.create_default_context(cafile=str(self.files.chain))
        async with self.http.request(
            method, self.gateway.url + path, headers=headers, ssl=context, allow_redirects=False, **more
        ) as response:
            text = await response.text()
            assert response.status == status, text
            self.location = response.headers.get("Location", "")
        return text

    async def connect(self) -> Browser:
        """A viewer of a new session, offered over TLS; its datagrams go to the port that the answer names."""
        made = json.loads(await self.call("POST", "/v1/sessions", 201, json={}))
        await until(self.gateway.services.manager.get(made["id"]), State.READY)
        browser, kind = Browser(), {"Content-Type": "application/sdp"}
        whep = f"/v1/sessions/{made['id']}/whep?transport=tcp"
        answer = await self.call("POST", whep, 201, data=await browser.offer(), headers=kind)
        self.whep = self.location
        assert [int(port) for port in re.findall(CANDIDATE, answer)] == [self.port]
        assert answer.count("a=candidate:") == 1
        # aiortc has no ICE-TCP; the tunnel's frames are its.
        here = f"a=candidate:1 1 udp 2130706431 {LOOPBACK} {self.tunnel} typ host\r\n"
        await browser.accept(re.sub(CANDIDATE, here, answer))
        await browser.opened.wait()
        return browser

    def count(self, name: str) -> int:
        return self.gateway.services.dataplane.counters()[name]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    agent = Agent()

    def guest() -> FakeGuest:
        return FakeGuest(
            handlers={
                "offer": lambda params: agent.call("offer", params),
                "bye": lambda params: agent.call("bye", params),
            }
        )

    monkeypatch.setattr(app, "make_driver", lambda settings, *, lasting: FakeDriver(guest=guest))
    monkeypatch.setattr(compose, "_open_lan", open_lan)
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK])
    monkeypatch.setattr("aioice.ice.random_string", lambda length: random_string(max(length, 16)))
    files = own_certificate(tmp_path / "tls", ["localhost", LOOPBACK])
    run_dir = Path(f"/tmp/fenster-port-{os.getpid()}")
    settings = Settings(
        port=0, state_dir=tmp_path / "state", cache_dir=tmp_path / "cache", run_dir=run_dir,
        tls_cert=files.chain, tls_key=files.key, dataplane="inside",
    )  # fmt: skip
    async with app.serving(settings) as gateway, aiohttp.ClientSession() as http:
        made = World(gateway, http, files)
        async with tunnel(made.port) as made.tunnel:
            yield made
        for peer in agent.peers.values():
            await peer.close()
    await asyncio.to_thread(run_dir.rmdir)


async def test_a_viewer_by_ice_tcp_beside_all_that_https_does(world: World) -> None:
    browser = await world.connect()
    assert await browser.echo("hello") == "hello"
    echoes = [asyncio.create_task(browser.echo(BIG)) for _ in range(4)]
    calls = [world.call("GET", path, 200) for path in ("/healthz", "/v1/host", "/v1/sessions", "/openapi.json") * 3]
    assert len(await asyncio.gather(*calls)) == 12
    assert await asyncio.gather(*echoes) == [BIG] * 4

    # Those who never finish what they begin, by any of the three.
    async with framed_end(world.port) as shaking, framed_end(world.port) as asking, framed_end(world.port) as framing:
        shaking.send_raw(b"\x16\x03\x01")
        asking.send_raw(b"GET / HTTP/1.1\r\n")
        framing.send_raw(b"\x00\x80")
        async with framed_end(world.port) as stranger:
            stranger.send(binding_request("nobody-here", "p" * 22))
            assert await stranger.ended()
        async with framed_end(world.port) as plain:
            plain.send_raw(f"GET / HTTP/1.1\r\nHost: localhost:{world.port}\r\n\r\n".encode())
            assert (await plain.reader.readline()).split()[1] == b"308"
        assert await browser.echo(BIG) == BIG

    assert (world.count("tcp_connections"), world.count("mappings_opened")) == (1, 1)
    assert world.count("tcp_packets_to_guest") == world.count("packets_to_guest") > 100
    assert world.count("tcp_closed_not_admitted") == 1
    assert world.count("dropped_tcp_buffer_full") == 0
    await world.call("DELETE", world.whep, 204)
    await turns_until(lambda: world.count("tcp_connections") == 0)
    await browser.peer.close()


async def test_a_renewed_certificate_takes_no_viewer(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    browser = await world.connect()
    renewed = own_certificate(tmp_path / "renewed", ["localhost", LOOPBACK])
    for name in ("chain", "key"):
        getattr(world.files, name).write_bytes(getattr(renewed, name).read_bytes())
    assert world.gateway.reload is not None
    world.gateway.reload()
    await turns_until(lambda: "the certificate was read again" in caplog.text)
    await world.call("GET", "/healthz", 200)
    assert await browser.echo(BIG) == BIG
    assert (world.count("tcp_connections"), world.count("mappings_opened")) == (1, 1)
    await browser.peer.close()
