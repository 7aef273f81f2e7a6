"""STUN reading: the vectors of RFC 5769, aioice as a second opinion, and noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.stun import BindingRequest, Refusal, is_genuine, read_binding_request
from tests.stun_messages import binding_request, binding_response

# RFC 5769 2.1, password VOkJxbRl1RmTxUk/WvJxBt; its padding is 0x20 where others use 0.
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
# RFC 5769 2.2
RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
PWD = b"VOkJxbRl1RmTxUk/WvJxBt"
ICE_CHAR = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def read(data: bytes) -> BindingRequest:
    request = read_binding_request(data)
    assert isinstance(request, BindingRequest)
    return request


def test_rfc_5769_request_is_read_and_verifies() -> None:
    request = read(REQUEST)
    assert request.ufrag == b"evtj"
    assert is_genuine(request, REQUEST, PWD)
    assert not is_genuine(request, REQUEST, PWD[:-1] + b"u")


def test_rfc_5769_request_changed_anywhere_before_its_integrity_fails() -> None:
    integrity_at = read(REQUEST).integrity_at
    without_fingerprint = bytearray(REQUEST[:-8])
    without_fingerprint[2:4] = (len(without_fingerprint) - 20).to_bytes(2, "big")
    request = read(bytes(without_fingerprint))
    assert is_genuine(request, bytes(without_fingerprint), PWD)
    for at in (8, 19, 24, integrity_at - 5):
        changed = bytearray(without_fingerprint)
        changed[at] ^= 1
        assert not is_genuine(request, bytes(changed), PWD)


def test_rfc_5769_response_is_no_request() -> None:
    assert read_binding_request(RESPONSE) is Refusal.NOT_REQUEST


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"", Refusal.NOT_STUN),
        (REQUEST[:19], Refusal.NOT_STUN),
        (REQUEST[:4] + b"\0\0\0\0" + REQUEST[8:], Refusal.NOT_STUN),
        (b"\x80" + REQUEST[1:], Refusal.NOT_STUN),
        (bytes.fromhex("160100002112a442") + bytes(12), Refusal.NOT_REQUEST),
        (b"\0\x11" + REQUEST[2:], Refusal.NOT_REQUEST),
        (REQUEST[:-4], Refusal.MALFORMED),
        (REQUEST + b"\0", Refusal.MALFORMED),
        (REQUEST[:-1] + b"\0", Refusal.MALFORMED),
        (b"\0\1\0\0" + REQUEST[4:20], Refusal.NO_USERNAME),
        (b"\0\1\0\4" + REQUEST[4:20] + b"\0\6\0\5", Refusal.MALFORMED),
        (b"\0\1\0\4" + REQUEST[4:20] + b"\0\x08\0\0", Refusal.MALFORMED),
        (b"\0\1\0\x08" + REQUEST[4:20] + b"\0\6\0\3a:b\0", Refusal.NO_INTEGRITY),
    ],
)
def test_refusals(data: bytes, refusal: Refusal) -> None:
    assert read_binding_request(data) is refusal


@pytest.mark.parametrize("username", [b"evtj", b":h6vY", b""])
def test_a_username_that_names_no_receiver(username: bytes) -> None:
    attribute = b"\0\6" + len(username).to_bytes(2, "big") + username.ljust(len(username) + 3 & ~3, b"\0")
    body = attribute + b"\0\x08\0\x14" + bytes(20)
    data = b"\0\1" + len(body).to_bytes(2, "big") + REQUEST[4:20] + body
    assert read_binding_request(data) is Refusal.NO_USERNAME


def test_a_username_behind_the_integrity_is_not_believed() -> None:
    username = b"\0\6\0\x05aa:bb\0\0\0"
    body = b"\0\x08\0\x14" + bytes(20) + username
    assert read_binding_request(b"\0\1" + len(body).to_bytes(2, "big") + REQUEST[4:20] + body) is Refusal.NO_USERNAME


def test_the_first_of_two_usernames_counts() -> None:
    body = b"\0\6\0\3a:b\0" + b"\0\6\0\3c:d\0" + b"\0\x08\0\x14" + bytes(20)
    assert read(b"\0\1" + len(body).to_bytes(2, "big") + REQUEST[4:20] + body).ufrag == b"a"


@given(st.text(ICE_CHAR, min_size=4, max_size=256), st.text(ICE_CHAR, min_size=22, max_size=256), st.text(ICE_CHAR))
def test_what_aioice_signs_is_genuine(ufrag: str, pwd: str, sender: str) -> None:
    data = binding_request(ufrag, pwd, sender=sender)
    request = read(data)
    assert request.ufrag == ufrag.encode()
    assert is_genuine(request, memoryview(data), pwd.encode())
    assert not is_genuine(request, data, pwd.encode() + b"x")


def test_a_response_by_aioice_is_no_request() -> None:
    assert read_binding_request(binding_response("p" * 22)) is Refusal.NOT_REQUEST


@given(st.binary(max_size=300))
def test_noise_gives_a_verdict(data: bytes) -> None:
    assert isinstance(read_binding_request(data), BindingRequest | Refusal)


@given(st.binary(max_size=300))
def test_noise_behind_a_good_header_gives_a_verdict(body: bytes) -> None:
    data = b"\0\1" + len(body).to_bytes(2, "big") + REQUEST[4:20] + body
    request = read_binding_request(data)
    if isinstance(request, BindingRequest):
        assert not is_genuine(request, data, PWD)
