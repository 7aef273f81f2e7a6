"""keys: the API keys of this host's gateway. A change holds at once, also for a gateway that runs."""

from __future__ import annotations

import getpass
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.cli import options
from gateway.cli.output import console, emit, notes
from gateway.edge.apikeys import OWNER_NAME, ApiKey, Scope, digest, key_id, new_secret
from gateway.edge.audit import AuditFile, audit_path, entry
from gateway.edge.keystore import keys_path, last_used, read_keys, update_keys
from gateway.errors import ConfigError, NotFound
from gateway.keyfiles import load_keys, save_api_key
from gateway.settings import Settings, load

__all__ = ["keys"]

keys = typer.Typer(help="API keys: make, list, revoke.", no_args_is_help=True)

_DEFAULT = (Scope.SESSIONS_READ, Scope.SESSIONS_WRITE, Scope.TOKENS_ISSUE)


@keys.command()
def new(
    owner: Annotated[str, typer.Argument(help="Whose it is; keys of one owner share its sessions.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it opens; repeat it. sessions:read, sessions:write, tokens:issue unless given."),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="How long it is good for; for ever unless given.")] = None,
    max_sessions: Annotated[
        int | None, typer.Option(min=0, help="Sessions of its owner that may run at once.")
    ] = None,
    creates_per_min: Annotated[
        int | None, typer.Option(min=1, help="Sessions that its owner may make a minute.")
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Have this host's own commands use it.")] = False,
    state_dir: options.StateDir = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a key; it is shown this once."""
    settings = load({"state_dir": state_dir}, config=config)
    if not re.fullmatch(OWNER_NAME, owner):
        raise ConfigError(f"{owner!r} is no owner's name", hint="lower-case letters, digits, . _ and -, at most 64")
    # The operator's own comes first: it would not be made later.
    load_keys(settings.state_dir)
    secret, now = new_secret(), time.time()
    key = ApiKey(
        id=key_id(secret),
        digest=digest(secret),
        owner=owner,
        scopes=frozenset(scope or _DEFAULT),
        created_at=now,
        expires_at=now + days * 86400 if days is not None else None,
        max_sessions=max_sessions,
        creates_per_min=creates_per_min,
    )
    update_keys(keys_path(settings.state_dir), lambda known: (*known, key))
    _note(settings, "key.new", key)
    if save:
        save_api_key(settings.state_dir, secret)
    if as_json:
        emit({**_view(key, None), "key": secret})
        return
    console().print(secret, soft_wrap=True, markup=False)
    notes().print(f"key {key.id} of {owner}: {', '.join(sorted(key.scopes))}; it is not shown again", markup=False)


@keys.command("list")
def list_keys(
    state_dir: options.StateDir = None, config: options.Config = None, as_json: options.AsJson = False
) -> None:
    """Show the keys: what they open, and when they were last used."""
    path = keys_path(load({"state_dir": state_dir}, config=config).state_dir)
    used = last_used(path)
    views = [_view(key, used.get(key.id)) for key in read_keys(path)]
    if as_json:
        emit({"keys": views})
        return
    table = Table("id", "owner", "scopes", "created", "last used", "state", box=None)
    for view in views:
        table.add_row(
            *(str(view[name] or "-") for name in ("id", "owner", "scopes", "created_at", "used_at", "state"))
        )
    console().print(table)


@keys.command()
def revoke(
    ident: Annotated[str, typer.Argument(metavar="ID", help="As list shows it.")],
    state_dir: options.StateDir = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
) -> None:
    """Have a key open nothing any more. Its owner's sessions, and tokens that it made, go on. Idempotent."""
    settings = load({"state_dir": state_dir}, config=config)
    now = time.time()

    def change(known: tuple[ApiKey, ...]) -> Iterable[ApiKey]:
        if ident not in {key.id for key in known}:
            raise NotFound(f"no key {ident[:64]}", hint="fenster keys list shows them")
        return [
            key.model_copy(update={"revoked_at": now}) if key.id == ident and key.revoked_at is None else key
            for key in known
        ]

    key = next(key for key in update_keys(keys_path(settings.state_dir), change) if key.id == ident)
    _note(settings, "key.revoke", key)
    if as_json:
        emit(_view(key, None))
    else:
        notes().print(f"key {ident} of {key.owner} is revoked", markup=False)


def _view(key: ApiKey, used_at: float | None) -> dict[str, Any]:
    return {
        "id": key.id,
        "owner": key.owner,
        "scopes": " ".join(sorted(key.scopes)),
        "created_at": _time(key.created_at),
        "expires_at": _time(key.expires_at),
        "used_at": _time(used_at),
        "max_sessions": key.max_sessions,
        "creates_per_min": key.creates_per_min,
        "state": "revoked" if key.revoked_at is not None else "usable" if key.usable(time.time()) else "expired",
    }


def _time(unix_s: float | None) -> str | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _note(settings: Settings, event: str, key: ApiKey) -> None:
    """What was done at this host's shell, by whom."""
    file = AuditFile(audit_path(settings.state_dir), max_bytes=settings.audit_max_mib << 20, keep=settings.audit_keep)
    fields = {"actor": "operator", "key": key.id, "owner": key.owner, "reason": f"by {getpass.getuser()}"}
    try:
        file.append([entry(event, "ok", time.time(), fields)])
    except OSError as exc:
        raise ConfigError(f"the audit log {file.path} cannot be written: {exc.strerror}") from exc
