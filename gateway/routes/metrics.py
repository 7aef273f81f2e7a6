"""Latency as viewers report it, and Prometheus's view of it."""

from __future__ import annotations

from aiohttp import web

from gateway.edge.apikeys import Scope
from gateway.metrics import CONTENT_TYPE
from gateway.routes.access import Access, Caller, route
from gateway.routes.models import LatencyReport, read_json
from gateway.routes.services import SERVICES

__all__ = ["routes"]


async def report(request: web.Request, caller: Caller) -> web.Response:
    """Presses of one viewer, or of a probe."""
    services = request.app[SERVICES]
    services.manager.get(request.match_info["sid"])
    body = await read_json(request, LatencyReport)
    services.metrics.saw_press(body.transport, ({str(s): ms for s, ms in press.items()} for press in body.presses))
    return web.Response(status=204)


async def metrics(request: web.Request, caller: Caller) -> web.Response:
    return web.Response(body=request.app[SERVICES].metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def routes() -> list[web.RouteDef]:
    return [
        route("POST", "/v1/sessions/{sid}/latency", report, Access.VIEWER, Scope.DESKTOPS_USE),
        route("GET", "/metrics", metrics, Access.ADMIN, Scope.METRICS_READ),
    ]
