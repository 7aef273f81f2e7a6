"""The QEMU command line. Pure.

The machine is QEMU's microvm board with its virtio-mmio devices (qemu docs/system/i386/microvm.rst). ACPI stays on:
Debian's kernels learn of virtio-mmio devices from it alone. Everything that the process touches is opened by the
gateway and passed as a descriptor, so QEMU needs no right to any directory of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from guest_agent.protocol.link import PORT_NAME

__all__ = ["CMDLINE", "Fds", "Machine", "Memory", "boot_memory_mib", "build_argv", "build_cmdline"]

CMDLINE = "root=/dev/vda rw console=ttyS0 quiet reboot=t panic=-1 net.ifnames=0 ipv6.disable=1"
"""panic=-1 reboots at once and -no-reboot makes that the end of QEMU: a panicked guest is never left hanging."""

TB_SIZE_MIB = 256
"""TCG's translation cache; Chromium does not fit into the default of a small guest."""

DISK_SET, KVM_SET = 1, 2
"""Numbers of the descriptor sets (-add-fd); higher ones are given at run time (qmp.py)."""


class Memory(Enum):
    """Where the guest's RAM is."""

    ANONYMOUS = "anonymous"
    """The process's own."""
    TEMPLATE = "template"
    """A file that shows every write, to be frozen when the machine stands still."""
    CLONE = "clone"
    """A frozen file, mapped privately: pages are the file's until they are written."""


@dataclass(frozen=True, slots=True)
class Fds:
    """Descriptors that the process inherits. Sockets are bound and listening already."""

    kernel: int
    initrd: int
    disk: int | None = None
    tap: int | None = None
    qmp: int | None = None
    agent: int | None = None
    serial: int | None = None
    """None sends the serial console to standard output."""
    kvm: int | None = None
    """/dev/kvm, open; only with accel kvm."""
    ram: int | None = None
    """The RAM file, unless memory is ANONYMOUS."""

    def all(self) -> tuple[int, ...]:
        """Those that are there, for Popen's pass_fds."""
        every = (
            self.kernel, self.initrd, self.disk, self.tap, self.qmp, self.agent, self.serial, self.kvm, self.ram,
        )  # fmt: skip
        return tuple(fd for fd in every if fd is not None)


@dataclass(frozen=True, slots=True)
class Machine:
    """What build_argv turns into a command line."""

    binary: Path
    name: str
    uuid: str
    accel: Literal["kvm", "tcg"]
    cpu: str
    vcpus: int
    memory_mib: int
    cmdline: str
    guest_mac: str
    fds: Fds
    disk_read_only: bool = False
    memory: Memory = Memory.ANONYMOUS
    incoming: bool = False
    """Do not boot: wait for a state to go on from (QMP migrate-incoming)."""


def build_cmdline(*more: str) -> str:
    """The kernel's command line: CMDLINE and then ``more``, whose words win, since the kernel takes the last."""
    words = " ".join(more).split()
    return " ".join([*(word for word in CMDLINE.split() if word not in words), *words])


def boot_memory_mib(memory_mib: int) -> int:
    """The memory a machine gets that asked for so much: never exactly 2 GiB.

    There, and only there, QEMU 10.0 puts the initrd (whose kernel wants it below 2 GiB) where SeaBIOS has its own
    tables, and its end comes out corrupt: a module with a bad signature, a root that is never found.
    """
    return 2046 if memory_mib == 2048 else memory_mib


def build_argv(machine: Machine) -> list[str]:
    """The whole command line, without privilege dropping. Same machine, same list."""
    fds = machine.fds
    # fmt: off
    memory_mib = boot_memory_mib(machine.memory_mib)
    argv = [
        str(machine.binary),
        "-name", f"guest={machine.name},debug-threads=on",
        "-uuid", machine.uuid,
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        *_accel(machine),
        "-M", "microvm,acpi=on,rtc=on,memory-backend=mem,mem-merge=off,dump-guest-core=off",
        "-global", "virtio-mmio.force-legacy=false",
        *_memory(machine, memory_mib),
        # -S, or a guest that ran when its state was written would run again of itself.
        *(["-S", "-incoming", "defer"] if machine.incoming else []),
        "-m", f"{memory_mib}M",
        "-smp", str(machine.vcpus),
        "-kernel", f"/dev/fd/{fds.kernel}",
        "-initrd", f"/dev/fd/{fds.initrd}",
        "-append", machine.cmdline,
        *_disk(machine), *_net(machine),
        "-object", "rng-random,id=rng0,filename=/dev/urandom",
        "-device", "virtio-rng-device,rng=rng0",
        *_agent(fds), *_serial(fds), *_qmp(fds),
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]
    # fmt: on
    return argv


def _memory(machine: Machine, size_mib: int) -> list[str]:
    """QEMU docs/system/vm-templating.rst."""
    if machine.memory is Memory.ANONYMOUS:
        return ["-object", f"memory-backend-ram,id=mem,size={size_mib}M"]
    assert machine.fds.ram is not None
    access = "share=on" if machine.memory is Memory.TEMPLATE else "share=off,readonly=on,rom=off"
    backend = f"memory-backend-file,id=mem,size={size_mib}M,mem-path=/dev/fd/{machine.fds.ram},{access}"
    return ["-object", backend]


def _accel(machine: Machine) -> list[str]:
    if machine.accel == "tcg":
        return ["-accel", f"tcg,thread=multi,tb-size={TB_SIZE_MIB}", "-cpu", machine.cpu]
    if machine.fds.kvm is None:
        return ["-accel", "kvm", "-cpu", machine.cpu]
    device = f"/dev/fdset/{KVM_SET}"
    return [*_add_fd(machine.fds.kvm, KVM_SET), "-accel", f"kvm,device={device}", "-cpu", machine.cpu]


def _disk(machine: Machine) -> list[str]:
    if machine.fds.disk is None:
        return []
    node = {
        "driver": "raw",
        "node-name": "disk0",
        "discard": "unmap",
        "read-only": "on" if machine.disk_read_only else "off",
        # A session does not survive its host, so a guest's fsync need not wait for the host's disk.
        "cache.no-flush": "on",
        "file.driver": "file",
        "file.aio": "threads",
        # A restored machine would drop its disk from the page cache before its first step, which takes a second.
        "file.drop-cache": "off",
        "file.filename": f"/dev/fdset/{DISK_SET}",
    }
    blockdev = ",".join(f"{key}={value}" for key, value in node.items())
    return [*_add_fd(machine.fds.disk, DISK_SET), "-blockdev", blockdev, "-device", "virtio-blk-device,drive=disk0"]


def _net(machine: Machine) -> list[str]:
    if machine.fds.tap is None:
        return []
    # fmt: off
    return [
        "-netdev", f"tap,id=net0,fd={machine.fds.tap}",
        "-device", f"virtio-net-device,netdev=net0,mac={machine.guest_mac}",
    ]
    # fmt: on


def _agent(fds: Fds) -> list[str]:
    if fds.agent is None:
        return []
    # fmt: off
    return [
        "-device", "virtio-serial-device",
        "-chardev", f"socket,id=agent,fd={fds.agent},server=on,wait=off",
        "-device", f"virtserialport,chardev=agent,name={PORT_NAME}",
    ]
    # fmt: on


def _serial(fds: Fds) -> list[str]:
    if fds.serial is None:
        return ["-serial", "stdio"]
    return ["-chardev", f"socket,id=serial,fd={fds.serial},server=on,wait=off", "-serial", "chardev:serial"]


def _qmp(fds: Fds) -> list[str]:
    if fds.qmp is None:
        return []
    return ["-chardev", f"socket,id=qmp,fd={fds.qmp},server=on,wait=off", "-mon", "chardev=qmp,mode=control"]


def _add_fd(fd: int, fdset: int) -> list[str]:
    return ["-add-fd", f"fd={fd},set={fdset}"]
