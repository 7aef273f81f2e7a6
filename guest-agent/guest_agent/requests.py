"""What the gateway asks of the zygote, checked. Pure.

``parse`` raises :class:`BadParams` with a sentence for the gateway's log; secrets are never quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from guest_agent.errors import AgentError
from guest_agent.protocol.link import CLIPBOARD_POLICIES
from guest_agent.protocol.rpc import INVALID_PARAMS

__all__ = [
    "Assignment",
    "BadParams",
    "Controller",
    "ExecCommand",
    "Identity",
    "Place",
    "clipboard_policy",
    "display_size",
]

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
ENTROPY = re.compile(r"[0-9a-f]{64}")
MACHINE_ID = re.compile(r"[0-9a-f]{32}")
PROXY = re.compile(r"[A-Za-z0-9:/@._~%!*()+,=&?\[\]-]{1,512}")
"""No character that systemd, pam_env or a shell would take for more than itself."""
ZONE = re.compile(r"(?=.{1,64}$)[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*){0,2}")
"""A name of the IANA time zone database; no dot, so it names no file outside of that."""
LOCALE = re.compile(r"[a-z]{2,3}-[A-Z]{2}")
"""BCP 47: language and region, as de-DE."""
PRINTABLE = re.compile(r"[\x21-\x7e]{1,1024}")
MAX_VNC_PASSWORD = 8
"""VncAuth uses no more (RFB 7.2.2)."""
MAX_ARGV_BYTES = 64 * 1024
MAX_STDIN_BYTES = 128 * 1024
MAX_EXEC_S = 600.0
NAME = re.compile(r"[\x21-\x7e]{1,64}")
MAX_SIDE_PX = 3840
MIN_WIDTH_PX, MIN_HEIGHT_PX = 320, 240


class BadParams(AgentError):
    """The gateway's fault: a parameter is missing, of the wrong type or out of range."""

    code = INVALID_PARAMS


@dataclass(frozen=True, slots=True)
class Identity:
    entropy: bytes = field(repr=False)
    machine_id: str

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Self:
        entropy = _text(params, "entropy", ENTROPY, "64 hex digits")
        return cls(bytes.fromhex(entropy), _text(params, "machine_id", MACHINE_ID, "32 hex digits"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the desktop is to be taken for; "" is the image's own (UTC, English)."""

    timezone: str = ""
    locale: str = ""

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Self:
        given = {
            name: _text(params, name, pattern, what)
            for name, pattern, what in (
                ("timezone", ZONE, "a time zone's name"),
                ("locale", LOCALE, "a language and a region, as de-DE"),
            )
            if params.get(name, "") != ""
        }
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Assignment:
    session_id: str
    epoch_ns: int
    vnc_password: str = field(repr=False)
    proxy: str | None
    display_px: tuple[int, int]
    """As of display_size()."""
    clipboard: str = "off"
    """One of CLIPBOARD_POLICIES."""
    place: Place = Place()

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Self:
        proxy = params.get("proxy")
        if proxy is not None:
            proxy = _text(params, "proxy", PROXY, "a URL or null")
        password = _text(params, "vnc_password", PRINTABLE, "printable ASCII without spaces")
        if len(password) > MAX_VNC_PASSWORD:
            raise BadParams(f"vnc_password is over {MAX_VNC_PASSWORD} characters")
        return cls(
            session_id=_text(params, "session_id", SESSION_ID, "1 to 64 letters, digits, '-' and '_'"),
            epoch_ns=_whole(params, "epoch_ns", 0, 2**63 - 1),
            vnc_password=password,
            proxy=proxy,
            clipboard=clipboard_policy(params.get("clipboard", "off")),
            display_px=display_size(params.get("display")),
            place=Place.parse(params),
        )


@dataclass(frozen=True, slots=True)
class Controller:
    """Whose input counts."""

    peer: str | None
    viewer: str | None
    """The gateway's own name for who that is, also of one who comes by VNC."""

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Self:
        names = (params.get("peer"), params.get("viewer"))
        if not all(name is None or (isinstance(name, str) and NAME.fullmatch(name)) for name in names):
            raise BadParams("peer or viewer is neither null nor a name")
        return cls(*names)


@dataclass(frozen=True, slots=True)
class ExecCommand:
    argv: tuple[str, ...]
    timeout_s: float
    as_user: bool
    stdin: bytes = field(repr=False)

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Self:
        argv, timeout_s = params.get("argv"), params.get("timeout_s")
        as_user, stdin = params.get("as_user", True), params.get("stdin", "")
        if not isinstance(argv, list) or not argv or not all(isinstance(arg, str) for arg in argv) or not argv[0]:
            raise BadParams("argv is not a list of strings that names a program")
        if any("\0" in arg for arg in argv) or sum(len(arg.encode()) for arg in argv) > MAX_ARGV_BYTES:
            raise BadParams(f"argv holds a NUL or is over {MAX_ARGV_BYTES} bytes")
        if not isinstance(timeout_s, int | float) or isinstance(timeout_s, bool) or not 0 < timeout_s <= MAX_EXEC_S:
            raise BadParams(f"timeout_s is not between 0 and {MAX_EXEC_S:g}")
        if not isinstance(as_user, bool) or not isinstance(stdin, str):
            raise BadParams("as_user is not a boolean, or stdin not a string")
        given = stdin.encode()
        if len(given) > MAX_STDIN_BYTES:
            raise BadParams(f"stdin is over {MAX_STDIN_BYTES} bytes")
        return cls(tuple(argv), float(timeout_s), as_user, given)


def clipboard_policy(value: object) -> str:
    """One of CLIPBOARD_POLICIES. Raises BadParams."""
    if value not in CLIPBOARD_POLICIES or not isinstance(value, str):
        raise BadParams(f"the clipboard's policy is none of {', '.join(CLIPBOARD_POLICIES)}")
    return value


def _text(params: Mapping[str, Any], name: str, pattern: re.Pattern[str], what: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadParams(f"{name} is not {what}")
    return value


def _whole(params: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = params.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadParams(f"{name} is not a whole number from {least} to {most}")
    return value


def display_size(value: object) -> tuple[int, int]:
    """[width, height] in px, made even: chroma planes are half the size. Raises BadParams."""
    if not isinstance(value, list) or len(value) != 2:
        raise BadParams("display is not [width, height]")
    sides = {"width": value[0], "height": value[1]}
    width = _whole(sides, "width", MIN_WIDTH_PX, MAX_SIDE_PX)
    height = _whole(sides, "height", MIN_HEIGHT_PX, MAX_SIDE_PX)
    return width & ~1, height & ~1
