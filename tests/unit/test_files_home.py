"""The file service's operations on real folders: what can be reached, and that nothing half written is ever there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.fileserver.operations import Home, Refused
from guest_agent.protocol.stream import MAX_HEAD_BYTES, BadHead, decode_head, encode_head, parts_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def home(folder: Path) -> Iterator[Home]:
    home = Home(str(folder))
    yield home
    home.close()


def read(home: Home, *parts: str, start: int | None = None, stop: int | None = None) -> bytes:
    with home.read(parts, start, stop) as part:
        return os.pread(part.fd, part.length, part.start)


def write(home: Home, parts: tuple[str, ...], data: bytes, *, exclusive: bool = False) -> bool:
    with home.upload(parts, len(data), exclusive=exclusive) as upload:
        os.write(upload.fd, data)
        return bool(upload.finish()["created"])


def refusal(exc: pytest.ExceptionInfo[Refused]) -> str:
    return exc.value.kind


def test_a_file_is_there_whole_under_its_name_only_when_it_is_finished(home: Home, folder: Path) -> None:
    with home.upload(("new", "deep", "file"), 5, exclusive=False) as upload:
        os.write(upload.fd, b"hel")
        assert list((folder / "new/deep").iterdir()) == []
        os.write(upload.fd, b"lo")
        assert upload.finish()["created"] is True
    assert (folder / "new/deep/file").read_bytes() == b"hello"
    assert [path.name for path in (folder / "new/deep").iterdir()] == ["file"]


def test_one_that_is_given_up_leaves_nothing(home: Home, folder: Path) -> None:
    with home.upload(("file",), 5, exclusive=False) as upload:
        os.write(upload.fd, b"hel")
    assert list(folder.iterdir()) == []


def test_a_file_is_replaced_in_one_step_and_not_when_that_is_not_wanted(home: Home, folder: Path) -> None:
    assert write(home, ("file",), b"one") is True
    before = (folder / "file").open("rb")
    assert write(home, ("file",), b"two") is False
    assert (before.read(), (folder / "file").read_bytes()) == (b"one", b"two")
    before.close()
    with pytest.raises(Refused) as exc:
        write(home, ("file",), b"three", exclusive=True)
    assert refusal(exc) == "exists"
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_name_that_is_taken_while_it_was_written_is_not_replaced_either(home: Home, folder: Path) -> None:
    with home.upload(("file",), 3, exclusive=True) as upload:
        (folder / "file").write_text("theirs")
        with pytest.raises(Refused) as exc:
            upload.finish()
    assert refusal(exc) == "exists"
    assert (folder / "file").read_text() == "theirs"


@pytest.mark.parametrize(
    ("start", "stop", "found"),
    [
        (None, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 5, b"34"),
        (-4, None, b"6789"),
        (-40, None, b"0123456789"),
        (8, 400, b"89"),
    ],
)
def test_parts_of_a_file(home: Home, start: int | None, stop: int | None, found: bytes) -> None:
    write(home, ("file",), b"0123456789")
    assert read(home, "file", start=start, stop=stop) == found


def test_a_part_behind_the_end_is_refused_and_an_empty_file_is_not(home: Home) -> None:
    write(home, ("file",), b"0123456789")
    write(home, ("empty",), b"")
    with pytest.raises(Refused) as exc:
        read(home, "file", start=10)
    assert (refusal(exc), exc.value.more) == ("range", {"size": 10})
    assert read(home, "empty", start=0) == b""


@pytest.mark.parametrize("target", ["../outside", "{outside}", "inner/../../outside", "/proc/self/root"])
def test_no_link_leads_out(home: Home, folder: Path, target: str) -> None:
    (folder / "inner").mkdir()
    (folder / "way").symlink_to(target.format(outside=folder.parent / "outside"))
    (folder / "leaf").symlink_to("../outside/secret")
    for attempt in (
        lambda: read(home, "way", "secret"),
        lambda: read(home, "leaf"),
        lambda: home.list(("way",)),
        lambda: home.stat(("way", "secret")),
        lambda: write(home, ("way", "new"), b"x"),
        lambda: home.delete(("way", "secret")),
    ):
        with pytest.raises(Refused) as exc:
            attempt()
        assert refusal(exc) == "denied"
    assert [path.name for path in (folder.parent / "outside").iterdir()] == ["secret"]


def test_a_link_that_stays_inside_is_followed_on_the_way_and_replaced_at_the_end(home: Home, folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "way").symlink_to("real")
    write(home, ("way", "file"), b"x")
    assert (folder / "real/file").read_bytes() == b"x"
    (folder / "leaf").symlink_to("../outside/secret")
    write(home, ("leaf",), b"mine")
    assert not (folder / "leaf").is_symlink()
    assert (folder.parent / "outside/secret").read_text() == "secret"


def test_what_is_no_ordinary_file_is_not_read(home: Home, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.fspath(folder / "sock"))
        kinds = {}
        for name in ("pipe", "folder", "sock", "nothing"):
            with pytest.raises(Refused) as exc:
                read(home, name)
            kinds[name] = refusal(exc)
    assert kinds == {"pipe": "not-file", "folder": "is-directory", "sock": "not-file", "nothing": "not-found"}
    with pytest.raises(Refused) as exc:
        write(home, ("folder",), b"x")
    assert refusal(exc) == "is-directory"


def test_a_listing_says_what_is_there_and_what_has_no_url_is_left_out(home: Home, folder: Path) -> None:
    write(home, ("b.txt",), b"12345")
    (folder / "a").mkdir()
    (folder / "link").symlink_to("a")
    os.close(os.open(os.fsencode(folder) + b"/\xff", os.O_CREAT))
    body, truncated = home.list(())
    assert [row[:3] for row in json.loads(body)] == [
        ["a", "directory", 0],
        ["b.txt", "file", 5],
        ["link", "other", 0],
    ]
    assert truncated is False
    with pytest.raises(Refused) as exc:
        home.list(("b.txt",))
    assert refusal(exc) == "not-directory"


def test_deleting(home: Home, folder: Path) -> None:
    write(home, ("file",), b"x")
    (folder / "folder").mkdir()
    home.delete(("file",))
    assert [path.name for path in folder.iterdir()] == ["folder"]
    for parts, kind in ((("folder",), "is-directory"), (("file",), "not-found"), ((), "is-directory")):
        with pytest.raises(Refused) as exc:
            home.delete(parts)
        assert refusal(exc) == kind


def test_more_than_the_disk_has_is_refused_before_a_byte(home: Home, folder: Path) -> None:
    space = os.statvfs(folder)
    with pytest.raises(Refused) as exc, home.upload(("file",), space.f_bavail * space.f_frsize + 1, exclusive=False):
        pass
    assert refusal(exc) == "no-space"
    assert list(folder.iterdir()) == []


@given(st.lists(st.text(max_size=300), max_size=6).map("/".join))
def test_a_path_never_has_a_way_out(path: str) -> None:
    try:
        parts = parts_of(path)
    except BadHead:
        return
    assert "/".join(parts) == path
    for name in parts:
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert "\0" not in name
        assert len(name.encode()) <= 255


@pytest.mark.parametrize(
    "path", ["/etc", "a//b", "a/../b", "..", ".", "a/", "a\0b", "\ud800", "a" * 256, None, 7, ["a"]]
)
def test_paths_that_are_none(path: object) -> None:
    with pytest.raises(BadHead):
        parts_of(path)


@given(st.binary(max_size=200))
def test_a_head_is_an_object_or_refused(line: bytes) -> None:
    with contextlib.suppress(BadHead):
        assert isinstance(decode_head(line + b"\n"), dict)


def test_a_head_comes_back_as_it_was_and_a_long_one_does_not() -> None:
    head = {"path": "ä\n/😀", "size": 1 << 60}
    assert decode_head(encode_head(head)) == head
    # Half a character is none, and no file's name.
    with pytest.raises(BadHead):
        decode_head(b'{"path": "\\ud800"}\n')
    with pytest.raises(BadHead):
        decode_head(b" " * MAX_HEAD_BYTES + b"{}\n")
    with pytest.raises(BadHead):
        decode_head(b"{}")
