"""What a session and a machine leave on disk, so that another gateway knows them (store.py keeps it)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.exits import NO_EXIT, TIMEZONE, Exit, Traffic
from gateway.sessions.view import ErrorView

__all__ = [
    "FOLLOW",
    "LOCALE",
    "OPERATOR",
    "TEMPLATE_NAME",
    "ClipboardPolicy",
    "FilesPolicy",
    "IdleAction",
    "Lifetime",
    "MachineRecord",
    "Place",
    "SessionRecord",
    "Sharing",
    "Template",
]

OPERATOR = "operator"
"""Owner of sessions that were asked for at the host itself, and of its first API key."""

IdleAction = Literal["suspend", "stop"]
ClipboardPolicy = Literal["off", "to_guest", "to_viewer", "both"]
FilesPolicy = Literal["off", "upload", "download", "both"]


TEMPLATE_NAME = r"[a-z0-9][a-z0-9-]{0,31}"
"""Pattern of the whole name."""


FOLLOW = "exit"
"""A time zone or locale: what the session's exit shows."""
LOCALE = r"[a-z]{2,3}-[A-Z]{2}"
"""Pattern of a language and a region (BCP 47), as de-DE."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Place(_Record):
    """Where a desktop is to be taken for; "" is the image's own: UTC, English."""

    timezone: str = Field(default="", pattern=f"^({TIMEZONE})?$")
    """An IANA name, or FOLLOW."""
    locale: str = Field(default="", pattern=f"^({LOCALE}|{FOLLOW})?$")
    """As LOCALE, or FOLLOW."""


@dataclass(frozen=True, slots=True)
class Template:
    """A named desktop to start sessions from, with its size."""

    name: str
    profile: str
    """Golden image profile."""
    vcpus: int
    memory_mib: int
    browser: Literal["fresh", "warm"] = "fresh"
    """Whether Chromium starts with the session or runs in the snapshot."""
    saved: str = ""
    """Name of the saved desktop that it starts; "" starts the golden image."""
    place: Place = field(default_factory=Place)
    """Of sessions that name none."""


class Lifetime(_Record):
    """How long a session may go on. Pure data; expiry.py reads it."""

    ends_at: float | None = None
    """Unix time in s; None: until somebody ends it."""
    idle_timeout_s: float | None = None
    """Without a viewer, a call or a busy program for so long, ``idle_action`` follows; None: never."""
    idle_action: IdleAction = "suspend"


class Sharing(_Record):
    """What its viewers may carry to and from the desktop, besides its picture. Whoever has the API key may anyway."""

    clipboard: ClipboardPolicy = "both"
    files: FilesPolicy = "both"


class MachineRecord(_Record):
    """Written before anything of the machine is made, deleted after the last of it is gone."""

    id: str
    uuid: str
    template: Template


class SessionRecord(_Record):
    """Written whenever the session has come to rest in a state."""

    id: str
    state: str
    template: Template
    display_px: tuple[int, int]
    created_at: datetime
    machine_id: str
    vnc_password: str = Field(default="", repr=False, exclude=True)
    """"" when the store could not read it. Left out of any dump, as ``out`` is."""
    timings: dict[str, float] = {}
    error: ErrorView | None = None
    lifetime: Lifetime = Lifetime()
    metadata: dict[str, str] = {}
    sharing: Sharing = Sharing()
    out: Exit = Field(default=NO_EXIT, exclude=True)
    """Where its traffic leaves. Left out of any dump: it holds a password, and the store seals it."""
    place: Place = Place()
    """As it was asked for."""
    taken_for: Place = Place()
    """What became of that."""
    traffic: Traffic = Traffic()
    owner: str = OPERATOR
    """Whose it is: API keys of other owners do not see it."""
    forked: bool = False
    """Its machine still has the identity of the one that it was forked from."""
