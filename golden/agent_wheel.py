"""A wheel of the guest agent alone, made from this tree without a build backend.

Pure: sources in, bytes out (PyPA binary distribution format 1.0: a zip with METADATA, WHEEL, RECORD and
entry_points.txt). The same sources give the same bytes, so the wheel can take part in the image's key.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping

__all__ = ["CONSOLE_SCRIPT", "DISTRIBUTION", "build_wheel", "wheel_name"]

DISTRIBUTION = "fenster_guest_agent"
CONSOLE_SCRIPT = "fenster-zygote = guest_agent.__main__:main"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold."""


def wheel_name(version: str) -> str:
    return f"{DISTRIBUTION}-{version}-py3-none-any.whl"


def build_wheel(sources: Mapping[str, bytes], *, version: str, requirements: tuple[str, ...]) -> bytes:
    """Pack ``sources`` (paths from the import root, like guest_agent/__init__.py) into a wheel."""
    info = f"{DISTRIBUTION}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {DISTRIBUTION}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requirements]
    files = dict(sources)
    files[f"{info}/METADATA"] = _lines(*metadata)
    files[f"{info}/WHEEL"] = _lines(
        "Wheel-Version: 1.0", "Generator: golden", "Root-Is-Purelib: true", "Tag: py3-none-any"
    )
    files[f"{info}/entry_points.txt"] = _lines("[console_scripts]", CONSOLE_SCRIPT)
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in sorted(files.items())]
    files[f"{info}/RECORD"] = _lines(*record, f"{info}/RECORD,,")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name])
    return out.getvalue()


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
