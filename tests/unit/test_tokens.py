"""Viewer tokens and API keys."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unauthorized
from gateway.tokens import Claims, framers, mint, mint_frame, verify

KEY = b"k" * 64
NOW = 1_700_000_000.5


def test_a_token_says_what_was_put_into_it() -> None:
    token, claims = mint(KEY, sid="abcdefgh", role="view", now=NOW, lifetime_s=60, origins=["https://a.example"])
    assert verify(KEY, token, now=NOW) == claims
    assert claims == Claims("abcdefgh", "view", exp=1_700_000_060, iat=1_700_000_000, origins=("https://a.example",))


def test_a_token_ends_at_its_second() -> None:
    token, claims = mint(KEY, sid="abcdefgh", role="control", now=NOW, lifetime_s=60)
    assert verify(KEY, token, now=claims.exp - 0.001).role == "control"
    with pytest.raises(Unauthorized, match="expired"):
        verify(KEY, token, now=claims.exp)


def test_another_key_does_not_verify() -> None:
    token, _ = mint(b"x" * 64, sid="abcdefgh", role="control", now=NOW, lifetime_s=60)
    with pytest.raises(Unauthorized, match="does not verify"):
        verify(KEY, token, now=NOW)


def test_an_unsigned_token_does_not_verify() -> None:
    def part(body: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()

    body = {"sid": "abcdefgh", "role": "control", "exp": NOW + 60, "iat": NOW}
    with pytest.raises(Unauthorized):
        verify(KEY, f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(body)}.", now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "root"},
        {"role": None},
        {"sid": 7},
        {"exp": "soon"},
        {"exp": True},
        {"iat": 1.5},
        {"origins": "https://a.example"},
        {"origins": [1]},
    ],
)
def test_a_signed_token_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    body = {"sid": "abcdefgh", "role": "view", "exp": int(NOW) + 60, "iat": int(NOW), **change}
    with pytest.raises(Unauthorized):
        verify(KEY, jwt.encode(body, KEY, algorithm="HS256"), now=NOW)


@pytest.mark.parametrize("missing", ["sid", "role", "exp", "iat"])
def test_a_token_without_a_claim_is_refused(missing: str) -> None:
    body: dict[str, Any] = {"sid": "abcdefgh", "role": "view", "exp": int(NOW) + 60, "iat": int(NOW)}
    del body[missing]
    with pytest.raises(Unauthorized):
        verify(KEY, jwt.encode(body, KEY, algorithm="HS256"), now=NOW)


@given(st.text())
def test_any_text_is_refused_with_a_typed_error(text: str) -> None:
    with pytest.raises(Unauthorized):
        verify(KEY, text, now=NOW)


def test_a_frame_grant_says_who_may_frame_and_opens_nothing() -> None:
    grant = mint_frame(KEY, sid="abcdefgh", now=NOW, lifetime_s=60, origins=["https://a.example"])
    assert framers(KEY, grant, sid="abcdefgh", now=NOW + 59) == ("https://a.example",)
    assert framers(KEY, grant, sid="abcdefgh", now=NOW + 60) == ()
    assert framers(KEY, grant, sid="abcdefgi", now=NOW) == ()
    assert framers(b"x" * 64, grant, sid="abcdefgh", now=NOW) == ()
    with pytest.raises(Unauthorized):
        verify(KEY, grant, now=NOW)


def test_a_viewer_token_is_no_frame_grant() -> None:
    token, _ = mint(KEY, sid="abcdefgh", role="view", now=NOW, lifetime_s=60, origins=["https://a.example"])
    assert framers(KEY, token, sid="abcdefgh", now=NOW) == ()
