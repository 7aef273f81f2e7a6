"""The WHEP resource without its HTTP (draft-ietf-wish-whep): one peer per POST, gone on DELETE.

An offer loses its candidates, goes to the agent, and comes back as an answer that names the gateway's own
addresses; only then may the browser's binding requests pass the relay.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, get_args

from gateway.dataplane import DataPlane, IceCredentials
from gateway.errors import (
    BadRequest,
    CapacityError,
    ConfigError,
    Conflict,
    GuestError,
    LinkClosed,
    LinkError,
    TooLarge,
)
from gateway.sessions.control import VIEWER_ID
from gateway.signaling.candidates import Endpoint
from gateway.signaling.sdp import rewrite_answer, strip_offer
from gateway.vm.driver import AgentLink, GuestEvent
from guest_agent.protocol.rpc import INTERNAL_ERROR

__all__ = ["Answer", "Peer", "PeerSession", "Role", "Whep"]

logger = logging.getLogger(__name__)

Role = Literal["control", "view"]

_UFRAG = re.compile(r"[A-Za-z0-9+/]{8,256}")
_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")


class PeerSession(Protocol):
    """What signalling needs of a session: its name and the way to its agent."""

    @property
    def id(self) -> str: ...

    @property
    def link(self) -> AgentLink: ...

    def peers_changed(self) -> None:
        """Called after a peer was added, has connected, or was dropped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST gives back: the body of the 201 and the last part of its Location."""

    sdp: str
    peer: str


@dataclass(slots=True, eq=False)
class Peer:
    """One viewer's connection, from its offer until either side closed it."""

    id: str
    session: PeerSession
    role: Role
    viewer: str
    """Id of who stands behind it (gateway/sessions/control.py)."""
    ufrag: str = ""
    """Empty until the relay admitted it."""
    connected: bool = False
    """The agent said that ICE and DTLS are up."""
    expecting: asyncio.TimerHandle | None = None
    """Until it was looked at whether its answer was read."""


class Whep:
    """All WebRTC peers of this gateway.

    Args:
        dataplane: where ufrags are admitted.
        max_peers: viewers of one session, offers under way included.
        offer_timeout_s: for the agent's answer.
        bye_timeout_s: for the agent to hear that a viewer left.
        unread_s: see :meth:`expect`. A page gives up sooner (web/src/session/rungs.ts).
    """

    def __init__(
        self,
        dataplane: DataPlane,
        *,
        max_peers: int = 8,
        offer_timeout_s: float = 20.0,
        bye_timeout_s: float = 5.0,
        unread_s: float = 6.0,
    ) -> None:
        self._dataplane = dataplane
        self._max_peers = max_peers
        self._offer_timeout_s = offer_timeout_s
        self._bye_timeout_s = bye_timeout_s
        self._unread_s = unread_s
        self._peers: dict[str, dict[str, Peer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def peers(self, session_id: str) -> Sequence[Peer]:
        """The session's peers, oldest first."""
        return list(self._peers.get(session_id, {}).values())

    async def offer(
        self, session: PeerSession, sdp: str, role: Role, reach: Sequence[Endpoint], viewer: str | None = None
    ) -> Answer:
        """Answer a browser's offer.

        Args:
            session: a session whose agent is up.
            sdp: the body of the POST.
            reach: where browsers reach the relay, best first (see :func:`gateway.signaling.candidates.endpoints`).
            viewer: id of who offers; one that is nobody else's when None.

        Raises:
            BadRequest, TooLarge: not an SDP offer for WebRTC.
            CapacityError: the session has ``max_peers`` viewers.
            ConfigError: there is no address to advertise.
            GuestError, LinkTimeout, LinkClosed: the agent refused, was silent or went away meanwhile.

        Failing or cancelled, it leaves no peer behind, here or in the guest.
        """
        stripped = strip_offer(sdp)
        if not reach:
            raise ConfigError(
                "The gateway does not know an address at which this browser reaches it.",
                hint="Set the addresses to advertise in the gateway's settings.",
            )
        mine = self._peers.setdefault(session.id, {})
        if len(mine) >= self._max_peers:
            raise CapacityError(
                f"This session already has {self._max_peers} viewers.", hint="Close one of them and try again."
            )
        peer = Peer(secrets.token_hex(8), session, role, viewer or _new_viewer())
        mine[peer.id] = peer
        session.peers_changed()
        try:
            params = {"peer": peer.id, "sdp": stripped, "role": role, "viewer": peer.viewer}
            result = await session.link.call("offer", params, timeout_s=self._offer_timeout_s)
            return Answer(await self._admit(peer, result, reach), peer.id)
        except BaseException:
            await self._drop(peer)
            self._start_bye(peer)
            raise

    async def _admit(self, peer: Peer, result: Mapping[str, Any], reach: Sequence[Endpoint]) -> str:
        ice, raw = _read_result(result)
        try:
            answer = rewrite_answer(raw, reach)
        except (BadRequest, TooLarge) as exc:
            raise GuestError(f"The agent's answer cannot be used: {exc.message}", code=INTERNAL_ERROR) from exc
        self._check_still_there(peer)
        # Named before the call, so that a cancelled admit is revoked; a refused one is not ours to revoke.
        peer.ufrag = ice.ufrag
        try:
            await self._dataplane.admit(peer.session.id, ice)
        except Conflict:
            peer.ufrag = ""
            raise
        # Dropped meanwhile, it was revoked too early.
        peer.ufrag = ice.ufrag
        self._check_still_there(peer)
        return answer

    def _check_still_there(self, peer: Peer) -> None:
        if self._peers.get(peer.session.id, {}).get(peer.id) is not peer:
            raise LinkClosed("The peer was closed before its answer was ready.", hint="Reload the page.")

    async def close(self, session_id: str, peer_id: str) -> None:
        """Forget a peer and tell the agent. Idempotent: an unknown peer is a closed one."""
        peer = self._peers.get(session_id, {}).get(peer_id)
        if peer is not None:
            await self._drop(peer)
            self._start_bye(peer)

    def expect(self, answer: Answer, session_id: str, is_there: Callable[[], bool]) -> None:
        """Close the peer of an answer ``unread_s`` from now, if it has not connected and its page is not there.

        A page that went while the answer was on its way cannot end a peer that it does not know of, and the agent
        misses it only much later.
        """
        peer = self._peers.get(session_id, {}).get(answer.peer)
        if peer is not None:
            peer.expecting = asyncio.get_running_loop().call_later(self._unread_s, self._look_for, peer, is_there)

    def _look_for(self, peer: Peer, is_there: Callable[[], bool]) -> None:
        if not peer.connected and not is_there():
            self._start(self.close(peer.session.id, peer.id), f"unread {peer.id}")

    async def handle_event(self, session_id: str, event: GuestEvent) -> None:
        """Follow the guest's notifications: ``peer`` closed or connected, ``agent`` down. Ignores all others."""
        mine = self._peers.get(session_id, {})
        match event.method, event.params.get("state"):
            case "peer", "connected":
                if (peer := mine.get(str(event.params.get("peer")))) is not None:
                    peer.connected = True
                    peer.session.peers_changed()
            case "peer", "closed":
                if (peer := mine.get(str(event.params.get("peer")))) is not None:
                    await self._drop(peer)
            case "agent", "down":
                for peer in list(mine.values()):
                    await self._drop(peer)
            case _:
                pass

    async def forget(self, session_id: str) -> None:
        """The session's machine is gone: drop its peers, with nobody left to tell. Idempotent."""
        for peer in self.peers(session_id):
            await self._drop(peer)

    async def dismiss(self, session_id: str) -> None:
        """The session's machine is about to stand still: drop its peers, and wait until the agent was told."""
        peers = self.peers(session_id)
        for peer in peers:
            await self._drop(peer)
        await asyncio.gather(*(self._bye(peer) for peer in peers))

    async def recall(self, session: PeerSession, peers: Sequence[Mapping[str, Any]]) -> None:
        """Take over the peers that a guest still has from an earlier gateway, so that their viewers go on.

        Args:
            peers: from the guest's hello; what is malformed there is skipped, and its viewer sends a new offer.
        """
        mine = self._peers.setdefault(session.id, {})
        for told in peers[: self._max_peers]:
            name, role = told.get("peer"), told.get("role")
            if not isinstance(name, str) or role not in get_args(Role) or name in mine:
                continue
            try:
                ice = _read_ice(told)
                await self._dataplane.admit(session.id, ice)
            except (GuestError, Conflict) as exc:
                logger.warning("x a viewer of %s is not taken over: %s", session.id, exc)
                continue
            viewer = told.get("viewer")
            if not (isinstance(viewer, str) and VIEWER_ID.fullmatch(viewer)):
                viewer = _new_viewer()
            mine[name] = Peer(name, session, cast(Role, role), viewer, ice.ufrag, told.get("connected") is True)
        if not mine:
            self._peers.pop(session.id, None)
        session.peers_changed()

    async def aclose(self) -> None:
        """Drop every peer and wait until the agents were told, at most ``bye_timeout_s``. Idempotent."""
        for session_id in list(self._peers):
            for peer in self.peers(session_id):
                await self.close(session_id, peer.id)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _drop(self, peer: Peer) -> None:
        mine = self._peers.get(peer.session.id)
        if mine is not None and mine.get(peer.id) is peer:
            del mine[peer.id]
            if not mine:
                del self._peers[peer.session.id]
            peer.session.peers_changed()
        if peer.expecting is not None:
            peer.expecting.cancel()
        ufrag, peer.ufrag = peer.ufrag, ""
        if ufrag:
            await self._dataplane.revoke(peer.session.id, ufrag)

    def _start_bye(self, peer: Peer) -> None:
        """Tell the agent in a task of its own: neither a cancelled offer nor a DELETE waits for a slow guest."""
        self._start(self._bye(peer), f"bye {peer.id}")

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bye(self, peer: Peer) -> None:
        try:
            await peer.session.link.call("bye", {"peer": peer.id}, timeout_s=self._bye_timeout_s)
        except LinkError as exc:
            logger.debug("x bye %s: %s", peer.id, exc)


def _new_viewer() -> str:
    return secrets.token_hex(16)


def _read_result(result: Mapping[str, Any]) -> tuple[IceCredentials, str]:
    """The agent's result, checked: a guest is not trusted. Raises GuestError."""
    sdp = result.get("sdp")
    if not isinstance(sdp, str):
        raise GuestError("The agent's answer is incomplete.", code=INTERNAL_ERROR)
    return _read_ice(result), sdp


def _read_ice(result: Mapping[str, Any]) -> IceCredentials:
    ufrag, pwd, port = (result.get(key) for key in ("ufrag", "pwd", "port"))
    if not (isinstance(ufrag, str) and isinstance(pwd, str)):
        raise GuestError("The agent's answer is incomplete.", code=INTERNAL_ERROR)
    if not (_UFRAG.fullmatch(ufrag) and _PWD.fullmatch(pwd)):
        raise GuestError("The agent's ICE credentials are malformed.", code=INTERNAL_ERROR)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        raise GuestError("The agent's ICE port is malformed.", code=INTERNAL_ERROR)
    return IceCredentials(ufrag, pwd, port)
