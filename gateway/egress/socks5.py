"""The client's side of SOCKS 5 (RFC 1928) with user name and password (RFC 1929), as bytes. Pure.

Names go to the upstream as names. python-socks does the same handshake, but tells a wrong password from another
failure by its words alone, which is what a person needs to know first.
"""

from __future__ import annotations

from gateway.egress.policy import Target
from gateway.errors import TargetForbidden, TargetUnreachable, UpstreamAuthFailed, UpstreamCut, UpstreamDown

__all__ = ["check_login", "check_reply", "connect", "greeting", "login", "rest_of_reply", "wants_login"]

_VERSION, _NO_LOGIN, _LOGIN = 5, 0, 2
_CONNECT, _NAME, _IPV4, _IPV6 = 1, 3, 1, 4

_REPLIES = {
    3: "its network cannot be reached",
    4: "it cannot be reached, or its name is unknown",
    5: "it refused the connection",
    6: "it is too far away",
}


def greeting(*, with_login: bool) -> bytes:
    # Only what is wanted is offered: an upstream that asks for no password would know nobody by name.
    return bytes((_VERSION, 1, _LOGIN if with_login else _NO_LOGIN))


def wants_login(answer: bytes) -> bool:
    """Two bytes. Raises UpstreamAuthFailed, UpstreamCut."""
    if answer[0] != _VERSION:
        raise UpstreamCut("the upstream does not speak SOCKS 5")
    if answer[1] not in (_LOGIN, _NO_LOGIN):
        raise UpstreamAuthFailed("the upstream takes no user name and password, or wants them and none are set")
    return answer[1] == _LOGIN


def login(username: str, password: str) -> bytes:
    """Each at most 255 bytes of ASCII."""
    name, word = username.encode("ascii"), password.encode("ascii")
    return bytes((1, len(name))) + name + bytes((len(word),)) + word


def check_login(answer: bytes) -> None:
    """Two bytes. Raises UpstreamAuthFailed."""
    if answer[1] != 0:
        raise UpstreamAuthFailed("the upstream does not take the user name and password")


def connect(target: Target) -> bytes:
    if target.address is not None:
        where = bytes((_IPV4 if target.address.version == 4 else _IPV6,)) + target.address.packed
    else:
        name = target.host.encode("ascii")
        where = bytes((_NAME, len(name))) + name
    return bytes((_VERSION, _CONNECT, 0)) + where + target.port.to_bytes(2, "big")


def check_reply(answer: bytes) -> int:
    """The reply's first four bytes to its kind of address. Raises EgressError when the target was not reached."""
    version, code, _, kind = answer
    if version != _VERSION:
        raise UpstreamCut("the upstream does not speak SOCKS 5")
    if code == 2:
        raise TargetForbidden("the upstream does not allow the target")
    if code in _REPLIES:
        raise TargetUnreachable(f"the upstream could not reach the target: {_REPLIES[code]}")
    if code != 0:
        raise UpstreamDown(f"the upstream failed (SOCKS reply {code})")
    return kind


def rest_of_reply(kind: int, first: int) -> int:
    """How many bytes follow the reply's fifth. Raises UpstreamCut."""
    port = 2
    match kind:
        case 1:
            return 3 + port
        case 4:
            return 15 + port
        case 3:
            return first + port
        case _:
            raise UpstreamCut("the upstream's SOCKS reply is malformed")
