"""A client of the gateway's API."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from gateway.errors import GatewayError

__all__ = ["ApiProblem", "Client", "Unreachable", "client"]

TIMEOUT_S = 60.0
_LONG = aiohttp.ClientTimeout(total=None, sock_read=120.0)
"""Of a file, which takes as long as it takes."""
SILENCE_S = 45.0
"""An event stream without a byte for so long is dead; the gateway sends a comment every 10 s."""


class Unreachable(GatewayError):
    """No gateway answers there."""

    kind = "unreachable"


class ApiProblem(GatewayError):
    """The gateway's own problem answer (RFC 9457)."""

    def __init__(self, kind: str, status: int, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status = status


class Client:
    """Made by :func:`client`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, api_key: str) -> None:
        self._http = http
        self.url = url
        self.api_key = api_key

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer's JSON; empty for 204. Raises ApiProblem, Unreachable."""
        try:
            async with self._http.request(method, self.url + path, json=body) as response:
                await _check(response)
                return {} if response.status == 204 else dict(await response.json())
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise _unreachable(self.url) from exc

    async def offer(self, path: str, sdp: str) -> tuple[str, str]:
        """A WHEP offer; the answer's SDP and its resource's path. Raises as :meth:`call`."""
        try:
            headers = {"Content-Type": "application/sdp"}
            async with self._http.post(self.url + path, data=sdp.encode(), headers=headers) as response:
                await _check(response)
                return await response.text(), response.headers["Location"]
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise _unreachable(self.url) from exc

    async def follow(self, sid: str) -> AsyncGenerator[dict[str, Any], None]:
        """The session now, and each time it changes, until it has ended. Raises as :meth:`call`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENCE_S)
        try:
            async with self._http.get(f"{self.url}/v1/sessions/{sid}/events", timeout=timeout) as response:
                await _check(response)
                async for line in response.content:
                    if line.startswith(b"data: "):
                        yield dict(json.loads(line[6:]))
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise _unreachable(self.url) from exc

    async def send(self, path: str, body: AsyncIterator[bytes], size: int) -> None:
        """PUT ``size`` bytes. Raises as :meth:`call`."""
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        try:
            async with self._http.put(self.url + path, data=body, headers=headers, timeout=_LONG) as response:
                await _check(response)
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise _unreachable(self.url) from exc

    @asynccontextmanager
    async def fetch(self, path: str) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """GET a body: its size, and its parts as they come. Raises as :meth:`call`, and when it ends early."""
        try:
            async with self._http.get(self.url + path, timeout=_LONG) as response:
                await _check(response)
                yield response.content_length or 0, response.content.iter_chunked(256 * 1024)
        except aiohttp.ClientPayloadError as exc:
            raise GatewayError("the transfer was cut off", hint="try again") from exc
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise _unreachable(self.url) from exc


@asynccontextmanager
async def client(url: str, api_key: str, pinned: bytes | None = None) -> AsyncIterator[Client]:
    """A client with that key.

    Args:
        url: without a slash at its end.
        pinned: SHA-256 of the one certificate to trust; else those that this host trusts.
    """
    headers = {"Authorization": f"Bearer {api_key}"}
    trust = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(pinned) if pinned is not None else True)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=trust) as http:
        yield Client(http, url.rstrip("/"), api_key)


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    try:
        problem = dict(json.loads(await response.text()))
    except ValueError:
        problem = {}
    kind = str(problem.get("type", "")).rpartition(":")[2] or f"http-{response.status}"
    message = str(problem.get("detail") or f"the gateway answered {response.status}")
    raise ApiProblem(kind, response.status, message, str(problem.get("hint", "")))


def _unreachable(url: str) -> Unreachable:
    return Unreachable(f"no gateway answers at {url}", hint="start it with fenster serve, or name another with --url")
