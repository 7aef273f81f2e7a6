"""Children are reaped, told of, and given no rights."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator

import pytest

from gateway.vm.process import Process, describe_exit, drop_privileges
from tests.leaks import footprint, grown


@pytest.fixture
async def clean() -> AsyncIterator[None]:
    before = footprint()
    yield
    left = grown(before, footprint())
    assert not left, left


def _start(*argv: str) -> Process:
    return Process(subprocess.Popen(argv, start_new_session=True), argv[0])


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"], start_new_session=True)


def _deaf() -> subprocess.Popen[bytes]:
    script = "trap '' TERM; echo deaf; while :; do sleep 1000; done"
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)


async def test_an_end_is_told_to_all_who_wait(clean: None) -> None:
    process = _start("sh", "-c", "exit 7")
    assert list(await asyncio.gather(process.wait(), process.wait())) == [7, 7]
    assert process.returncode == 7
    assert await process.stop(1.0) == 7
    process.signal(signal.SIGKILL)


async def test_a_cancelled_wait_ends_only_itself(clean: None) -> None:
    process = _start("sleep", "1000")
    waiting = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert process.returncode is None
    assert await process.stop(0) == -signal.SIGKILL


async def test_it_asks_before_it_kills(clean: None) -> None:
    assert await _start("sleep", "1000").stop(10.0) == -signal.SIGTERM


async def test_it_kills_what_does_not_listen(clean: None) -> None:
    popen = _deaf()
    assert popen.stdout is not None
    with popen.stdout:
        await asyncio.to_thread(popen.stdout.readline)
    assert await Process(popen, "sh").stop(0.01) == -signal.SIGKILL
    os.killpg(popen.pid, signal.SIGKILL)


async def test_a_cancelled_stop_still_kills(clean: None) -> None:
    process = _start("sh", "-c", "trap '' TERM; exec sleep 1000")
    stopping = asyncio.create_task(process.stop(1000.0))
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait({stopping})
    assert stopping.cancelled()
    assert await process.wait() in (-signal.SIGKILL, -signal.SIGTERM)


async def test_end_callbacks_run_once(clean: None) -> None:
    calls: list[int] = []
    process = _start("true")
    process.on_end(lambda: calls.append(1))
    await process.wait()
    await asyncio.sleep(0)
    assert calls == [1]


async def test_a_process_that_was_let_go_calls_nobody(clean: None) -> None:
    calls: list[int] = []
    popen = _sleeper()
    process = Process(popen, "sleep")
    process.on_end(lambda: calls.append(1))
    process.let_go()
    await asyncio.sleep(0)
    os.kill(popen.pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, popen.pid, 0)
    await asyncio.sleep(0)
    assert calls == []


def test_an_end_in_words() -> None:
    assert describe_exit("QEMU", 1) == ("QEMU ended with status 1", "")
    sentence, hint = describe_exit("QEMU", -9)
    assert sentence == "QEMU was killed by signal 9 (SIGKILL)"
    assert "out of memory" in hint
    assert "sandbox" in describe_exit("QEMU", -signal.SIGSYS)[1]
    assert describe_exit("QEMU", -99)[0] == "QEMU was killed by signal 99"


def test_privileges_are_dropped_by_setpriv() -> None:
    nothing = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--", "qemu", "-x"]
    assert drop_privileges(["qemu", "-x"], None) == ["setpriv", *nothing]
    assert drop_privileges(["qemu", "-x"], 7, die_with_parent=True) == [
        "setpriv", "--pdeathsig=KILL", "--reuid=7", "--regid=7", "--clear-groups", *nothing,
    ]  # fmt: skip


def test_who_may_not_touch_the_bounding_set_leaves_it() -> None:
    # An ordinary user's `fenster doctor`, before there is a namespace: setpriv would refuse to start anything.
    status = "Name:\tpython\nCapEff:\t0000000000000000\n"
    command = drop_privileges(["qemu"], None, status=status)
    assert command == ["setpriv", "--inh-caps=-all", "--no-new-privs", "--", "qemu"]
    almost = status.replace("0" * 16, "00000000000000ff")
    assert drop_privileges(["qemu"], None, status=almost) == command


def test_the_kernel_agrees_that_nothing_is_left() -> None:
    script = ["sh", "-c", "grep -E 'Cap(Prm|Bnd)|NoNewPrivs' /proc/self/status"]
    told = subprocess.run(drop_privileges(script, None), capture_output=True, text=True, check=True).stdout.split()
    assert told == ["CapPrm:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]
