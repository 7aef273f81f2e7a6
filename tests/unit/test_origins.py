"""What is an origin, as browsers write it, and what must never reach a policy."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.origins import is_own, parse_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("http://127.0.0.1:09000", "http://127.0.0.1:9000"),
        ("http://[0::1]:8080", "http://[::1]:8080"),
        ("http://localhost", "http://localhost"),
        ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
    ],
)
def test_origins_are_written_as_browsers_do(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "*", "shop.example", "https://", "https://shop.example/", "https://shop.example?x", "https://a b",
        "https://*.example", "https://a;b", "https://a,b", "https://'self'", "https://me@a.example", "https://a:b@c",
        "https://a.example:0", "https://a.example:65536", "https://a.example:", "ftp://a.example", "https://[::g]",
        "https://[::1", "https://münchen.example", "https://a..example", "https://-a.example", "https://a\n.example",
        "https://a.example\n", f"https://{'a' * 260}",
    ],
)  # fmt: skip
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError, match=r"origin|host|port|address"):
        parse_origin(text)


@given(st.text() | st.from_regex(r"https?://[^/]*", fullmatch=True))
def test_what_passes_is_safe_in_a_policy(text: str) -> None:
    try:
        origin = parse_origin(text)
    except ValueError:
        return
    assert re.fullmatch(r"https?://[a-z0-9._:\[\]-]+", origin)
    assert parse_origin(origin) == origin


def test_the_own_origin_is_known_by_the_host_header() -> None:
    assert is_own("http://127.0.0.1:8080", "127.0.0.1:8080")
    assert is_own("https://Desk.example", "desk.example")
    for origin, host in (("null", ""), ("", ""), ("http://a:1", "a:2"), ("http://a.evil", "a")):
        assert not is_own(origin, host)
