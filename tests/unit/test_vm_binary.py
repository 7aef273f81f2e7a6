"""QEMU: found, new enough, or a sentence on how to get it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.errors import VmUnavailable
from gateway.vm.binary import find_qemu, parse_version


def _install(folder: Path, text: str, status: int = 0) -> None:
    script = folder / "qemu-system-x86_64"
    script.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
    script.chmod(0o755)
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    os.symlink(setpriv, folder / "setpriv")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright",
            ("10.0.2 (Debian 1:10.0.2+ds-2)", (10, 0)),
        ),
        ("QEMU emulator version 8.2.2", ("8.2.2", (8, 2))),
    ],
)
def test_versions(text: str, version: tuple[str, tuple[int, int]]) -> None:
    assert parse_version(text) == version


async def test_a_new_one_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, "QEMU emulator version 8.2.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    qemu = await find_qemu()
    assert (qemu.path, qemu.version) == (tmp_path / "qemu-system-x86_64", "8.2.0")


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("QEMU emulator version 7.2.22 (Debian)", 0, r"is QEMU 7\.2\.22 \(Debian\), 8\.2 or newer"),
        ("something else", 0, "printed no version"),
        ("QEMU emulator version 10.0.2", 3, "does not run"),
    ],
)
async def test_a_bad_one_is_refused_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, status: int, says: str
) -> None:
    _install(tmp_path, text, status)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VmUnavailable, match=says) as caught:
        await find_qemu()
    assert "bookworm-backports" in caught.value.hint


async def test_none_is_refused_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VmUnavailable, match="not on the PATH") as caught:
        await find_qemu()
    assert "apt install" in caught.value.hint
