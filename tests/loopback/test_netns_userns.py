"""Without root the gateway starts again in a user namespace, or says what stands in the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import NetnsError
from gateway.netns.userns import MARK, can_make_namespaces, ensure_privileges, in_user_namespace
from tests.leaks import namespace_of, namespace_users

ROOT = Path(__file__).parents[2]
STATUS = "Name:\tpython\nCapInh:\t0000000000000000\nCapEff:\t{:016x}\n"

PROGRAM = """
import asyncio, os
from gateway.netns.userns import ensure_privileges, in_user_namespace
ensure_privileges()
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread

async def main():
    thread = NamespaceThread()
    await thread.start()
    lan = await NamespaceLan.create(thread)
    os.close(await lan.open_tap())
    await lan.close()
    await thread.close()

asyncio.run(main())
print(os.getuid(), in_user_namespace(), os.readlink("/proc/self/ns/net"))
"""


FIRST = """
import asyncio, os, signal, sys
from gateway.netns.userns import ensure_privileges
ensure_privileges()
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.vm.driver import Command

async def main():
    thread = NamespaceThread()
    await thread.start()
    lan = await NamespaceLan.create(thread)
    await lan.open_loopback_guest()
    child = await lan.spawn(Command(["sleep", "1000"]))
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
"""A gateway that is killed while something runs in a network of its own."""

NEXT = """
import asyncio, os, select, signal, sys
from gateway.netns.userns import ensure_privileges
pid = int(sys.argv[1])
ensure_privileges(beside=pid)
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread

async def main():
    thread = NamespaceThread()
    await thread.start()
    lan = await NamespaceLan.of_process(thread, pid)
    sock = await lan.listen(3128)
    ours, its = (os.readlink(f"/proc/{who}/ns/user") for who in ("self", pid))
    print(sock.getsockname()[0], os.getuid(), ours == its, os.readlink("/proc/self/ns/net"))
    sock.close()
    await lan.close()
    await thread.close()

asyncio.run(main())
pidfd = os.pidfd_open(pid)
signal.pidfd_send_signal(pidfd, signal.SIGKILL)
print(select.select([pidfd], [], [], 10)[0] == [pidfd])
"""
"""The one that comes after it, takes over that network, and ends what runs there."""


@pytest.mark.parametrize(
    ("capabilities", "enough"),
    [(0x1FFFFFFFFFF, True), (1 << 12 | 1 << 21, True), (1 << 12, False), (1 << 21, False), (0, False)],
)
def test_what_is_needed(capabilities: int, enough: bool) -> None:
    assert can_make_namespaces(STATUS.format(capabilities)) is enough


def _as_stranger(*argv: str) -> list[str]:
    """As nobody; when these tests are not run by root, as who they are."""
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--"]
    return [*drop, *argv] if os.geteuid() == 0 else list(argv)


def _python() -> str:
    """An interpreter that a stranger may run: the tests' own may be in somebody's home."""
    for path in (sys.executable, *filter(None, [shutil.which("python3", path="/usr/bin:/usr/local/bin")])):
        # By a shell, because setpriv itself still has root's way through closed folders.
        ran = subprocess.run(_as_stranger("sh", "-c", f"{path} -c ''"), capture_output=True, check=False)
        if ran.returncode == 0:
            return path
    raise AssertionError("no Python that an ordinary user may run: apt install python3")


def test_an_ordinary_user_becomes_root_over_namespaces_and_keeps_the_hosts_network() -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        _as_stranger(_python(), "-c", PROGRAM), cwd="/", env=env, capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    assert ran.stdout.split() == ["0", "True", os.readlink("/proc/self/ns/net")]


def test_the_next_gateway_joins_what_a_killed_one_has_left() -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = _as_stranger(_python(), "-c", *argv)
        return subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, check=False, timeout=30)

    first = run(FIRST)
    assert first.returncode == -signal.SIGKILL, first.stderr
    pid = int(first.stdout)
    users = namespace_users(namespace_of(pid))
    assert users == [f"process {pid}"]
    following = run(NEXT, str(pid))
    assert following.stderr == ""
    assert following.stdout.split() == ["169.254.0.22", "0", "True", os.readlink("/proc/self/ns/net"), "True"]
    assert following.returncode == 0


def test_a_second_life_without_rights_does_not_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.netns.userns.can_make_namespaces", lambda: False)
    monkeypatch.setenv(MARK, "1")
    assert in_user_namespace()
    with pytest.raises(NetnsError, match="gives no rights") as caught:
        ensure_privileges()
    assert "max_user_namespaces" in caught.value.hint


@pytest.mark.parametrize(
    ("fault", "says", "mend"),
    [
        ("no unshare", "unshare is not on the PATH", "apt install util-linux"),
        ("no tun", "/dev/net/tun cannot be opened", "modprobe tun"),
        ("refused", "cannot make a user namespace: unshare: Operation not permitted", "sysctl"),
    ],
)
def test_what_stands_in_the_way_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str, says: str, mend: str
) -> None:
    def never(*args: object) -> None:
        raise AssertionError("it went on")

    monkeypatch.setattr("gateway.netns.userns.can_make_namespaces", lambda: False)
    monkeypatch.setattr("os.execvpe", never)
    monkeypatch.delenv(MARK, raising=False)
    if fault == "no tun":
        real = os.access
        monkeypatch.setattr("os.access", lambda path, mode: path != "/dev/net/tun" and real(path, mode))
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    if fault == "refused":
        script = tmp_path / "unshare"
        script.write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n")
        script.chmod(0o755)
    with pytest.raises(NetnsError, match=says) as caught:
        ensure_privileges()
    assert mend in caught.value.hint
