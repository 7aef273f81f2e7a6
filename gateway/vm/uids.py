"""A uid for each VM, so that VMs are strangers to each other and to the gateway. Pure, but for who we are."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FEWER_UIDS", "NOBODY", "UIDS", "spare_uid"]

NOBODY = 65534
UIDS = range(1_990_000_000, 1_990_010_000)
"""In a range that Debian, systemd and subuid(5) all leave unused."""
FEWER_UIDS = range(40_000, 60_000)
"""Where only 16 bits of uids are there: a container, or an ordinary user with subordinate ids. Debian gives none of
these to anybody."""


def spare_uid(taken: frozenset[int], uids: range = UIDS, uid_map: str | None = None) -> int | None:
    """The uid of one VM more.

    Args:
        taken: uids of the VMs that run.
        uids: those to take from, if all of them exist here; else FEWER_UIDS.
        uid_map: the text of /proc/self/uid_map.

    Returns:
        None when this process is not root or only root is mapped here (a user namespace of one user: then the
        child keeps the gateway's uid, which is nobody special to the host); NOBODY, which VMs then share, where
        there are no others.
    """
    if os.geteuid() != 0:
        return None
    text = Path("/proc/self/uid_map").read_text() if uid_map is None else uid_map
    there = [
        range(int(line.split()[0]), sum(map(int, line.split()[::2]))) for line in text.splitlines() if line.strip()
    ]
    for candidates in (uids, FEWER_UIDS):
        if any(candidates[0] in ids and candidates[-1] in ids for ids in there):
            return next((uid for uid in candidates if uid not in taken), NOBODY)
    return NOBODY if any(NOBODY in ids for ids in there) else None
