"""Golden images: found, or refused with what to do."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ImageError
from gateway.vm.images import find_image, open_image, verify_image

FILES = {"vmlinuz": b"kernel", "initrd.img": b"initrd", "disk.raw": b"disk" * 100}


def make(golden: Path, profile: str, key: str, change: Callable[[dict[str, Any]], None] = lambda body: None) -> Path:
    folder = golden / f"{profile}-{key}"
    folder.mkdir(parents=True)
    files = {}
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
        files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    body: dict[str, Any] = {
        "profile": profile, "key": key, "cmdline": "quiet", "files": files, "versions": {"kernel": "6.12"},
    }  # fmt: skip
    change(body)
    (folder / "manifest.json").write_text(json.dumps(body))
    return folder


def test_an_image_is_what_its_manifest_says(tmp_path: Path) -> None:
    image = find_image(make(tmp_path, "xfce", "1234").parent, "xfce")
    assert (image.profile, image.key, image.cmdline, image.versions["kernel"]) == ("xfce", "1234", "quiet", "6.12")
    assert image.kernel.read_bytes() == b"kernel"
    assert image.kernel_hash == hashlib.sha256(b"kernel").hexdigest()
    verify_image(image)


def test_the_newest_of_the_profile_is_taken(tmp_path: Path) -> None:
    for age, (profile, key) in enumerate(
        [("xfce", "new"), ("xfce", "old"), ("xfce-lite", "newer"), ("openbox", "x")]
    ):
        manifest = make(tmp_path, profile, key) / "manifest.json"
        os.utime(manifest, ns=(0, 10**18 - age * 10**9))
    (tmp_path / "xfce-unfinished").mkdir()
    assert find_image(tmp_path, "xfce").key == "new"


@pytest.mark.parametrize("missing", ["nothing at all", "only others"])
def test_no_image_says_how_to_make_one(tmp_path: Path, missing: str) -> None:
    if missing == "only others":
        make(tmp_path / "golden", "openbox", "1234")
    with pytest.raises(ImageError, match="no golden image of the profile xfce") as caught:
        find_image(tmp_path / "golden", "xfce")
    assert "fenster build" in caught.value.hint


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_is_named(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path, "xfce", "1234")
    (folder / name).write_bytes(b"!")  # Another size.
    with pytest.raises(ImageError, match=name):
        open_image(folder)
    (folder / name).unlink()
    with pytest.raises(ImageError, match=name):
        open_image(folder)


def test_damage_of_the_same_size_is_found_by_its_hash(tmp_path: Path) -> None:
    folder = make(tmp_path, "xfce", "1234")
    (folder / "disk.raw").write_bytes(b"disc" * 100)
    with pytest.raises(ImageError, match=r"disk\.raw is damaged"):
        verify_image(open_image(folder))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"files": 3}', '{"files": {"vmlinuz": {}}}'])
def test_a_bad_manifest_is_an_image_error(tmp_path: Path, text: str) -> None:
    folder = make(tmp_path, "xfce", "1234")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ImageError, match=r"manifest\.json"):
        open_image(folder)


def test_a_command_line_may_be_a_list(tmp_path: Path) -> None:
    folder = make(tmp_path, "xfce", "1234", lambda body: body.update(cmdline=["a", "b=c"]))
    assert open_image(folder).cmdline == "a b=c"
