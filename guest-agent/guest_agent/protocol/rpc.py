"""JSON-RPC 2.0 in lines (https://www.jsonrpc.org/specification). Pure: bytes in, messages out.

Used by both ends of the agent link. A line that is not a message gives a :class:`BadLine`, never an
exception: the reader counts it and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guest_agent.protocol.link import MAX_LINE_BYTES
from guest_agent.protocol.plainjson import dump, load

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "METHOD_NOT_FOUND",
    "NOT_READY",
    "BadLine",
    "Failure",
    "Incoming",
    "LineDecoder",
    "Notification",
    "Request",
    "Result",
    "encode",
]

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NOT_READY = -32001
"""The method needs something first: an agent that runs, an identity."""


@dataclass(frozen=True, slots=True)
class Request:
    id: int
    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notification:
    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    id: int
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    id: int
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """What arrived was not a message; ``why`` says so without quoting it."""

    why: str


Incoming = Request | Notification | Result | Failure | BadLine


def encode(message: Request | Notification | Result | Failure) -> bytes:
    """One line, with its newline."""
    body: dict[str, Any]
    match message:
        case Request(id, method, params):
            body = {"id": id, "method": method, "params": dict(params)}
        case Notification(method, params):
            body = {"method": method, "params": dict(params)}
        case Result(id, result):
            body = {"id": id, "result": dict(result)}
        case Failure(id, code, text):
            body = {"id": id, "error": {"code": code, "message": text}}
    return dump({"jsonrpc": "2.0", **body}) + b"\n"


class LineDecoder:
    """Collects bytes into lines and lines into messages.

    A line over ``max_bytes`` is thrown away up to its newline and reported once.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Incoming]:
        """Messages completed by ``data``, in order."""
        found: list[Incoming] = []
        self._buffer += data
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                break
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if self._skipping:
                self._skipping = False
            elif len(line) > self._max_bytes:
                found.append(BadLine(f"line of {len(line)} bytes"))
            elif line.strip():
                found.append(_parse(line))
        if len(self._buffer) > self._max_bytes:
            if not self._skipping:
                found.append(BadLine(f"line over {self._max_bytes} bytes"))
            self._buffer.clear()
            self._skipping = True
        return found


def _parse(line: bytes) -> Incoming:
    try:
        body = load(line)
    except (ValueError, RecursionError):
        return BadLine("not JSON")
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        return BadLine("not JSON-RPC 2.0")
    ident = body.get("id")
    if ident is not None and (not isinstance(ident, int) or isinstance(ident, bool)):
        return BadLine("id is not a number")
    if "method" in body:
        method, params = body["method"], body.get("params", {})
        if not isinstance(method, str) or not isinstance(params, dict):
            return BadLine("method or params of the wrong type")
        return Notification(method, params) if ident is None else Request(ident, method, params)
    if ident is None:
        return BadLine("neither method nor id")
    if "error" in body:
        error = body["error"]
        if not isinstance(error, dict) or not isinstance(error.get("code"), int):
            return BadLine("error without a code")
        message = error.get("message", "")
        return Failure(ident, error["code"], message if isinstance(message, str) else "")
    result = body.get("result")
    return Result(ident, result) if isinstance(result, dict) else BadLine("result is not an object")
