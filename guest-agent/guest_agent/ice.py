"""Everything private of aioice 0.13 that the agent touches, and its mended failover.

Three things stock aioice does not offer: choosing the ufrag (the gateway's relay finds the agent's peer by it, so it
is long and unique), gathering on one address (in the guest there is only one, elsewhere there are others), and
following a browser to a path that it nominates later.

The last is a fault: when the first pair completes, ``connect`` cancels all checks still in progress and leaves their
pairs IN_PROGRESS with a dead task. Such a pair never starts another check, so a later USE-CANDIDATE on it (RFC 8445
7.3.1.5) never completes and media stays on the old path, dead or not. :func:`install` resets those pairs to Frozen
(6.1.2.6), which the next incoming check turns into a triggered check (7.3.1.4).
"""

from __future__ import annotations

import functools
import secrets
from dataclasses import dataclass
from typing import Any

import aioice.ice
from aioice.ice import CandidatePair, Connection

from guest_agent.errors import NotReady

__all__ = ["UFRAG_CHARS", "IceIdentity", "gather_on", "give_identity", "install", "touched_names"]

UFRAG_CHARS = 16
_PWD_CHARS = 32


@dataclass(frozen=True, slots=True)
class IceIdentity:
    """RFC 8445 5.3."""

    ufrag: str
    pwd: str


def install() -> None:
    """Mend failover for every Connection of this process. Idempotent."""
    if getattr(Connection.connect, "mended", False):
        return
    stock = Connection.connect

    @functools.wraps(stock)
    async def connect(self: Connection) -> None:
        await stock(self)
        _reopen(self)

    connect.mended = True  # type: ignore[attr-defined]
    Connection.connect = connect  # type: ignore[method-assign]


def _reopen(connection: Connection) -> None:
    for pair in connection._check_list:
        if pair.task is not None:
            pair.task = None
            if pair.state in (CandidatePair.State.IN_PROGRESS, CandidatePair.State.WAITING):
                pair.state = CandidatePair.State.FROZEN


def give_identity(connection: Connection) -> IceIdentity:
    """A fresh ufrag and password, before the description is made."""
    identity = IceIdentity(secrets.token_hex(UFRAG_CHARS // 2), secrets.token_hex(_PWD_CHARS // 2))
    connection._local_username = identity.ufrag
    connection._local_password = identity.pwd
    return identity


async def gather_on(connection: Connection, address: str) -> int:
    """Gather one host candidate on ``address``; its UDP port. The stock gathering then finds it done.

    Raises NotReady when the address is not this machine's.
    """
    connection._local_candidates_start = True
    candidates = await connection.get_component_candidates(component=1, addresses=[address])
    connection._local_candidates += candidates
    connection._local_candidates_end = True
    if not candidates:
        raise NotReady(f"no UDP socket on {address}", hint="is the guest's network interface up?")
    return int(candidates[0].port)


def touched_names() -> list[tuple[Any, str]]:
    """(object, attribute) that this module relies on beyond the public API; a test looks for each."""
    connection = Connection(ice_controlling=False)
    names = ["_check_list", "_local_username", "_local_password", "_local_candidates", "_local_candidates_start"]
    return [
        *((connection, name) for name in [*names, "_local_candidates_end", "get_component_candidates", "connect"]),
        *((CandidatePair.State, state) for state in ("FROZEN", "WAITING", "IN_PROGRESS")),
        (aioice.ice.CandidatePair, "State"),
    ]
