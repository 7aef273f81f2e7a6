"""The builder around the stages, with a stand-in for mmdebstrap: resume, atomic results, errors with hints."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from golden import build as builder
from golden import host
from golden import refresh as refreshing
from golden.build import Image, Progress, build, find
from golden.errors import BusyError, HostError, RecipeError, StageError
from golden.stages import Stage, stages

STAND_IN = """#!/bin/sh
# Plays mmdebstrap: writes what the stage would, and counts its runs. Fails where the test says so.
out=
for word; do last=$word; case $word in *.tar.zst) out=$word ;; esac; done
name=$(basename "${FENSTER_OUT:-packages}" .tar.zst)
echo "$name" >> "$TMPDIR/../ran"
echo "I: $name begins"
if [ -e "$TMPDIR/../fail-$name" ]; then
  touch "${FENSTER_OUT:-$last}.half"
  echo "E: $name broke"
  exit 7
fi
case $name in
  packages) echo tar > "$last" ;;
  image)
    mkdir -p "$FENSTER_OUT/initrd"
    for file in vmlinuz disk.raw initrd/busybox; do echo "$file" > "$FENSTER_OUT/$file"; done
    : > "$FENSTER_OUT/initrd/modules.list"
    echo 6.12 > "$FENSTER_OUT/kernel.txt"
    echo "node v20.19.2" > "$FENSTER_OUT/versions.txt"
    echo "bash 5.2" > "$FENSTER_OUT/packages.txt" ;;
  *) echo tar > "$FENSTER_OUT" ;;
esac
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and the stand-in before the real mmdebstrap in the stages' path."""
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "mmdebstrap"
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def stand_in(*args: Any, **kwargs: Any) -> list[Stage]:
        made = []
        for stage in stages(*args, **kwargs):
            after = stage.argv[stage.argv.index("mmdebstrap") + 1 :]
            made.append(replace(stage, argv=(str(program), *after), room_mib=1))
        return made

    monkeypatch.setattr(builder, "stages", stand_in)
    monkeypatch.setattr(host, "check_tools", lambda uid: None)
    monkeypatch.setattr(builder, "userns_prefix", lambda uid: [])
    return tmp_path / "cache"


def ran(cache: Path) -> list[str]:
    return (cache / "ran").read_text().split()


def quiet(_: Progress) -> None:
    pass


def test_a_build_makes_an_image_and_a_second_one_finds_it(cache: Path) -> None:
    assert find("xfce", cache) is None
    events: list[Progress] = []
    image = build("xfce", cache=cache, progress=events.append)
    assert isinstance(image, Image)
    assert image.disk.read_text() == "disk.raw\n"
    assert image.manifest.versions["node"] == "v20.19.2"
    assert image.manifest.versions["@openai/codex"] == "0.169.0"
    assert image.manifest.packages == {"bash": "5.2"}
    assert ran(cache) == ["packages", "clis", "venv", "image"]
    assert [(e.index, e.state) for e in events if e.state == "done"] == [(n, "done") for n in (1, 2, 3, 4)]
    assert any("packages begins" in event.detail for event in events)
    assert find("xfce", cache) == image
    assert build("xfce", cache=cache, progress=quiet) == image
    assert len(ran(cache)) == 4


def test_a_failed_stage_leaves_nothing_half_made_and_a_rerun_goes_on_after_the_last_whole_one(cache: Path) -> None:
    cache.mkdir()
    (cache / "fail-venv").touch()
    with pytest.raises(StageError, match="exit status 7") as caught:
        build("xfce", cache=cache, progress=quiet)
    assert "E: venv broke" in caught.value.tail
    assert "venv.log" in caught.value.hint
    assert not list((cache / "stages").glob("venv-*"))
    assert find("xfce", cache) is None
    (cache / "fail-venv").unlink()
    build("xfce", cache=cache, progress=quiet)
    assert ran(cache) == ["packages", "clis", "venv", "venv", "image"]
    assert not list((cache / "work").iterdir())


def test_an_interruption_ends_the_program_and_passes_on(cache: Path) -> None:
    def stop_at(stage: str) -> Callable[[Progress], None]:
        def callback(event: Progress) -> None:
            if event.stage == stage and event.detail:
                raise KeyboardInterrupt

        return callback

    with pytest.raises(KeyboardInterrupt):
        build("xfce", cache=cache, progress=stop_at("clis"))
    assert len(list((cache / "stages").iterdir())) == 1
    build("xfce", cache=cache, progress=quiet)
    assert ran(cache) == ["packages", "clis", "clis", "venv", "image"]


def test_a_damaged_image_is_built_again(cache: Path) -> None:
    image = build("xfce", cache=cache, progress=quiet)
    image.disk.write_text("")
    assert find("xfce", cache) is None
    again = build("xfce", cache=cache, progress=quiet)
    assert again.disk.read_text() == "disk.raw\n"
    assert ran(cache)[4:] == ["image"]


def test_two_builds_do_not_share_a_cache(cache: Path) -> None:
    cache.mkdir()
    fd = os.open(cache / "build.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(BusyError) as caught:
            build("xfce", cache=cache, progress=quiet)
    finally:
        os.close(fd)
    assert caught.value.hint


def test_no_room_is_said_before_the_stage_starts(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(HostError, match="0 MiB free") as caught:
        build("xfce", cache=cache, progress=quiet)
    assert "XDG_CACHE_HOME" in caught.value.hint
    assert not (cache / "ran").exists()


def test_missing_tools_are_named_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program, path: None if program in ("zstd", "newuidmap") else "/x")
    assert set(host.missing_tools(0)) - {"debian-archive-keyring"} == {"zstd"}
    assert set(host.missing_tools(1000)) - {"debian-archive-keyring"} == {"uidmap", "zstd"}
    with pytest.raises(HostError, match="zstd") as caught:
        host.check_tools(0)
    assert caught.value.hint.startswith("sudo apt-get install ")


def test_an_unknown_profile(cache: Path) -> None:
    with pytest.raises(RecipeError, match="gnome"):
        find("gnome", cache)


def test_old_images_go_and_the_newest_stay(cache: Path) -> None:
    for age in range(5):
        folder = cache / "golden" / f"xfce-{age:016d}"
        folder.mkdir(parents=True)
        os.utime(folder, (1000 - age, 1000 - age))
    other = cache / "golden" / "openbox-0"
    other.mkdir()
    image = build("xfce", cache=cache, progress=quiet)
    left = {path.name for path in (cache / "golden").iterdir()}
    assert left == {image.path.name, "xfce-0000000000000000", "xfce-0000000000000001", "openbox-0"}


def test_a_refresh_takes_the_present_images_place_when_it_is_whole(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "userns_prefix", lambda uid: [])
    old = build("xfce", cache=cache, progress=quiet)
    (old.path / "disk.raw").chmod(0o600)
    with old.disk.open() as copying:
        fresh = refreshing.refresh("xfce", cache=cache, progress=quiet)
        assert copying.read() == "disk.raw\n"
    assert fresh.path == old.path
    assert stat.S_IMODE(fresh.disk.stat().st_mode) == 0o644
    assert not (cache / "refresh").exists()
    # Of the first build alone: the other ran its own stages, in a cache of its own.
    assert ran(cache).count("image") == 1


def test_a_refresh_that_fails_leaves_the_present_image(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "userns_prefix", lambda uid: [])
    old = build("xfce", cache=cache, progress=quiet)

    def stop(event: Progress) -> None:
        if event.stage == "image":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refreshing.refresh("xfce", cache=cache, progress=stop)
    assert find("xfce", cache) == old
    assert not (cache / "refresh").exists()
