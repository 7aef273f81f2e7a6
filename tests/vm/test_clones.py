"""Sessions cloned from the snapshot of a live desktop: quick, and strangers to each other."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection

from gateway.app import disk_dir, running
from gateway.routes.services import Services
from gateway.sessions.session import Session
from gateway.settings import Settings
from gateway.signaling.candidates import Endpoint
from gateway.vm.argv import boot_memory_mib
from gateway.vm.images import GoldenImage
from gateway.vm.snapshot import DISK, RAM, STATE, seal
from tests.leaks import footprint, grown, left_over
from tests.vm.bench import qemu_bench
from tests.vm.draws import ask_terminal, chromium_draws, system_draws
from tests.vm.sessions import settings_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

MANY = int(os.environ.get("FENSTER_TEST_CLONES", "50"))
"""Each takes most of a minute under emulation."""
AT_ONCE = 1
"""A clone keeps one processor busy most of the time."""


@pytest.fixture
async def services(golden_image: GoldenImage) -> AsyncIterator[tuple[Services, Settings]]:
    with settings_for(golden_image) as settings:
        async with running(settings, media_port=0) as services:
            yield services, settings


async def answered(gateway: Services, session: Session, offer: str) -> dict[str, str]:
    """DTLS fingerprint, ICE ufrag and pwd of the agent's answer."""
    answer = await gateway.whep.offer(
        session, offer, "view", [Endpoint("udp", "127.0.0.1", gateway.dataplane.media_port)]
    )
    lines = answer.sdp.splitlines()
    return {
        name: next(line for line in lines if line.startswith(f"a={name}"))
        for name in ("fingerprint:sha-256 ", "ice-ufrag:", "ice-pwd:")
    }


async def an_offer() -> str:
    viewer = RTCPeerConnection()
    viewer.addTransceiver("video", direction="recvonly")
    viewer.createDataChannel("control")
    try:
        return (await viewer.createOffer()).sdp
    finally:
        await viewer.close()


async def draws_of_a_clone(gateway: Services, offer: str) -> dict[str, str]:
    """All that a clone of its own draws, by name; the clone is ended."""
    began = time.monotonic()
    session = await gateway.manager.create()
    await session.wait_ready()
    assert "restore" in session.timings, "it booted; is there a snapshot? (make golden)"
    own, wrong_s, sid = await system_draws(session)
    assert sid == session.id
    assert wrong_s < 1.0
    own |= await answered(gateway, session, offer)
    said, at_start = await ask_terminal(session, "$SESSION_ID")
    assert said == session.id
    assert at_start["SESSION_ID"] == "", "the shell is younger than the session"
    own |= await chromium_draws(session)
    await gateway.manager.destroy(session.id)
    print(f"{len(own)} draws in {time.monotonic() - began:.1f} s; {session.timings}")
    return {f"{name} of {session.id}": value for name, value in own.items()}


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(2, id="two"),
        pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(600 + 240 * MANY)], id="many"),
    ],
)
async def test_clones_are_strangers(services: tuple[Services, Settings], count: int) -> None:
    gateway, settings = services
    before = footprint(settings.run_dir, disk_dir(settings))
    offer = await an_offer()
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> dict[str, str]:
        async with places:
            return await draws_of_a_clone(gateway, offer)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(count)]
    holders: dict[str, list[str]] = {}
    for task in tasks:
        for name, value in task.result().items():
            holders.setdefault(value, []).append(name)
    assert [names for names in holders.values() if len(names) > 1] == []
    assert len(holders) == count * 20
    assert await left_over(before, settings.run_dir, disk_dir(settings)) == {}


async def test_a_session_takes_a_parked_clone(golden_image: GoldenImage) -> None:
    with settings_for(golden_image, pool_size=1) as settings:
        before = footprint(settings.run_dir, disk_dir(settings))
        async with running(settings, media_port=0) as gateway:
            await gateway.manager.pool.filled()
            session = await gateway.manager.create()
            await session.wait_ready()
            assert not {"spawn", "restore"} & set(session.timings)
            _, wrong_s, sid = await system_draws(session)
            assert sid == session.id
            assert wrong_s < 1.0
            print(session.timings)
            await gateway.manager.close()
            after = footprint(settings.run_dir, disk_dir(settings))
        assert {kind: grown(before, after).get(kind) for kind in ("processes", "files")} == dict.fromkeys(
            ("processes", "files")
        )


async def test_a_snapshot_that_qemu_refuses_costs_a_boot_and_is_counted(
    golden_image: GoldenImage, tmp_path: Path
) -> None:
    async with qemu_bench(golden_image, snapshots_dir=tmp_path) as bench:
        spec = bench.spec("sizeonly")
        target = await bench.driver.snapshot_path(spec)
        work = tmp_path / "work"
        work.mkdir()
        with (work / RAM).open("wb") as ram:
            ram.truncate(boot_memory_mib(spec.memory_mib) << 20)
        (work / STATE).write_bytes(b"not a state")
        (work / DISK).write_bytes(b"not a disk")
        key = target.name.removeprefix(f"{golden_image.profile}-")
        seal(work, target, spec, key=key, image=golden_image.key, tsc_khz=None)

        vm = await bench.start("aaaaaaaa")

        assert await vm.link.hello(bench.patience_s)
        assert bench.driver.counters == {"boots": 1, "clones": 0, "clone_failures": 1, "resumes": 0}
        await vm.stop()
