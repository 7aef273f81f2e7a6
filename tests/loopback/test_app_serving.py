"""The composition root with real namespaces, relay and HTTP; only the machines are doubles."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from gateway import app
from gateway.errors import ConfigError
from gateway.sessions.lifecycle import State
from gateway.settings import Settings
from gateway.signaling.candidates import TcpReach
from tests.fakes import FakeDriver
from tests.leaks import footprint, grown
from tests.loopback.framed_tcp import framed_end
from tests.stun_messages import binding_request

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    driver = FakeDriver()
    monkeypatch.setattr(app, "make_driver", lambda settings, *, lasting: driver)
    return driver


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    run_dir = Path(f"/tmp/fenster-test-{os.getpid()}")
    yield Settings(port=0, state_dir=tmp_path / "state", cache_dir=tmp_path / "cache", run_dir=run_dir)
    run_dir.rmdir()


async def test_it_serves_and_leaves_nothing(settings: Settings, driver: FakeDriver, tmp_path: Path) -> None:
    # The first thread of a pool stays; make it before the count.
    await asyncio.to_thread(int)
    before = footprint(settings.run_dir)
    async with app.serving(settings) as gateway:
        key = gateway.services.keys.api_key
        port = int(gateway.url.rpartition(":")[2])
        assert gateway.services.dataplane.media_port == port
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
            async with http.post(f"{gateway.url}/v1/sessions") as response:
                assert response.status == 201
                sid = (await response.json())["id"]
            session = gateway.services.manager.get(sid)
            await driver.starting.wait()
            assert stat.S_IMODE(settings.run_dir.stat().st_mode) == 0o700
            async with framed_end(port) as stranger:
                stranger.send(binding_request("nobody-here", "p" * 22))
                assert await stranger.ended()
            async with http.get(f"{gateway.url}/v1/host") as response:
                counters = (await response.json())["counters"]
                assert (counters["lans"], counters["tcp_closed_not_admitted"]) == (1, 1)
            async with http.get(f"{gateway.url}/metrics") as response:
                told = await response.text()
                assert 'fenster_relay_drops_total{reason="unknown_ufrag"} 1.0' in told
                assert 'fenster_connections{name="media"} 1.0' in told
    assert session.state is State.STOPPED
    await asyncio.sleep(0)
    assert grown(before, footprint(settings.run_dir)) == {}


@pytest.mark.parametrize(("given", "reach"), [(None, ("port", "127.0.0.1")), (443, (443, None)), (0, None)])
async def test_where_browsers_are_told_to_connect(
    settings: Settings, driver: FakeDriver, given: int | None, reach: tuple[int | str, str | None] | None
) -> None:
    async with app.serving(settings.model_copy(update={"advertise_tcp_port": given})) as gateway:
        port = int(gateway.url.rpartition(":")[2])
        told = gateway.services.tcp
        if reach is None:
            assert told is None
            async with framed_end(port) as viewer:
                viewer.send(binding_request("nobody-here", "p" * 22))
                assert (await viewer.reader.readline()).startswith(b"HTTP/1.0 400 ")
        else:
            assert told == TcpReach(port if reach[0] == "port" else int(reach[0]), reach[1])


async def test_a_media_port_in_use_is_a_clear_error(settings: Settings, driver: FakeDriver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        used = settings.model_copy(update={"media_port": taken.getsockname()[1]})
        with pytest.raises(ConfigError):
            async with app.serving(used):
                raise AssertionError("it served")


async def test_a_run_directory_that_others_can_write_is_refused(settings: Settings, driver: FakeDriver) -> None:
    settings.run_dir.mkdir()
    settings.run_dir.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"):
        async with app.serving(settings):
            raise AssertionError("it served")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command(settings: Settings, number: signal.Signals, tmp_path: Path) -> None:
    settings.run_dir.mkdir(mode=0o700)
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("FENSTER_")},
        "PYTHONPATH": f"{ROOT}:{ROOT / 'guest-agent'}",
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "FENSTER_STATE_DIR": str(tmp_path / "state"),
        "FENSTER_RUN_DIR": str(settings.run_dir),
        "FENSTER_PORT": "0",
    }
    command = [sys.executable, "-m", "gateway.cli", "serve"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        assert "A new API key" in gateway.stdout.readline()
        assert "#key=fenster_" in gateway.stdout.readline()
        gateway.send_signal(number)
        _, err = gateway.communicate(timeout=30)
    assert gateway.returncode == 0, err
    assert "Traceback" not in err
    # Without an image it serves, and says what to do.
    assert "fenster build" in err
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as again:
        assert again.stdout is not None
        line = again.stdout.readline()
        again.send_signal(signal.SIGHUP)
        again.send_signal(number)
        _, err = again.communicate(timeout=30)
    assert again.returncode == 0, "a service's reload ends nothing"
    assert "no certificate to read again" in err
    assert "Fenster listens on http://127.0.0.1:" in line
    assert "fenster_" not in line, "the key is printed once"
