"""The relay's table: who gets in, who is pushed out, and that every drop is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dataplane import IceCredentials
from gateway.errors import Conflict
from gateway.relay.table import Address, Mapping, RelayTable
from tests.stun_messages import binding_request, binding_response

PWD = "p" * 22
OTHER_PWD = "q" * 22
REQUEST = binding_request("ufragone", PWD)
DTLS = b"\x16\xfe\xfd" + bytes(40)


def address(port: int, host: str = "192.0.2.1") -> Address:
    return (0, host, port)


def table(**limits: float) -> RelayTable:
    made = RelayTable(**limits)  # type: ignore[arg-type]
    made.admit("vm1", IceCredentials("ufragone", PWD, 5000))
    return made


def opened(made: RelayTable, port: int, now: float, data: bytes = REQUEST) -> Mapping:
    mapping, _ = made.judge(address(port), data, now)
    assert mapping is not None
    return mapping


def refused(made: RelayTable, port: int, now: float, reason: str, data: bytes = REQUEST) -> None:
    before = made.counts[f"dropped_{reason}"]
    assert made.judge(address(port), data, now) == (None, [])
    assert made.counts[f"dropped_{reason}"] == before + 1


def test_a_verified_request_maps_its_address_once() -> None:
    made = table()
    mapping = opened(made, 1, 0.0)
    assert mapping.peer.vm_id == "vm1"
    assert opened(made, 1, 5.0) is mapping
    assert mapping.last_rcvd_s == 5.0
    assert made.counts["mappings_opened"] == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DTLS, "not_stun"),
        (binding_response(PWD), "not_request"),
        (REQUEST[:-4], "malformed"),
        (binding_request("ufragtwo", PWD), "unknown_ufrag"),
        (binding_request("ufragone", OTHER_PWD), "bad_integrity"),
    ],
)
def test_strangers_are_dropped_and_counted(data: bytes, reason: str) -> None:
    made = table()
    refused(made, 1, 0.0, reason, data)
    assert not made.mappings


@pytest.mark.parametrize("data", [DTLS, binding_response(PWD), REQUEST[:-4]])
def test_a_known_address_may_say_anything(data: bytes) -> None:
    made = table()
    mapping = opened(made, 1, 0.0)
    assert made.judge(address(1), data, 1.0) == (mapping, [])


def test_a_taken_ufrag_is_a_conflict() -> None:
    made = table()
    with pytest.raises(Conflict):
        made.admit("vm2", IceCredentials("ufragone", OTHER_PWD, 5001))
    assert opened(made, 1, 0.0).peer.vm_id == "vm1"


def test_a_roaming_client_keeps_both_addresses_until_the_old_one_is_idle() -> None:
    made = table(idle_s=60.0)
    old = opened(made, 1, 0.0)
    new = opened(made, 2, 30.0)
    assert set(made.mappings.values()) == {old, new}
    assert made.expire(59.9) == []
    assert made.expire(60.0) == [old]
    assert list(made.mappings.values()) == [new]
    assert made.counts["mappings_expired"] == 1


def test_a_full_peer_pushes_out_its_longest_idle_address() -> None:
    made = table(max_per_peer=2, lively_s=10.0)
    first, second = opened(made, 1, 0.0), opened(made, 2, 1.0)
    first.last_rcvd_s = 20.0
    mapping, ended = made.judge(address(3), REQUEST, 21.0)
    assert mapping is not None
    assert ended == [second]
    assert made.counts["mappings_evicted"] == 1


def test_a_full_peer_keeps_its_lively_addresses() -> None:
    made = table(max_per_peer=2, lively_s=10.0)
    opened(made, 1, 0.0)
    opened(made, 2, 0.0)
    refused(made, 3, 9.9, "peer_full")


def test_a_full_table_refuses() -> None:
    made = table(max_mappings=1)
    opened(made, 1, 0.0)
    refused(made, 2, 100.0, "table_full")


def test_an_address_that_names_another_peer_changes_over() -> None:
    made = table()
    made.admit("vm2", IceCredentials("ufragtwo", OTHER_PWD, 5001))
    old = opened(made, 1, 0.0)
    refused(made, 1, 1.0, "bad_integrity", binding_request("ufragtwo", PWD))
    mapping, ended = made.judge(address(1), binding_request("ufragtwo", OTHER_PWD), 2.0)
    assert mapping is not None
    assert mapping.peer.vm_id == "vm2"
    assert ended == [old]
    assert not old.peer.mappings


def test_revoke_ends_the_peer_of_that_vm_only() -> None:
    made = table()
    mapping = opened(made, 1, 0.0)
    assert made.revoke("vm2", "ufragone") == []
    assert made.revoke("vm1", "ufragone") == [mapping]
    assert made.revoke("vm1", "ufragone") == []
    refused(made, 1, 1.0, "unknown_ufrag")


def test_revoke_vm_ends_all_its_peers() -> None:
    made = table()
    made.admit("vm1", IceCredentials("ufragtwo", PWD, 5001))
    made.admit("vm2", IceCredentials("ufragthree", PWD, 5002))
    kept = opened(made, 1, 0.0, binding_request("ufragthree", PWD))
    ended = {opened(made, 2, 0.0), opened(made, 3, 0.0, binding_request("ufragtwo", PWD))}
    assert set(made.revoke_vm("vm1")) == ended
    assert list(made.mappings.values()) == [kept]
    assert list(made.peers) == [b"ufragthree"]


def test_forget_twice_is_forget() -> None:
    made = table()
    mapping = opened(made, 1, 0.0)
    made.forget(mapping)
    made.forget(mapping)
    assert not made.mappings
    assert opened(made, 1, 1.0) is not mapping


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", "wrong", "noise", "expire", "revoke", "admit"]),
        st.integers(1, 6),
        st.floats(0.0, 30.0),
    ),
    max_size=60,
)


@given(STEPS)
def test_limits_and_bookkeeping_hold_whatever_comes(steps: list[tuple[str, int, float]]) -> None:
    made = table(max_per_peer=2, max_mappings=3, idle_s=20.0, lively_s=5.0)
    made.admit("vm2", IceCredentials("ufragtwo", OTHER_PWD, 5001))
    messages = {
        "one": REQUEST,
        "two": binding_request("ufragtwo", OTHER_PWD),
        "wrong": binding_request("ufragtwo", PWD),
        "noise": DTLS,
    }
    now = 0.0
    for step, port, wait_s in steps:
        now += wait_s
        if step in messages:
            made.judge(address(port), messages[step], now)
        elif step == "expire":
            made.expire(now)
            assert all(now - mapping.last_rcvd_s < 20.0 for mapping in made.mappings.values())
        elif step == "revoke":
            made.revoke("vm1", "ufragone")
        elif b"ufragone" not in made.peers:
            made.admit("vm1", IceCredentials("ufragone", PWD, 5000))
        of_peers = {key: mapping for peer in made.peers.values() for key, mapping in peer.mappings.items()}
        assert of_peers == made.mappings
        assert len(made.mappings) <= 3
        assert all(len(peer.mappings) <= 2 for peer in made.peers.values())
