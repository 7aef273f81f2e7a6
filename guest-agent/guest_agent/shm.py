"""A System V shared memory segment, as MIT-SHM wants it.

Python's own shared memory is POSIX; X servers take System V ids (X Shared Memory Extension, ShmAttach).
"""

from __future__ import annotations

import ctypes
import os

from guest_agent.errors import DisplayError

__all__ = ["Segment"]

_IPC_PRIVATE = 0
_IPC_CREAT = 0o1000
_IPC_RMID = 0


class Segment:
    """Private memory of ``size_bytes``, mode 0600.

    ``forget`` once the X server has attached it: the kernel then frees it with the last of its users, even if
    this process dies.
    """

    def __init__(self, size_bytes: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.shmget.argtypes = (ctypes.c_int, ctypes.c_size_t, ctypes.c_int)
        self._libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
        self._libc.shmat.restype = ctypes.c_void_p
        self._libc.shmdt.argtypes = (ctypes.c_void_p,)
        self._libc.shmctl.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
        self.size_bytes = size_bytes
        self.id: int = self._libc.shmget(_IPC_PRIVATE, size_bytes, _IPC_CREAT | 0o600)
        if self.id < 0:
            raise _failure(f"no shared memory of {size_bytes} bytes")
        address = self._libc.shmat(self.id, None, 0)
        if address is None or address == ctypes.c_void_p(-1).value:
            error = _failure("shared memory cannot be mapped")
            self.forget()
            raise error
        self._address: int | None = address
        self.memory = memoryview((ctypes.c_ubyte * size_bytes).from_address(address)).cast("B")
        """Nothing may use it after ``close``."""

    def forget(self) -> None:
        """Mark it for removal once nobody has it mapped."""
        self._libc.shmctl(self.id, _IPC_RMID, None)

    def close(self) -> None:
        """Unmap it. Idempotent."""
        if self._address is not None:
            self._libc.shmdt(self._address)
            self._address = None


def _failure(what: str) -> DisplayError:
    return DisplayError(
        f"{what}: {os.strerror(ctypes.get_errno())}", hint="kernel.shmmax and kernel.shmall limit shared memory"
    )
