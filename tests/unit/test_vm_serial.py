"""What a console says, and how much of it is kept."""

from __future__ import annotations

import asyncio
import os
import socket
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.vm.serial import (
    MAX_LINE_BYTES,
    TAIL_LINES,
    ConsoleScanner,
    KernelAlive,
    Panic,
    SerialLog,
    UserspaceAlive,
)

BOOT = (
    b"SeaBIOS (version 1.16)\r\n\x1b[2JEDD ... ok\r\n"
    b"[    0.000000] Linux version 6.12\r\n[    1.5] Run /init as init process\r\n"
    b"[    1.6] virtio_mmio: x\r\nLoading, please wait...\r\n"
    b"[    9.1] Kernel panic - not syncing: sysrq triggered crash\r\n"
)
EVENTS = [KernelAlive(), UserspaceAlive(), Panic("sysrq triggered crash")]


def test_a_boot_and_its_end() -> None:
    scanner = ConsoleScanner()
    assert scanner.feed(BOOT) == EVENTS
    assert scanner.tail[0] == "SeaBIOS (version 1.16)"
    assert scanner.tail[1] == "EDD ... ok"


@given(st.lists(st.integers(0, len(BOOT)), max_size=20))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    scanner = ConsoleScanner()
    at = [0, *sorted(cuts), len(BOOT)]
    assert [e for a, b in pairwise(at) for e in scanner.feed(BOOT[a:b])] == EVENTS


@pytest.mark.parametrize(
    "line",
    [b"[    2.0] systemd[1]: Inserted module", b"[    2.0] Kernel panic - not syncing: Attempted to kill init! exit"],
)
def test_userspace_may_speak_through_the_kernel(line: bytes) -> None:
    scanner = ConsoleScanner()
    scanner.feed(b"[    1.5] Run /init as init process\n")
    assert UserspaceAlive() in scanner.feed(line + b"\n")


def test_firmware_alone_is_no_kernel() -> None:
    assert ConsoleScanner().feed(b"SeaBIOS\r\nEDD ... ok\r\nDecompressing Linux\r\n") == []


@given(st.binary(max_size=4096))
def test_any_bytes_are_taken(data: bytes) -> None:
    scanner = ConsoleScanner()
    scanner.feed(data)
    scanner.feed(b"\n")
    assert all("\x1b" not in line for line in scanner.tail)


def test_a_line_without_an_end_takes_no_memory() -> None:
    scanner = ConsoleScanner()
    for _ in range(100):
        scanner.feed(b"x" * 65536)
    scanner.feed(b"\n")
    assert [len(line) for line in scanner.tail] == [MAX_LINE_BYTES]
    scanner.feed(b"y\n" * 1000)
    assert len(scanner.tail) == TAIL_LINES


async def _log(path: Path, data: bytes, max_bytes: int) -> SerialLog:
    ours, theirs = socket.socketpair()
    log = SerialLog(*await asyncio.open_connection(sock=ours), path, max_bytes=max_bytes)
    log.start()
    _, writer = await asyncio.open_connection(sock=theirs)
    writer.write(data)
    await writer.drain()
    writer.close()
    await log.drained()
    await log.close()
    await log.close()
    return log


async def test_the_log_is_what_the_console_said(tmp_path: Path) -> None:
    log = await _log(tmp_path / "serial.log", BOOT, 65536)
    assert await asyncio.to_thread((tmp_path / "serial.log").read_bytes) == BOOT
    assert log.panic == "sysrq triggered crash"


async def test_a_flood_fills_two_files_and_no_more(tmp_path: Path) -> None:
    flood = b"".join(b"%07d\n" % n for n in range(100_000))
    await _log(tmp_path / "serial.log", flood, 65536)
    files = [tmp_path / "serial.log.1", tmp_path / "serial.log"]
    assert sorted(os.listdir(tmp_path)) == ["serial.log", "serial.log.1"]
    kept = b"".join(path.read_bytes() for path in files)
    assert len(kept) <= 2 * 65536
    assert flood.endswith(kept)
