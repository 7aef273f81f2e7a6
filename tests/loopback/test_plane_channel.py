"""Messages with descriptors between two ends of a socket pair."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.plane import channel
from gateway.plane.channel import MAX_BYTES, MAX_WAITING, Channel, connect, listen, pid_and_uid
from tests.loopback.relay_lan import open_files


class End:
    """One end, and what it has heard."""

    def __init__(self, sock: socket.socket) -> None:
        self.heard: asyncio.Queue[tuple[bytes, list[int]]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.channel = Channel(sock, lambda data, fds: self.heard.put_nowait((data, fds)), self.closed.set)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[End, End]]:
    before = open_files()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made = End(ours), End(theirs)
    yield made
    for end in made:
        end.channel.close()
        end.channel.close()
    assert open_files() == before


async def test_messages_arrive_whole_in_order_and_with_their_descriptors(pair: tuple[End, End]) -> None:
    left, right = pair
    reading, writing = os.pipe()
    left.channel.send(b"first")
    left.channel.send(b"x" * MAX_BYTES, [reading])
    os.close(reading)
    assert await right.heard.get() == (b"first", [])
    data, (fd,) = await right.heard.get()
    assert data == b"x" * MAX_BYTES
    assert not os.get_inheritable(fd)
    os.write(writing, b"through")
    assert os.read(fd, 10) == b"through"
    os.close(fd)
    os.close(writing)
    with pytest.raises(ValueError, match="at most"):
        left.channel.send(b"x" * (MAX_BYTES + 1))


async def test_what_the_other_side_does_not_read_waits_and_arrives(pair: tuple[End, End]) -> None:
    left, right = pair
    reading, writing = os.pipe()
    for number in range(200):
        left.channel.send(b"%d " % number + b"x" * 4096, [reading] if number == 199 else [])
    os.close(reading)
    heard = [await right.heard.get() for _ in range(200)]
    assert [int(data.split()[0]) for data, _ in heard] == list(range(200))
    (fd,) = heard[-1][1]
    os.close(fd)
    os.close(writing)


async def test_who_never_reads_is_turned_away_from(pair: tuple[End, End]) -> None:
    left, _ = pair
    for _ in range(MAX_WAITING * 2):
        left.channel.send(b"x" * 4096)
    assert left.closed.is_set()
    assert not left.channel.open
    left.channel.send(b"to nobody")


async def test_each_side_hears_that_the_other_has_gone(pair: tuple[End, End]) -> None:
    left, right = pair
    right.channel.close()
    await asyncio.wait_for(left.closed.wait(), 5)
    assert not right.closed.is_set()


async def test_a_message_that_is_too_long_ends_the_channel(
    pair: tuple[End, End], monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = pair
    left.channel.send(b"x" * 100)
    monkeypatch.setattr(channel, "MAX_BYTES", 10)
    await asyncio.wait_for(right.closed.wait(), 5)
    assert right.heard.empty()


async def test_one_listens_at_a_path_and_a_dead_ones_place_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert connect(path) is None
    with listen(path) as listening:
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ConfigError, match="already"):
            listen(path)
        listening.accept()[0].close()
        found = connect(path)
        assert found is not None
        with found, listening.accept()[0] as accepted:
            assert pid_and_uid(accepted) == (os.getpid(), os.geteuid())
    assert path.exists()
    assert connect(path) is None
    listen(path).close()
    with pytest.raises(ConfigError, match="cannot listen"):
        listen(tmp_path / "nowhere" / "s")
