"""The initial RAM disk: busybox, a few kernel modules and a short init. Pure.

An uncompressed cpio archive in the kernel's "newc" format (Documentation/driver-api/early-userspace/
buffer-format.rst). It only loads the modules, mounts the root file system and switches to it; a general
initramfs does the same in seconds more on an emulated CPU.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["INIT", "Entry", "build_initrd", "cpio"]

S_IFDIR, S_IFREG = 0o040000, 0o100000

INIT = """#!/bin/busybox sh
# Mount the kernel's file systems, load the modules in order, wait for the root device, go on there.
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
root=/dev/vda
for word in $($bb cat /proc/cmdline); do
  case $word in root=*) root=${word#root=} ;; esac
done
for module in $($bb cat /modules.list); do
  $bb insmod "/modules/$module" || echo "initrd: $module does not load"
done
tries=0
while [ ! -b "$root" ] && [ $tries -lt 200 ]; do
  $bb usleep 50000
  tries=$((tries + 1))
done
if ! $bb mount -t ext4 -o rw,noatime "$root" /root; then
  echo "initrd: $root cannot be mounted"
  exit 1
fi
$bb mount --move /dev /root/dev
$bb umount /proc /sys
exec $bb switch_root /root /sbin/init
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or, with ``data`` None, one folder."""

    name: str
    mode: int
    data: bytes | None = None


def build_initrd(busybox: bytes, modules: Sequence[tuple[str, bytes]]) -> bytes:
    """``modules`` are (file name, contents) in loading order; names that end in .xz are unpacked here."""
    plain = [
        (name.removesuffix(".xz"), lzma.decompress(data) if name.endswith(".xz") else data) for name, data in modules
    ]
    entries = [Entry(name, 0o755) for name in ("bin", "dev", "modules", "proc", "root", "sys")]
    entries.append(Entry("bin/busybox", 0o755, busybox))
    entries.append(Entry("init", 0o755, INIT.encode()))
    entries.append(Entry("modules.list", 0o644, "".join(f"{name}\n" for name, _ in plain).encode()))
    entries += [Entry(f"modules/{name}", 0o644, data) for name, data in plain]
    return cpio(entries)


def cpio(entries: Sequence[Entry]) -> bytes:
    """A newc archive: a header of fourteen 8-digit hex numbers, the name, the data, each padded to 4 bytes."""
    out = bytearray()
    for inode, entry in enumerate([*entries, Entry("TRAILER!!!", 0, b"")], start=1):
        data = entry.data or b""
        kind = 0 if entry.name == "TRAILER!!!" else S_IFDIR if entry.data is None else S_IFREG
        name = entry.name.encode() + b"\0"
        links = 2 if entry.data is None else 1
        fields = (inode, kind | entry.mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % value for value in fields) + name
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)
    return bytes(out)
