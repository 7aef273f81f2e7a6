"""Around every request: an id, errors as problem details (RFC 9457), security headers."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import STATUS, BadRequest, GatewayError, NotFound, TooLarge, Unauthorized, UnsupportedMedia
from gateway.routes.front import REQUEST_ID
from gateway.routes.limits import MAX_BODY_BYTES
from gateway.routes.services import SERVICES

__all__ = ["PROBLEM_TYPE", "add_headers", "content_policy", "problem", "problems"]

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

_CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)


def content_policy(origins: Iterable[str] = ()) -> str:
    """A Content-Security-Policy whose page only the gateway's own pages and these origins may frame."""
    return " ".join((f"{_CSP}; frame-ancestors 'self'", *sorted(origins)))


_HEADERS = {
    "Content-Security-Policy": content_policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_HSTS = "max-age=31536000"
"""A year; without includeSubDomains, which are another's to say."""

_FROM_AIOHTTP: Mapping[int, type[GatewayError]] = {
    400: BadRequest,
    404: NotFound,
    413: TooLarge,
    415: UnsupportedMedia,
}


def problem(status: int, kind: str, detail: str, hint: str, request_id: str) -> web.Response:
    """An RFC 9457 answer; ``type`` is stable, one for each kind of error."""
    body: dict[str, Any] = {
        "type": f"urn:fenster:{kind}",
        "title": kind.replace("-", " "),
        "status": status,
        "detail": detail,
        "hint": hint,
        "instance": f"urn:fenster:request:{request_id}",
    }
    headers = {"WWW-Authenticate": 'Bearer realm="fenster"'} if status == 401 else {}
    return web.Response(status=status, text=json.dumps(body), content_type=PROBLEM_TYPE, headers=headers)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, and turn whatever is raised into a problem."""
    request_id = request[REQUEST_ID] = secrets.token_hex(6)
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        try:
            response = await handler(request)
        except GatewayError as exc:
            response = _from_error(exc, request_id)
        except web.HTTPException as exc:
            if exc.status < 400:
                raise
            response = _from_http(exc, request_id)
        except ConnectionError:
            # The caller has gone; there is nobody to answer.
            raise
        except Exception:
            # What went wrong inside is for the log, never for the caller.
            logger.exception("! %s %s", request.method, request.path)
            response = problem(500, "internal", "the gateway made a mistake", "its log has the details", request_id)
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
    return response


def _from_error(exc: GatewayError, request_id: str) -> web.Response:
    status = STATUS[exc.kind]
    if isinstance(exc, Unauthorized):
        logger.debug("x unauthorized: %s", exc.message)
    elif status >= 500:
        logger.warning("x %s: %s", exc.kind, exc)
    response = problem(status, exc.kind, exc.message, exc.hint, request_id)
    response.headers.update(exc.headers)
    return response


def _from_http(exc: web.HTTPException, request_id: str) -> web.Response:
    known = _FROM_AIOHTTP.get(exc.status)
    phrase = HTTPStatus(exc.status).phrase
    kind = known.kind if known is not None else phrase.lower().replace(" ", "-")
    detail = f"the body is larger than {MAX_BODY_BYTES} bytes" if exc.status == 413 else phrase.lower()
    response = problem(exc.status, kind, detail, "/openapi.json lists the calls", request_id)
    if "Allow" in exc.headers:
        response.headers["Allow"] = exc.headers["Allow"]
    return response


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """An on_response_prepare signal, so that streams and WebSockets have them too."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if request.app[SERVICES].hsts:
        response.headers["Strict-Transport-Security"] = _HSTS
