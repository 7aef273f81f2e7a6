"""The desktop's user: whom the agent and most commands run as."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Account", "desktop_environment", "find_account"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    def enter(self) -> None:
        """Become this user, for good. Raises OSError."""
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


def find_account(name: str) -> Account:
    """Raises KeyError when there is no such user."""
    entry = pwd.getpwnam(name)
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return Account(name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, entry.pw_shell)


def desktop_environment(account: Account | None, display: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program on the desktop; with no account, the inherited one and the display."""
    env = {"PATH": PATH, "LANG": "C.UTF-8", **inherited, "DISPLAY": display}
    if account is None:
        return env
    runtime = f"/run/user/{account.uid}"
    env |= {
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
        "XDG_RUNTIME_DIR": runtime,
    }
    if Path(runtime, "bus").exists():
        env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
    return env
