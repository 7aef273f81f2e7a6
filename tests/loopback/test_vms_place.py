"""The process that keeps a user namespace for others, and how they find it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.cli.beside import survivor
from gateway.errors import ConfigError
from gateway.netns.holder import HOLDER_SOCKET, Holder
from gateway.plane.process import pid_of
from gateway.settings import Settings


@pytest.fixture
def settings() -> Iterator[Settings]:
    """With a short path, for sockets below it."""
    with TemporaryDirectory(prefix="fenster-") as name:
        folder = Path(name)
        yield Settings(run_dir=folder, state_dir=folder / "state", cache_dir=folder / "cache")


async def test_its_socket_names_it_however_often_one_looks(tmp_path: Path) -> None:
    holder = Holder(tmp_path / HOLDER_SOCKET)
    holder.start()
    # More than wait to be accepted.
    for _ in range(64):
        assert await asyncio.to_thread(pid_of, tmp_path / HOLDER_SOCKET) == os.getpid()
        await asyncio.sleep(0)
    holder.close()
    holder.close()
    assert pid_of(tmp_path / HOLDER_SOCKET) is None


async def test_a_file_that_a_killed_one_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(tmp_path / HOLDER_SOCKET))
    holder = Holder(tmp_path / HOLDER_SOCKET)
    holder.start()
    assert pid_of(tmp_path / HOLDER_SOCKET) == os.getpid()
    holder.close()


async def test_a_folder_that_is_not_there_is_a_start_up_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        Holder(tmp_path / "no" / HOLDER_SOCKET).start()


async def test_the_service_tells_that_it_is_ready_and_others_go_beside_it(settings: Settings) -> None:
    assert survivor(settings) is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(settings.run_dir / "notify"))
        manager.setblocking(False)
        environ = {**os.environ, "NOTIFY_SOCKET": str(settings.run_dir / "notify")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "vms", "--run-dir", str(settings.run_dir), env=environ
        )
        try:
            async with asyncio.timeout(40):
                told = await asyncio.get_running_loop().sock_recv(manager, 1024)
                assert told.startswith(b"READY=1\nSTATUS=Cgroups bound ")
                assert await asyncio.to_thread(survivor, settings) == process.pid
                process.terminate()
                assert await asyncio.get_running_loop().sock_recv(manager, 1024) == b"STOPPING=1"
        finally:
            assert await process.wait() == 0
    assert survivor(settings) is None
