"""The X connection of the clipboard: a window of its own, atoms, and the requests that both sides of ICCCM 2 need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import xcffib
import xcffib.xfixes
import xcffib.xproto as xp

from guest_agent.errors import DisplayError

__all__ = ["XWire"]

_xcb: Any = xcffib
"""It carries no types."""
_NAMES = (
    "CLIPBOARD",
    "INCR",
    "TARGETS",
    "TIMESTAMP",
    "UTF8_STRING",
    "image/png",
    "text/plain",
    "text/plain;charset=utf-8",
    "FENSTER_TIME",
    *(f"FENSTER_SELECTION_{number}" for number in range(4)),
)
_KEPT_BYTES = 1024
"""Of the largest request, for its head."""


class XWire:
    """Raises DisplayError where there is no X server, or one without XFixes."""

    def __init__(self, display: str) -> None:
        try:
            self.conn = _xcb.connect(display=display)
            self.core = self.conn.core
            self.fixes = self.conn(xcffib.xfixes.key)
            # Events come only after a version was agreed on.
            self.fixes.QueryVersion(5, 0).reply()
        except xcffib.XcffibException as exc:
            raise DisplayError(f"no X server with XFixes at {display}", hint="is it running?") from exc
        setup = self.conn.get_setup()
        root = setup.roots[self.conn.pref_screen].root
        cookies = {name: self.core.InternAtom(False, len(name), name) for name in _NAMES}
        self.atoms = {name: int(cookie.reply().atom) for name, cookie in cookies.items()}
        self.max_property_bytes = 4 * int(setup.maximum_request_length) - _KEPT_BYTES
        self.window = int(self.conn.generate_id())
        self.core.CreateWindow(
            0, self.window, root, 0, 0, 1, 1, 0, xp.WindowClass.InputOnly, 0,
            xp.CW.EventMask, [xp.EventMask.PropertyChange],
        )  # fmt: skip
        mask = xcffib.xfixes.SelectionEventMask.SetSelectionOwner
        self.fixes.SelectSelectionInput(self.window, self.atoms["CLIPBOARD"], mask)
        self.conn.flush()

    def close(self) -> None:
        self.conn.disconnect()

    def events(self) -> Iterator[Any]:
        """Everything that has come. Raises xcffib.ConnectionException when the server is gone."""
        while True:
            try:
                event = self.conn.poll_for_event()
            except xcffib.Error:
                continue  # A window that went away while it was written to.
            if event is None:
                return
            yield event

    def owner(self) -> int:
        """The window that owns the clipboard; 0 for nobody's."""
        return int(self.core.GetSelectionOwner(self.atoms["CLIPBOARD"]).reply().owner)

    def ask_time(self) -> None:
        """Have the server say what time it is, in a PropertyNotify of FENSTER_TIME (ICCCM 2.1)."""
        self.core.ChangeProperty(
            xp.PropMode.Append, self.window, self.atoms["FENSTER_TIME"], xp.Atom.STRING, 8, 0, b""
        )

    def take_property(self, prop: int, most_bytes: int) -> tuple[int, bytes | None] | None:
        """Type and value of a property of our window, which is deleted; no value where it is larger, None where there
        is no such property."""
        with contextlib.suppress(xcffib.Error):
            reply = self.core.GetProperty(True, self.window, prop, 0, 0, most_bytes // 4 + 1).reply()
            value = bytes(reply.value.buf()) if reply.value_len else b""
            if reply.bytes_after or len(value) > most_bytes:
                self.core.DeleteProperty(self.window, prop)
                return int(reply.type), None
            return (int(reply.type), value) if reply.type else None
        return None

    def put_property(self, window: int, prop: int, kind: int, form: int, count: int, data: bytes) -> None:
        """Replace a property; ``count`` of ``form`` bits each. A window that has gone is no error."""
        self.core.ChangeProperty(xp.PropMode.Replace, window, prop, kind, form, count, data)
