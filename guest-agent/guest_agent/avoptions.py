"""Options of an encoder that is already open.

FFmpeg's x264 wrapper looks at ``maxrate``, ``bufsize`` and ``crf`` before every picture and hands changes on
(libx264.c, reconfig_encoder), so a capped stream can change its cap without a keyframe. PyAV 18 has no setter for
them. They are options of the context's AVClass, which ``av_opt_set_int`` of the loaded libavutil sets; what is
missing is the context's address. It is the first field of PyAV's object (codec/context.pxd), behind Cython's method
table. Before it is used, the method table is compared with the type's own, and what lies at the address is read in a
way that cannot crash (process_vm_readv) and must be an AVCodecContext. If anything differs, there are no live
options, and whoever wants one opens another encoder.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

from av.codec.context import CodecContext

__all__ = ["LiveOptions"]

_METHODS_AT, _CONTEXT_AT = 16, 24
"""Offsets in PyAV's object: behind reference count and type; behind the method table."""
_POINTER_BYTES = 8
_CLASS_NAME = b"AVCodecContext\0"


class LiveOptions:
    """Of one open encoder."""

    def __init__(self, codec: CodecContext) -> None:
        self._codec = codec
        self._address = _context_address(codec)

    def get(self, name: str) -> int | None:
        """The value of an integer option; None: not to be had."""
        library, value = _libavutil(), ctypes.c_int64()
        if library is None or self._address is None:
            return None
        failed = library.av_opt_get_int(self._address, name.encode(), 0, ctypes.byref(value))
        return None if failed else value.value

    def set(self, name: str, value: int) -> bool:
        """Set an integer option. False: it has not changed."""
        library = _libavutil()
        if library is None or self._address is None:
            return False
        return library.av_opt_set_int(self._address, name.encode(), value, 0) == 0 and self.get(name) == value


def _context_address(codec: CodecContext) -> int | None:
    """Where the AVCodecContext of a PyAV object is; None where it does not look as expected."""
    capsule = type(codec).__dict__.get("__pyx_vtable__")
    if capsule is None or _pointer_at(id(codec) + _METHODS_AT) != _capsule_pointer(capsule):
        return None
    address = _pointer_at(id(codec) + _CONTEXT_AT)
    av_class = _pointer_at(address) if address else None
    name = _pointer_at(av_class) if av_class else None
    return address if name and _read(name, len(_CLASS_NAME)) == _CLASS_NAME else None


def _capsule_pointer(capsule: Any) -> int | None:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    try:
        pointer: int | None = get(capsule, None)
    except ValueError:
        return None
    return pointer


class _Span(ctypes.Structure):
    """struct iovec"""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


def _read(address: int, size: int) -> bytes | None:
    """This process's memory; None where nothing is mapped."""
    data = ctypes.create_string_buffer(size)
    here, there = _Span(ctypes.addressof(data), size), _Span(address, size)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.process_vm_readv.restype = ctypes.c_ssize_t
    done = libc.process_vm_readv(os.getpid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return data.raw if done == size else None


def _pointer_at(address: int) -> int | None:
    data = _read(address, _POINTER_BYTES)
    return int.from_bytes(data, "little") if data else None


@cache
def _libavutil() -> Any:
    """The one that PyAV has loaded."""
    with open("/proc/self/maps") as maps:
        path = next((line.split(maxsplit=5)[5].strip() for line in maps if "/libavutil" in line), None)
    if path is None:
        return None
    library = ctypes.CDLL(path)
    library.av_opt_get_int.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int64)]
    library.av_opt_set_int.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int]
    return library
