"""The zygote's end of the link on real files: a terminal's slave side hangs up as a virtio-serial port does."""

from __future__ import annotations

import os
import pty
import socket
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_agent.nest import Options
from guest_agent.port import MAX_QUEUED_BYTES, Port, open_port
from guest_agent.zygote import Zygote

LINE = b'{"jsonrpc":"2.0"}\n'


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
        sock.listen()
        yield sock


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    port = open_port(f"unix:{tmp_path / 'sock'}")
    yield port
    port.close()


def test_a_device_is_there_until_its_host_hangs_up() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    port = open_port(os.ttyname(slave))
    try:
        assert port.look()
        assert not port.look(), "it was there before"
        assert os.read(master, 100) == b"\n"
        os.write(master, b"hello")
        assert port.read() == b"hello"
        assert port.read() == b""
        port.send(LINE)
        assert os.read(master, 100) == LINE
        os.close(master)
        assert port.read() is None
        assert not port.connected
        assert not port.look(), "a device that hangs up polls as readable, and is not there"
        port.send(LINE)
        assert port.dropped_lines == 1
    finally:
        port.close()
        os.close(slave)


def test_a_device_that_does_not_exist_yet() -> None:
    port = open_port("/dev/virtio-ports/there.is.none")
    assert not port.look()
    assert port.fileno() == -1


def test_a_virtio_port_is_found_by_the_kernels_own_name(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    names, devices = tmp_path / "sys/class/virtio-ports", tmp_path / "dev"
    devices.mkdir()
    port = open_port("virtio:org.fenster.agent", tmp_path)
    try:
        assert not port.look(), "the kernel has no port yet"
        for number, name in enumerate(["org.other", "org.fenster.agent"]):
            (names / f"vport0p{number}").mkdir(parents=True)
            (names / f"vport0p{number}" / "name").write_text(f"{name}\n")
        assert not port.look(), "its device is not there yet"
        (devices / "vport0p1").symlink_to(os.ttyname(slave))
        assert port.look()
        assert os.read(master, 100) == b"\n"
    finally:
        port.close()
        os.close(master)
        os.close(slave)


def test_a_socket_is_connected_again(port: Port, listener: socket.socket) -> None:
    assert port.look()
    first, _ = listener.accept()
    first.close()
    assert port.read() is None
    assert port.look()
    second, _ = listener.accept()
    with second:
        assert second.recv(10) == b"\n"
        second.sendall(b"x")
        assert port.read() == b"x"


def test_nobody_listens(port: Port) -> None:
    assert not port.look()


def test_a_host_that_reads_nothing_costs_a_bounded_queue(port: Port, listener: socket.socket) -> None:
    assert port.look()
    host, _ = listener.accept()
    big = b"x" * 99_999 + b"\n"
    for _ in range(100):
        port.send(big)
    assert port.dropped_lines > 0
    assert port.wants_write
    received = b""
    with host:
        while port.wants_write:
            received += host.recv(1 << 20)
            port.flush()
        port.send(LINE)
        while not received.endswith(LINE):
            received += host.recv(1 << 20)
    lines = received.split(b"\n")
    assert lines[0] == b""
    assert {len(line) for line in lines[1:-2]} == {99_999}, "lines stay whole"
    assert MAX_QUEUED_BYTES < len(received) < MAX_QUEUED_BYTES + 1_000_000


def test_what_waits_for_a_host_that_leaves_is_dropped(port: Port, listener: socket.socket) -> None:
    assert port.look()
    host, _ = listener.accept()
    while not port.wants_write:
        port.send(b"x" * 99_999 + b"\n")
    host.close()
    port.flush()
    assert (port.connected, port.wants_write) == (False, False)
    assert port.look()
    again, _ = listener.accept()
    with again:
        assert again.recv(100) == b"\n"


class Absent(Port):
    """A host that never comes."""

    looks = 0

    def look(self) -> bool:
        self.looks += 1
        return False


def test_the_loop_sleeps_until_the_next_look(tmp_path: Path) -> None:
    """Every round but the first begins with a look: no round returns before it is time for one."""
    absent = Absent()
    zygote = Zygote(absent, Options(etc=tmp_path, preload=()))
    for _ in range(4):
        zygote.serve_once()
    zygote.close()
    assert absent.looks == 4
