"""API keys: what is kept of them, that changes hold at once, and that nothing leaks."""

from __future__ import annotations

import hmac
import json
from pathlib import Path

import pytest

from gateway.edge.apikeys import ApiKey, Scope, digest, find, key_id, new_secret
from gateway.edge.keystore import MAX_KEYS, Keyring, keys_path, last_used, read_keys, update_keys
from gateway.errors import ConfigError
from gateway.keyfiles import api_key_path, load_keys, operator_key, save_api_key
from gateway.tokens import API_KEY_PREFIX

NOW = 1_700_000_000.0


def a_key(secret: str, owner: str = "shop", scopes: frozenset[Scope] = frozenset(), **more: float) -> ApiKey:
    return ApiKey(id=key_id(secret), digest=digest(secret), owner=owner, scopes=scopes, created_at=NOW, **more)


def test_a_secret_is_long_and_no_two_are_alike() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert one.startswith(API_KEY_PREFIX)
    assert len(one) >= len(API_KEY_PREFIX) + 43, "256 bits"


def test_a_key_is_found_by_its_whole_secret_while_it_is_good() -> None:
    secret, other = new_secret(), new_secret()
    keys = [a_key(other), a_key(secret, expires_at=NOW + 10)]
    found = find(secret, keys, NOW)
    assert found is not None
    assert found.id == key_id(secret)
    assert find(secret, keys, NOW + 10) is None, "expired"
    assert find(secret[:-1], keys, NOW) is None
    assert find("clé", keys, NOW) is None
    assert find(secret, [a_key(secret, revoked_at=NOW)], NOW) is None


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, real = 0, hmac.compare_digest

    def counting(one: str, other: str) -> bool:
        nonlocal compared
        compared += 1
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    secrets = [new_secret() for _ in range(5)]
    keys = [a_key(secret) for secret in secrets]
    for given in (secrets[0], secrets[4], new_secret()):
        compared = 0
        find(given, keys, NOW)
        assert compared == 5


def test_scopes() -> None:
    reader = a_key(new_secret(), scopes=frozenset({Scope.SESSIONS_READ}))
    assert reader.may(Scope.SESSIONS_READ)
    assert not any(reader.may(scope) for scope in Scope if scope is not Scope.SESSIONS_READ)
    operator = operator_key(new_secret(), NOW)
    assert all(operator.may(scope) for scope in Scope)
    assert operator.sees_all
    assert not reader.sees_all


def test_first_start_makes_a_key_and_keeps_a_digest(tmp_path: Path) -> None:
    keys = load_keys(tmp_path, now=NOW)
    text = keys_path(tmp_path).read_text()
    assert keys.api_key not in text
    assert keys.api_key.removeprefix(API_KEY_PREFIX) not in text
    assert keys_path(tmp_path).stat().st_mode & 0o777 == 0o600
    (known,) = read_keys(keys_path(tmp_path))
    assert known.scopes == {Scope.ADMIN}
    assert load_keys(tmp_path, now=NOW).api_key == keys.api_key
    assert len(read_keys(keys_path(tmp_path))) == 1


def test_a_key_of_an_older_gateway_goes_on(tmp_path: Path) -> None:
    old = new_secret()
    save_api_key(tmp_path, old)
    load_keys(tmp_path, now=NOW)
    assert Keyring(keys_path(tmp_path)).identify(old) is not None


def test_a_revoked_key_stays_revoked_whatever_the_file_says(tmp_path: Path) -> None:
    first = load_keys(tmp_path, now=NOW).api_key
    update_keys(keys_path(tmp_path), lambda keys: [key.model_copy(update={"revoked_at": NOW}) for key in keys])
    again = load_keys(tmp_path, now=NOW)
    assert again.api_key == first
    assert Keyring(keys_path(tmp_path)).identify(first) is None


def test_the_copy_for_this_hosts_commands_may_be_taken_away(tmp_path: Path) -> None:
    secret = load_keys(tmp_path, now=NOW).api_key
    api_key_path(tmp_path).unlink()
    assert load_keys(tmp_path, now=NOW).api_key == "", "no second key that opens everything is made"
    assert Keyring(keys_path(tmp_path)).identify(secret) is not None


def test_a_change_holds_from_the_next_request_on(tmp_path: Path) -> None:
    path, one, two = keys_path(tmp_path), new_secret(), new_secret()
    update_keys(path, lambda keys: [a_key(one)])
    ring = Keyring(path, clock=lambda: NOW)
    assert ring.identify(one) is not None
    assert ring.identify(two) is None
    update_keys(path, lambda keys: [*keys, a_key(two)])
    assert ring.identify(two) is not None
    assert ring.identify(one) is not None, "several are good at once"
    update_keys(path, lambda keys: [key for key in keys if key.id == key_id(two)])
    assert ring.identify(one) is None


def test_a_broken_file_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, secret = keys_path(tmp_path), new_secret()
    update_keys(path, lambda keys: [a_key(secret)])
    ring = Keyring(path, clock=lambda: NOW)
    path.write_text("{")
    assert ring.identify(secret) is not None
    assert "the API keys stay as they were" in caplog.text
    with pytest.raises(ConfigError, match="does not hold API keys"):
        read_keys(path)


def test_without_its_file_no_key_is_good(tmp_path: Path) -> None:
    path, secret = keys_path(tmp_path), new_secret()
    update_keys(path, lambda keys: [a_key(secret)])
    ring = Keyring(path, clock=lambda: NOW)
    path.unlink()
    assert ring.identify(secret) is None


def test_the_number_of_keys_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="API keys"):
        update_keys(keys_path(tmp_path), lambda keys: [a_key(str(number)) for number in range(MAX_KEYS + 1)])
    assert read_keys(keys_path(tmp_path)) == ()


def test_when_a_key_was_used_is_remembered(tmp_path: Path) -> None:
    path, secret = keys_path(tmp_path), new_secret()
    update_keys(path, lambda keys: [a_key(secret)])
    ring = Keyring(path, clock=lambda: NOW + 5)
    ring.write_used()
    assert last_used(path) == {}
    ring.identify(secret)
    ring.write_used()
    assert last_used(path) == {key_id(secret): NOW + 5}
    assert Keyring(path)._used == {key_id(secret): NOW + 5}
    path.with_name("api-keys-used.json").write_text("[1")
    assert last_used(path) == {}


def test_nothing_of_a_secret_is_in_a_repr(tmp_path: Path) -> None:
    secret = new_secret()
    assert digest(secret) not in repr(a_key(secret))
    assert json.loads(a_key(secret).model_dump_json())["digest"] == digest(secret)
