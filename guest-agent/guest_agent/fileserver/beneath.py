"""Opening what lies below a folder, and never anything else: openat2(2) with RESOLVE_BENEATH.

The kernel itself refuses every way out ("..", absolute and escaping symbolic links, links of /proc), in the moment in
which it opens; a path that is checked first and opened then could be changed in between. Python has no openat2.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

__all__ = ["open_below"]

_SYS_OPENAT2 = 437
"""The same on every architecture."""
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH = 0x02, 0x08
_libc = ctypes.CDLL(None, use_errno=True)


def open_below(folder: int, parts: Sequence[str], flags: int) -> int:
    """Open an existing file or folder; a descriptor that the caller closes.

    Args:
        folder: descriptor of the folder that nothing leaves.
        parts: names on the way; none opens the folder itself.
        flags: as of open(2), without O_CREAT; O_CLOEXEC is added.

    Raises:
        OSError: as open(2); EXDEV when the way leads out.
    """
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    path = "/".join(parts) or "."
    while True:
        fd = int(_libc.syscall(_SYS_OPENAT2, folder, os.fsencode(path), how, len(how)))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        # EAGAIN: something was renamed meanwhile, and the kernel could not be sure.
        if code not in (errno.EAGAIN, errno.EINTR):
            raise OSError(code, os.strerror(code), path)
