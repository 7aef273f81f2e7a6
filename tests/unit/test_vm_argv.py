"""The QEMU command line, word for word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.vm.argv import CMDLINE, Fds, Machine, Memory, boot_memory_mib, build_argv, build_cmdline

MACHINE = Machine(
    binary=Path("/usr/bin/qemu-system-x86_64"),
    name="fenster-k3x9a2bq",
    uuid="5b0d9c1e-0000-4000-8000-000000000001",
    accel="tcg",
    cpu="max",
    vcpus=2,
    memory_mib=4096,
    cmdline=CMDLINE,
    guest_mac="02:fc:00:00:00:05",
    fds=Fds(kernel=10, initrd=11, disk=12, tap=13, qmp=14, agent=15, serial=16),
)

GOLDEN = """\
/usr/bin/qemu-system-x86_64
-name guest=fenster-k3x9a2bq,debug-threads=on
-uuid 5b0d9c1e-0000-4000-8000-000000000001
-nodefaults
-no-user-config
-display none
-no-reboot
-accel tcg,thread=multi,tb-size=256
-cpu max
-M microvm,acpi=on,rtc=on,memory-backend=mem,mem-merge=off,dump-guest-core=off
-global virtio-mmio.force-legacy=false
-object memory-backend-ram,id=mem,size=4096M
-m 4096M
-smp 2
-kernel /dev/fd/10
-initrd /dev/fd/11
-append root=/dev/vda rw console=ttyS0 quiet reboot=t panic=-1 net.ifnames=0 ipv6.disable=1
-add-fd fd=12,set=1
-blockdev driver=raw,node-name=disk0,discard=unmap,read-only=off,cache.no-flush=on,file.driver=file,\
file.aio=threads,file.drop-cache=off,file.filename=/dev/fdset/1
-device virtio-blk-device,drive=disk0
-netdev tap,id=net0,fd=13
-device virtio-net-device,netdev=net0,mac=02:fc:00:00:00:05
-object rng-random,id=rng0,filename=/dev/urandom
-device virtio-rng-device,rng=rng0
-device virtio-serial-device
-chardev socket,id=agent,fd=15,server=on,wait=off
-device virtserialport,chardev=agent,name=org.fenster.agent
-chardev socket,id=serial,fd=16,server=on,wait=off
-serial chardev:serial
-chardev socket,id=qmp,fd=14,server=on,wait=off
-mon chardev=qmp,mode=control
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
"""


def _lines(argv: list[str]) -> str:
    """One option and its value a line."""
    out = argv[0]
    for word in argv[1:]:
        out += ("\n" if word.startswith("-") else " ") + word
    return out + "\n"


def test_the_whole_command_line() -> None:
    assert _lines(build_argv(MACHINE)) == GOLDEN


def test_kvm_comes_as_a_descriptor_and_changes_nothing_else() -> None:
    kvm = replace(MACHINE, accel="kvm", cpu="host,migratable=on", fds=replace(MACHINE.fds, kvm=17))
    wanted = GOLDEN.replace(
        "-accel tcg,thread=multi,tb-size=256\n-cpu max\n",
        "-add-fd fd=17,set=2\n-accel kvm,device=/dev/fdset/2\n-cpu host,migratable=on\n",
    )
    assert _lines(build_argv(kvm)) == wanted
    assert 17 in kvm.fds.all()


def test_a_probe_has_only_a_kernel_and_a_console() -> None:
    argv = _lines(build_argv(replace(MACHINE, fds=Fds(kernel=10, initrd=11))))
    assert "-serial stdio\n" in argv
    for absent in ("-blockdev", "-netdev", "-chardev", "-mon"):
        assert absent not in argv


def test_a_disk_may_be_read_only() -> None:
    assert "read-only=on" in _lines(build_argv(replace(MACHINE, disk_read_only=True)))


def test_every_descriptor_of_the_command_line_is_passed_on() -> None:
    assert MACHINE.fds.all() == (10, 11, 12, 13, 14, 15, 16)


def test_never_exactly_two_gib() -> None:
    assert [boot_memory_mib(mib) for mib in (512, 2047, 2048, 2049, 4096)] == [512, 2047, 2046, 2049, 4096]
    assert "-m 2046M\n" in _lines(build_argv(replace(MACHINE, memory_mib=2048)))


def test_an_images_words_come_last_and_once() -> None:
    assert build_cmdline() == CMDLINE
    assert build_cmdline(CMDLINE) == CMDLINE
    assert build_cmdline("quiet mitigations=off", "", "tsc=reliable") == (
        "root=/dev/vda rw console=ttyS0 reboot=t panic=-1 net.ifnames=0 ipv6.disable=1 "
        "quiet mitigations=off tsc=reliable"
    )


SAVED = replace(MACHINE, fds=replace(MACHINE.fds, ram=20))


def test_a_templates_ram_shows_its_writes() -> None:
    wanted = GOLDEN.replace(
        "-object memory-backend-ram,id=mem,size=4096M\n",
        "-object memory-backend-file,id=mem,size=4096M,mem-path=/dev/fd/20,share=on\n",
    )
    assert _lines(build_argv(replace(SAVED, memory=Memory.TEMPLATE))) == wanted


def test_a_clone_maps_the_ram_for_itself_and_waits_for_its_state() -> None:
    backend = "-object memory-backend-file,id=mem,size=4096M,mem-path=/dev/fd/20,share=off,readonly=on,rom=off\n"
    wanted = GOLDEN.replace("-object memory-backend-ram,id=mem,size=4096M\n", backend)
    wanted = wanted.replace("-m 4096M\n", "-S\n-incoming defer\n-m 4096M\n")
    assert _lines(build_argv(replace(SAVED, memory=Memory.CLONE, incoming=True))) == wanted
    assert 20 in SAVED.fds.all()
