"""What a session looks like from outside: the one JSON shape of the API and of the event stream."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ControlView",
    "DisplayView",
    "EgressView",
    "ErrorView",
    "HealthView",
    "ReasonView",
    "SessionView",
    "ViewerView",
]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorView(_View):
    kind: str = Field(description="stable, machine-readable; the same names as problem types")
    message: str
    hint: str = Field(description="what a person can do about it; empty when there is nothing")


class DisplayView(_View):
    width: int = Field(description="px")
    height: int = Field(description="px")


class ViewerView(_View):
    """One who watches, by however many connections."""

    name: str = Field(description="the first 8 characters of the id that it sends as Fenster-Viewer")
    number: int = Field(description="for people: 1 and up, used again")
    role: Literal["control", "view"]
    transport: Literal["webrtc", "novnc"]


class ControlView(_View):
    """Who may do what on the desktop: all watch, one controls."""

    controller: str | None = Field(
        description="name of the viewer whose input counts; it may be away for a moment; null: nobody"
    )
    requests: list[str] = Field(description="names of those who ask for control, first asked first")
    viewers: list[ViewerView] = Field(description="first come first")


class EgressView(_View):
    """The session's way to the internet, as far as its viewers may know of it."""

    type: Literal["none", "direct", "http", "https", "socks5"] = Field(description="none: it has none")
    state: Literal["off", "unknown", "ok", "failing"] = Field(
        description="off: no exit, or no machine that uses it; unknown: not used yet; else how its last use went"
    )
    error: ErrorView | None = Field(description="why it is failing")
    address: str | None = Field(description="that the internet sees, by the last check; null until known")
    country: str | None = Field(description="of that address (ISO 3166-1), where proxy_check_url tells it")
    latency_ms: float | None = Field(description="that the check took")
    checked_at: datetime | None
    verdict: Literal["ok", "direct", "leak", "unknown", "failed"] | None = Field(
        description="of the last check. direct: it leaves from this host, as was asked for; leak: it does, and was "
        "not; unknown: which address this host shows is not known (public_addresses); null: there was no check "
        "(proxy_check_url)"
    )


class ReasonView(_View):
    kind: str = Field(description="stable, machine-readable")
    message: str


class HealthView(_View):
    """How its desktop is, by looks some seconds apart."""

    ok: bool
    reasons: list[ReasonView] = Field(description="why it is not")
    repairs: dict[str, int] = Field(
        description="how often each of agent, x, wm, chromium and vnc stood still and was started again"
    )


class SessionView(_View):
    """A session, complete; each event carries all of it, so a late reader misses nothing."""

    id: str
    state: str = Field(
        description="creating, booting, restoring, assigning, ready, suspending, suspended, resuming, stopping, "
        "stopped or failed"
    )
    created_at: datetime
    timings: dict[str, float] = Field(description="stage to seconds since it was asked for")
    durations: dict[str, float] = Field(description="seconds that the last suspend, resume and fork_pause took")
    error: ErrorView | None
    notice: str = Field(description="what a person should know of it; empty when there is nothing")
    health: HealthView
    viewers: int
    control: ControlView
    display: DisplayView
    template: str
    accelerator: str | None = Field(description="kvm or tcg; null until known")
    limits: list[str] = Field(
        description="what a cgroup bounds of its machine, of memory, pids, cpu and io; /v1/host says why not all"
    )
    metadata: dict[str, str]
    ends_at: datetime | None = Field(description="when its ttl ends it; null: never")
    idle_at: datetime | None = Field(description="when idle_action follows if nobody uses it; null: never")
    idle_action: Literal["suspend", "stop"]
    warning: Literal["ttl", "idle"] | None = Field(description="which of the two is near")
    egress: EgressView
    timezone: str | None = Field(description="that the desktop has; null is the image's, UTC")
    locale: str | None = Field(description="in which its browser asks for pages; null is the image's, English")
    clipboard: Literal["off", "to_guest", "to_viewer", "both"] = Field(description="which ways viewers may copy")
    files: Literal["off", "upload", "download", "both"] = Field(description="which ways viewers may carry files")
