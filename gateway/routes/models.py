"""Bodies of the API, checked by pydantic; the OpenAPI document is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from gateway.errors import BadRequest, TooLarge, UnsupportedMedia
from gateway.exits import TIMEZONE, Exit, parse_exit
from gateway.origins import MAX_ORIGIN_LENGTH, ORIGIN_PATTERN, parse_origin
from gateway.routes.body import read_body
from gateway.routes.limits import MAX_JSON_BYTES
from gateway.sessions.exits_health import ExitHealth
from gateway.sessions.record import FOLLOW, LOCALE, TEMPLATE_NAME, ClipboardPolicy, FilesPolicy, IdleAction
from gateway.sessions.view import EgressView, ErrorView, SessionView
from gateway.tokens import Role

__all__ = [
    "ControlAction",
    "CreateSession",
    "CreateTicket",
    "CreateToken",
    "Created",
    "DisplaySize",
    "EgressTraffic",
    "FileList",
    "FileView",
    "ForkSession",
    "HostView",
    "LatencyReport",
    "Mark",
    "MarkerView",
    "Problem",
    "SaveTemplate",
    "SessionList",
    "ShowMarker",
    "TemplateList",
    "TemplateView",
    "TicketView",
    "TokenView",
    "UpdateSession",
    "read_json",
]

M = TypeVar("M", bound=BaseModel)


class _Body(BaseModel):
    """Strict: true is no number, and "5" is none, in the document as here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


MAX_DISPLAY_PX = 3840 * 2160


class DisplaySize(_Body):
    """At most as many pixels as 3840x2160 has; odd sides are made even."""

    width: int = Field(ge=320, le=3840, description="px")
    height: int = Field(ge=240, le=3840, description="px")

    @model_validator(mode="after")
    def _area(self) -> DisplaySize:
        if self.width * self.height > MAX_DISPLAY_PX:
            raise ValueError(f"{self.width}x{self.height} has more pixels than 3840x2160")
        return self


class ControlAction(_Body):
    action: Literal["request", "grant", "deny", "release"]
    viewer: str | None = Field(
        default=None, max_length=32, description="name of whom to grant or deny; who asked first unless given"
    )


Seconds = Annotated[float, Field(ge=1, le=366 * 86400, allow_inf_nan=False)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=256)]], Field(max_length=16)
]


_EXIT_URL = "^(none|direct|(https?|socks5h?)://[!-~]+:[0-9]{1,5}/?)$"
"""Of the document only; gateway/exits.py reads it."""


def _read_exit(value: object) -> object:
    return parse_exit(value) if isinstance(value, str) else value


ProxyField = Annotated[
    Exit | None,
    BeforeValidator(
        _read_exit, json_schema_input_type=Exit | Annotated[str, Field(max_length=1024, pattern=_EXIT_URL)] | None
    ),
]
"""An Exit keeps its password out of every dump."""


Timezone = Annotated[str, Field(pattern=f"^{TIMEZONE}$")]
Locale = Annotated[str, Field(pattern=f"^({LOCALE}|{FOLLOW})$")]


class CreateSession(_Body):
    template: str | None = Field(default=None, max_length=32, description="the gateway's default unless named")
    display: DisplaySize | None = None
    ttl_s: Seconds | None = Field(default=None, description="how long it lives; null is the gateway's default")
    idle_timeout_s: Seconds | None = Field(
        default=None, description="how long it may be in nobody's use; null is the gateway's default"
    )
    idle_action: IdleAction | None = Field(default=None, description="what follows then; null is the default")
    metadata: Metadata = Field({}, description="your own words about it")
    proxy: ProxyField = Field(
        default=None,
        description="where its traffic leaves: an object, or TYPE://USER:PASSWORD@HOST:PORT with http, https or "
        "socks5, or none, or direct; null is the gateway's default",
    )
    timezone: Timezone | None = Field(
        default=None,
        description="IANA name, or exit: that of its exit, as the exit check tells; null is the template's",
    )
    locale: Locale | None = Field(
        default=None, description="as de-DE, or exit: of its exit's country; null is the template's"
    )
    clipboard: ClipboardPolicy = Field(default="both", description="which ways viewers may copy")
    files: FilesPolicy = Field(default="both", description="which ways viewers may carry files")


class UpdateSession(_Body):
    """What is left out stays; a null takes a limit away."""

    ttl_s: Seconds | None = Field(default=None, description="how long it lives from now on")
    idle_timeout_s: Seconds | None = None
    idle_action: IdleAction = "suspend"
    metadata: Metadata = {}
    proxy: ProxyField = Field(default=None, description="as at the start, and at once; null is the default again")
    timezone: Timezone | None = Field(default=None, description="the same; programs that run follow")
    locale: Locale | None = Field(default=None, description="the same")
    clipboard: ClipboardPolicy = "both"
    files: FilesPolicy = "both"


class ForkSession(_Body):
    metadata: Metadata | None = Field(default=None, description="the source's unless given")


class SaveTemplate(_Body):
    name: str = Field(pattern=f"^{TEMPLATE_NAME}$")


OriginField = Annotated[str, Field(json_schema_extra={"pattern": ORIGIN_PATTERN, "maxLength": MAX_ORIGIN_LENGTH})]


class CreateToken(_Body):
    role: Role = "control"
    lifetime_s: int | None = Field(
        default=None, ge=1, le=30 * 86400, description="the gateway's default unless given"
    )
    origins: list[OriginField] = Field(
        [], max_length=16, description="origins that may embed the viewer, such as https://a.example"
    )

    @field_validator("origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        return [parse_origin(origin) for origin in value]


class CreateTicket(CreateToken):
    """The token that the ticket will be exchanged for."""


class Mark(_Body):
    """What only the viewer can know of a stage."""

    mark: Literal["painted"]
    transport: Literal["webrtc", "novnc"]
    elapsed_ms: float = Field(ge=0, le=86_400_000, allow_inf_nan=False, description="since the page was opened")


Milliseconds = Annotated[float, Field(ge=0, le=60_000, allow_inf_nan=False)]
Stage = Literal["total", "input", "x", "capture", "encode", "network", "decode", "paint", "rest"]


class LatencyReport(_Body):
    """Presses that were seen answered: the ms of each stage, and in total."""

    transport: Literal["webrtc", "novnc", "peer"]
    presses: list[dict[Stage, Milliseconds]] = Field(max_length=64)


class ShowMarker(_Body):
    seconds: float = Field(
        default=30, gt=0, le=600, allow_inf_nan=False, description="without another call it then goes"
    )
    moving: bool = Field(default=False, description="blink its strip 60 times a second")


Place = Annotated[list[Annotated[int, Field(ge=0, le=65535)]], Field(min_length=4, max_length=4)]
Instant = Annotated[int, Field(ge=0, lt=2**32)]


class MarkerView(_Body):
    """A window in the middle of the display. Instants are us of the guest's clock, cut to 32 bits."""

    display: list[Annotated[int, Field(gt=0, le=65535)]] = Field(min_length=2, max_length=2, description="px")
    patch: Place = Field(description="x, y, width, height in px; black, turned white and back by each press on it")
    strip: Place = Field(description="the same of what blinks")
    at_us: Instant = Field(description="now")
    flips: list[Annotated[list[Instant], Field(min_length=2, max_length=2)]] = Field(
        max_length=4096, description="of each press since the last call: its event was read, its answer was drawn"
    )


class EgressTraffic(_Body):
    """What a session's proxy has done since the session began."""

    upstream: str = Field(description="type, host and port of the exit, without credentials")
    username: str = Field(description="at the upstream; its password is shown nowhere")
    egress: EgressView
    bytes_up: int = Field(description="from the desktop")
    bytes_down: int
    connections: int = Field(description="opened to the outside")
    open: int = Field(description="of the desktop to its proxy, now")
    hosts: dict[str, int] = Field(description="those that carried most, 64 at most, with bytes both ways")
    errors: dict[str, int] = Field(description="requests that failed, by kind of error")


class TokenView(_Body):
    token: str
    role: Role
    expires_at: datetime
    viewer_url: str = Field(description="path and fragment, which browsers do not send; the token is in it")
    embed_url: str = Field(description="the same for a frame on a page of the token's origins")


class TicketView(_Body):
    ticket: str = Field(description="good for one exchange")
    role: Role
    expires_at: datetime = Field(description="of the ticket; the token lives from its exchange on")
    viewer_url: str = Field(description="path and fragment, which browsers do not send; the ticket is in it")
    embed_url: str = Field(description="the same for a frame on a page of the ticket's origins")


class Created(SessionView):
    """A session with the first token to it, where the API key has the scope tokens:issue."""

    viewer_url: str | None
    token: str | None
    expires_at: datetime | None


class SessionList(_Body):
    sessions: list[SessionView]


class FileView(_Body):
    name: str
    kind: Literal["file", "directory", "other"]
    size: int = Field(ge=0, description="bytes; 0 for what is no file")
    modified_at: datetime


class FileList(_Body):
    path: str = Field(description="below the desktop user's home; empty for the home itself")
    files: list[FileView] = Field(description="by name")
    truncated: bool = Field(description="there are more")


class TemplateView(_Body):
    name: str
    profile: str
    vcpus: int
    memory_mib: int
    browser: Literal["fresh", "warm"]
    saved: bool = Field(description="a desktop that somebody prepared")


class TemplateList(_Body):
    templates: list[TemplateView]


class HostView(_Body):
    version: str
    driver: str | None
    accelerator: str | None = Field(description="kvm, tcg or none; null when the host can run nothing")
    why: str
    isolated: bool = Field(description="true only where the driver is a security boundary (KVM)")
    versions: dict[str, str]
    problem: ErrorView | None = Field(description="why no session can start here")
    sessions: int = Field(description="that hold resources")
    max_sessions: int
    free_memory_mib: int
    free_disk_mib: int
    media_port: int
    parked: int = Field(description="machines of the warm pool, ready to be taken")
    egress: dict[str, ExitHealth] = Field(
        description="of each exit set or in use, by type, host and port: the worst that its sessions see"
    )
    counters: dict[str, int] = Field(description="of data plane, warm pool and driver, since start")
    limits: list[str] = Field(description="what cgroups bound of each machine, of memory, pids, cpu and io")
    limits_why: str = Field(description="what is missing of them and why; empty when nothing is")


class Problem(_Body):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    hint: str
    instance: str


async def read_json(request: web.Request, model: type[M], *, optional: bool = False) -> M:
    """The body as ``model``.

    Args:
        optional: an empty body stands for an empty object.

    Raises:
        UnsupportedMedia: not application/json.
        TooLarge: over MAX_JSON_BYTES.
        BadRequest: not JSON, or not of this shape; names the field.
    """
    raw = await read_body(request)
    if len(raw) > MAX_JSON_BYTES:
        raise TooLarge(f"the body is larger than {MAX_JSON_BYTES} bytes")
    if not raw and optional:
        raw = b"{}"
    elif request.content_type != "application/json":
        raise UnsupportedMedia("the body is not JSON", hint="send Content-Type: application/json")
    try:
        return model.model_validate_json(raw)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise BadRequest(f"{where}: {message}" if where else message, hint="/openapi.json has the shape") from None
