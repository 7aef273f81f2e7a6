"""What a service manager is told, as it comes out of a socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import NetnsError
from gateway.notify import Notifier, message, watchdog


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What $NOTIFY_SOCKET names, bound in tmp_path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def environ_of(sock: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": sock.getsockname(), **more}


def test_a_message_is_a_line_for_each_field() -> None:
    assert message({"READY": "1", "STATUS": "two\nlines\r\nhere"}) == b"READY=1\nSTATUS=two lines here"


def test_it_goes_to_the_socket_that_the_variable_names(manager: socket.socket) -> None:
    Notifier(environ_of(manager)).say(READY="1", STATUS="Listening")
    assert manager.recv(1024) == b"READY=1\nSTATUS=Listening"


def test_an_abstract_socket_is_named_by_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0fenster-notify-{os.getpid()}")
        sock.setblocking(False)
        Notifier({"NOTIFY_SOCKET": f"@fenster-notify-{os.getpid()}"}).say(STOPPING="1")
        assert sock.recv(1024) == b"STOPPING=1"


def test_children_are_not_told_where_the_manager_is(manager: socket.socket) -> None:
    environ = environ_of(manager, WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()), HOME="/")
    assert Notifier(environ).watchdog_s == 3.0
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
def test_there_is_no_watchdog_unless_it_is_ours(manager: socket.socket, more: dict[str, str]) -> None:
    assert Notifier(environ_of(manager, **more)).watchdog_s is None


def test_a_watchdog_without_a_socket_is_none() -> None:
    assert Notifier({"WATCHDOG_USEC": "3000000"}).watchdog_s is None


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).say(READY="1")
    assert "was not told READY" in caplog.text


async def next_of(manager: socket.socket) -> bytes:
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(manager, 1024)


async def test_the_watchdog_is_fed_only_while_the_others_answer(manager: socket.socket) -> None:
    well = True

    async def answers() -> None:
        if not well:
            raise NetnsError("the data plane has gone")

    notifier = Notifier(environ_of(manager, WATCHDOG_USEC="30000"))
    task = asyncio.create_task(watchdog(notifier, answers))
    try:
        assert await next_of(manager) == b"WATCHDOG=1"
        well = False
        while (told := await next_of(manager)) == b"WATCHDOG=1":
            pass
        assert told == b"STATUS=Not well: the data plane has gone"
        assert await next_of(manager) == told
        well = True
        while (again := await next_of(manager)) == told:
            pass
        assert again == b"WATCHDOG=1"
    finally:
        task.cancel()


async def test_what_hangs_is_not_well(manager: socket.socket) -> None:
    notifier = Notifier(environ_of(manager, WATCHDOG_USEC="30000"))
    hung = asyncio.Event()

    async def answers() -> None:
        await hung.wait()

    task = asyncio.create_task(watchdog(notifier, answers))
    try:
        assert await next_of(manager) == b"STATUS=Not well: no answer in time"
    finally:
        task.cancel()


async def test_without_a_manager_it_ends_at_once() -> None:
    async def answers() -> None:
        raise AssertionError("nobody is to be asked")

    await asyncio.wait_for(watchdog(Notifier({}), answers), 5)
