"""What an echo service says of whoever asks it: address, country, time zone. Pure.

Read are plain text with an address in it, and JSON as such services answer (ipinfo.io, ip-api.com, ifconfig.co,
ipwho.is, Decodo's ip.decodo.com/json): keys at the top or in an object below it, in any case::

    ip, query                                   the address; else the first one anywhere
    countryCode, country_code, country_iso, country (or country.code)
    timezone, time_zone (or timezone.id, timezone.name)
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import TargetUnreachable
from gateway.exits import TIMEZONE

__all__ = ["Echo", "read_echo"]

MAX_DEPTH = 3
_ADDRESS = re.compile(
    r"(?<![0-9A-Za-z.:])([0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+)(?![0-9A-Za-z.:])"
)
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_ZONE = re.compile(TIMEZONE)


@dataclass(frozen=True, slots=True)
class Echo:
    address: str
    """In its usual spelling."""
    country: str = ""
    """ISO 3166-1 alpha-2, upper case; "" when it is not told."""
    timezone: str = ""
    """Shaped as an IANA name, that much is sure; "" when it is not told."""


def read_echo(body: str) -> Echo:
    """Raises TargetUnreachable when there is no address in it."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    named = next((text for text in _texts(told, ("ip", "query")) if _address(text)), "")
    address = _address(named) or _address(body)
    if not address:
        raise TargetUnreachable("the echo service's answer has no address in it", hint="see proxy_check_url")
    countries = _texts(told, ("countrycode", "country_code", "country_iso", "country"), ("code", "iso"))
    zones = _texts(told, ("timezone", "time_zone"), ("id", "name"))
    return Echo(
        address,
        next((text.upper() for text in countries if _COUNTRY.fullmatch(text)), ""),
        next((text for text in zones if _ZONE.fullmatch(text)), ""),
    )


def _address(text: str) -> str:
    """The first one in it; "" when there is none."""
    for found in _ADDRESS.finditer(text):
        try:
            return str(ipaddress.ip_address(found[1]))
        except ValueError:
            continue
    return ""


def _texts(told: Any, keys: Sequence[str], inner: Sequence[str] = (), depth: int = 0) -> Iterator[str]:
    """Values of these keys, the higher ones first; of an object there, those of its ``inner`` keys."""
    if not isinstance(told, dict) or depth >= MAX_DEPTH:
        return
    lowered = {str(key).lower(): value for key, value in told.items()}
    for key in keys:
        value = lowered.get(key)
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from (text for name in inner if isinstance(text := value.get(name), str))
    for value in lowered.values():
        yield from _texts(value, keys, inner, depth + 1)
