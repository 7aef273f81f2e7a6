"""Both RFB handshakes as pure machines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.vnc.handshake import ServerLogin, ViewerWelcome, vnc_auth_response

BANNER = b"RFB 003.008\n"
CHALLENGE = bytes(range(16))


def login(*parts: bytes) -> tuple[ServerLogin, bytes]:
    machine = ServerLogin("secret")
    return machine, b"".join(machine.feed(part) for part in parts)


def test_des_of_the_challenge() -> None:
    # openssl enc -des-ecb -K cea6c64ea62e0000 -nopad, made with OpenSSL's legacy provider: the key is "secret"
    # with the bits of each byte reversed.
    assert vnc_auth_response(CHALLENGE, "secret").hex() == "ee22539f33a5983ec12f9c2edbc995dd"
    assert vnc_auth_response(CHALLENGE, "longpassword") == vnc_auth_response(CHALLENGE, "longpass")
    assert vnc_auth_response(CHALLENGE, "") != vnc_auth_response(CHALLENGE, "secret")


def test_login_with_the_password() -> None:
    machine, out = login(BANNER, b"\x02\x10\x02", CHALLENGE, b"\0\0\0\0")
    assert machine.done
    assert machine.failure is None
    assert out == BANNER + b"\x02" + vnc_auth_response(CHALLENGE, "secret")


def test_login_where_none_is_asked() -> None:
    machine, out = login(b"RFB 003.889\n", b"\x01\x01", b"\0\0\0\0rest")
    assert machine.done
    assert out == BANNER + b"\x01"
    assert machine.take_rest() == b"rest"


def test_login_failures_say_why() -> None:
    cases = {
        "does not speak RFB": (b"SSH-2.0-Open",),
        "older than 3.8": (b"RFB 003.003\n",),
        "refused the connection: too many": (BANNER, b"\0\0\0\0\x08too many"),
        "security types [5, 16]": (BANNER, b"\x02\x05\x10"),
        "refused the password: wrong": (BANNER, b"\x01\x02", CHALLENGE, b"\0\0\0\x01\0\0\0\x05wrong"),
        "no reason given": (BANNER, b"\x01\x02", CHALLENGE, b"\0\0\0\x01\xff\xff\xff\xff"),
    }
    for words, parts in cases.items():
        machine, _ = login(*parts)
        assert not machine.done
        assert words in str(machine.failure), words
        assert machine.feed(b"more") == b""


def test_welcome_offers_none_only() -> None:
    machine = ViewerWelcome()
    assert machine.greeting == BANNER
    assert machine.feed(BANNER) == b"\x01\x01"
    assert machine.feed(b"\x01") == b"\0\0\0\0"
    assert not machine.done
    assert machine.feed(b"\x00\x02\x03") == b""
    assert machine.done
    assert machine.take_rest() == b"\x02\x03"


def test_welcome_refuses_others() -> None:
    for parts in (b"GET / HTTP/1.", b"RFB 003.003\n", BANNER + b"\x02"):
        machine = ViewerWelcome()
        machine.feed(parts)
        assert machine.failure is not None
        assert not machine.done


@given(st.binary(max_size=80), st.booleans())
def test_pieces_give_what_the_whole_gives(noise: bytes, speaks: bool) -> None:
    data = BANNER + noise if speaks else noise
    for make in (lambda: ServerLogin("secret"), ViewerWelcome):
        whole, pieces = make(), make()
        assert whole.feed(data) == b"".join(pieces.feed(data[at : at + 1]) for at in range(len(data)))
        assert (whole.done, str(whole.failure)) == (pieces.done, str(pieces.failure))
