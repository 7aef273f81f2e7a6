"""The secrets on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.keyfiles import api_key_path, load_keys, load_sealing_key, read_api_key


def test_keys_are_made_once_private_and_read_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = load_keys(state)
    assert first.created
    again = load_keys(state)
    assert not again.created
    assert (again.api_key, again.signing_key) == (first.api_key, first.signing_key)
    assert read_api_key(state) == first.api_key
    assert state.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
    assert len(first.signing_key) >= 32


def test_keys_are_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_keys(tmp_path / "state")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir()} == {0}


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    keys = load_keys(tmp_path)
    assert keys.api_key not in repr(keys)
    assert keys.signing_key.decode() not in repr(keys)


def test_an_empty_key_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    api_key_path(tmp_path).write_text("\n")
    with pytest.raises(ConfigError) as caught:
        load_keys(tmp_path)
    assert str(api_key_path(tmp_path)) in caught.value.message
    assert "rm " in caught.value.hint


def test_a_gateway_that_never_ran_has_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no API key"):
        read_api_key(tmp_path)


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigError, match="cannot keep keys"):
        load_keys(tmp_path / "state")


def test_the_sealing_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = load_sealing_key(tmp_path)
    assert len(key) == 32
    assert load_sealing_key(tmp_path) == key
    path = tmp_path / "sealing-key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("z" * 64)
    with pytest.raises(ConfigError, match="sealing-key"):
        load_sealing_key(tmp_path)
