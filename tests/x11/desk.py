"""A desktop for typing on: a window manager, a terminal whose keyboard ends in a pipe, and a bare window."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xcffib
import xcffib.xproto as xp

from tests.x11.conftest import XServer

__all__ = ["KeyWindow", "Programs", "Terminal", "mixed"]

_xcb: Any = xcffib
PATIENCE_S = 40.0
CONNECTED = "connected"

LATIN = "".join(map(chr, range(0x21, 0x7F))) + "éüñßøçåÆœŁž"
CYRILLIC = "".join(map(chr, range(0x410, 0x450))) + "ёЁїґ"
KANA = "".join(map(chr, range(0x3042, 0x3090))) + "".join(map(chr, range(0x30A2, 0x30F0)))
EMOJI = "😀😂🚀🎉🔥👍🐍🦀🌍🍕🎈💡📦🔒🧪🚲🎸🏆"
SYMBOLS = "€£¥§±×÷≤≥≠∞√∑∂∫→←↑↓☃★♥♪✓✗«»„“”…–—°µ¶"


def mixed(count: int, seed: int = 1) -> str:
    """Characters of every kind in seeded order, over twice as many different ones as there are spare keycodes."""
    dice = random.Random(seed)
    kinds = [LATIN, CYRILLIC, KANA, EMOJI, SYMBOLS]
    return "".join(dice.choice(kinds[at % len(kinds)]) for at in range(count))


class Programs:
    """Starts programs on a display and ends each with all its children."""

    def __init__(self, xserver: XServer, folder: Path) -> None:
        self.xserver = xserver
        self.folder = folder
        self.env = {
            **xserver.env,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "NO_AT_BRIDGE": "1",
            "LANG": "C.UTF-8",
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{Path(argv[0]).name}.log").open("ab") as log:
            program = subprocess.Popen(
                argv, env={**self.env, **(env or {})}, stdin=stdin, stdout=log, stderr=log, start_new_session=True
            )
        self._running.append(program)
        return program

    def window_manager(self) -> subprocess.Popen[bytes]:
        """openbox, once it manages windows: before, it owns the screen already and loses requests to map."""
        ready = self.folder / "openbox.ready"
        os.mkfifo(ready)
        fd = os.open(ready, os.O_RDWR)
        manager = self.start(["openbox", "--startup", f"sh -c 'echo > {ready}'"])
        try:
            assert select.select([fd], [], [], PATIENCE_S)[0], "openbox did not start"
        finally:
            os.close(fd)
        return manager

    def wait_property(self, name: str) -> int:
        """Wait until that property of the root window names a window, and return it."""

        def named(conn: Any) -> int:
            atom = conn.core.InternAtom(False, len(name), name).reply().atom
            found = conn.core.GetProperty(False, _root(conn), atom, xp.Atom.WINDOW, 0, 1).reply().value.to_atoms()
            return int(found[0]) if found else 0

        return int(self._wait(None, xp.EventMask.PropertyChange, named, f"nobody set {name}"))

    def wait_focus(self, window: int) -> None:
        """Wait until the keyboard is with this window or one inside it: a manager names it active before."""

        def has_it(conn: Any) -> bool:
            return _is_inside(conn, conn.core.GetInputFocus().reply().focus, window)

        self._wait(window, xp.EventMask.FocusChange, has_it, f"window {window:#x} did not get the focus")

    def wait_title(self, window: int, words: str) -> None:
        """Wait until these words stand in the window's title."""

        def says_so(conn: Any) -> bool:
            name = conn.core.GetProperty(False, window, xp.Atom.WM_NAME, xp.GetPropertyType.Any, 0, 64).reply()
            return words.encode() in bytes(name.value.buf())

        self._wait(window, xp.EventMask.PropertyChange, says_so, f"window {window:#x} has not {words!r} in its title")

    def _wait(self, window: int | None, mask: int, look: Callable[[Any], Any], otherwise: str) -> Any:
        """What ``look`` finds, looked for again whenever something happens to the window, or to the root window."""
        conn = _xcb.connect(display=self.xserver.display)
        try:
            conn.core.ChangeWindowAttributes(_root(conn) if window is None else window, xp.CW.EventMask, [mask])
            end = time.monotonic() + PATIENCE_S
            while not (found := look(conn)):
                left = end - time.monotonic()
                assert left > 0, otherwise
                while conn.poll_for_event() is not None:
                    pass
                select.select([conn.get_file_descriptor()], [], [], min(left, 1.0))
            return found
        finally:
            conn.disconnect()

    def close(self) -> None:
        for program in reversed(self._running):
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
            if program.stdin is not None:
                program.stdin.close()


def _root(conn: Any) -> int:
    return int(conn.get_setup().roots[conn.pref_screen].root)


def _is_inside(conn: Any, window: int, outer: int) -> bool:
    # Focus may also be None or PointerRoot, which are no windows.
    while window > xp.InputFocus.PointerRoot:
        if window == outer:
            return True
        window = conn.core.QueryTree(window).reply().parent
    return False


class Terminal:
    """xfce4-terminal with the focus. What is typed comes out of a pipe, uncooked."""

    def __init__(self, programs: Programs) -> None:
        self._received = b""
        pipe, go = programs.folder / "typed", programs.folder / "go"
        os.mkfifo(pipe)
        os.mkfifo(go)
        self.fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        # The terminal reads and writes its tty's modes after it has started the shell, and would undo a stty of that
        # moment. It takes a title only afterwards.
        title = f"printf '\\033]0;{CONNECTED}\\007'"
        shell = f"{title}; read -r _ < {go}; stty raw -echo; exec > {pipe}; printf READY; exec cat"
        argv = ["dbus-run-session", "xfce4-terminal", "--disable-server", "-x", "sh", "-c", shell]
        self.program = programs.start(argv)
        window = programs.wait_property("_NET_ACTIVE_WINDOW")
        programs.wait_focus(window)
        programs.wait_title(window, CONNECTED)
        go.write_text("\n")
        assert self.read(len("READY")) == "READY"

    def read(self, count: int) -> str:
        """The next ``count`` characters; fewer when no more come."""
        end = time.monotonic() + PATIENCE_S
        while len(self._received.decode(errors="ignore")) < count:
            left = end - time.monotonic()
            if left <= 0:
                break
            if select.select([self.fd], [], [], left)[0]:
                self._received += os.read(self.fd, 65536)
        text = self._received.decode(errors="ignore")[:count]
        self._received = self._received[len(text.encode()) :]
        return text

    def read_bytes(self, count: int) -> bytes:
        """The same in bytes, for keys that send escape sequences."""
        end = time.monotonic() + PATIENCE_S
        while len(self._received) < count and (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                self._received += os.read(self.fd, 65536)
        found, self._received = self._received[:count], self._received[count:]
        return found

    def close(self) -> None:
        os.close(self.fd)


class KeyWindow:
    """A window over the whole screen that has the keyboard; its events are what the desktop got."""

    def __init__(self, name: str, size_px: tuple[int, int] = (1280, 720)) -> None:
        self._conn = _xcb.connect(display=name)
        self._core = self._conn.core
        setup = self._conn.get_setup()
        screen = setup.roots[self._conn.pref_screen]
        self._first = setup.min_keycode
        self._window = self._conn.generate_id()
        mask = (
            xp.EventMask.KeyPress
            | xp.EventMask.KeyRelease
            | xp.EventMask.ButtonPress
            | xp.EventMask.ButtonRelease
            | xp.EventMask.PointerMotion
            | xp.EventMask.Exposure
        )
        self._core.CreateWindow(
            0, self._window, screen.root, 0, 0, *size_px, 0, xp.WindowClass.CopyFromParent, 0,
            xp.CW.OverrideRedirect | xp.CW.EventMask, [1, mask],
        )  # fmt: skip
        self._core.MapWindow(self._window)
        while not isinstance(self._next(), xp.ExposeEvent):
            pass
        self._core.SetInputFocus(xp.InputFocus.Parent, self._window, xp.Time.CurrentTime)
        self._core.GetInputFocus().reply()

    def keys(self, count: int) -> list[tuple[str, int, bool]]:
        """The next presses and releases: "press" or "release", keysym by the present map, Shift held."""
        found: list[tuple[str, int, bool]] = []
        while len(found) < count:
            event = self._next()
            if isinstance(event, xp.KeyPressEvent | xp.KeyReleaseEvent):
                shift = bool(event.state & xp.KeyButMask.Shift)
                row = list(self._core.GetKeyboardMapping(event.detail, 1).reply().keysyms)
                kind = "press" if event.response_type & 0x7F == 2 else "release"
                found.append((kind, row[1] if shift and row[1] else row[0], shift))
        return found

    def pointer(self, count: int) -> list[tuple[str, int, int, int]]:
        """The next of what the pointer does: "press", "release" or "move", button, x, y."""
        found: list[tuple[str, int, int, int]] = []
        kinds = {4: "press", 5: "release", 6: "move"}
        while len(found) < count:
            event = self._next()
            kind = kinds.get(event.response_type & 0x7F)
            if kind is not None:
                detail = 0 if kind == "move" else event.detail
                found.append((kind, detail, event.root_x, event.root_y))
        return found

    def keys_down(self) -> set[int]:
        """Keycodes that the server takes for held."""
        bits = bytes(bytearray(self._core.QueryKeymap().reply().keys))
        return {8 * at + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1}

    def buttons_down(self) -> set[int]:
        mask = self._core.QueryPointer(self._window).reply().mask
        return {button for button in range(1, 6) if mask >> (7 + button) & 1}

    def close(self) -> None:
        self._conn.disconnect()

    def _next(self) -> Any:
        end = time.monotonic() + PATIENCE_S
        while (event := self._conn.poll_for_event()) is None:
            self._conn.flush()
            left = end - time.monotonic()
            assert left > 0, "no event came"
            select.select([self._conn.get_file_descriptor()], [], [], left)
        return event
