"""The exit check: what an echo service on the internet sees of a session that comes through its own exit."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
import time
from collections.abc import Collection
from urllib.parse import urlsplit

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

__all__ = ["find_address", "look"]

MAX_BODY_BYTES = 64 * 1024
_ADDRESS = re.compile(
    r"(?<![0-9A-Za-z.:])([0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+)(?![0-9A-Za-z.:])"
)


async def look(
    url: str, ways: Ways, policy: Policy, tls: ssl.SSLContext, ours: Collection[str], timeout_s: float
) -> tuple[ExitCheck, EgressError | None]:
    """Ask ``url`` (http or https; it answers with an address, in JSON or plain): what was seen, and why not.

    Args:
        tls: how the echo service's certificate is checked.
        ours: addresses of this host.
    """
    began = time.monotonic()
    address = ""
    error: EgressError | None = None
    try:
        async with asyncio.timeout(timeout_s):
            address = find_address(await _get(url, ways, policy, tls))
    except TimeoutError:
        error = UpstreamSlow(f"no answer within {timeout_s:g} s")
    except EgressError as exc:
        error = exc
    latency_ms = round((time.monotonic() - began) * 1000, 1)
    words = ("", "") if error is None else (error.kind, error.message)
    return ExitCheck(time.time(), latency_ms, address, address in ours, *words), error


def find_address(body: str) -> str:
    """The first IP address in it, in its usual spelling. Raises TargetUnreachable."""
    for found in _ADDRESS.finditer(body):
        try:
            return str(ipaddress.ip_address(found[1]))
        except ValueError:
            continue
    raise TargetUnreachable("the echo service's answer has no address in it", hint="see proxy_check_url")


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
