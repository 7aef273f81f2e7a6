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


class RepeatGuard:
    """Args:
        conn: whoever reads its events calls :meth:`check` when :meth:`is_due` says so.

    Raises xcffib.XcffibException.
    """

    def __init__(self, conn: Any) -> None:
        self._xkb: Any = conn(xcffib.xkb.key)
        self._xkb.UseExtension(1, 0).reply()
        notify = xcffib.xkb.EventType.ControlsNotify
        self._xkb.SelectEvents(CORE_KEYBOARD, notify, 0, 0, 0, 0, [REPEAT_KEYS, REPEAT_KEYS])
        self.check()

    def is_due(self, event: object) -> bool:
        # All XKB events share one number and xcffib takes each for the first of them; only one is selected.
        return isinstance(event, xcffib.xkb.NewKeyboardNotifyEvent)

    def check(self) -> None:
        """Read what is set, and put our delay back if it is not that."""
        now = self._xkb.GetControls(CORE_KEYBOARD).reply()
        if now.repeatDelay == DELAY_MS:
            return
        logger.debug("= the server's repeat delay was %d ms", now.repeatDelay)
        # Only RepeatKeys is named in changeControls, so the server looks at no other field (SetControls).
        self._xkb.SetControls(
            CORE_KEYBOARD,
            *(0, 0, 0, 0, 0, 0, 0, 0),  # modifiers
            *(now.mouseKeysDfltBtn, now.groupsWrap, 0),
            *(0, 0, REPEAT_KEYS),  # affectEnabledControls, enabledControls, changeControls
            *(DELAY_MS, max(1, now.repeatInterval)),
            *(1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0),
            list(now.perKeyRepeat),
        )
