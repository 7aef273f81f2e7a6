"""doctor: what this host can do, what it lacks, and the command that mends it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import typer
from rich.markup import escape
from rich.table import Table

from gateway import host
from gateway.app import disk_dir, make_driver
from gateway.cli import options
from gateway.cli.doctor_egress import examine_egress
from gateway.cli.finding import Finding, Grade
from gateway.cli.output import console, emit
from gateway.cli.rights import look_at_limits, look_at_namespaces, look_at_subordinate_ids, look_at_taps
from gateway.errors import GatewayError
from gateway.settings import Settings, load
from gateway.vm.binary import find_qemu
from golden.build import find
from golden.errors import GoldenError
from golden.host import missing_tools

__all__ = ["doctor", "examine"]

BUILD_DISK_MIB = 8192
"""What a build of the default image takes at its fullest."""


def doctor(
    driver: options.Driver = None,
    accel: options.Accel = None,
    profile: options.Profile = None,
    host: options.Host = None,
    advertise: options.Advertise = None,
    memory_mib: options.Memory = None,
    state_dir: options.StateDir = None,
    cache_dir: options.CacheDir = None,
    run_dir: options.RunDir = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what this host can do and what is missing, with the command that mends it."""
    flags = {key: value for key, value in locals().items() if key not in ("config", "as_json")}
    findings = asyncio.run(examine(load(flags, config=config)))
    good = all(finding.grade is not Grade.FAIL for finding in findings)
    if as_json:
        emit({"ok": good, "findings": [{**asdict(finding), "grade": finding.grade.value} for finding in findings]})
    else:
        _print(findings)
    if not good:
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    colors = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "red"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        color = colors[finding.grade]
        text = escape(finding.detail) + (f"\n[bold]{escape(finding.mend)}[/bold]" if finding.mend else "")
        table.add_row(f"[{color}]{finding.grade.value}[/{color}]", finding.name, text)
    console().print(table)


async def examine(settings: Settings) -> list[Finding]:
    """Every finding; what cannot be found out is one too."""
    rights: list[Callable[[], Finding | None]] = [
        look_at_taps, look_at_namespaces, look_at_subordinate_ids, partial(look_at_limits, settings.vm_cgroup)
    ]  # fmt: skip
    blocking: list[Callable[[Settings], Finding]] = [_build_tools, _image, _memory, _disk, _media]
    found = [await _qemu(settings), await _accelerator(settings)]
    looked = [await asyncio.to_thread(look) for look in rights]
    found += [*filter(None, looked), *[await asyncio.to_thread(look, settings) for look in blocking]]
    return [*found, *await examine_egress(settings)]


async def _qemu(settings: Settings) -> Finding:
    try:
        qemu = await find_qemu()
    except GatewayError as exc:
        return Finding("QEMU", Grade.FAIL, exc.message, exc.hint)
    return Finding("QEMU", Grade.OK, f"{qemu.version} at {qemu.path}")


async def _accelerator(settings: Settings) -> Finding:
    """By booting a kernel: nothing that /dev/kvm says of itself is proof."""
    try:
        facts = await make_driver(settings).check()
    except GatewayError as exc:
        return Finding("accelerator", Grade.FAIL, f"not known: {exc.message}", exc.hint)
    if facts.isolated:
        return Finding("accelerator", Grade.OK, f"{facts.accelerator}: {facts.why}")
    return Finding(
        "accelerator", Grade.WARN, f"{facts.accelerator}: {facts.why}. It is slower, and no isolation boundary"
    )


def _build_tools(settings: Settings) -> Finding:
    missing = missing_tools(os.geteuid())
    if not missing:
        return Finding("build tools", Grade.OK, "mmdebstrap and the others are there")
    return Finding(
        "build tools", Grade.WARN, f"to build an image, {', '.join(missing)} is missing",
        f"sudo apt-get install {' '.join(missing)}",
    )  # fmt: skip


def _image(settings: Settings) -> Finding:
    command = "fenster build" if settings.profile == "xfce" else f"fenster build --profile {settings.profile}"
    try:
        image = find(settings.profile, settings.cache_dir)
    except GoldenError as exc:
        return Finding("golden image", Grade.FAIL, exc.message, exc.hint)
    if image is None:
        return Finding("golden image", Grade.FAIL, f"no current image of the profile {settings.profile}", command)
    return Finding("golden image", Grade.OK, str(image.path))


def _memory(settings: Settings) -> Finding:
    free_mib, needed_mib = host.available_memory_mib(), settings.memory_mib + settings.reserve_memory_mib
    if free_mib < needed_mib:
        return Finding(
            "memory",
            Grade.FAIL,
            f"{free_mib} MiB free, a session needs {needed_mib}",
            "lower memory_mib, or end something",
        )
    count = (free_mib - settings.reserve_memory_mib) // settings.memory_mib
    return Finding("memory", Grade.OK, f"{free_mib} MiB free: {count} sessions of {settings.memory_mib} MiB")


def _disk(settings: Settings) -> Finding:
    free_mib = host.free_disk_mib(disk_dir(settings))
    where = f"{free_mib} MiB free below {settings.cache_dir}"
    mend = "free some space, or set cache_dir to a larger disk"
    if free_mib < settings.reserve_disk_mib:
        return Finding("disk", Grade.FAIL, f"{where}, a session needs {settings.reserve_disk_mib}", mend)
    if free_mib < BUILD_DISK_MIB:
        return Finding("disk", Grade.WARN, f"{where}, a build needs {BUILD_DISK_MIB}", mend)
    return Finding("disk", Grade.OK, where)


def _media(settings: Settings) -> Finding:
    if settings.advertise:
        return Finding("media address", Grade.OK, f"browsers are told {', '.join(settings.advertise)}")
    if settings.host.startswith("127.") or settings.host == "::1":
        return Finding("media address", Grade.OK, "only browsers on this host; --host 0.0.0.0 lets others in")
    outside = [
        address for address in host.addresses() if not address.startswith(("127.", "fe80:")) and address != "::1"
    ]
    if settings.host not in ("0.0.0.0", "::"):
        outside = [settings.host]
    return Finding(
        "media address", Grade.WARN, f"browsers are told {', '.join(outside) or 'nothing'}",
        "behind NAT or a proxy that guess is wrong: set advertise to the public address",
    )  # fmt: skip
