"""What this host has: addresses, memory, disk. Parsers are pure; readers block."""

from __future__ import annotations

import ipaddress
import re
import resource
import shutil
import socket
from pathlib import Path

__all__ = [
    "addresses",
    "allow_descriptors",
    "available_memory_mib",
    "free_disk_mib",
    "names",
    "outer_uid",
    "parse_fib_trie",
    "parse_if_inet6",
]


def addresses() -> list[str]:
    """Every address of this host's interfaces, IPv4 first. Empty where /proc does not tell."""
    found: list[str] = []
    for path, parse in (("/proc/net/fib_trie", parse_fib_trie), ("/proc/net/if_inet6", parse_if_inet6)):
        try:
            found += parse(Path(path).read_text())
        except OSError:
            continue
    return found


def names() -> list[str]:
    """What this host calls itself; in its local network (mDNS, RFC 6762) too."""
    name = socket.gethostname().lower()
    return [name, f"{name}.local"] if re.fullmatch(r"[a-z0-9_-]{1,63}", name) else []


def parse_fib_trie(text: str) -> list[str]:
    """The local IPv4 addresses of /proc/net/fib_trie: each stands above a line "/32 host LOCAL"."""
    found: dict[str, None] = {}
    last = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] in (["|--"], ["+--"]) and len(words) > 1:
            last = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            found[last] = None
    return list(found)


def parse_if_inet6(text: str) -> list[str]:
    """The IPv6 addresses of /proc/net/if_inet6: 32 hex digits, index, prefix, scope, flags, name."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        digits = line.split(" ", 1)[0]
        if len(digits) == 32:
            found[str(ipaddress.IPv6Address(int(digits, 16)))] = None
    return list(found)


def available_memory_mib() -> int:
    """MemAvailable: what can be had without swapping (proc_meminfo(5))."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def free_disk_mib(path: Path) -> int:
    """Free space for an ordinary user where ``path`` is or would be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free >> 20


def allow_descriptors(wanted: int = 65536) -> None:
    """Let this process have that many files and sockets, where the host allows: a proxy's connection takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def outer_uid(uid: int, uid_map: str | None = None) -> int:
    """Who ``uid`` is outside of this user namespace (user_namespaces(7)); itself where there is none.

    Args:
        uid_map: the text of /proc/self/uid_map; read when None.
    """
    text = Path("/proc/self/uid_map").read_text() if uid_map is None else uid_map
    for line in text.splitlines():
        inner, outer, count = (int(word) for word in line.split())
        if inner <= uid < inner + count:
            return outer + uid - inner
    return uid
