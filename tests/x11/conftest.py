"""A real X server per test: Xorg with the dummy driver, as in the guest.

No console, no root-owned device and no fixed number is needed: the server picks its display and writes the
number to a pipe (``-displayfd``), so nothing polls.
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.vm.local_init import x_config, x_server

__all__ = ["XServer", "start_xorg"]

START_S = 20.0
"""A loaded machine takes seconds; a server that will never come says so by closing the pipe."""

SPARE_KEYMAP = """\
xkb_keymap {
  xkb_keycodes { include "evdev" };
  xkb_types { include "complete" };
  xkb_compat { include "complete" };
  xkb_symbols { include "pc+us" };
  xkb_geometry { include "pc(pc104)" };
};
"""
"""``pc+us`` without ``inet``: no multimedia keys, so that more than a hundred keycodes carry no keysym."""


@dataclass(frozen=True)
class XServer:
    """A running server: ``display`` is what goes into DISPLAY (":7")."""

    display: str
    pid: int
    log: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment for its clients."""
        return {**os.environ, "DISPLAY": self.display}


def start_xorg(
    folder: Path, size_px: tuple[int, int] = (1280, 720), *, display: str | None = None
) -> Generator[XServer, None, None]:
    """Start Xorg configured as the development driver does, yield it, and end it.

    ``folder`` takes its configuration and log; ``display`` is only for a restart.

    The keymap leaves plenty of keycodes without a keysym, as the guest's does.
    """
    config, log = folder / "xorg.conf", folder / "xorg.log"
    config.write_text(x_config(*size_px))
    read_fd, write_fd = os.pipe()
    stderr = (folder / "xorg.stderr").open("wb")
    argv = [
        x_server() or "Xorg", *([display] if display else []),
        "-displayfd", str(write_fd),
        "-config", str(config),
        "-logfile", str(log),
        "-novtswitch", "-sharevts", "-keeptty",
        "-noreset",
        "-nolisten", "tcp",
        "-ac",
    ]  # fmt: skip
    server = subprocess.Popen(
        argv,
        pass_fds=[write_fd],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )
    stderr.close()
    os.close(write_fd)
    try:
        number = _read_number(read_fd)
        if not number:
            raise AssertionError(f"Xorg did not start: {log.read_text()[-2000:] if log.exists() else 'no log'}")
        name = f":{number}"
        keymap = folder / "spare.xkb"
        keymap.write_text(SPARE_KEYMAP)
        subprocess.run(
            ["xkbcomp", "-w", "0", str(keymap), name], check=True, stdin=subprocess.DEVNULL, capture_output=True
        )
        yield XServer(name, server.pid, log)
    finally:
        os.close(read_fd)
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _read_number(fd: int) -> str:
    """The display number and a newline, or "" when the server ended or stayed silent."""
    text = b""
    while not text.endswith(b"\n"):
        if not select.select([fd], [], [], START_S)[0]:
            return ""
        chunk = os.read(fd, 64)
        if not chunk:
            return ""
        text += chunk
    return text.decode().strip()


@pytest.fixture
def xserver(tmp_path: Path) -> Iterator[XServer]:
    """A fresh 1280x720 server."""
    yield from start_xorg(tmp_path)


@pytest.fixture(scope="module")
def shared_xserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XServer]:
    """One server for a module's tests, where they leave nothing behind that disturbs the next."""
    yield from start_xorg(tmp_path_factory.mktemp("x"))
