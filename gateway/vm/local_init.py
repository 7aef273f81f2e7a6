"""The first process of the development driver's "guest".

``python -m gateway.vm.local_init RUN_DIR WIDTHxHEIGHT [DISPLAY]``: with a display, agent and x11vnc are all that is
started, on that one.

It is PID 1 of a process namespace, so whatever ends it ends everything that it started, and nothing of a desktop's
many daemons is left on the host. It does what systemd does in the golden image, for five programs.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.vm.local_sound import sound_argv, sound_env, write_sound_config
from guest_agent.protocol.link import VNC_PORT
from guest_agent.protocol.stream import FILES_PORT

__all__ = ["DISPLAY", "desktop_argv", "main", "x_config", "x_server"]

DISPLAY = ":1"
X_START_S = 30.0
RESTART_S = 3
SOCKETS = Path("/tmp/.X11-unix")
KEYMAPS = Path("/var/lib/xkb")
"""Debian's; a server that was built for another place keeps them there."""
DEFAULT_MODE = (1280, 720)

_SPARE_KEYMAP = ("setxkbmap", "-rules", "base", "-model", "pc105", "-layout", "us")
"""Without multimedia keys, as in the golden image: keysyms that the layout lacks need free keycodes."""


def x_server() -> str | None:
    """The server itself where it can be found: Debian's /usr/bin/Xorg may ask for a console user."""
    direct = Path("/usr/lib/xorg/Xorg")
    return str(direct) if direct.exists() else shutil.which("Xorg")


def x_config(width_px: int, height_px: int) -> str:
    """xorg.conf(5) of one screen on the dummy driver."""
    # Any timing does, since no monitor sees it: 60 frames a second with blanking of a fixed width, which the server
    # takes only for a monitor that says it supports it.
    clock_mhz = (width_px + 160) * (height_px + 30) * 60 / 1e6
    h = (width_px, width_px + 48, width_px + 80, width_px + 160)
    v = (height_px, height_px + 3, height_px + 8, height_px + 30)
    mode = f'"{width_px}x{height_px}" {clock_mhz:.2f} {" ".join(map(str, h + v))}'
    return f"""\
Section "ServerFlags"
  Option "AutoAddDevices" "false"
  Option "AutoEnableDevices" "false"
  Option "DontVTSwitch" "true"
  Option "BlankTime" "0"
  Option "StandbyTime" "0"
  Option "SuspendTime" "0"
  Option "OffTime" "0"
EndSection
Section "Device"
  Identifier "dummy"
  Driver "dummy"
  VideoRam 256000
EndSection
Section "Monitor"
  Identifier "monitor"
  HorizSync 5.0-1000.0
  VertRefresh 5.0-200.0
  Option "ReducedBlanking"
  Modeline {mode}
EndSection
Section "Screen"
  Identifier "screen"
  Device "dummy"
  Monitor "monitor"
  DefaultDepth 24
  SubSection "Display"
    Depth 24
    Modes "{width_px}x{height_px}"
    Virtual {width_px} {height_px}
  EndSubSection
EndSection
"""


def desktop_argv() -> list[list[str]]:
    """Commands of the desktop: XFCE where it is installed, else openbox, and a terminal. Empty without either."""
    manager = next((name for name in ("xfce4-session", "openbox") if shutil.which(name)), None)
    if manager is None:
        return []
    bus = ["dbus-run-session", "--"] if shutil.which("dbus-run-session") else []
    terminal = ["xfce4-terminal", "--disable-server", "--geometry=100x30"]
    return [[*bus, manager], [*bus, *terminal]]


@dataclass(slots=True)
class _Guest:
    run_dir: Path
    size_px: tuple[int, int]
    display: str
    env: dict[str, str]
    shares: bool
    """The display is another's, and so is the IPC namespace."""

    def start(
        self, argv: Sequence[str], log: str, pass_fds: Sequence[int] = (), env: Mapping[str, str] | None = None
    ) -> int:
        with (self.run_dir / log).open("ab") as out:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env or self.env, pass_fds=pass_fds
            )
        # PID 1 reaps everyone by number below.
        child.returncode = 0
        return child.pid

    def start_x(self) -> int:
        """Xorg, once it takes connections. The socket directory is ours alone, and so is the display's number."""
        SOCKETS.mkdir(mode=0o1777, exist_ok=True)
        # Keymaps are compiled into a file of the display's number: servers that start together spoil each other's.
        for folder in (SOCKETS, *filter(Path.is_dir, [KEYMAPS])):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(folder)], check=True)
        config, cookie = self.run_dir / "xorg.conf", self.run_dir / "xauth"
        config.write_text(x_config(*self.size_px))
        cookie.touch(mode=0o600)
        cookie.write_bytes(_xauthority(secrets.token_bytes(16)))
        ready_r, ready_w = os.pipe()
        argv = [
            x_server() or "Xorg", self.display, "-config", str(config), "-auth", str(cookie),
            "-logfile", str(self.run_dir / "xorg.log"), "-displayfd", str(ready_w),
            "-nolock", "-nolisten", "tcp", "-noreset", "-novtswitch", "-sharevts", "-dpi", "96",
        ]  # fmt: skip
        pid = self.start(argv, "x.log", [ready_w])
        os.close(ready_w)
        _await_number(ready_r)
        os.close(ready_r)
        subprocess.run(_SPARE_KEYMAP, env=self.env, check=False, stdin=subprocess.DEVNULL)
        return pid

    def start_agent(self) -> int:
        argv = [
            sys.executable, "-m", "guest_agent", "--link", f"unix:{self.run_dir / 'agent.sock'}", "--user", "",
            "--etc", str(self.run_dir / "etc"), "--display", self.display,
        ]  # fmt: skip
        return self.start(argv, "agent.log")

    def start_files(self) -> int:
        argv = [sys.executable, "-m", "guest_agent.fileserver", "--port", str(FILES_PORT), "--home", self.env["HOME"]]
        return self.start(argv, "files.log")

    def start_vnc(self) -> int:
        password = self.run_dir / "etc" / "fenster" / "vnc.passwd"
        if not password.exists():
            # One that nobody knows, until the session's own is written over it.
            password.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            subprocess.run(
                ["x11vnc", "-storepasswd", secrets.token_hex(4), str(password)], check=True, capture_output=True
            )
        argv = [
            "x11vnc", "-display", self.display, "-rfbport", str(VNC_PORT),
            "-rfbauth", str(password), "-forever", "-shared", "-wait", "50", "-nosel", "-xrandr", "-no6",
            # Killed, it would leave a hundred segments behind, and a host has 4096.
            *(("-noshm",) if self.shares else ()),
        ]  # fmt: skip
        return self.start(argv, "x11vnc.log")

    def start_sound(self) -> int:
        write_sound_config(self.run_dir)
        return self.start(sound_argv(self.run_dir), "sound.log", env=sound_env(self.run_dir, self.env))


def _await_number(fd: int) -> None:
    """Until a whole line is there: the server writes its newline by itself, and dies when nobody reads it."""
    said = b""
    while not said.endswith(b"\n"):
        more = os.read(fd, 64) if select.select([fd], [], [], X_START_S)[0] else b""
        if not more:
            raise SystemExit("the X server did not start")
        said += more


def _xauthority(cookie: bytes) -> bytes:
    """One entry of family FamilyWild (Xau(3)), which holds for every host name and display."""
    fields = (b"", b"", b"MIT-MAGIC-COOKIE-1", cookie)
    return struct.pack(">H", 0xFFFF) + b"".join(struct.pack(">H", len(f)) + f for f in fields)


def main(run_dir: Path, size_px: tuple[int, int], display: str | None = None) -> int:
    """Start everything and stay until told to end, or until X or the agent has ended.

    Args:
        display: serve this display, and start neither an X server nor a desktop.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM})
    for name in ("home", "xdg"):
        (run_dir / name).mkdir(mode=0o700, exist_ok=True)
    env = {
        **os.environ,
        "DISPLAY": display or DISPLAY,
        "HOME": str(run_dir / "home"),
        "XDG_RUNTIME_DIR": str(run_dir / "xdg"),
        "NO_AT_BRIDGE": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
    }
    if display is None:
        env["XAUTHORITY"] = str(run_dir / "xauth")
    for name in ("PULSE_SERVER", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"):
        env.pop(name, None)
    guest = _Guest(run_dir, size_px, display or DISPLAY, env, shares=display is not None)
    names = {} if display else {guest.start_x(): "the X server"}
    names[guest.start_agent()] = "the guest agent"
    servants = [guest.start_vnc, guest.start_files, *(() if display else (guest.start_sound,))]
    kept = {start(): start for start in servants}
    ended: list[Callable[[], int]] = []
    for argv in [] if display else desktop_argv():
        guest.start(argv, "desktop.log")
    while True:
        number = signal.sigwait({signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM})
        if number == signal.SIGTERM:
            return 0
        if number == signal.SIGALRM:
            kept |= {start(): start for start in ended}
            ended.clear()
            continue
        for pid, status in _reap():
            if pid in names:
                print(f"{names[pid]} ended with status {os.waitstatus_to_exitcode(status)}", file=sys.stderr)
                return 1
            if (start := kept.pop(pid, None)) is not None:
                ended.append(start)
                signal.alarm(RESTART_S)


def _reap() -> list[tuple[int, int]]:
    """Everyone who has ended, orphans included: (pid, wait status)."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, status))


if __name__ == "__main__":
    wanted = re.fullmatch(r"(\d+)x(\d+)", sys.argv[2])
    size = (int(wanted[1]), int(wanted[2])) if wanted else DEFAULT_MODE
    raise SystemExit(main(Path(sys.argv[1]), size, *sys.argv[3:4]))
