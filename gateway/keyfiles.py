"""The secrets on disk: made at first start, mode 0600, in the state directory."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from gateway.edge.apikeys import ApiKey, Scope, digest, key_id, new_secret
from gateway.edge.keystore import keys_path, read_keys, update_keys, write_private
from gateway.errors import ConfigError
from gateway.sessions.record import OPERATOR

__all__ = [
    "Keys",
    "api_key_path",
    "load_keys",
    "load_sealing_key",
    "operator_key",
    "read_api_key",
    "save_api_key",
    "sealing_key_path",
]


@dataclass(frozen=True, slots=True)
class Keys:
    api_key: str = field(repr=False)
    """The operator's own, for this host's commands; "" where it is kept elsewhere."""
    signing_key: bytes = field(repr=False)
    created: bool
    """True when the API key was made just now: it is printed this once."""


def api_key_path(state_dir: Path) -> Path:
    return state_dir / "api-key"


def sealing_key_path(state_dir: Path) -> Path:
    return state_dir / "sealing-key"


def read_api_key(state_dir: Path) -> str:
    """The key of a gateway that has run before.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = api_key_path(state_dir)
    try:
        return path.read_text().strip()
    except FileNotFoundError as exc:
        raise ConfigError(
            f"no API key at {path}",
            hint="start the gateway once: fenster serve; or fenster keys new operator --scope admin --save",
        ) from exc
    except OSError as exc:
        raise ConfigError(
            f"cannot read the API key at {path}: {exc.strerror}",
            hint="run as the gateway's user, or set FENSTER_API_KEY",
        ) from exc


def load_keys(state_dir: Path, *, now: float | None = None) -> Keys:
    """Read the keys; make the missing ones.

    An API key is made where nobody has one that opens everything: at first start. Of all keys the gateway itself
    reads digests only (edge/keystore.py); the file ``api-key`` is what this host's commands call it with.

    Args:
        now: Unix time in s.

    Raises:
        ConfigError: the directory cannot be written, or a key file is empty.
    """
    now = time.time() if now is None else now
    path, keys = api_key_path(state_dir), keys_path(state_dir)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = False
        if path.exists() or not any(key.usable(now) and key.sees_all for key in read_keys(keys)):
            api_key, made = _load_or_make(path, new_secret() + "\n")
            _remember(keys, api_key, now)
        else:
            api_key = ""
        signing_key, _ = _load_or_make(state_dir / "token-key", secrets.token_hex(32) + "\n")
    except OSError as exc:
        raise ConfigError(
            f"cannot keep keys in {state_dir}: {exc.strerror}", hint="set state_dir to a directory of your own"
        ) from exc
    return Keys(api_key, signing_key.encode(), made)


def operator_key(secret: str, now: float) -> ApiKey:
    """What is kept of a key that opens everything."""
    return ApiKey(
        id=key_id(secret),
        digest=digest(secret),
        owner=OPERATOR,
        scopes=frozenset({Scope.ADMIN}),
        created_at=now,
    )


def save_api_key(state_dir: Path, secret: str) -> None:
    """Have this host's commands use another key. Blocking. Raises ConfigError."""
    try:
        write_private(api_key_path(state_dir), secret.encode() + b"\n")
    except OSError as exc:
        raise ConfigError(f"cannot write {api_key_path(state_dir)}: {exc.strerror}") from exc


def _remember(path: Path, secret: str, now: float) -> None:
    """Once: a key that was revoked stays revoked, whatever the file says."""
    known = {key.digest for key in read_keys(path)}
    if digest(secret) not in known:
        update_keys(path, lambda keys: (*keys, operator_key(secret, now)))


def load_sealing_key(state_dir: Path) -> bytes:
    """The 32 bytes that seal what the store must not hold in clear. Raises ConfigError."""
    path = sealing_key_path(state_dir)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        text, _ = _load_or_make(path, secrets.token_hex(32) + "\n")
        key = bytes.fromhex(text)
    except OSError as exc:
        raise ConfigError(
            f"cannot keep keys in {state_dir}: {exc.strerror}", hint="set state_dir to a directory of your own"
        ) from exc
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(
            f"{path} does not hold 64 hexadecimal digits",
            hint=f"delete it, and set the proxies of sleeping sessions again: rm {path}",
        )
    return key


def _load_or_make(path: Path, fresh: str) -> tuple[str, bool]:
    # O_EXCL and the mode at once: at no moment is there a key that others could read.
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        text = path.read_text().strip()
        if len(text) < 32:
            raise ConfigError(
                f"{path} is empty or cut short", hint=f"delete it to get a new key: rm {path}"
            ) from None
        return text, False
    with os.fdopen(fd, "w") as file:
        file.write(fresh)
    return fresh.strip(), True
