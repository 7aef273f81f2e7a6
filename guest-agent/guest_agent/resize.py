"""Set the display's size (RandR 1.5, RRCreateMode to RRSetCrtcConfig). Blocking: call it off the loop."""

from __future__ import annotations

from typing import Any

import xcffib
import xcffib.randr as rr

from guest_agent.errors import DisplayError

__all__ = ["resize"]

_xcb: Any = xcffib
"""It carries no types."""
NAME_PREFIX = "fenster-"
REFRESH_HZ = 60
MM_PER_INCH = 25.4
DPI = 96


def resize(display: str, size_px: tuple[int, int]) -> tuple[int, int]:
    """Make the screen ``size_px`` and return what it is then; an unchanged size is left alone.

    Raises DisplayError when the server is gone or refuses the size.
    """
    try:
        conn = _xcb.connect(display=display)
        try:
            return _resize(conn, size_px)
        finally:
            conn.disconnect()
    except (xcffib.XcffibException, xcffib.Error) as exc:
        raise DisplayError(f"the display refused {size_px[0]}x{size_px[1]}: {exc!r}") from exc


def _resize(conn: Any, size_px: tuple[int, int]) -> tuple[int, int]:
    randr = conn(rr.key)
    randr.QueryVersion(1, 5).reply()
    root = conn.get_setup().roots[conn.pref_screen].root
    now = conn.core.GetGeometry(root).reply()
    if (now.width, now.height) == size_px:
        return size_px
    limits = randr.GetScreenSizeRange(root).reply()
    if not (
        limits.min_width <= size_px[0] <= limits.max_width and limits.min_height <= size_px[1] <= limits.max_height
    ):
        raise DisplayError(
            f"{size_px[0]}x{size_px[1]} is outside {limits.min_width}x{limits.min_height} to "
            f"{limits.max_width}x{limits.max_height}"
        )
    resources = randr.GetScreenResourcesCurrent(root).reply()
    output, crtc = _connected(randr, resources)
    mode, is_new = _mode(randr, root, resources, size_px)
    if is_new:
        randr.AddOutputModeChecked(output, mode).check()
    _switch(randr, root, resources, (output, crtc, mode), size_px, (now.width, now.height))
    conn.flush()
    after = conn.core.GetGeometry(root).reply()
    return after.width, after.height


def _connected(randr: Any, resources: Any) -> tuple[int, int]:
    """The output in use and its CRTC."""
    for output in resources.outputs:
        info = randr.GetOutputInfo(output, resources.config_timestamp).reply()
        if info.connection == rr.Connection.Connected and info.num_crtcs:
            return output, info.crtc or info.crtcs[0]
    raise DisplayError("the display has no output")


def _mode(randr: Any, root: int, resources: Any, size_px: tuple[int, int]) -> tuple[int, bool]:
    """A mode of that size and whether it was made just now."""
    width, height = size_px
    name = f"{NAME_PREFIX}{width}x{height}"
    names = bytes(resources.names.buf())
    at = 0
    for mode in resources.modes:
        if names[at : at + mode.name_len].decode("latin-1") == name:
            return mode.id, False
        at += mode.name_len
    # No monitor sees it: any timing with a little blanking does.
    h_total, v_total = width + 160, height + 30
    mode_info: Any = rr.ModeInfo
    info = mode_info.synthetic(
        0, width, height, h_total * v_total * REFRESH_HZ,
        width + 48, width + 80, h_total, 0,
        height + 3, height + 8, v_total, len(name), 0,
    )  # fmt: skip
    return randr.CreateMode(root, info, len(name), name).reply().mode, True


def _switch(
    randr: Any,
    root: int,
    resources: Any,
    target: tuple[int, int, int],
    size_px: tuple[int, int],
    now_px: tuple[int, int],
) -> None:
    output, crtc, mode = target
    # The screen must hold what the CRTC shows at every moment: it grows first and shrinks last.
    around = (max(size_px[0], now_px[0]), max(size_px[1], now_px[1]))
    _set_screen(randr, root, around)
    randr.SetCrtcConfig(crtc, 0, resources.config_timestamp, 0, 0, mode, rr.Rotation.Rotate_0, 1, [output]).reply()
    _set_screen(randr, root, size_px)


def _set_screen(randr: Any, root: int, size_px: tuple[int, int]) -> None:
    millimetres = [round(side * MM_PER_INCH / DPI) for side in size_px]
    randr.SetScreenSizeChecked(root, *size_px, *millimetres).check()
