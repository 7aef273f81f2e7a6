"""The X server's own key repeat, pushed out of the way.

The server repeats a key by its own clock while it is down. When a busy machine or a stalled network keeps a
release back, that types what nobody typed. A viewer's keyboard repeats by itself and its repeats are passed on
(injector.py), so the server's own are made to start only after a minute. The delay is set through XKB (X
Keyboard Extension Protocol, RepeatKeys control), and set again when a settings daemon puts its own there.
"""

from __future__ import annotations

import logging
from typing import Any

import xcffib
import xcffib.xkb

__all__ = ["RepeatGuard"]

logger = logging.getLogger(__name__)

DELAY_MS = 0xFFFF
CORE_KEYBOARD = 0x100
"""XkbUseCoreKbd."""
REPEAT_KEYS = 1
NEW_KEYBOARD = 0


class RepeatGuard:
    """Args:
        conn: whoever reads its events gives them to :meth:`take`.
        delay_ms: until the server would repeat a key.

    Raises xcffib.XcffibException.
    """

    def __init__(self, conn: Any, delay_ms: int = DELAY_MS) -> None:
        self._delay_ms = delay_ms
        self._xkb: Any = conn(xcffib.xkb.key)
        self._xkb.UseExtension(1, 0).reply()
        # A client that uses XKB hears of a new layout only if it asks to (the core MappingNotify does not come).
        which = xcffib.xkb.EventType.NewKeyboardNotify | xcffib.xkb.EventType.ControlsNotify
        keycodes = xcffib.xkb.NKNDetail.Keycodes
        self._xkb.SelectEvents(CORE_KEYBOARD, which, 0, 0, 0, 0, [keycodes, keycodes, REPEAT_KEYS, REPEAT_KEYS])
        self.check()

    def take(self, event: object) -> bool:
        """Handle an event if it is XKB's. True when it says that another layout was loaded."""
        # All XKB events share one number, by which xcffib takes each for the first of them; the type is in front.
        if not isinstance(event, xcffib.xkb.NewKeyboardNotifyEvent):
            return False
        if event.xkbType == NEW_KEYBOARD:
            return True
        self.check()
        return False

    def check(self) -> None:
        """Read what is set, and put our delay back if it is not that."""
        now = self._xkb.GetControls(CORE_KEYBOARD).reply()
        if now.repeatDelay == self._delay_ms:
            return
        logger.debug("= the server's repeat delay was %d ms", now.repeatDelay)
        # Only RepeatKeys is named in changeControls, so the server looks at no other field (SetControls).
        self._xkb.SetControls(
            CORE_KEYBOARD,
            *(0, 0, 0, 0, 0, 0, 0, 0),  # modifiers
            *(now.mouseKeysDfltBtn, now.groupsWrap, 0),
            *(0, 0, REPEAT_KEYS),  # affectEnabledControls, enabledControls, changeControls
            *(self._delay_ms, max(1, now.repeatInterval)),
            *(1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0),
            list(now.perKeyRepeat),
        )
