"""Sessions cloned from the snapshot of a live desktop: quick, and strangers to each other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection

from gateway.app import disk_dir, running
from gateway.routes.services import Services
from gateway.sessions.session import Session
from gateway.settings import Settings
from gateway.vm.argv import boot_memory_mib
from gateway.vm.images import GoldenImage
from gateway.vm.snapshot import DISK, RAM, STATE, seal
from tests.leaks import footprint, grown
from tests.vm.bench import qemu_bench
from tests.vm.sessions import settings_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

DRAWS = """
cat /proc/sys/kernel/random/uuid /etc/machine-id
od -An -tx1 /etc/fenster/vnc.passwd
date +%s.%N
cat /etc/fenster/session
"""


@pytest.fixture
async def services(golden_image: GoldenImage) -> AsyncIterator[tuple[Services, Settings]]:
    with settings_for(golden_image) as settings:
        async with running(settings, media_port=0) as services:
            yield services, settings


async def drawn(session: Session) -> tuple[set[str], float, str]:
    """(what must differ, seconds that its clock is ahead, its session id) as the guest sees them."""
    told = await session.exec(["sh", "-c", DRAWS])
    uuid, machine_id, password, clock, sid = str(told["stdout"]).split("\n")[:5]
    return {uuid, machine_id, password}, float(clock) - time.time(), sid


async def answered(gateway: Services, session: Session, offer: str) -> set[str]:
    """DTLS fingerprint, ICE ufrag and pwd of the agent's answer."""
    answer = await gateway.whep.offer(session, offer, "view", ["127.0.0.1"])
    lines = answer.sdp.splitlines()
    return {
        next(line for line in lines if line.startswith(f"a={name}"))
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


@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.slow)])
async def test_clones_are_strangers(services: tuple[Services, Settings], count: int) -> None:
    gateway, settings = services
    before = footprint(settings.run_dir, disk_dir(settings))
    offer = await an_offer()
    seen: set[str] = set()
    for _ in range(count):
        session = await gateway.manager.create()
        await session.wait_ready()
        assert "restore" in session.timings, "it booted; is there a snapshot? (make golden)"
        own, ahead_s, sid = await drawn(session)
        own |= await answered(gateway, session, offer)
        assert sid == session.id
        assert abs(ahead_s) < 1.0
        assert len(own) == 6
        assert not own & seen
        seen |= own
        print(session.timings)
        await gateway.manager.destroy(session.id)
    assert grown(before, footprint(settings.run_dir, disk_dir(settings))) == {}


async def test_a_session_takes_a_parked_clone(golden_image: GoldenImage) -> None:
    with settings_for(golden_image, pool_size=1) as settings:
        before = footprint(settings.run_dir, disk_dir(settings))
        async with running(settings, media_port=0) as gateway:
            await gateway.manager.pool.filled()
            session = await gateway.manager.create()
            await session.wait_ready()
            assert not {"spawn", "restore"} & set(session.timings)
            _, ahead_s, sid = await drawn(session)
            assert sid == session.id
            assert abs(ahead_s) < 1.0
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
