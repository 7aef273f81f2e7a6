"""The small parts of the proxy: bucket, account, Decodo's names, exits, pages, SOCKS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from gateway.egress import socks5
from gateway.egress.account import MAX_HOSTS, Account
from gateway.egress.decodo import user_name
from gateway.egress.limits import TokenBucket
from gateway.egress.pages import page
from gateway.egress.policy import parse_target
from gateway.errors import (
    STATUS,
    EgressError,
    TargetForbidden,
    TargetUnreachable,
    UpstreamAuthFailed,
    UpstreamCut,
    UpstreamDown,
)
from gateway.exits import NO_EXIT, Decodo, Exit, Traffic, parse_exit

SECRET = "s3cret/pa:ss%"


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=100, burst=50, now=0)
    assert bucket.take(50, 0) == 0
    assert bucket.take(100, 0) == pytest.approx(1.0)
    assert bucket.take(10, 1.0) == pytest.approx(0.1)
    assert bucket.take(50, 60) == 0
    assert not TokenBucket(1, 1, 0).allows(2, 0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 1000)), min_size=1, max_size=50))
def test_a_bucket_that_is_waited_for_keeps_its_rate(steps: list[tuple[float, int]]) -> None:
    rate, burst, now, total = 100.0, 200.0, 0.0, 0
    bucket = TokenBucket(rate, burst, now)
    for pause_s, tokens in steps:
        now += pause_s
        total += tokens
        now += bucket.take(tokens, now)
        assert total <= burst + rate * now + 1e-6


def test_an_account_stays_small_and_keeps_the_greatest() -> None:
    account = Account()
    account.opened("big.example")
    account.down("big.example", 10_000_000)
    for number in range(10 * MAX_HOSTS):
        account.up(f"{number}.example", 100)
    traffic = account.traffic()
    assert next(iter(traffic.hosts.items())) == ("big.example", 10_000_000)
    assert len(traffic.hosts) == MAX_HOSTS
    assert (traffic.bytes_up, traffic.bytes_down, traffic.connections) == (64_000, 10_000_000, 1)


def test_an_account_counts_on_and_knows_what_is_its_own() -> None:
    earlier = Traffic(5, 6, 2, {f"{number}.example": 1000 - number for number in range(100)}, {"no-exit": 3})
    account = Account(earlier)
    account.up("0.example", 100)
    account.failed("no-exit")
    traffic = account.traffic()
    assert (traffic.bytes_up, traffic.bytes_down, traffic.connections) == (105, 6, 2)
    assert (len(traffic.hosts), traffic.hosts["0.example"], traffic.errors) == (MAX_HOSTS, 1100, {"no-exit": 4})
    assert (account.bytes_up, account.errors, account.total_bytes) == (100, {"no-exit": 1}, 111)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (Decodo(), "user-sp1-session-k3v9x2ab"),
        (Decodo(country="US"), "user-sp1-country-us-session-k3v9x2ab"),
        (
            Decodo(country="us", city="New_York", session="anna", duration_min=30),
            "user-sp1-country-us-city-new_york-session-anna-sessionduration-30",
        ),
    ],
)
def test_decodos_user_names(wanted: Decodo, name: str) -> None:
    assert user_name("sp1", wanted, session="k3v9x2ab") == name
    assert user_name("user-sp1", wanted, session="k3v9x2ab") == name


@pytest.mark.parametrize(
    "given",
    [{"country": "usa"}, {"city": "berlin"}, {"country": "de", "city": "a-b"}, {"session": "a-b"}, {"session": ""},
     {"duration_min": 0}, {"duration_min": 1441}, {"zip": "1"}],
)  # fmt: skip
def test_what_decodo_does_not_take(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Decodo.model_validate(given)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("none", NO_EXIT),
        ("direct", Exit(type="direct")),
        ("http://proxy.example:8080", Exit(type="http", host="proxy.example", port=8080)),
        (
            "socks5h://a%40b:s3cret%2Fpa%3Ass%25@10.0.0.1:1080/",
            Exit(type="socks5", host="10.0.0.1", port=1080, username="a@b", password=SecretStr(SECRET)),
        ),
        ("https://[2001:db8::1]:443", Exit(type="https", host="2001:db8::1", port=443)),
    ],
)
def test_an_exit_by_its_url(text: str, out: Exit) -> None:
    assert parse_exit(text) == out


@pytest.mark.parametrize(
    "text",
    [
        "", "proxy.example:8080", f"ftp://u:{SECRET}@h:1", "http://h", "http://:80", f"http://u:{SECRET}@h:0",
        f"http://u:{SECRET}@h:70000", "http://h:80/path", "http://h:80?q", "http://u%0d%0aX:p@h:80",
        "http://u:p p@h:80",
        f"http://:{SECRET}@h:80", f"http://u%3Ax:{SECRET}@h:80", f"http://u:{'x' * 256}@h:80", "http://a b:80",
        f"http://u:{SECRET}@[::1:80",
    ],
)  # fmt: skip
def test_what_is_no_exit_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_exit(text)
    shown = (
        [str(error["msg"]) for error in caught.value.errors()] if isinstance(caught.value, ValidationError) else []
    )
    assert not any("s3cret" in word for word in shown or [str(caught.value)])


def test_a_password_shows_only_where_it_is_revealed() -> None:
    out = parse_exit("http://u:s3cret@proxy.example:8080")
    assert not any("s3cret" in text for text in (repr(out), str(out), out.model_dump_json(), str(out.model_dump())))
    assert Exit.model_validate(out.reveal()) == out
    assert str(out) == "http://proxy.example:8080"


@pytest.mark.parametrize("extra", [{"host": "h"}, {"port": 1}, {"username": "u"}, {"password": "p"}, {"decodo": {}}])
def test_no_upstream_no_more(extra: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Exit.model_validate({"type": "direct", **extra})


def every_error() -> list[type[EgressError]]:
    return EgressError.__subclasses__()


@pytest.mark.parametrize("kind", every_error())
def test_every_failure_has_its_page(kind: type[EgressError]) -> None:
    error = kind("it <b>failed</b>", hint="mend & see")
    for as_html in (True, False):
        head, _, body = page(error, as_html=as_html, target="<script>.example:80").partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0].startswith(f"HTTP/1.1 {STATUS[error.kind]} ")
        assert f"Content-Length: {len(body)}" in lines
        assert any(line.startswith("Proxy-Status: fenster; error=") and error.kind in line for line in lines)
        assert "Connection: close" in lines
        assert b"407" not in head
        if as_html:
            assert b"<script>" not in body
            assert b"it &lt;b&gt;failed" in body.lower()
        else:
            assert b"It <b>failed</b>." in body
        assert b"The request failed" not in body


def test_socks() -> None:
    assert socks5.greeting(with_login=True) == b"\x05\x01\x02"
    assert socks5.login("ab", "cde") == b"\x01\x02ab\x03cde"
    assert socks5.connect(parse_target("a.example:443")) == b"\x05\x01\x00\x03\x09a.example\x01\xbb"
    assert socks5.connect(parse_target("1.1.1.1:80")) == b"\x05\x01\x00\x01\x01\x01\x01\x01\x00\x50"
    assert socks5.connect(parse_target("[2606::1]:80"))[:5] == b"\x05\x01\x00\x04\x26"
    assert socks5.check_reply(b"\x05\x00\x00\x03") == 3
    assert [socks5.rest_of_reply(kind, 9) for kind in (1, 4, 3)] == [5, 17, 11]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"\x05\x01\x00\x01", UpstreamDown), (b"\x05\x02\x00\x01", TargetForbidden),
        (b"\x05\x05\x00\x01", TargetUnreachable), (b"\x05\x09\x00\x01", UpstreamDown), (b"HTTP", UpstreamCut),
    ],
)  # fmt: skip
def test_socks_refusals(reply: bytes, error: type[EgressError]) -> None:
    with pytest.raises(error):
        socks5.check_reply(reply)


def test_socks_logins() -> None:
    for answer, error in ((b"\x05\xff", UpstreamAuthFailed), (b"\x05\x01", UpstreamAuthFailed), (b"HT", UpstreamCut)):
        with pytest.raises(error):
            socks5.wants_login(answer)
    with pytest.raises(UpstreamAuthFailed):
        socks5.check_login(b"\x01\x01")
    with pytest.raises(UpstreamCut):
        socks5.rest_of_reply(9, 0)
