"""What a test left behind: processes, namespaces, descriptors, tasks, files. Compare before and after."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

__all__ = ["footprint", "grown", "left_over", "namespace_of", "namespace_users"]

SETTLED_S = 5.0
"""What is still being written down or closed by then is a leak."""


def footprint(*roots: Path) -> dict[str, list[str]]:
    """Everything that this process holds or started, and the files under ``roots`` (logs are meant to stay)."""
    return {
        "processes": sorted(f"{pid} {_read(pid, 'comm')}" for pid in _descendants(os.getpid())),
        "descriptors": sorted(_descriptors()),
        "namespaces": sorted({_link(path) for path in Path("/proc/self/task").glob("*/ns/net")}),
        "files": sorted(str(p) for root in roots for p in root.rglob("*") if p.suffix != ".log" and not p.is_dir()),
        "tasks": sorted(task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()),
    }


def grown(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is there afterwards and was not there before, by kind; empty when nothing was left."""
    left = {kind: list((Counter(after[kind]) - Counter(before[kind])).elements()) for kind in after}
    return {kind: what for kind, what in left.items() if what}


async def left_over(before: dict[str, list[str]], *roots: Path) -> dict[str, list[str]]:
    """What is there now and was not before, once what a gateway that runs on does meanwhile (its log) is done."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLED_S
    while (left := grown(before, footprint(*roots))) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # Nothing tells when a thread has closed its file.
    return left


def namespace_of(pid: int) -> str:
    """A process's network namespace: "net:[4026532008]"."""
    return os.readlink(f"/proc/{pid}/ns/net")


def namespace_users(namespace: str) -> list[str]:
    """Processes of the whole machine that are inside, and descriptors of this one that hold it."""
    inside = [f"process {path.parts[2]}" for path in Path("/proc").glob("[0-9]*/ns/net") if _link(path) == namespace]
    return inside + [f"descriptor {target}" for target in _descriptors() if target == namespace]


def _descriptors() -> list[str]:
    found = [_link(path) for path in Path("/proc/self/fd").iterdir()]
    # The directory that was read just now is gone again.
    return [target for target in found if target and not target.startswith("/proc/")]


def _descendants(parent: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        text = _read(int(path.name), "stat")
        if text:
            children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(path.name))
    todo = children.get(parent, [])
    while todo:
        pid = todo.pop()
        yield pid
        todo += children.get(pid, [])


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text().strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
