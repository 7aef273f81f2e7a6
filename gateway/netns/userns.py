"""Rights to make namespaces, without root: the gateway re-executed in a user namespace.

There it is root over the namespaces that it makes, and still the ordinary user to the host, whose network it keeps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.errors import NetnsError

__all__ = ["can_make_namespaces", "ensure_privileges", "in_user_namespace", "mend_of_user_namespaces"]

MARK = "FENSTER_IN_USERNS"
"""Set for the second life, so that a gateway which still lacks the rights says so instead of trying for ever."""

CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
"""linux/capability.h: what unshare, setns and TUNSETIFF ask for."""

_UNSHARE = ("unshare", "--user", "--map-root-user")
_WITH_SUBORDINATES = (*_UNSHARE, "--map-auto")
"""With the user's subordinate ids (subuid(5)), so that each VM can have one of its own."""


def can_make_namespaces(status: str | None = None) -> bool:
    """Whether this process holds CAP_NET_ADMIN and CAP_SYS_ADMIN; ``status`` is the text of /proc/self/status."""
    text = Path("/proc/self/status").read_text() if status is None else status
    effective = next(int(line.split()[1], 16) for line in text.splitlines() if line.startswith("CapEff:"))
    wanted = 1 << CAP_NET_ADMIN | 1 << CAP_SYS_ADMIN
    return effective & wanted == wanted


def in_user_namespace(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is the second life that :func:`ensure_privileges` started."""
    return MARK in environ


def ensure_privileges(argv: Sequence[str] | None = None, *, beside: int | None = None) -> None:
    """Return when this process may make network namespaces; else re-execute it where it may, and not return.

    Call it first: everything the process has built so far is lost.

    Args:
        argv: the command line to run again; sys.orig_argv when None.
        beside: a process of an earlier gateway, whose user namespace is joined: only there are its networks ours.

    Raises:
        NetnsError: neither root nor able to use user namespaces; the hint says what to change.
    """
    if can_make_namespaces():
        return
    if in_user_namespace():
        raise NetnsError("a user namespace was made, but it gives no rights", hint=mend_of_user_namespaces())
    enter = _try_user_namespace()
    if beside is not None:
        enter = ("nsenter", f"--user=/proc/{beside}/ns/user", "--preserve-credentials")
    command = [*enter, "--", *(argv or [sys.executable or sys.orig_argv[0], *sys.orig_argv[1:]])]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], command, {**os.environ, MARK: "1"})


_HINT = (
    "run the gateway as root, or allow unprivileged user namespaces: "
    "sysctl user.max_user_namespaces=15000 kernel.apparmor_restrict_unprivileged_userns=0"
)

_SWITCHES = {
    "kernel/unprivileged_userns_clone": ("0", "1"),
    "user/max_user_namespaces": ("0", "15000"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
}
"""By name, the value that forbids user namespaces to ordinary users, and one that allows them. The first is Debian's
and Arch's, the last Ubuntu's; absent ones forbid nothing."""


def mend_of_user_namespaces(sysctls: Path = Path("/proc/sys")) -> str:
    """What to change where they are refused: a command, as far as this host's switches tell."""

    def value(name: str) -> str:
        try:
            return (sysctls / name).read_text().strip()
        except OSError:
            return ""

    changes = [f"{name.replace('/', '.')}={good}" for name, (bad, good) in _SWITCHES.items() if value(name) == bad]
    return f"sudo sysctl -w {' '.join(changes)}" if changes else _HINT


def _try_user_namespace() -> tuple[str, ...]:
    """Do in a child what the second life will do, since after exec there is nobody left to explain a failure.

    Returns:
        The command that enters a new user namespace, with subordinate ids where there are some.
    """
    if shutil.which(_UNSHARE[0]) is None:
        raise NetnsError("unshare is not on the PATH", hint="apt install util-linux")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise NetnsError("/dev/net/tun cannot be opened", hint="modprobe tun; chmod 0666 /dev/net/tun")
    tried = None
    for command in (_WITH_SUBORDINATES, _UNSHARE):
        tried = subprocess.run([*command, "--net", "--", "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return command
    assert tried is not None
    raise NetnsError(f"cannot make a user namespace: {tried.stderr.strip()}", hint=mend_of_user_namespaces())
