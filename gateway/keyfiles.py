"""The secrets on disk: made at first start, mode 0600, in the state directory."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import ConfigError
from gateway.tokens import new_api_key

__all__ = ["Keys", "api_key_path", "load_keys", "load_sealing_key", "read_api_key", "sealing_key_path"]


@dataclass(frozen=True, slots=True)
class Keys:
    api_key: str = field(repr=False)
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
        raise ConfigError(f"no API key at {path}", hint="start the gateway once: fenster serve") from exc
    except OSError as exc:
        raise ConfigError(
            f"cannot read the API key at {path}: {exc.strerror}",
            hint="run as the gateway's user, or set FENSTER_API_KEY",
        ) from exc


def load_keys(state_dir: Path) -> Keys:
    """Read both keys; make the missing ones.

    Raises:
        ConfigError: the directory cannot be written, or a key file is empty.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        api_key, created = _load_or_make(api_key_path(state_dir), new_api_key() + "\n")
        signing_key, _ = _load_or_make(state_dir / "token-key", secrets.token_hex(32) + "\n")
    except OSError as exc:
        raise ConfigError(
            f"cannot keep keys in {state_dir}: {exc.strerror}", hint="set state_dir to a directory of your own"
        ) from exc
    return Keys(api_key, signing_key.encode(), created)


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
