"""What a probe asks of the gateway, and what its legs have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.errors import GatewayError
from gateway.probe.samples import Motion, Press

__all__ = ["Api", "Connection", "Place", "ProbeError", "Session", "Way", "marked", "marker_body"]

MAX_REPORTED = 64
"""Presses in one call of the API."""
MARKER_S = 30.0
"""How long the marker window stays when the probe is gone."""


class Api(Protocol):
    """The gateway as the command line reaches it (gateway/cli/client.py)."""

    url: str
    api_key: str

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]: ...
    async def offer(self, path: str, sdp: str) -> tuple[str, str]:
        """A WHEP offer: the answer's SDP and its resource's path."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A point of the display, as fractions of its sides."""

    x: float
    y: float

    @classmethod
    def middle(cls, rect: list[int], display_px: list[int]) -> Place:
        """Of x, y, width and height in px."""
        return cls((rect[0] + rect[2] / 2) / display_px[0], (rect[1] + rect[3] / 2) / display_px[1])

    def as_json(self) -> dict[str, float]:
        return {"x": self.x, "y": self.y}


@dataclass(frozen=True, slots=True)
class Session:
    """The session that is measured, and where its marker is."""

    sid: str
    api: Api
    viewer_url: str
    display_px: tuple[int, int]
    patch: Place
    strip: Place

    @property
    def marker_path(self) -> str:
        return f"/v1/sessions/{self.sid}/marker"

    async def mark(self, *, moving: bool = False) -> dict[str, Any]:
        """Keep the marker, blinking or not."""
        return await self.api.call("PUT", self.marker_path, marker_body(moving=moving))

    async def report(self, way: str, presses: Sequence[Press]) -> None:
        """Have the gateway's /metrics count them."""
        told = [
            {"total": press.total_ms, **{s: max(0.0, ms) for s, ms in press.stages_ms.items()}} for press in presses
        ]
        for at in range(0, len(told), MAX_REPORTED):
            body = {"transport": way, "presses": told[at : at + MAX_REPORTED]}
            await self.api.call("POST", f"/v1/sessions/{self.sid}/latency", body)


def marker_body(*, moving: bool = False) -> dict[str, Any]:
    return {"seconds": MARKER_S, "moving": moving}


@asynccontextmanager
async def marked(api: Api, sid: str) -> AsyncIterator[Session]:
    """The session with its marker shown; it is taken away on leaving.

    Raises:
        GatewayError: there is no such session, it is not ready, or it shows no marker.
    """
    path = f"/v1/sessions/{sid}/marker"
    token = await api.call("POST", f"/v1/sessions/{sid}/tokens", {})
    where = await api.call("PUT", path, marker_body())
    try:
        width, height = where["display"]
        patch, strip = (Place.middle(where[name], where["display"]) for name in ("patch", "strip"))
        yield Session(sid, api, api.url + token["viewer_url"], (width, height), patch, strip)
    finally:
        await api.call("DELETE", path)


class Connection(Protocol):
    """One viewer, connected and painting."""

    first_frame_ms: float

    async def press(self) -> Press | None:
        """Press once and wait for what it changes; None when nothing did within the limit."""
        ...

    async def watch(self, seconds: float) -> Motion: ...

    async def reconnect(self) -> tuple[float, float]:
        """Take the connection away; ms until there is a picture, and until there is one by the same way.

        Raises:
            ProbeError: there was none within the limit.
        """
        ...


class Way(Protocol):
    """A way to the desktop. Each call of ``connect`` is a new viewer."""

    name: str

    def connect(self, session: Session) -> AbstractAsyncContextManager[Connection]: ...

    def facts(self) -> dict[str, str]: ...


class ProbeError(GatewayError):
    """What was to be measured did not happen."""

    kind = "probe"
