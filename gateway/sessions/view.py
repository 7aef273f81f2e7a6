"""What a session looks like from outside: the one JSON shape of the API and of the event stream."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DisplayView", "ErrorView", "SessionView"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorView(_View):
    kind: str = Field(description="stable, machine-readable; the same names as problem types")
    message: str
    hint: str = Field(description="what a person can do about it; empty when there is nothing")


class DisplayView(_View):
    width: int = Field(description="px")
    height: int = Field(description="px")


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
    viewers: int
    display: DisplayView
    template: str
    accelerator: str | None = Field(description="kvm or tcg; null until known")
    metadata: dict[str, str]
    ends_at: datetime | None = Field(description="when its ttl ends it; null: never")
    idle_at: datetime | None = Field(description="when idle_action follows if nobody uses it; null: never")
    idle_action: Literal["suspend", "stop"]
    warning: Literal["ttl", "idle"] | None = Field(description="which of the two is near")
    clipboard: Literal["off", "to_guest", "to_viewer", "both"] = Field(description="which ways viewers may copy")
    files: Literal["off", "upload", "download", "both"] = Field(description="which ways viewers may carry files")
