"""A QEMU that stands still is told from one that is busy: real processes, and a QMP that does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest

from gateway.errors import VmError
from gateway.vm import pulse
from gateway.vm.pulse import hung, thread_states
from gateway.vm.qmp import Qmp


class Mute:
    """Answers as long as it is told to."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def execute(self, command: str) -> object:
        self.asked += 1
        if self.answers and self.answers.pop(0):
            return {"status": "running"}
        await asyncio.Event().wait()
        raise AssertionError


class Cut:
    async def execute(self, command: str) -> object:
        raise VmError("the connection is lost")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("PULSE_S", 0.01), ("ANSWER_S", 0.02), ("DEADLOCK_S", 0.3)):
        monkeypatch.setattr(pulse, name, seconds)


@pytest.fixture
def worker() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def qmp(double: Any) -> Qmp:
    return cast(Qmp, double)


@pytest.mark.parametrize("double", [Mute(True, True), Cut()])
async def test_a_stopped_one_is_hung(sleeper: int, double: Any) -> None:
    os.kill(sleeper, signal.SIGSTOP)
    async with asyncio.timeout(5):
        await hung(qmp(double), sleeper)


async def test_one_that_has_locked_itself_up_is_hung_after_longer(sleeper: int) -> None:
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(5):
        await hung(qmp(Mute(True)), sleeper)
    assert asyncio.get_running_loop().time() - began > 0.3


async def test_one_that_works_is_not(worker: int) -> None:
    mute = Mute()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await hung(qmp(mute), worker)
    assert mute.asked > 5


async def test_one_that_answers_is_not(sleeper: int) -> None:
    os.kill(sleeper, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await hung(qmp(Mute(*[True] * 1000)), sleeper)


def test_one_that_has_ended_does_not_hang() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
        assert thread_states(process.pid) == {"R"}
