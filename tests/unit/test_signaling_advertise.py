"""Which addresses go into an answer."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigError
from gateway.signaling.advertise import advertised, parse_configured


def test_configured_wins_over_everything() -> None:
    found = advertised(configured=("203.0.113.7",), local="192.0.2.1", host_header="192.0.2.2", remote="127.0.0.1")
    assert found == ["203.0.113.7"]


def test_guess_in_order_and_without_doubles() -> None:
    found = advertised(
        local="192.0.2.1",
        host_header="198.51.100.4:8443",
        host_addresses=["127.0.0.1", "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "169.254.3.4", "::"],
        remote="192.0.2.77",
    )
    assert found == ["192.0.2.1", "198.51.100.4", "2001:db8::1"]


def test_a_link_local_address_counts_where_the_viewer_used_it() -> None:
    assert advertised(local="169.254.3.4", remote="169.254.3.5") == ["169.254.3.4"]
    assert advertised(local="fe80::1%eth0", remote="fe80::2%eth0") == []


def test_loopback_only_for_a_viewer_who_came_over_it() -> None:
    assert advertised(local="127.0.0.1", host_header="127.0.0.1:8443", remote="192.0.2.77") == []
    assert advertised(local="127.0.0.1", host_addresses=["192.0.2.1"], remote="127.0.0.1") == [
        "127.0.0.1",
        "192.0.2.1",
    ]
    assert advertised(local="::1", host_header="[::1]:8443", remote="::1") == ["::1"]


def test_a_dual_stack_listener_tells_v4_as_v4() -> None:
    assert advertised(local="::ffff:192.0.2.1", remote="::ffff:192.0.2.9") == ["192.0.2.1"]
    assert advertised(local="::ffff:127.0.0.1", remote="::ffff:127.0.0.1") == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["example.org", "example.org:8443", "localhost", "", "[", "[]", ":80", "1.2.3"])
def test_a_host_that_is_no_literal_says_nothing(host: str) -> None:
    assert advertised(host_header=host, remote="192.0.2.9") == []


@pytest.mark.parametrize("host", ["[2001:db8::7]:8443", "[2001:db8::7]"])
def test_a_v6_host(host: str) -> None:
    assert advertised(host_header=host) == ["2001:db8::7"]


def test_nothing_known_gives_nothing() -> None:
    assert advertised() == []


def test_configured_addresses_are_checked() -> None:
    assert parse_configured(["2001:DB8:0::7", "203.0.113.7", "203.0.113.7"]) == ("2001:db8::7", "203.0.113.7")
    for bad in ("example.org", "203.0.113.7:3478", "0.0.0.0", "224.0.0.1", ""):
        with pytest.raises(ConfigError, match="advertise"):
            parse_configured([bad])
