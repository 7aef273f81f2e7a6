"""Which accelerator runs VMs here, found out by booting the golden kernel.

A /dev/kvm that opens, answers and creates VMs can still hang every stock kernel (a pagetable VM nested in another
does), so nothing less than a booted kernel counts. The result is kept per host boot, QEMU and kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import VmUnavailable
from gateway.vm.argv import Fds, Machine, build_argv
from gateway.vm.binary import Qemu
from gateway.vm.images import GoldenImage
from gateway.vm.process import drop_privileges
from gateway.vm.serial import ConsoleScanner, KernelAlive, UserspaceAlive
from gateway.vm.uids import spare_uid

__all__ = ["Accelerator", "Limits", "choose_accelerator"]

logger = logging.getLogger(__name__)

PROBE_MEMORY_MIB = 768
"""Enough to unpack the initrd of a desktop's kernel."""
PROBE_CMDLINE = "root=/dev/vda ro console=ttyS0 reboot=t panic=-1"
"""Not quiet. The golden disk is there, read-only, so that its initrd has something to say at once."""
TCG_CPU = "max"
KVM_CPUS = ("host,migratable=on", "host,migratable=on,-arch-capabilities")
"""In this order: some nested hosts offer an MSR that they then refuse to set, and QEMU aborts."""

KVM_DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the probed kernel may take, in seconds from the start of QEMU."""

    kernel_s: float = 3.0
    """To its first line."""
    userspace_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Accelerator:
    name: Literal["kvm", "tcg"]
    cpu: str
    """QEMU's -cpu."""
    why: str
    """One sentence for doctor, the log and the API."""


async def choose_accelerator(
    qemu: Qemu,
    image: GoldenImage,
    *,
    wanted: Literal["auto", "kvm", "tcg"],
    state_dir: Path,
    kvm_device: Path = KVM_DEVICE,
    limits: Limits = Limits(),
) -> Accelerator:
    """The accelerator for VMs of this image on this host.

    Raises:
        VmUnavailable: KVM is wanted and its device cannot be opened.
    """
    if wanted == "tcg":
        return Accelerator("tcg", TCG_CPU, "TCG was asked for")
    if problem := _device_problem(kvm_device):
        if wanted == "kvm":
            raise VmUnavailable(f"KVM was asked for, and {problem[0]}", hint=problem[1])
        return Accelerator("tcg", TCG_CPU, problem[0])
    if wanted == "kvm":
        return Accelerator("kvm", KVM_CPUS[0], "KVM was asked for")
    key = "|".join([await asyncio.to_thread(BOOT_ID.read_text), qemu.version, image.kernel_hash])
    cache = state_dir / "accel.json"
    known = await asyncio.to_thread(_read_cache, cache, key)
    if known is None:
        known = await _probe(qemu, image, kvm_device, limits)
        await asyncio.to_thread(_write_cache, cache, key, known)
    return known


def _device_problem(device: Path) -> tuple[str, str] | None:
    """Why the device cannot be tried at all, and what mends it."""
    if os.access(device, os.R_OK | os.W_OK):
        return None
    if device.exists():
        return f"{device} may not be opened", "add the user to the group kvm"
    return f"there is no {device}", "enable virtualisation, or modprobe kvm_intel or kvm_amd"


async def _probe(qemu: Qemu, image: GoldenImage, kvm_device: Path, limits: Limits) -> Accelerator:
    failures: list[str] = []
    for cpu in KVM_CPUS:
        failure = await _boots(qemu, image, cpu, kvm_device, limits)
        if failure is None:
            return Accelerator("kvm", cpu, "the golden kernel boots with KVM")
        failures.append(failure)
        logger.info("= KVM with -cpu %s: %s", cpu, failure)
    # The last one got furthest: the first may only have met the quirk that the second avoids.
    return Accelerator("tcg", TCG_CPU, f"{kvm_device} opens, but {failures[-1]}")


async def _boots(qemu: Qemu, image: GoldenImage, cpu: str, kvm_device: Path, limits: Limits) -> str | None:
    """None when the golden kernel reaches its initrd's userspace, else what it did instead."""
    with _machine(qemu, image, cpu, kvm_device) as machine:
        process = await asyncio.create_subprocess_exec(
            *drop_privileges(build_argv(machine), spare_uid(frozenset())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=machine.fds.all(),
            start_new_session=True,
        )
    assert process.stdout is not None, "it was asked for"
    try:
        failure = await _watch(process.stdout, limits)
    finally:
        with contextlib.suppress(ProcessLookupError):
            # Not process.kill(): that looks first whether it has ended, and so takes its end from asyncio's watcher.
            os.kill(process.pid, signal.SIGKILL)
        _, errors = await process.communicate()
    if failure == _ENDED:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        return f"QEMU ended: {lines[-1] if lines else 'without a word'}"
    return failure


_ENDED = "ended"


async def _watch(reader: asyncio.StreamReader, limits: Limits) -> str | None:
    scanner = ConsoleScanner()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    failure = f"the golden kernel printed nothing within {limits.kernel_s:g} s (a hang, as nested KVM can give)"
    try:
        async with asyncio.timeout_at(begin + limits.kernel_s) as limit:
            while data := await reader.read(4096):
                for event in scanner.feed(data):
                    if isinstance(event, KernelAlive):
                        limit.reschedule(begin + limits.userspace_s)
                        failure = f"the golden kernel did not reach userspace within {limits.userspace_s:g} s"
                    elif isinstance(event, UserspaceAlive):
                        return None
    except TimeoutError:
        return failure
    return _ENDED


@contextlib.contextmanager
def _machine(qemu: Qemu, image: GoldenImage, cpu: str, kvm_device: Path) -> Iterator[Machine]:
    fds: list[int] = []
    try:
        fds += [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (image.kernel, image.initrd, image.disk)]
        fds.append(os.open(kvm_device, os.O_RDWR | os.O_CLOEXEC))
        yield Machine(
            binary=qemu.path,
            name="fenster-probe",
            uuid=str(uuid.uuid4()),
            accel="kvm",
            cpu=cpu,
            vcpus=1,
            memory_mib=PROBE_MEMORY_MIB,
            cmdline=PROBE_CMDLINE,
            guest_mac="",
            fds=Fds(kernel=fds[0], initrd=fds[1], disk=fds[2], kvm=fds[3]),
            disk_read_only=True,
        )
    finally:
        for fd in fds:
            os.close(fd)


def _read_cache(path: Path, key: str) -> Accelerator | None:
    try:
        entry = json.loads(path.read_text())
        if entry["key"] != key or entry["name"] not in ("kvm", "tcg"):
            return None
        return Accelerator(entry["name"], str(entry["cpu"]), str(entry["why"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # Whatever is wrong with the file, probing again mends it.


def _write_cache(path: Path, key: str, found: Accelerator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps({"key": key, **asdict(found)}))
    fresh.replace(path)
