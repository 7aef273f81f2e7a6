"""Token buckets, addresses behind proxies, places, host names: all pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.addresses import bucket_of, client_address, is_trusted, parse_network
from gateway.edge.hosts import HostNames, host_of, parse_host
from gateway.edge.places import Places
from gateway.edge.ratelimit import Rate, RateLimiter, per_minute

PROXIES = [parse_network("127.0.0.0/8"), parse_network("10.0.0.0/8"), parse_network("fd00::/8")]


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    limiter, rate = RateLimiter(), Rate(per_s=2.0, burst=3)
    assert [limiter.take("a", rate, 100.0) for _ in range(3)] == [0.0] * 3
    assert limiter.take("a", rate, 100.0) == pytest.approx(0.5)
    assert limiter.take("b", rate, 100.0) == 0.0, "another's bucket is another"
    assert limiter.take("a", rate, 100.4) == pytest.approx(0.1)
    assert limiter.take("a", rate, 100.5) == 0.0
    assert limiter.take("a", rate, 100.5) > 0


def test_a_bucket_holds_no_more_than_its_burst() -> None:
    limiter, rate = RateLimiter(), per_minute(60)
    assert limiter.take("a", rate, 0.0) == 0.0
    granted = sum(limiter.take("a", rate, 1e6) == 0.0 for _ in range(100))
    assert granted == 60


def test_a_clock_that_was_set_back_costs_nothing_and_gives_nothing() -> None:
    limiter, rate = RateLimiter(), Rate(1.0, 1)
    assert limiter.take("a", rate, 1000.0) == 0.0
    assert limiter.take("a", rate, 10.0) == pytest.approx(1.0)
    assert limiter.take("a", rate, 11.0) == 0.0


def test_a_bucket_that_never_refills_says_so() -> None:
    limiter = RateLimiter()
    assert limiter.take("a", Rate(0.0, 1), 0.0) == 0.0
    assert limiter.take("a", Rate(0.0, 1), 9e9) == float("inf")


def test_the_table_is_bounded_and_the_longest_unused_goes_first() -> None:
    limiter, rate = RateLimiter(max_buckets=3), Rate(0.0, 1)
    for key in "abc":
        assert limiter.take(key, rate, 0.0) == 0.0
    assert limiter.take("a", rate, 0.0) > 0, "used again, so b is the oldest"
    assert limiter.take("d", rate, 0.0) == 0.0
    assert len(limiter) == 3
    assert limiter.take("a", rate, 0.0) > 0
    assert limiter.take("b", rate, 0.0) == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100)), max_size=200))
def test_nobody_ever_gets_more_than_burst_and_rate(asked: list[tuple[str, float]]) -> None:
    limiter, rate, got = RateLimiter(), Rate(per_s=0.5, burst=4), dict.fromkeys("abc", 0)
    now = 0.0
    for key, pause in asked:
        now += pause / 50
        got[key] += limiter.take(key, rate, now) == 0.0
    assert all(count <= 4 + 0.5 * now + 1e-6 for count in got.values())


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6", "198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        ("127.0.0.1", ["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        ("127.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("127.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1, <script>"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


def test_without_trusted_proxies_nothing_that_a_client_writes_counts() -> None:
    assert client_address("127.0.0.1", ["198.51.100.1"], []) == "127.0.0.1"


def test_an_ipv6_subscriber_has_one_bucket() -> None:
    assert bucket_of("2001:db8:1:2::5") == bucket_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert bucket_of("2001:db8:1:3::5") != bucket_of("2001:db8:1:2::5")
    assert bucket_of("192.0.2.1") == "192.0.2.1"


def test_who_is_trusted() -> None:
    assert is_trusted("10.1.2.3", PROXIES)
    assert not is_trusted("11.1.2.3", PROXIES)
    assert not is_trusted("", PROXIES)
    with pytest.raises(ValueError, match="neither an address nor a network"):
        parse_network("proxy.example")


def test_places() -> None:
    places = Places(2, exempt=lambda address: address == "proxy")
    for _ in range(2):
        places.take("a")
    assert not places.free("a")
    assert places.free("b")
    for _ in range(5):
        places.take("proxy")
    assert places.free("proxy")
    places.give_back("a")
    assert places.free("a")
    places.give_back("a")
    for _ in range(5):
        places.give_back("proxy")
    assert len(places) == 0, "nothing is remembered of who has left"


LOCAL = HostNames()
PUBLIC = HostNames("0.0.0.0", "https://desk.example:8443", ["box.lan"], ["myhost", "myhost.local"])


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST.", "10.0.0.7"]
)
def test_a_loopback_gateway_answers_to_its_addresses(host: str) -> None:
    assert LOCAL.knows(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b",
     "localhost,x", "user@localhost", "[::1", "localhost:x", "local host", "127.0.0.1:8080:1", "myhost"],
)  # fmt: skip
def test_a_name_that_somebody_else_resolves_is_not_its_own(host: str) -> None:
    assert not LOCAL.knows(host)


def test_public_url_and_allowed_hosts_and_its_own_name_are_known() -> None:
    for host in ("desk.example", "desk.example:8443", "BOX.lan", "myhost:1", "myhost.local", "localhost"):
        assert PUBLIC.knows(host)
    assert not PUBLIC.knows("example")
    assert not PUBLIC.knows("xdesk.example")


@given(st.text(max_size=300))
def test_any_host_header_is_a_name_or_none(text: str) -> None:
    name = host_of(text)
    assert name is None or (len(name) <= 253 and not set(name) & set("/@, \t\r\n"))
    LOCAL.knows(text)


@pytest.mark.parametrize("bad", ["https://a.example", "a.example:80", "a b", "", "*", "-a", "a" * 300])
def test_allowed_hosts_are_names(bad: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        parse_host(bad)
