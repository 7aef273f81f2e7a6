"""What a guest is shown when a request fails: a page that says what and why, and Proxy-Status (RFC 9209). Pure."""

from __future__ import annotations

import html
from http import HTTPStatus

from gateway.errors import STATUS, EgressError

__all__ = ["page"]

_TITLES = {
    "proxy-request": "This is not a request that the proxy can serve",
    "target-forbidden": "This desktop may not go there",
    "no-exit": "This desktop has no way to the internet",
    "egress-limited": "This desktop has reached a limit",
    "upstream-down": "The way to the internet is down",
    "upstream-auth": "The way to the internet does not let this desktop in",
    "upstream-slow": "The way to the internet does not answer",
    "upstream-cut": "The way to the internet broke off",
    "target-unreachable": "The server was not reached",
}
_STATUS_ERRORS = {
    "proxy-request": "http_request_error",
    "target-forbidden": "http_request_denied",
    "no-exit": "proxy_configuration_error",
    "egress-limited": "connection_limit_reached",
    "upstream-down": "connection_refused",
    "upstream-auth": "proxy_configuration_error",
    "upstream-slow": "connection_timeout",
    "upstream-cut": "connection_terminated",
    "target-unreachable": "destination_unavailable",
}
"""RFC 9209 2.3."""
_FALLBACK = "The request failed"


def page(error: EgressError, *, as_html: bool, target: str = "") -> bytes:
    """A whole answer; the connection ends with it.

    Args:
        as_html: for a browser; else plain text.
        target: what was asked for. Anything: it is escaped.
    """
    title = _TITLES.get(error.kind, _FALLBACK)
    message = f"{error.message[:1].upper()}{error.message[1:]}"
    if not message.endswith("."):
        message += "."
    if as_html:
        kind, body = "text/html; charset=utf-8", _html(title, message, error.hint, target)
    else:
        lines = [
            f"{title}.",
            message,
            *([f"Hint: {error.hint}."] if error.hint else []),
            *([target] if target else []),
        ]
        kind, body = "text/plain; charset=utf-8", "\n".join(lines) + "\n"
    content = body.encode()
    status = STATUS[error.kind]
    cause = _STATUS_ERRORS.get(error.kind, "proxy_internal_error")
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        f'Proxy-Status: fenster; error={cause}; details="{error.kind}"',
        "Cache-Control: no-store",
        "Connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def _html(title: str, message: str, hint: str, target: str) -> str:
    asked = f"<p><code>{html.escape(target)}</code></p>" if target else ""
    mend = f"<p>{html.escape(hint[:1].upper() + hint[1:])}.</p>" if hint else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>"
        "<style>body{font:16px/1.5 sans-serif;max-width:40em;margin:15vh auto;padding:0 1em;color:#222}"
        "h1{font-size:1.4em}code{word-break:break-all}</style>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(message)}</p>{asked}{mend}</html>\n"
    )
