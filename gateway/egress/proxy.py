"""One session's forward proxy: a listener inside its VM's namespace, and whoever comes to it.

Nothing else listens in there, and nothing of a session is shared with another: its exit, its connections, its account
and its limits are its own. A guest can waste no more than its own share.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from gateway.egress.account import Account
from gateway.egress.checking import CheckConfig, Checker
from gateway.egress.forward import Forward
from gateway.egress.home import Home
from gateway.egress.http1 import END_OF_HEAD, MAX_HEAD_BYTES, Inbound, Request
from gateway.egress.limits import Limits, Times
from gateway.egress.meter import SessionMeter
from gateway.egress.pages import page
from gateway.egress.policy import Policy, Target
from gateway.egress.streams import End, copy_both, end_all
from gateway.egress.upstream import Ways
from gateway.errors import EgressError, EgressLimited, ProxyRequestError, UpstreamAuthFailed
from gateway.exits import NO_EXIT, Exit, ExitCheck, ExitReport

__all__ = ["EgressConfig", "SessionProxy"]

logger = logging.getLogger(__name__)

CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
TURN_AWAY_PAUSE_S = 0.001
"""Before the next, so that a guest that hammers costs a processor little."""
ACCEPT_PAUSE_S = 0.1
"""When the process has no descriptor left."""


@dataclass(frozen=True, slots=True)
class EgressConfig:
    """What the operator has set, for every session."""

    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    times: Times = field(default_factory=Times)
    check: CheckConfig = field(default_factory=CheckConfig)
    own_addresses: Callable[[], Collection[str]] = tuple
    """Of this host's interfaces. Blocking; called in a thread."""
    public_addresses: Collection[str] = ()
    """Addresses and networks that the internet takes for this host's."""
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    """How certificates of HTTPS upstreams are checked."""


class SessionProxy:
    """Serves from the start, with no exit until :meth:`use` gives one.

    Args:
        session: its name, for sticky addresses and the log.
        listener: bound and listening inside the namespace, non-blocking; closed with this.
        account: goes on from an earlier life of the session's machine.
        home: knows this host's addresses.
    """

    def __init__(
        self, session: str, listener: socket.socket, config: EgressConfig, account: Account, home: Home
    ) -> None:
        self._session = session
        self._listener = listener
        self._config = config
        self._account = account
        self._meter = SessionMeter(config.limits, account)
        self._connections: set[asyncio.Task[None]] = set()
        self._checker = Checker(session, config.check, config.policy, home, self._checked)
        self._changed: Callable[[], None] = _nothing
        self._open(NO_EXIT)
        self._accepting = asyncio.create_task(self._accept(), name=f"egress-{session}")

    async def use(self, out: Exit, changed: Callable[[], None]) -> None:
        """Leave by another exit from now on; what goes through the last one is cut.

        Args:
            changed: called when the report's state or check is another. Must not raise.
        """
        self._changed = changed
        self._open(out)
        await self._cut()
        if out.type != "none":
            self._checker.start(self._ways)

    def report(self) -> ExitReport:
        return ExitReport(
            state=self._state,
            kind=self._fault.kind if self._fault is not None else "",
            message=self._fault.message if self._fault is not None else "",
            check=self._seen,
            open=len(self._connections),
            traffic=self._account.traffic(),
        )

    async def close(self) -> None:
        """End everything. Idempotent."""
        self._changed = _nothing
        await end_all({self._accepting})
        await self._cut()
        self._listener.close()

    async def _cut(self) -> None:
        await self._checker.stop()
        await end_all(self._connections)

    def _open(self, out: Exit) -> None:
        config = self._config
        self._ways = Ways(out, self._session, config.policy, config.times, config.tls)
        self._state: Literal["off", "unknown", "ok", "failing"] = "off" if out.type == "none" else "unknown"
        self._fault: EgressError | None = None
        self._seen: ExitCheck | None = None

    # Who comes.

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as exc:
                # Out of descriptors, or the guest went away between its SYN and now.
                logger.warning("x proxy of %s: %s", self._session, exc.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if len(self._connections) >= self._config.limits.connections:
                self._turn_away(sock)
                await asyncio.sleep(TURN_AWAY_PAUSE_S)
                continue
            task = asyncio.create_task(self._serve(sock), name=f"egress-{self._session}-connection")
            self._connections.add(task)
            task.add_done_callback(self._ended)
            # Where connections come faster than they are taken, accept never waits, and nobody else would run.
            await asyncio.sleep(0)

    def _turn_away(self, sock: socket.socket) -> None:
        error = EgressLimited(f"it has {self._config.limits.connections} connections open already")
        self._account.failed(error.kind)
        with contextlib.suppress(OSError):
            # There is room for it in a new socket's buffer; nobody waits for this one.
            sock.send(page(error, as_html=False))
        sock.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("! proxy of %s: a connection's task failed", self._session, exc_info=error)

    async def _serve(self, sock: socket.socket) -> None:
        try:
            guest = End(*await asyncio.open_connection(sock=sock, limit=MAX_HEAD_BYTES))
        except BaseException:
            sock.close()
            raise
        try:
            while await self._exchange(guest):
                pass
            await guest.close(self._config.times.linger_s)
        except OSError:
            guest.abort()
        except BaseException:
            guest.abort()
            raise

    async def _exchange(self, guest: End) -> bool:
        """One request. Returns whether another may follow on the connection."""
        as_html, target = False, ""
        forward: Forward | None = None
        try:
            head = await self._head(guest)
            if head is None:
                return False
            as_html = b"text/html" in head
            inbound = Inbound(head)
            request = inbound.request
            target = str(request.target)
            self._config.policy.check(request.target)
            self._meter.admit()
            if request.connect:
                await self._tunnel(guest, request)
                return False
            async with contextlib.AsyncExitStack() as undo:
                way = await self._ways.plain(request.target)
                undo.callback(way.end.abort)
                self._account.opened(request.target.host)
                up, down = self._meter.ways(request.target.host)
                doubt = partial(self._doubt, request.target)
                forward = Forward(inbound, guest, way, up, down, self._config.times, doubt)
                await forward.run()
            self._worked()
            return inbound.reusable
        except EgressError as exc:
            self._failed(exc, blame=forward is None or forward.blames_exit)
            if forward is not None and forward.started:
                # Only a connection that breaks tells the guest that what it has is not all.
                guest.abort()
            else:
                await guest.say_last(page(exc, as_html=as_html, target=target), self._config.times.linger_s)
            return False

    async def _doubt(self, target: Target) -> None:
        """Raises UpstreamAuthFailed when the upstream does not let us in, which a tunnel shows for certain."""
        if self._state == "ok":
            return
        try:
            end = await self._ways.tunnel(target)
        except UpstreamAuthFailed:
            raise
        except EgressError:
            return
        end.abort()

    async def _head(self, guest: End) -> bytes | None:
        """The next request's head; None when there is none. Raises ProxyRequestError."""
        times = self._config.times
        try:
            async with asyncio.timeout(times.keep_alive_s):
                first = await guest.reader.read(1)
        except TimeoutError:
            return None
        if not first:
            return None
        try:
            async with asyncio.timeout(times.head_s):
                return first + await guest.reader.readuntil(END_OF_HEAD)
        except TimeoutError:
            raise ProxyRequestError(f"the request's head took longer than {times.head_s:g} s") from None
        except asyncio.LimitOverrunError:
            raise ProxyRequestError(f"the request's head is longer than {MAX_HEAD_BYTES} bytes") from None
        except asyncio.IncompleteReadError:
            return None

    async def _tunnel(self, guest: End, request: Request) -> None:
        host = request.target.host
        far = await self._ways.tunnel(request.target)
        try:
            self._account.opened(host)
            self._worked()
            guest.writer.write(CONNECTED)
            up, down = self._meter.ways(host)
            try:
                await copy_both(guest, far, up, down, self._config.times.idle_s)
            except EgressLimited as exc:
                self._failed(exc)
            await far.close(self._config.times.linger_s)
        finally:
            far.abort()

    # How it goes.

    def _worked(self) -> None:
        if self._state != "ok":
            self._state, self._fault = "ok", None
            self._changed()

    def _failed(self, error: EgressError, *, blame: bool = True) -> None:
        self._account.failed(error.kind)
        if blame:
            self._blame(error)

    def _blame(self, error: EgressError) -> None:
        if not error.blames_exit:
            return
        if self._fault is None or self._fault.kind != error.kind:
            logger.warning("x the exit of %s: %s", self._session, error.message)
            self._state, self._fault = "failing", error
            self._changed()

    def _checked(self, seen: ExitCheck, error: EgressError | None) -> None:
        if seen.ours and not (self._seen is not None and self._seen.ours):
            logger.warning("! the exit of %s shows an address of this host", self._session)
        self._seen = seen
        if error is None:
            self._worked()
        else:
            self._blame(error)
        self._changed()


def _nothing() -> None:
    """Nobody wants to know."""
