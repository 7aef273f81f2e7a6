"""What the values of settings are, where more than a type says: each takes what a person writes. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from gateway.edge.addresses import parse_network
from gateway.edge.hosts import parse_host
from gateway.origins import parse_origin

__all__ = [
    "Address",
    "Addresses",
    "Display",
    "HostNames",
    "HostRules",
    "Networks",
    "Origins",
    "Ports",
    "UidRange",
    "parse_display",
]


def parse_display(text: str) -> tuple[int, int]:
    """``1280x720`` to (1280, 720), in px.

    Raises:
        ValueError: not two numbers, or not of 320x240 to 3840x3840, or more pixels than 3840x2160.
    """
    width, cross, height = text.lower().partition("x")
    if not cross or not width.isdecimal() or not height.isdecimal():
        raise ValueError("a display is WIDTHxHEIGHT, for example 1280x720")
    size = int(width), int(height)
    if not (320 <= size[0] <= 3840 and 240 <= size[1] <= 3840 and size[0] * size[1] <= 3840 * 2160):
        raise ValueError("a display is 320x240 or larger, and no larger than 3840x2160, upright too")
    return size


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _literal(value: str) -> str:
    value = "127.0.0.1" if value == "localhost" else value
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("must be an IP address; 0.0.0.0 or :: for every address of this host") from None


def _reachable(value: tuple[str, ...]) -> tuple[str, ...]:
    for address in value:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f"{address!r} is not an IP address") from None
        if parsed.is_unspecified or parsed.is_multicast:
            raise ValueError(f"{address} is not an address a browser can reach")
    return value


def _host_names(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(parse_host(name) for name in value)


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(parse_network(network)) for network in value)


def _host_rules(value: tuple[str, ...]) -> tuple[str, ...]:
    for host in value:
        if not re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9_.-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?", host):
            raise ValueError(f"{host[:64]!r} is neither a host's name nor an address nor *")
    return value


def _ports(value: tuple[int, ...]) -> tuple[int, ...]:
    if not all(0 < port < 65536 for port in value):
        raise ValueError("a port is a number from 1 to 65535")
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(parse_origin(origin) for origin in value)


def _size(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        value = f"{value[0]}x{value[1]}"
    return parse_display(value) if isinstance(value, str) else value


def _range(value: Any) -> Any:
    if isinstance(value, str):
        value = tuple(value.split("-")) if value.count("-") == 1 else ()
    return value


def _uids(value: tuple[int, int]) -> tuple[int, int]:
    if not 1000 <= value[0] <= value[1] < 2**32 - 1:
        raise ValueError("uids are FIRST-LAST, for example 1990000000-1990009999, and none below 1000")
    return value


_List = BeforeValidator(_split)
"""A tuple, or its parts with commas between them."""

Address = Annotated[str, AfterValidator(_literal)]
Addresses = Annotated[tuple[str, ...], _List, AfterValidator(_reachable)]
HostNames = Annotated[tuple[str, ...], _List, AfterValidator(_host_names)]
HostRules = Annotated[tuple[str, ...], _List, AfterValidator(_host_rules)]
Networks = Annotated[tuple[str, ...], _List, AfterValidator(_networks)]
Ports = Annotated[tuple[int, ...], _List, AfterValidator(_ports)]
Origins = Annotated[tuple[str, ...], _List, AfterValidator(_origins)]
Display = Annotated[tuple[int, int], BeforeValidator(_size)]
UidRange = Annotated[tuple[int, int], BeforeValidator(_range), AfterValidator(_uids)]
