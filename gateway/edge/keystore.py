"""API keys on disk: ``api-keys.json`` in the state directory, 0600, and the gateway's view of it.

Whoever may write the state directory manages keys (``fenster keys``); no HTTP call makes or revokes one, so a stolen
key, of any scope, cannot prolong itself. The gateway looks at the file's stamp with each key that it is shown: a
change holds from the next request on, without a restart.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.edge.apikeys import ApiKey, find
from gateway.errors import ConfigError

__all__ = ["MAX_KEYS", "Keyring", "keys_path", "last_used", "read_keys", "update_keys", "write_private"]

logger = logging.getLogger(__name__)

MAX_KEYS = 1024
"""Revoked ones among them; each is compared with each key that a caller shows, 0.3 us apiece."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    keys: tuple[ApiKey, ...] = ()


def keys_path(state_dir: Path) -> Path:
    return state_dir / "api-keys.json"


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Blocking; none when there is no file. Raises ConfigError."""
    try:
        file = _File.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}", hint="run as the gateway's user") from exc
    except ValidationError as exc:
        raise ConfigError(f"{path} does not hold API keys", hint="restore it, or delete it to begin anew") from exc
    if file.version != 1:
        raise ConfigError(f"{path} was written by another version of Fenster ({file.version})")
    return file.keys


def update_keys(path: Path, change: Callable[[tuple[ApiKey, ...]], Iterable[ApiKey]]) -> tuple[ApiKey, ...]:
    """Replace the keys by what ``change`` makes of them, whole or not at all. Blocking.

    Raises:
        ConfigError: the file cannot be read or written, or there would be too many.
    """
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = tuple(change(read_keys(path)))
            if len(keys) > MAX_KEYS:
                raise ConfigError(f"there are {MAX_KEYS} API keys", hint="remove revoked ones from that file")
            write_private(path, _File(keys=keys).model_dump_json(indent=1).encode())
        finally:
            os.close(lock)
    except OSError as exc:
        raise ConfigError(f"cannot write {path}: {exc.strerror}", hint="run as the gateway's user") from exc
    return keys


def write_private(path: Path, data: bytes) -> None:
    """Replace a file by one that only its owner may read, whole or not at all. Blocking. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def last_used(path: Path) -> Mapping[str, float]:
    """When each key was last used, by id, in Unix time in s; of a gateway that runs, up to a minute old. Blocking."""
    try:
        read = json.loads(_used_path(path).read_bytes())
        return {str(key): float(at) for key, at in dict(read).items()}
    except (OSError, ValueError, TypeError):
        return {}


def _used_path(path: Path) -> Path:
    return path.with_name("api-keys-used.json")


class Keyring:
    """The keys that count now.

    Args:
        path: the file; None for keys that are on no disk.
        keys: those.
        clock: Unix time in s.
    """

    def __init__(
        self, path: Path | None, *, keys: Iterable[ApiKey] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._keys = tuple(keys)
        self._clock = clock
        self._stamp: object = None
        self._used: dict[str, float] = dict(last_used(path)) if path is not None else {}
        self._unwritten = False
        self._look()

    def identify(self, secret: str) -> ApiKey | None:
        """The key that this is; None when it is none, was revoked or has expired."""
        self._look()
        key = find(secret, self._keys, self._clock())
        if key is not None:
            self._used[key.id] = self._clock()
            self._unwritten = True
        return key

    def knows(self, secret: str) -> bool:
        """Whether it opens anything; without counting as a use."""
        return find(secret, self._keys, self._clock()) is not None

    def write_used(self) -> None:
        """Have the next list say when each was used. Blocking; failing is said in the log."""
        if self._path is None or not self._unwritten:
            return
        self._unwritten = False
        known = {key.id for key in self._keys}
        used = {key: round(at) for key, at in list(self._used.items()) if key in known}
        try:
            write_private(_used_path(self._path), json.dumps(used).encode())
        except OSError as exc:
            logger.warning("x when API keys were used is not written down: %s", exc.strerror)

    def _look(self) -> None:
        """Read the file if it is another; one stat() of a local file. A broken one changes nothing."""
        if self._path is None:
            return
        try:
            info = self._path.stat()
            stamp: object = (info.st_ino, info.st_mtime_ns, info.st_size)
        except OSError as exc:
            stamp = exc.errno
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            keys = read_keys(self._path)
        except ConfigError as exc:
            logger.error("! the API keys stay as they were: %s", exc)
            return
        if self._keys and keys != self._keys:
            logger.info("= the API keys have changed: %d usable", sum(key.usable(self._clock()) for key in keys))
        self._keys = keys
