"""Ways to a target: through an HTTP, HTTPS or SOCKS 5 upstream, or from this host itself.

An upstream resolves the target's name; here only ``direct`` does, and then connects to the very addresses that were
checked. Every stage has its time, and every failure is an EgressError that says whose fault it is.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass

from gateway.egress import socks5
from gateway.egress.decodo import user_name
from gateway.egress.http1 import END_OF_HEAD, MAX_ANSWER_HEAD_BYTES, connect_head, connect_status
from gateway.egress.limits import Times
from gateway.egress.policy import Policy, Target
from gateway.egress.streams import End
from gateway.errors import (
    EgressLimited,
    NoExit,
    TargetForbidden,
    TargetUnreachable,
    UpstreamAuthFailed,
    UpstreamCut,
    UpstreamDown,
    UpstreamSlow,
)
from gateway.exits import Exit

__all__ = ["Way", "Ways"]


@dataclass(slots=True)
class Way:
    """A connection on which a plain request for the target may be sent."""

    end: End
    absolute: bool = False
    """It leads to a proxy: the request names the whole URL, and carries ``authorization``."""
    authorization: str = ""


class Ways:
    """Those of one exit.

    Args:
        out: the exit.
        session: name of the session, for sticky addresses.
        policy: what ``direct`` may reach after resolution.
        times: of the stages.
        tls: how the certificate of an HTTPS upstream is checked.
    """

    def __init__(self, out: Exit, session: str, policy: Policy, times: Times, tls: ssl.SSLContext) -> None:
        self._out = out
        self._policy = policy
        self._times = times
        self._tls = tls
        self._username = user_name(out.username, out.decodo, session=session) if out.decodo else out.username

    async def tunnel(self, target: Target) -> End:
        """Bytes to and from the target itself. Raises EgressError."""
        match self._out.type:
            case "http" | "https":
                end = await self._dial()
                await self._agree(end, self._connect(end, target))
                return end
            case "socks5":
                end = await self._dial()
                await self._agree(end, self._socks(end, target))
                return end
            case "direct":
                return await self._direct(target)
            case "none":
                raise NoExit("no exit is set for this desktop", hint="set one: the session's proxy")

    async def plain(self, target: Target) -> Way:
        """For one request without TLS. Raises EgressError."""
        if self._out.type in ("http", "https"):
            return Way(await self._dial(), absolute=True, authorization=self._authorization)
        return Way(await self.tunnel(target))

    async def touch(self) -> None:
        """See whether an upstream takes connections; other exits have none. Raises EgressError."""
        if self._out.type in ("http", "https", "socks5"):
            (await self._dial()).abort()

    @property
    def _password(self) -> str:
        return self._out.password.get_secret_value()

    @property
    def _authorization(self) -> str:
        if not self._username:
            return ""
        return "Basic " + base64.b64encode(f"{self._username}:{self._password}".encode()).decode()

    async def _dial(self) -> End:
        """A connection to the upstream."""
        host, port = self._out.address
        tls = self._tls if self._out.type == "https" else None
        try:
            async with asyncio.timeout(self._times.connect_s):
                streams = await asyncio.open_connection(
                    host, port, ssl=tls, server_hostname=host if tls else None, limit=MAX_ANSWER_HEAD_BYTES
                )
        except TimeoutError:
            raise UpstreamSlow(f"the upstream took no connection within {self._times.connect_s:g} s") from None
        except ssl.SSLCertVerificationError as exc:
            raise UpstreamDown(f"the upstream's certificate is not to be trusted: {exc.verify_message}") from None
        except socket.gaierror:
            raise UpstreamDown("the upstream's name is not known") from None
        except OSError as exc:
            raise UpstreamDown(f"the upstream cannot be reached: {_reason(exc)}") from None
        return End(*streams)

    async def _agree(self, end: End, handshake: Awaitable[None]) -> None:
        """Have the upstream connect to the target; the connection is closed when it does not."""
        try:
            async with asyncio.timeout(self._times.handshake_s):
                await handshake
        except TimeoutError:
            end.abort()
            raise UpstreamSlow(f"the upstream did not answer within {self._times.handshake_s:g} s") from None
        except (asyncio.IncompleteReadError, OSError):
            end.abort()
            raise UpstreamCut("the upstream ended the connection before it had answered") from None
        except BaseException:
            end.abort()
            raise

    async def _connect(self, end: End, target: Target) -> None:
        end.writer.write(connect_head(target, self._authorization))
        await end.writer.drain()
        status = 0
        # RFC 9110 15.2: any number of informational answers may come first; how long it may take is bounded.
        while status < 200:
            try:
                head = await end.reader.readuntil(END_OF_HEAD)
            except asyncio.LimitOverrunError:
                raise UpstreamCut("the upstream's answer to CONNECT is too long") from None
            status = connect_status(head)
        if not 200 <= status < 300:
            raise _refusal(status)

    async def _socks(self, end: End, target: Target) -> None:
        end.writer.write(socks5.greeting(with_login=bool(self._username)))
        if socks5.wants_login(await end.reader.readexactly(2)):
            end.writer.write(socks5.login(self._username, self._password))
            socks5.check_login(await end.reader.readexactly(2))
        end.writer.write(socks5.connect(target))
        # Four bytes are in any reply; what follows depends on them, and a refusal may end there.
        kind = socks5.check_reply(await end.reader.readexactly(4))
        first = (await end.reader.readexactly(1))[0]
        await end.reader.readexactly(socks5.rest_of_reply(kind, first))

    async def _direct(self, target: Target) -> End:
        if not self._policy.direct:
            raise TargetForbidden("this gateway lets no session out directly", hint="its operator can: proxy_direct")
        try:
            async with asyncio.timeout(self._times.connect_s):
                why = ""
                for address in await self._resolve(target):
                    try:
                        return End(*await asyncio.open_connection(str(address), target.port))
                    except OSError as exc:
                        why = _reason(exc)
                raise TargetUnreachable(f"the target was not reached: {why}")
        except TimeoutError:
            raise TargetUnreachable(f"the target did not answer within {self._times.connect_s:g} s") from None

    async def _resolve(self, target: Target) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        """Addresses that policy allows, one at least."""
        if target.address is not None:
            self._policy.check_address(target.address)
            return [target.address]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except OSError:
            raise TargetUnreachable(f"the name {target.host} is not known") from None
        addresses = list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
        for address in addresses:
            # One bad address among good ones is how a name is made to point inside later.
            self._policy.check_address(address)
        if not addresses:
            raise TargetUnreachable(f"the name {target.host} has no address")
        return addresses


def _refusal(status: int) -> Exception:
    if status in (401, 407):
        return UpstreamAuthFailed("the upstream does not take the user name and password")
    if status in (403, 405):
        return TargetForbidden(f"the upstream does not allow the target ({status})")
    if status == 429:
        return EgressLimited("the upstream says that there are too many requests (429)")
    if status in (400, 404, 500, 502, 503, 504):
        return TargetUnreachable(f"the upstream could not reach the target ({status})")
    return UpstreamDown(f"the upstream answered CONNECT with {status}")


def _reason(exc: OSError) -> str:
    # With several addresses asyncio joins what each of them said.
    return os.strerror(exc.errno) if exc.errno else exc.strerror or "no answer"
