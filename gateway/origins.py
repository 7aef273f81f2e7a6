"""Web origins (RFC 6454) of pages that may embed a desktop. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

__all__ = ["MAX_ORIGIN_LENGTH", "ORIGIN_PATTERN", "is_own", "parse_origin"]

MAX_ORIGIN_LENGTH = 256
ORIGIN_PATTERN = (
    r"^[Hh][Tt][Tt][Pp][Ss]?://"
    r"([A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*|\[[0-9A-Fa-f:.]+\])"
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$"
)
"""For the API's document: as :func:`parse_origin` but for what in brackets is no IPv6 address."""
_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_SHAPE = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\[\]:/]+)(?::([0-9]{1,5}))?")


def parse_origin(text: str) -> str:
    """An origin as browsers write it: lower case, a default port left out.

    It is strict about every character, because origins are written into a Content-Security-Policy.

    Raises:
        ValueError: anything but ``scheme://host`` or ``scheme://host:port`` of http or https.
    """
    found = _SHAPE.fullmatch(text.lower()) if len(text) <= MAX_ORIGIN_LENGTH else None
    if found is None:
        raise ValueError("an origin is scheme://host or scheme://host:port, with nothing after it")
    scheme, host, port = found[1], found[2], found[3]
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise ValueError(f"{host} is not an IPv6 address") from None
    elif not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is no host name; write an international one in its xn-- form")
    if port is None or int(port) == _PORTS[scheme]:
        return f"{scheme}://{host}"
    if not 0 < int(port) <= 65535:
        raise ValueError(f"{port} is no port")
    return f"{scheme}://{host}:{int(port)}"


def is_own(origin: str, host: str) -> bool:
    """Is it the server's own, by the Host header of the request that names it? Takes any text."""
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        # Brackets without an address.
        return False
