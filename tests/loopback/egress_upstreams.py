"""Upstream proxies that people run, each on a free port of loopback, with its users and its log.

Names of the tests' web server are known to them alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.loopback.egress_world import NAME
from tests.loopback.relay_lan import LOOPBACK

__all__ = ["microsocks", "squid", "tinyproxy"]

START_S, END_S = 20.0, 10.0


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def _program(port: int, argv: Sequence[str]) -> AsyncIterator[None]:
    """A server, once it takes connections."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(START_S):
            while True:
                with contextlib.suppress(ConnectionError):
                    _, writer = await asyncio.open_connection(LOOPBACK, port)
                    writer.close()
                    break
                assert process.returncode is None, f"{argv} ended"
                await asyncio.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _with_hosts(folder: Path, port: int, argv: Sequence[str]) -> list[str]:
    """The command in a mount namespace of its own, whose hosts file has NAME."""
    hosts = _hosts(folder, port)
    rights = () if os.geteuid() == 0 else ("--map-root-user",)
    return [
        "unshare", "--mount", *rights, "sh", "-c", f'mount --bind "{hosts}" /etc/hosts && exec "$@"', "sh", *argv
    ]  # fmt: skip


def _hosts(folder: Path, port: int) -> Path:
    path = folder / f"hosts-{port}"
    path.write_text(f"{LOOPBACK} localhost {NAME}\n")
    return path


@asynccontextmanager
async def tinyproxy(folder: Path, user: str, password: str) -> AsyncIterator[tuple[int, Path]]:
    """Its port and log."""
    port, log = free_port(), folder / f"tinyproxy-{user}.log"
    config = folder / f"tinyproxy-{user}.conf"
    config.write_text(
        f'Port {port}\nListen {LOOPBACK}\nTimeout 30\nMaxClients 64\nLogFile "{log}"\nLogLevel Connect\n'
        f"BasicAuth {user} {password}\n"
    )
    async with _program(port, _with_hosts(folder, port, ["tinyproxy", "-d", "-c", str(config)])):
        yield port, log


@asynccontextmanager
async def microsocks(folder: Path, user: str, password: str) -> AsyncIterator[int]:
    port = free_port()
    argv = ["microsocks", "-i", LOOPBACK, "-p", str(port), "-u", user, "-P", password]
    async with _program(port, _with_hosts(folder, port, argv)):
        yield port


@asynccontextmanager
async def squid(users: Mapping[str, str]) -> AsyncIterator[tuple[int, Path]]:
    """Its port and log, whose lines name the user.

    Args:
        users: passwords by name.
    """
    port = free_port()
    name = f"fenster{port}"
    with tempfile.TemporaryDirectory(prefix="squid") as folder:
        place = Path(folder)
        _write_squid(place, port, users)
        try:
            async with _program(port, ["/usr/sbin/squid", "-N", "-n", name, "-f", str(place / "squid.conf")]):
                yield port, place / "access.log"
        finally:
            _remove_shared(name)


def _write_squid(place: Path, port: int, users: Mapping[str, str]) -> None:
    # Squid becomes a user of its own when root starts it, who must reach its files.
    place.chmod(0o777)
    known = place / "users"
    known.write_text("".join(f"{user}:{_hashed(password)}\n" for user, password in users.items()))
    (place / "squid.conf").write_text(
        f"http_port {LOOPBACK}:{port}\npid_filename none\ncache deny all\nshutdown_lifetime 0 seconds\n"
        f"cache_log /dev/null\naccess_log stdio:{place}/access.log squid\nhosts_file {_hosts(place, port)}\n"
        f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {known}\nauth_param basic children 2\n"
        "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n"
    )


def _remove_shared(name: str) -> None:
    """What a squid that was killed leaves in memory."""
    for left in Path("/dev/shm").glob(f"{name}-*"):
        left.unlink()


def _hashed(password: str) -> str:
    made = subprocess.run(
        ["openssl", "passwd", "-apr1", "-stdin"], input=password, capture_output=True, text=True, check=True
    )
    return made.stdout.strip()
