"""Which names this gateway answers to: the defence against DNS rebinding. Pure.

A hostile page may point its own name at this gateway's address, and is then of the same origin as the gateway, by the
browser's rules. Its requests carry that name in Host. A gateway that answers only to its own names has no such pages.
An address cannot be rebound: whoever is at it, it is not a name that somebody else resolves.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

__all__ = ["HostNames", "host_of", "parse_host"]

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
MAX_NAME_LENGTH = 253


def parse_host(text: str) -> str:
    """A host's name or address as Host headers spell it, in lower case. Raises ValueError."""
    name = text.strip().lower().removesuffix(".")
    if len(name) > MAX_NAME_LENGTH or not (_is_address(name) or _NAME.fullmatch(name)):
        raise ValueError(f"{text[:64]!r} is no host name; it stands alone, without scheme and port")
    return name


def host_of(header: str) -> str | None:
    """The name in a Host header (RFC 9110 7.2), lower case, without its port; None when it is none."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/\s,]+)(?::[0-9]{1,5})?", header)
    if found is None:
        return None
    name = found[1].lower().removesuffix(".")
    return name if len(name) <= MAX_NAME_LENGTH else None


class HostNames:
    """Args:
    listen: the address that the gateway listens on.
    public_url: where people reach it; "" when that is not said.
    more: names besides.
    own: this host's own names; they count where it listens off the loopback address.
    """

    def __init__(
        self, listen: str = "127.0.0.1", public_url: str = "", more: Iterable[str] = (), own: Iterable[str] = ()
    ) -> None:
        self._loopback = ipaddress.ip_address(listen).is_loopback
        names = {"localhost", *(parse_host(name) for name in more)}
        public = urlsplit(public_url).hostname if public_url else None
        if public is not None:
            names.add(public)
        if not self._loopback:
            names |= {name.lower() for name in own}
        self._names = frozenset(name for name in names if name)

    def knows(self, header: str) -> bool:
        """Whether a request with this Host header is for this gateway."""
        name = host_of(header)
        return name is not None and (name in self._names or _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
