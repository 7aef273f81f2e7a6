"""X keysyms (X Window System Protocol, appendix A). Pure."""

from __future__ import annotations

__all__ = [
    "IGNORED",
    "SHIFTS",
    "SHIFT_L",
    "canonical",
    "is_function",
    "is_keypad",
    "is_vendor",
    "keysym_of",
]

UNICODE = 0x01000000
SHIFT_L = 0xFFE1
SHIFTS = frozenset({SHIFT_L, 0xFFE2})
"""Shift_L, Shift_R."""

IGNORED = frozenset(
    {
        0xFE02,  # ISO_Level2_Latch
        0xFE03,  # ISO_Level3_Shift (AltGr)
        0xFE04,  # ISO_Level3_Latch
        0xFE05,  # ISO_Level3_Lock
        0xFE06,  # ISO_Group_Latch
        0xFE07,  # ISO_Group_Lock
        0xFE08,  # ISO_Next_Group
        0xFE0A,  # ISO_Prev_Group
        0xFE11,  # ISO_Level5_Shift
        0xFE12,  # ISO_Level5_Latch
        0xFE13,  # ISO_Level5_Lock
        0xFF7E,  # Mode_switch
        0xFF7F,  # Num_Lock
        0xFFE5,  # Caps_Lock
        0xFFE6,  # Shift_Lock
    }
)
"""Keys that only choose which character another key gives. The viewer's keysyms already carry their effect;
applied a second time here they would change what every other key gives."""

_CONTROL = {0x08: 0xFF08, 0x09: 0xFF09, 0x0A: 0xFF0D, 0x0D: 0xFF0D, 0x1B: 0xFF1B, 0x7F: 0xFFFF}
"""BackSpace, Tab, Return (line feed and carriage return), Escape, Delete."""


def keysym_of(char: str) -> int | None:
    """The keysym that types one character; None for a control character that no key gives."""
    code_point = ord(char)
    if code_point < 0x20 or code_point == 0x7F:
        return _CONTROL.get(code_point)
    return canonical(UNICODE | code_point)


def canonical(keysym: int) -> int:
    """One form for each: Latin-1 characters are their own keysyms, never Unicode ones (appendix A)."""
    code_point = keysym - UNICODE
    return code_point if 0x20 <= code_point < 0x7F or 0xA0 <= code_point < 0x100 else keysym


def is_keypad(keysym: int) -> bool:
    """KP_Space (0xff80) to KP_Equal (0xffbd)."""
    return 0xFF80 <= keysym <= 0xFFBD


def is_function(keysym: int) -> bool:
    """A key that gives no character, outside the keypad: Tab, Return, arrows, F keys, modifiers."""
    return 0xFE00 <= keysym <= 0xFFFF and not is_keypad(keysym)


def is_vendor(keysym: int) -> bool:
    """XF86 multimedia and laptop keys (0x1008fe01 up)."""
    return 0x10080000 <= keysym <= 0x1008FFFF
