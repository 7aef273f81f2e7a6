"""Requests over TCP to the services in the guest: files (port FILES_PORT), clipboard (CLIPBOARD_PORT),
the screen (SCREEN_PORT). Pure.

One request on a connection. Both sides speak a *head*, a JSON object on one line of at most MAX_HEAD_BYTES; raw bytes
follow where the table says so. The gateway is the one client, and speaks HTTP to everybody else: no web page in the
guest's own browser can say a line of JSON before it has said one of HTTP, so none gets past the first line.

======= ================================ ======================================== ===========================
port    request                          answer                                   bytes
======= ================================ ======================================== ===========================
files   {op: "stat", path}               {kind, size, mtime_ns}
files   {op: "list", path}               {length, truncated}                      JSON: [[name, kind, size,
                                                                                  mtime_ns], ...]
files   {op: "read", path, start, stop}  {size, start, length, mtime_ns}          ``length`` of the file's
files   {op: "write", path, size,        {} to go on; {size, mtime_ns, created}   ``size``, from the gateway,
        exclusive}                       when the file is in place                between the answers
files   {op: "delete", path}             {}
clip    {op: "get", known, wait_s}       {kind, digest, length, copied};          ``length`` of the content
                                         {} without any
clip    {op: "put", kind, length}        {} to go on; {} when the guest's         ``length``, from the gateway,
                                         programs can paste it                    between the answers
screen  {op: "shot", kind, width, known} {digest, width, height, length}          ``length`` of the picture
======= ================================ ======================================== ===========================

Paths are relative to the user's home, parted by "/"; "" is the home. ``start`` and ``stop`` are as in a Python slice:
negative counts from the end, null is the file's own; ``exclusive`` replaces no file. ``kind`` of a file is "file",
"directory" or "other"; of a clipboard "text" (UTF-8) or "png". A clipboard's "get" waits up to ``wait_s`` for content
whose digest is not ``known``; ``copied`` by a program of the guest, and not sent by a viewer. ``kind`` of a screen's
picture is "png" or "jpeg", ``width`` what it is made smaller to in px (0: as it is); one whose digest is ``known``
has no bytes.

Trouble is {error: one of ERRORS, message: a sentence}, and ends the connection; with "range" comes the file's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guest_agent.protocol.plainjson import dump, load

__all__ = [
    "CLIPBOARD_PORT",
    "ERRORS",
    "FILES_PORT",
    "MAX_HEAD_BYTES",
    "SCREEN_PORT",
    "BadHead",
    "decode_head",
    "encode_head",
    "parts_of",
]

FILES_PORT = 5902
CLIPBOARD_PORT = 5903
SCREEN_PORT = 5904
MAX_HEAD_BYTES = 32 * 1024
"""A path has up to MAX_PATH_BYTES, and JSON makes up to six of one."""
MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
ERRORS = (
    "bad-request",
    "busy",
    "denied",
    "exists",
    "io",
    "is-directory",
    "no-space",
    "not-directory",
    "not-file",
    "not-found",
    "off",
    "range",
    "too-large",
)


class BadHead(ValueError):
    """Not a head, or a path that is none."""


def encode_head(body: Mapping[str, Any]) -> bytes:
    return dump(body) + b"\n"


def decode_head(line: bytes) -> dict[str, Any]:
    """The object of one line, newline included. Raises BadHead."""
    if len(line) > MAX_HEAD_BYTES or not line.endswith(b"\n"):
        raise BadHead(f"a head of {len(line)} bytes, which is cut short or over {MAX_HEAD_BYTES}")
    try:
        body = load(line)
    except (ValueError, RecursionError):
        raise BadHead("the head is not JSON") from None
    if not isinstance(body, dict):
        raise BadHead("the head is not an object")
    return body


def parts_of(path: object) -> list[str]:
    """The names that a path consists of, none for the home itself. Raises BadHead on anything that could leave it."""
    if path == "":
        return []
    if not isinstance(path, str):
        raise BadHead("the path is not a string")
    parts = path.split("/")
    for name in parts:
        if name in ("", ".", "..") or "\0" in name:
            raise BadHead("the path has an empty name, '.', '..' or a NUL in it")
        try:
            raw = name.encode()
        except UnicodeEncodeError:
            raise BadHead("the path is not UTF-8") from None
        if len(raw) > MAX_NAME_BYTES:
            raise BadHead(f"a name in the path is longer than {MAX_NAME_BYTES} bytes")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise BadHead(f"the path is longer than {MAX_PATH_BYTES} bytes")
    return parts
