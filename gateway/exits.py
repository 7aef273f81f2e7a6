"""What an exit is: a session's own way to the internet, as the API, the sessions and the data plane name it. Pure.

An :class:`Exit` holds a password. It never turns up in a repr, a log, a JSON dump or a URL that is shown: only
:meth:`Exit.reveal` gives it, for the store, which seals it, and the proxy, which sends it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

__all__ = [
    "NO_EXIT",
    "PROXY_PORT",
    "PROXY_URL",
    "TIMEZONE",
    "Decodo",
    "Exit",
    "ExitCheck",
    "ExitReport",
    "ExitType",
    "Traffic",
    "parse_exit",
]

PROXY_PORT = 3128
PROXY_URL = f"http://169.254.0.22:{PROXY_PORT}"
"""Where every guest finds its proxy: baked into the golden image, as a Chromium in a snapshot keeps what it has."""

ExitType = Literal["none", "direct", "http", "https", "socks5"]
_UPSTREAMS = ("http", "https", "socks5")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?|\[?[0-9A-Fa-f:.]{2,45}\]?")
_PRINTABLE = re.compile(r"[\x21-\x7e]*")
TIMEZONE = r"[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z][A-Za-z0-9_+-]{0,31}){0,2}"
"""Pattern of a name of the IANA time zone database."""
MAX_CREDENTIAL_BYTES = 255
"""RFC 1929 has one byte for the length."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Decodo(_Part):
    """Parameters that Decodo takes from the user name; see gateway/egress/decodo.py."""

    country: str | None = Field(default=None, pattern=r"^[A-Za-z]{2}$", description="ISO 3166-1 alpha-2")
    city: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]+(_[A-Za-z]+)*$",
        max_length=64,
        description="as new_york; needs a country",
    )
    session: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_]{1,64}$",
        description="the same name keeps the same address; the session's own id unless given",
    )  # fmt: skip
    duration_min: int | None = Field(
        default=None, ge=1, le=1440, description="minutes for which the address is kept; 10 unless given"
    )

    @model_validator(mode="after")
    def _whole(self) -> Decodo:
        if self.city is not None and self.country is None:
            raise ValueError("a city needs its country")
        return self


class Exit(_Part):
    """Where a session's traffic leaves. ``none``: it does not. ``direct``: from this host, where that is allowed."""

    type: ExitType
    host: str = Field(default="", max_length=253, description="of the upstream proxy")
    port: int | None = Field(default=None, ge=1, le=65535)
    username: str = Field(default="", max_length=MAX_CREDENTIAL_BYTES)
    password: SecretStr = Field(default=SecretStr(""), max_length=MAX_CREDENTIAL_BYTES)
    decodo: Decodo | None = Field(default=None, description="for an upstream of Decodo's")

    @model_validator(mode="after")
    def _fits(self) -> Exit:
        if self.type not in _UPSTREAMS:
            if self != Exit.model_construct(type=self.type):
                raise ValueError(f"an exit of type {self.type} has nothing but its type")
            return self
        if not _HOST.fullmatch(self.host) or self.port is None:
            raise ValueError("an upstream proxy needs host and port")
        if not _PRINTABLE.fullmatch(self.username) or not _PRINTABLE.fullmatch(self.password.get_secret_value()):
            raise ValueError("user name and password are printable ASCII without spaces")
        if ":" in self.username:
            raise ValueError("a user name has no colon")
        if bool(self.password.get_secret_value()) and not self.username:
            raise ValueError("a password needs a user name")
        if self.decodo is not None and not self.username:
            raise ValueError("Decodo's parameters go into the user name, which is missing")
        return self

    def reveal(self) -> dict[str, Any]:
        """All of it, the password in clear, for whoever seals it."""
        return {**self.model_dump(exclude_defaults=True), "password": self.password.get_secret_value()}

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the upstream; brackets removed."""
        assert self.port is not None
        return self.host.strip("[]"), self.port

    def __str__(self) -> str:
        """Without credentials."""
        return f"{self.type}://{self.host}:{self.port}" if self.type in _UPSTREAMS else self.type


NO_EXIT = Exit(type="none")


def parse_exit(text: str) -> Exit:
    """``none``, ``direct``, or ``TYPE://[USER[:PASSWORD]@]HOST:PORT`` with percent-encoding in user and password.

    Raises:
        ValueError: in words that do not repeat the text, which may hold a password.
    """
    if text in ("none", "direct"):
        return Exit(type="none" if text == "none" else "direct")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise ValueError("its port or address is none") from None
    kind = {"socks5h": "socks5"}.get(parts.scheme, parts.scheme)
    if kind not in _UPSTREAMS or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(
            "an exit is none, direct, or http://, https:// or socks5:// with USER:PASSWORD@HOST:PORT and no more"
        )
    return Exit(
        type=kind,  # type: ignore[arg-type]  # checked above
        host=host,
        port=port,
        username=unquote(parts.username or ""),
        password=SecretStr(unquote(parts.password or "")),
    )


@dataclass(frozen=True, slots=True)
class ExitCheck:
    """One look at an address from outside, through the session's own exit."""

    at: float
    """Unix time in s."""
    latency_ms: float
    """From the request to the answer's last byte."""
    address: str = ""
    """As the echo service saw it; "" when it could not be had."""
    ours: bool | None = None
    """It is an address of this host: what should have left elsewhere leaves here. None: that cannot be known."""
    country: str = ""
    """ISO 3166-1 alpha-2, upper case, where the echo service says; else ""."""
    timezone: str = ""
    """IANA name, where the echo service says; else ""."""
    kind: str = ""
    """Of the error; "" when there was none."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a session's proxy has carried, since the session began."""

    bytes_up: int = 0
    """From the guest."""
    bytes_down: int = 0
    connections: int = 0
    """Opened to the outside."""
    hosts: Mapping[str, int] = field(default_factory=dict)
    """The names that carried most, with bytes both ways, greatest first; 64 at most."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Requests that failed, by kind of error."""


@dataclass(frozen=True, slots=True)
class ExitReport:
    """What a session's proxy can say of itself."""

    state: Literal["off", "unknown", "ok", "failing"] = "off"
    """off: no exit. unknown: nothing has gone through it yet. Else its last use decides."""
    kind: str = ""
    """Why it is failing: the kind of an EgressError."""
    message: str = ""
    check: ExitCheck | None = None
    """The last one with this exit."""
    open: int = 0
    """Connections of the guest now."""
    traffic: Traffic = field(default_factory=Traffic)
