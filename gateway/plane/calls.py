"""What control plane and data plane say to each other, as JSON. Pure.

::

    control plane   {"id": 7, "call": "attach", "vm": "ab12", "adopt": true}      with descriptors for some
    data plane      {"id": 7, "result": {…}}   or   {"id": 7, "error": {"kind": "conflict", "message": …, "hint": …}}
                    {"news": "report", "vm": "ab12", "report": {…}}, {"news": "counters", "counters": {…}}

Both ends are of one release, or the first call says that they are not: there is no other compatibility.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from gateway.errors import GatewayError
from gateway.exits import ExitReport, Traffic

__all__ = [
    "VERSION",
    "Call",
    "News",
    "Reply",
    "decode",
    "encode",
    "report_of",
    "report_to",
    "traffic_of",
    "traffic_to",
]

VERSION = 1
"""Of these calls."""

_REPORTS = TypeAdapter(ExitReport)
_TRAFFIC = TypeAdapter(Traffic)


@dataclass(frozen=True, slots=True)
class Call:
    id: int
    name: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    id: int
    result: Mapping[str, Any]
    error: GatewayError | None = None


@dataclass(frozen=True, slots=True)
class News:
    """Unasked, from the data plane."""

    name: str
    params: Mapping[str, Any]


Message = Call | Reply | News


def encode(message: Message) -> bytes:
    return json.dumps(_body(message), separators=(",", ":")).encode()


def _body(message: Message) -> Mapping[str, Any]:
    match message:
        case Call(ident, name, params):
            return {"id": ident, "call": name, **params}
        case Reply(ident, result, None):
            return {"id": ident, "result": result}
        case Reply(ident, _, error):
            assert error is not None
            return {
                "id": ident,
                "error": {"type": type(error).__name__, "message": error.message, "hint": error.hint},
            }
        case News(name, params):
            return {"news": name, **params}


def decode(data: bytes) -> Message:
    """Raises ValueError: it is none of these."""
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError("no object")
    match body:
        case {"news": str(name), **params}:
            return News(name, params)
        case {"id": int(ident), "call": str(name), **params}:
            return Call(ident, name, params)
        case {"id": int(ident), "result": dict(result)}:
            return Reply(ident, result)
        case {"id": int(ident), "error": {"type": str(kind), "message": str(message), "hint": str(hint)}}:
            return Reply(ident, {}, _error_of(kind, message, hint))
        case _:
            raise ValueError("neither call nor reply nor news")


def _error_of(name: str, message: str, hint: str) -> GatewayError:
    """An error of the tree by its class's name; an unknown one is its root."""
    kind = next((kind for kind in _kinds(GatewayError) if kind.__name__ == name), GatewayError)
    error = kind.__new__(kind)
    # Some take more than a sentence and a hint, which nobody asks for on this side.
    GatewayError.__init__(error, message, hint=hint)
    return error


def _kinds(root: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


def report_to(report: ExitReport) -> Any:
    return _REPORTS.dump_python(report, mode="json")


def report_of(body: Any) -> ExitReport:
    """Raises ValueError (pydantic's)."""
    return _REPORTS.validate_python(body)


def traffic_to(traffic: Traffic) -> Any:
    return _TRAFFIC.dump_python(traffic, mode="json")


def traffic_of(body: Any) -> Traffic:
    """Raises ValueError (pydantic's)."""
    return _TRAFFIC.validate_python(body)
