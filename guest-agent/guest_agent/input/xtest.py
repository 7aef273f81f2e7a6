"""The X connection that types and points (XTEST Extension Protocol 2.2): injector.Wire on a real server.

It also hears what the injector must know: answers to pings, other people's changes to the keyboard map, the
display's size. One thread at a time.
"""

from __future__ import annotations

import logging
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import xcffib
import xcffib.xproto as xp
import xcffib.xtest

from guest_agent.errors import DisplayError
from guest_agent.input.keymap import Keymap, spare_keycodes
from guest_agent.input.repeat import RepeatGuard

__all__ = ["XtestWire"]

_xcb: Any = xcffib
"""It carries no types."""
logger = logging.getLogger(__name__)

KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION = 2, 3, 4, 5, 6
NEXT_TIME = 0
SPARES = "_FENSTER_SPARE_KEYCODES"
"""Property of the root window: CARDINAL list of the keycodes that were empty before one of us bound them; another
finds them full and would take them for the layout's own. And a selection, whose owner may bind them (ICCCM 2):
the agent and x11vnc's helper both type."""
MAX_KNOWN_WINDOWS = 64
MAX_DEPTH = 32
MAX_TOP_LEVELS = 256
CARDINAL = 0xFFFFFFFF


class XtestWire:
    """Args:
        name: the display (":1").
        on_pong: called by :meth:`handle_events` with (window, token); token None for a window that is gone.

    Raises DisplayError when the server cannot be reached or lacks an extension. Later xcffib.ConnectionException
    tells that it is gone.
    """

    def __init__(self, name: str, on_pong: Callable[[int, int | None], None]) -> None:
        try:
            self._conn = _xcb.connect(display=name)
            self._xtest = self._conn(xcffib.xtest.key)
            self._xtest.GetVersion(2, 2).reply()
            self._repeat = RepeatGuard(self._conn)
        except xcffib.XcffibException as exc:
            raise DisplayError(f"no X server with XTEST and XKB at {name}", hint="is it running?") from exc
        self._core = self._conn.core
        self._on_pong = on_pong
        setup = self._conn.get_setup()
        self._first, self._count = setup.min_keycode, setup.max_keycode - setup.min_keycode + 1
        self._id_mask: int = setup.resource_id_mask
        self._root: int = setup.roots[self._conn.pref_screen].root
        names = ("WM_PROTOCOLS", "_NET_WM_PING", "_NET_WM_PID", SPARES)
        self._protocols, self._net_wm_ping, self._net_wm_pid, self._spares = map(self._atom, names)
        self._events: deque[xcffib.Event] = deque()
        """At most one: read, not yet handled."""
        self._own_changes: deque[tuple[int, int]] = deque(maxlen=64)
        # Tells our pings from other programs' (window managers ping too): a resource id is nobody else's.
        self._token_base: int = self._conn.generate_id()
        self._pingable: dict[int, tuple[int, ...]] = {}
        self._owner: int = self._conn.generate_id()
        self._owns = False
        # Structure: resizes. Substructure: clients send the answer to a ping to the root window (EWMH 1.3).
        mask = xp.EventMask.StructureNotify | xp.EventMask.SubstructureNotify
        self._core.ChangeWindowAttributes(self._root, xp.CW.EventMask, [mask])
        input_only = xp.WindowClass.InputOnly
        self._core.CreateWindow(
            0, self._owner, self._root, -1, -1, 1, 1, 0, input_only, xp.WindowClass.CopyFromParent, 0, []
        )
        geometry = self._core.GetGeometry(self._root).reply()
        self.size_px: tuple[int, int] = (geometry.width, geometry.height)

    def fileno(self) -> int:
        return int(self._conn.get_file_descriptor())

    def flush(self) -> None:
        self._conn.flush()

    def close(self) -> None:
        # A server that finds the connection closed may not read what still stands in it.
        self._core.GetInputFocus().reply()
        self._conn.disconnect()

    def key(self, keycode: int, down: bool) -> None:
        self._fake(KEY_PRESS if down else KEY_RELEASE, keycode)

    def button(self, button: int, down: bool) -> None:
        self._fake(BUTTON_PRESS if down else BUTTON_RELEASE, button)

    def point(self, x: int, y: int) -> None:
        width_px, height_px = self.size_px
        self._fake(MOTION, 0, x * width_px >> 16, y * height_px >> 16)

    def bind(self, first: int, keysyms: Sequence[int]) -> None:
        self._own_changes.append((first, len(keysyms)))
        levels = [keysym for keysym in keysyms for _ in range(2)]
        self._core.ChangeKeyboardMapping(len(keysyms), first, 2, levels)

    def owns_spares(self) -> bool:
        return self._owns

    def focused(self) -> tuple[int, ...]:
        focus: int = self._core.GetInputFocus().reply().focus
        if focus in (xp.InputFocus._None, xp.InputFocus.PointerRoot):
            return ()
        if focus not in self._pingable:
            if len(self._pingable) >= MAX_KNOWN_WINDOWS:
                self._pingable.clear()
            self._pingable[focus] = self._ping_targets(focus)
        return self._pingable[focus]

    def ping(self, window: int, token: int) -> None:
        stamp = (self._token_base + token) & CARDINAL
        event = struct.pack("=BBHIIIIIII", 33, 32, 0, window, self._protocols, self._net_wm_ping, stamp, window, 0, 0)
        self._core.SendEvent(False, window, xp.EventMask.NoEvent, event)

    def load(self, take: bool, serial: int) -> Keymap:
        if take:
            self._core.SetSelectionOwner(self._owner, self._spares, xp.Time.CurrentTime)
            self._owns = True
        mapping = self._core.GetKeyboardMapping(self._first, self._count)
        modifiers = self._core.GetModifierMapping()
        marked = self._core.GetProperty(False, self._root, self._spares, xp.Atom.CARDINAL, 0, 256)
        reply = mapping.reply()
        width, flat = reply.keysyms_per_keycode, list(reply.keysyms)
        rows = [flat[at : at + width] for at in range(0, len(flat), width)]
        before = set(marked.reply().value.to_atoms())
        spare = spare_keycodes(self._first, rows, set(modifiers.reply().keycodes), before)
        if take and before != set(spare):
            self._core.ChangeProperty(
                xp.PropMode.Replace, self._root, self._spares, xp.Atom.CARDINAL, 32, len(spare), spare
            )
        return Keymap(self._first, rows, spare, serial)

    def handle_events(self) -> bool:
        """Take what the server sent. True when somebody else changed the keyboard map."""
        changed = False
        while self.pending():
            changed |= self._take(self._events.popleft())
        return changed

    def pending(self) -> bool:
        """Is there an event to handle? Replies bring events along, of which the socket then says nothing."""
        while not self._events:
            try:
                event = self._conn.poll_for_event()
            except xp.WindowError as exc:
                # A window that is gone reads nothing any more, which is as good as an answer.
                self._pingable = {f: ws for f, ws in self._pingable.items() if exc.bad_value not in ws}
                self._on_pong(exc.bad_value, None)
            except xcffib.Error as exc:
                logger.debug("! X error %r", exc)
            else:
                if event is None:
                    return False
                self._events.append(event)
        return True

    def clear(self) -> None:
        """Let go of what a predecessor that was killed held down, and of Caps Lock, which turns letters over."""
        held = bytes(bytearray(self._core.QueryKeymap().reply().keys))
        for keycode in range(8 * len(held)):
            if held[keycode >> 3] >> (keycode & 7) & 1:
                self.key(keycode, False)
        mask = self._core.QueryPointer(self._root).reply().mask
        for button in range(1, 6):
            if mask & xp.KeyButMask.Button1 << (button - 1):
                self.button(button, False)
        if mask & xp.KeyButMask.Lock:
            reply = self._core.GetModifierMapping().reply()
            width = reply.keycodes_per_modifier
            lock = next((code for code in list(reply.keycodes)[width : 2 * width] if code), None)
            if lock is not None:
                self.key(lock, True)
                self.key(lock, False)

    def _take(self, event: xcffib.Event) -> bool:
        if isinstance(event, xp.MappingNotifyEvent):
            return self._is_foreign(event)
        if isinstance(event, xp.ConfigureNotifyEvent) and event.window == self._root:
            self.size_px = (event.width, event.height)
        elif isinstance(event, xp.ClientMessageEvent) and event.type == self._protocols and event.format == 32:
            kind, stamp, window = list(event.data.data32)[:3]
            if kind == self._net_wm_ping:
                self._on_pong(window, (stamp - self._token_base) & CARDINAL)
        elif isinstance(event, xp.SelectionClearEvent):
            self._owns = False
        else:
            return self._repeat.take(event)
        return False

    def _is_foreign(self, event: xp.MappingNotifyEvent) -> bool:
        if event.request == xp.Mapping.Pointer:
            return False
        change = (event.first_keycode, event.count)
        return event.request == xp.Mapping.Modifier or change not in self._own_changes

    def _fake(self, kind: int, detail: int, x: int = 0, y: int = 0) -> None:
        self._xtest.FakeInput(kind, detail, NEXT_TIME, self._root, x, y, 0)

    def _atom(self, name: str) -> int:
        return int(self._core.InternAtom(False, len(name), name).reply().atom)

    def _ping_targets(self, focus: int) -> tuple[int, ...]:
        try:
            window = self._answering(focus)
            return () if window is None else (window, *self._other_connections(window))
        except xcffib.Error:
            logger.debug("! the focused window went away")
            return ()

    def _answering(self, focus: int) -> int | None:
        """The window itself or the nearest around it that says it answers pings (toolkits focus a child)."""
        window = focus
        for _ in range(MAX_DEPTH):
            if self._answers_pings(self._get(window, self._protocols, xp.Atom.ATOM).reply()):
                return window
            window = self._core.QueryTree(window).reply().parent
            if window in (0, self._root):
                break
        return None

    def _other_connections(self, window: int) -> list[int]:
        """One window of each other connection of the same process, by EWMH's _NET_WM_PID.

        Toolkits keep an unmapped leader window (GDK's answers pings); a connection's windows share a resource base.
        """
        pid = bytes(self._get(window, self._net_wm_pid, xp.Atom.CARDINAL).reply().value.buf())
        tops = list(self._core.QueryTree(self._root).reply().children)[-MAX_TOP_LEVELS:]
        asked = [
            (top, self._get(top, self._net_wm_pid, xp.Atom.CARDINAL), self._get(top, self._protocols, xp.Atom.ATOM))
            for top in tops
        ]
        found = {self._base(window): window}
        for top, its_pid, protocols in asked:
            try:
                same = bytes(its_pid.reply().value.buf()) == pid
                answers = self._answers_pings(protocols.reply())
            except xcffib.Error:
                continue
            if pid and same and answers:
                found.setdefault(self._base(top), top)
        return list(found.values())[1:]

    def _get(self, window: int, name: int, kind: int) -> Any:
        return self._core.GetProperty(False, window, name, kind, 0, 64)

    def _answers_pings(self, reply: Any) -> bool:
        return self._net_wm_ping in reply.value.to_atoms()

    def _base(self, window: int) -> int:
        return window & ~self._id_mask
