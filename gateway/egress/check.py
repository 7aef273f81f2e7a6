"""The exit check: what an echo service on the internet sees of a session that comes through its own exit."""

from __future__ import annotations

import asyncio
import ssl
import time
from urllib.parse import urlsplit

from gateway.egress.echo import Echo, read_echo
from gateway.egress.http1 import Outbound, Request
from gateway.egress.policy import Policy, parse_host, parse_target
from gateway.egress.streams import READ_BYTES
from gateway.egress.upstream import Way, Ways
from gateway.errors import (
    EgressError,
    ProxyRequestError,
    TargetUnreachable,
    UpstreamAuthFailed,
    UpstreamCut,
    UpstreamSlow,
)
from gateway.exits import ExitCheck

__all__ = ["look"]

MAX_BODY_BYTES = 64 * 1024


async def look(
    url: str, ways: Ways, policy: Policy, tls: ssl.SSLContext, timeout_s: float
) -> tuple[ExitCheck, EgressError | None]:
    """Ask ``url`` (http or https; see echo.py for its answer): what was seen, and why not. Whose it is stays open.

    Args:
        tls: how the echo service's certificate is checked.
    """
    began = time.monotonic()
    echo = Echo("")
    error: EgressError | None = None
    try:
        async with asyncio.timeout(timeout_s):
            echo = read_echo(await _get(url, ways, policy, tls))
    except TimeoutError:
        error = UpstreamSlow(f"no answer within {timeout_s:g} s")
    except EgressError as exc:
        error = exc
    seen = ExitCheck(
        at=time.time(),
        latency_ms=round((time.monotonic() - began) * 1000, 1),
        address=echo.address,
        country=echo.country,
        timezone=echo.timezone,
        kind="" if error is None else error.kind,
        message="" if error is None else error.message,
    )
    return seen, error


async def _get(url: str, ways: Ways, policy: Policy, tls: ssl.SSLContext) -> str:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    target = parse_target(parts.netloc, default_port=443 if secure else 80)
    policy.check(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = ((b"User-Agent", b"fenster"), (b"Accept", b"application/json, text/plain"))
    request = Request("GET", target, path, headers, 0)
    way = Way(await ways.tunnel(target)) if secure else await ways.plain(target)
    try:
        if secure:
            await way.end.writer.start_tls(tls, server_hostname=parse_host(parts.hostname or "", 443).host)
        return await _ask(request, way)
    except ssl.SSLError as exc:
        raise TargetUnreachable(f"TLS with the echo service failed: {exc.reason}") from None
    except OSError:
        raise UpstreamCut("the connection broke before the echo service had answered") from None
    finally:
        way.end.abort()


async def _ask(request: Request, way: Way) -> str:
    outbound = Outbound(request, absolute=way.absolute, authorization=way.authorization)
    way.end.writer.write(outbound.head() + outbound.end())
    body = bytearray()
    while True:
        data = await way.end.reader.read(READ_BYTES)
        for part in outbound.receive(data):
            if part is None:
                return body.decode("utf-8", "replace")
            if isinstance(part, bytes):
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise ProxyRequestError(f"the echo service's answer is longer than {MAX_BODY_BYTES} bytes")
            elif way.absolute and part.status in (401, 407):
                raise UpstreamAuthFailed("the upstream does not take the user name and password")
            elif not part.informational and part.status != 200:
                raise TargetUnreachable(f"the echo service answered {part.status}")
        if not data:
            raise UpstreamCut("the connection ended before the echo service had answered")
