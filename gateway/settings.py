"""Settings: flags, then ``FENSTER_*``, then a TOML file, then the defaults here.

An unknown or bad key anywhere is a ConfigError that names it: a typo never becomes a silent default.
``FENSTER_TEST_*`` belongs to the tests.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from gateway.errors import ConfigError
from gateway.exits import NO_EXIT, TIMEZONE, Exit, parse_exit
from gateway.host import outer_uid
from gateway.origins import parse_origin
from gateway.sessions.record import FOLLOW, LOCALE, TEMPLATE_NAME
from gateway.setting_types import (
    Address,
    Addresses,
    Display,
    HostNames,
    HostRules,
    Networks,
    Origins,
    Ports,
    UidRange,
    parse_display,
)

__all__ = ["ENV_ONLY", "PREFIX", "Settings", "TemplateSettings", "default_config_path", "load", "parse_display"]

PREFIX = "FENSTER_"
ENV_ONLY = frozenset({"config", "api_key", "url", "in_userns"})
"""Variables that are no settings: where the file is, how a client reaches a gateway, and netns/userns.py's mark."""

_MAX_RUN_DIR_BYTES = 60
"""An AF_UNIX path ends at 108 bytes; a session adds its id and a socket's name."""


def _xdg(variable: str, fallback: Path) -> Path:
    given = os.environ.get(variable, "")
    return Path(given) if given.startswith("/") else fallback


def _default_run_dir() -> Path:
    # The outer uid, because a gateway in a user namespace of its own believes to be root.
    uid = outer_uid(os.geteuid())
    base = _xdg("XDG_RUNTIME_DIR", Path("/run") if uid == 0 else Path("/tmp"))
    return base / f"fenster-{uid}"


def default_config_path() -> Path:
    return _xdg("XDG_CONFIG_HOME", Path.home() / ".config") / "fenster" / "fenster.toml"


class TemplateSettings(BaseModel):
    """A table ``[templates.NAME]``; what it leaves out is as for the default template."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,32}$")
    vcpus: int | None = Field(default=None, ge=1, le=64)
    memory_mib: int | None = Field(default=None, ge=512, le=262144)
    browser: Literal["fresh", "warm"] | None = None
    timezone: str | None = Field(default=None, pattern=f"^{TIMEZONE}$")
    locale: str | None = Field(default=None, pattern=f"^({LOCALE}|{FOLLOW})$")


class Settings(BaseModel):
    """Everything a person can set. Sizes in MiB and px, times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    host: Address = Field(default="127.0.0.1", description="address to listen on for HTTP and media")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port for HTTP; 0 takes a free one")
    media_port: int | None = Field(
        default=None, ge=0, le=65535, description="UDP port for media; the HTTP port's number unless set"
    )
    advertise: Addresses = Field(
        default=(), description="addresses that browsers are told to send media to; found by itself unless set"
    )
    advertise_tcp_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="TCP port that browsers are told to send media to, where something stands before the gateway's; "
        "0 switches media by TCP off",
    )
    tls_cert: Path | None = Field(
        default=None, description="certificate and its chain, PEM; self-signed off the loopback address unless set"
    )
    tls_key: Path | None = Field(default=None, description="its key, PEM, without a password")
    insecure_http: bool = Field(default=False, description="plain HTTP off the loopback address: keys go in clear")
    public_url: str = Field(default="", description="where people reach the gateway, where a reverse proxy shows it")
    allowed_hosts: HostNames = Field(default=(), description="more names that the gateway answers to")
    trusted_proxies: Networks = Field(
        default=(),
        description="addresses of reverse proxies: their X-Forwarded-For counts, and no connection limit does",
    )
    max_connections_per_address: int = Field(
        default=256, ge=0, le=65536, description="HTTP connections of one client; 0 is any number"
    )
    creates_per_min: int = Field(
        default=120, ge=1, le=100_000, description="sessions made by one owner, and by one address"
    )
    tokens_per_min: int = Field(default=600, ge=1, le=100_000, description="tokens and tickets, in the same way")
    audit_max_mib: int = Field(default=10, ge=1, le=4096, description="size of an audit file before a new one")
    audit_keep: int = Field(default=10, ge=0, le=1000, description="older audit files that are kept")
    driver: Literal["qemu", "process"] = Field(
        default="qemu", description="process runs the desktop WITHOUT a VM: development only"
    )
    dataplane: Literal["apart", "service", "inside"] = Field(
        default="apart",
        description="apart: media, proxies and networks in a process of their own, so that a restart of the gateway "
        "cuts none of them; service: the same, and somebody else starts it (fenster-dataplane.service)",
    )
    process_display: str = Field(
        default="",
        pattern=r"^(:[0-9]{1,5})?$",
        description="an X display for the process driver's sessions to share, for benchmarks",
    )
    accel: Literal["auto", "kvm", "tcg"] = Field(
        default="auto", description="auto boots a kernel to find out whether KVM works"
    )
    profile: str = Field(default="xfce", pattern=r"^[a-z0-9-]{1,32}$", description="golden image profile")
    vcpus: int = Field(default=2, ge=1, le=64)
    memory_mib: int = Field(default=2048, ge=512, le=262144)
    browser: Literal["fresh", "warm"] = Field(
        default="fresh",
        description="warm keeps Chromium running in the snapshot: quicker, and clones share its random numbers",
    )
    templates: dict[str, TemplateSettings] = Field(
        default_factory=dict, description="more templates: tables [templates.NAME] in the settings file"
    )
    disk: Literal["full", "reflink"] = Field(
        default="full",
        description="reflink lets disks share blocks until they are written, where the file system can",
    )
    vm_uids: UidRange = Field(
        default=(1_990_000_000, 1_990_009_999),
        description="FIRST-LAST: uids of the machines' processes, one each, where the gateway is root; nobody else's",
    )
    vm_disk_mbps: float | None = Field(
        default=None, gt=0, description="what a machine may read and write of its disk, each, in MB/s, by a cgroup"
    )
    vm_cgroup: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9_.@:/-]{1,200})?$",
        description="cgroup in which each machine gets its own, as fenster-vms.service has; found unless named",
    )
    display: Display = Field(default=(1280, 720), description="WIDTHxHEIGHT in px")
    max_sessions: int = Field(default=8, ge=1, le=10000)
    clones: bool = Field(default=True, description="clone sessions from a snapshot where fenster build made one")
    pool_size: int = Field(
        default=0, ge=0, le=1000, description="machines kept parked for sessions to come; each holds its memory"
    )
    reserve_memory_mib: int = Field(default=512, ge=0, description="free memory a new session must leave")
    reserve_disk_mib: int = Field(default=4096, ge=0, description="free disk a new session must find")
    state_dir: Path = Field(default_factory=lambda: _xdg("XDG_STATE_HOME", Path.home() / ".local/state") / "fenster")
    cache_dir: Path = Field(default_factory=lambda: _xdg("XDG_CACHE_HOME", Path.home() / ".cache") / "fenster")
    run_dir: Path = Field(default_factory=_default_run_dir)
    ttl_s: float | None = Field(default=None, gt=0, description="how long a session lives; for ever unless set")
    idle_timeout_s: float | None = Field(
        default=None, gt=0, description="how long a session may be in nobody's use; for ever unless set"
    )
    idle_action: Literal["suspend", "stop"] = Field(default="suspend", description="what follows then")
    token_lifetime_s: int = Field(default=12 * 3600, ge=60, le=30 * 86400, description="life of a viewer token")
    embed_origins: Origins = Field(
        default=(),
        description="origins whose pages may embed every session; tokens and tickets name more",
    )
    max_upload_mib: int = Field(default=4096, ge=1, le=1 << 20, description="largest file that is taken in")
    proxy: Exit = Field(
        default=NO_EXIT,
        description="exit of sessions that name none: TYPE://USER:PASSWORD@HOST:PORT with http, https or socks5; "
        "none; or direct. In the file a table too, as in the API",
    )
    proxy_direct: bool = Field(
        default=False, description="sessions may leave from this host itself: its address, its view of the network"
    )
    proxy_allow: HostRules = Field(
        default=(), description="hosts that sessions may reach, with all below them; every public one unless set"
    )
    proxy_deny: HostRules = Field(default=(), description="hosts that they may not, with all below them")
    proxy_ports: Ports = Field(default=(), description="ports that they may reach; all unless set")
    proxy_connections: int = Field(default=256, ge=1, le=4096, description="of a session, to its proxy, at once")
    proxy_rate_mbps: float | None = Field(default=None, gt=0, description="of a session, each way, in Mb/s")
    proxy_quota_mib: int | None = Field(default=None, ge=1, description="of a session, both ways, for its life")
    proxy_check_url: str = Field(
        default="",
        pattern=r"^(https?://[\x21-\x7e]{1,256})?$",
        description="answers with the address that it sees; exits are then looked at through themselves",
    )
    proxy_check_every_s: float = Field(
        default=900.0, ge=10, le=86400, description="between two such looks; a new exit is looked at at once"
    )
    public_addresses: Networks = Field(
        default=(),
        description="addresses and networks that the internet takes for this host's, behind a NAT above all: an exit "
        "that shows one leaks. Unless set they are asked for, where proxy_direct allows it",
    )
    timezone: str = Field(
        default="",
        pattern=f"^({TIMEZONE})?$",
        description="of desktops, as Europe/Berlin; exit: of each one's exit, where proxy_check_url tells it; "
        "UTC unless set",
    )
    locale: str = Field(
        default="",
        pattern=f"^({LOCALE}|{FOLLOW})?$",
        description="in which their browsers ask for pages, as de-DE; exit: of its country; English unless set",
    )
    hello_timeout_s: float = Field(default=60.0, gt=0, description="how long a guest may take to say hello")
    ready_timeout_s: float = Field(default=90.0, gt=0, description="how long each step after that may take")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = False
    otlp_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+(/\S*)?$",
        description="collector of traces (OTLP over HTTP), as http://127.0.0.1:4318; needs fenster[traces]",
    )

    @field_validator("tls_cert", "tls_key", mode="after")
    @classmethod
    def _file(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @field_validator("tls_key", mode="after")
    @classmethod
    def _pair(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (value is None) != (info.data.get("tls_cert") is None):
            raise ValueError("a certificate and its key belong together: set both tls_cert and tls_key")
        return value

    @field_validator("insecure_http", mode="after")
    @classmethod
    def _either(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("tls_cert") is not None:
            raise ValueError("there is a certificate (tls_cert): leave one of them out")
        return value

    @field_validator("public_url", mode="after")
    @classmethod
    def _origin(cls, value: str) -> str:
        return parse_origin(value.removesuffix("/")) if value else ""

    @field_validator("proxy", mode="before")
    @classmethod
    def _exit(cls, value: Any) -> Any:
        return parse_exit(value) if isinstance(value, str) else value

    @field_validator("templates", mode="after")
    @classmethod
    def _names(cls, value: dict[str, TemplateSettings]) -> dict[str, TemplateSettings]:
        for name in value:
            if not re.fullmatch(TEMPLATE_NAME, name):
                raise ValueError(f"{name!r} is no template's name: lower-case letters, digits and -, at most 32")
        return value

    @field_validator("state_dir", "cache_dir", "run_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("run_dir", mode="after")
    @classmethod
    def _short(cls, value: Path) -> Path:
        if len(os.fsencode(value)) > _MAX_RUN_DIR_BYTES:
            raise ValueError(f"must be at most {_MAX_RUN_DIR_BYTES} bytes long, because socket paths end at 108")
        return value


def load(
    flags: Mapping[str, Any], *, environ: Mapping[str, str] = os.environ, config: Path | None = None
) -> Settings:
    """Merge the sources and check the result.

    Args:
        flags: values given on the command line; None means not given.
        environ: the environment.
        config: a TOML file; the default one may be missing, a named one may not.

    Raises:
        ConfigError: naming the key and where it was set.
    """
    named = config or (Path(environ[f"{PREFIX}CONFIG"]) if environ.get(f"{PREFIX}CONFIG") else None)
    path = named or default_config_path()
    from_file = _read_toml(path, required=named is not None)
    from_env = _read_env(environ)
    from_flags = {key: value for key, value in flags.items() if value is not None}
    origin = {
        **{key: f"{key} in {path}" for key in from_file},
        **{key: f"{PREFIX}{key.upper()}" for key in from_env},
        **{key: f"--{key.replace('_', '-')}" for key in from_flags},
    }
    try:
        return Settings(**{**from_file, **from_env, **from_flags})
    except ValidationError as exc:
        first = exc.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        reason = "no such setting" if first["type"] == "extra_forbidden" else _sentence(first["msg"])
        raise ConfigError(
            f"bad setting: {origin.get(key, key)}: {reason}", hint="fenster serve --help lists the settings"
        ) from exc


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")


def _read_env(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in environ.items():
        key = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or name.startswith(f"{PREFIX}TEST_") or key in ENV_ONLY:
            continue
        found[key] = value
    return found


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as exc:
        if required:
            raise ConfigError(f"no settings file at {path}", hint="correct --config, or leave it out") from exc
        return {}
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"{path} is not TOML: {exc}", hint="correct the file, or name another with --config"
        ) from exc
