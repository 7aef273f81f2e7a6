"""Give a display a size nobody configured, as ``xrandr --newmode --addmode --mode`` does."""

from __future__ import annotations

from typing import Any

import xcffib
import xcffib.randr

__all__ = ["set_size"]

_xcb: Any = xcffib
_MODE: Any = xcffib.randr.ModeInfo


def set_size(display: str, width_px: int, height_px: int) -> None:
    """Returns when the server has done it."""
    conn = _xcb.connect(display)
    randr = conn(xcffib.randr.key)
    root = conn.setup.roots[conn.pref_screen].root
    resources = randr.GetScreenResources(root).reply()
    output, crtc, now = resources.outputs[0], resources.crtcs[0], resources.config_timestamp
    name = f"{width_px}x{height_px}"
    total = width_px + 160
    info = _MODE.synthetic(
        0, width_px, height_px, total * (height_px + 30) * 60,
        width_px + 48, width_px + 80, total, 0,
        height_px + 3, height_px + 8, height_px + 30, len(name), 0,
    )  # fmt: skip
    mode = randr.CreateMode(root, info, len(name), list(name.encode())).reply().mode
    randr.AddOutputModeChecked(output, mode).check()
    randr.SetCrtcConfig(crtc, 0, now, 0, 0, 0, 1, 0, []).reply()
    randr.SetScreenSizeChecked(root, width_px, height_px, width_px // 4, height_px // 4).check()
    randr.SetCrtcConfig(crtc, 0, now, 0, 0, mode, 1, 1, [output]).reply()
    conn.disconnect()
