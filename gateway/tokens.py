"""Credentials that the gateway signs: viewer tokens, frame grants. Pure; time is an argument.

An API key (edge/apikeys.py) manages sessions. A viewer token opens one session, in one role, until it expires; it is
a JWT (RFC 7519) signed with HS256, so that a restarted gateway still knows the tokens it gave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import jwt

from gateway.errors import Unauthorized

__all__ = [
    "API_KEY_PREFIX",
    "Claims",
    "Role",
    "framers",
    "mint",
    "mint_frame",
    "verify",
]

Role = Literal["control", "view"]

API_KEY_PREFIX = "fenster_"
"""Tells a key from a viewer token in an Authorization header, and makes a leaked one easy to search for."""

_ALGORITHM = "HS256"

_FRAME = "frame"
"""Audience (RFC 7519 4.1.3) of a frame grant: verify() takes no token that has one."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a viewer token says."""

    sid: str
    """The one session it opens."""
    role: Role
    exp: int
    """Unix time in seconds at which it ends."""
    iat: int
    origins: tuple[str, ...] = ()
    """Origins that may embed the viewer, besides the gateway's own."""


def mint(
    key: bytes, *, sid: str, role: Role, now: float, lifetime_s: float, origins: Sequence[str] = ()
) -> tuple[str, Claims]:
    """Sign a viewer token.

    Args:
        key: the signing key, 32 bytes or more.
        sid: the session it opens.
        role: ``control`` or ``view``.
        now: Unix time in seconds.
        lifetime_s: how long it is good for.
        origins: origins that may embed the viewer.

    Returns:
        The token and what it says.
    """
    claims = Claims(sid, role, exp=int(now + lifetime_s), iat=int(now), origins=tuple(origins))
    body: dict[str, Any] = {"sid": sid, "role": role, "exp": claims.exp, "iat": claims.iat}
    if origins:
        body["origins"] = list(origins)
    return jwt.encode(body, key, algorithm=_ALGORITHM), claims


def mint_frame(key: bytes, *, sid: str, now: float, lifetime_s: float, origins: Sequence[str]) -> str:
    """Sign a frame grant: which origins may put this session's page into a frame.

    It opens nothing, so it may stand in a query, where the gateway sees it before it answers with the page.
    """
    body = {"aud": _FRAME, "sid": sid, "exp": int(now + lifetime_s), "origins": list(origins)}
    return jwt.encode(body, key, algorithm=_ALGORITHM)


def framers(key: bytes, grant: str, *, sid: str, now: float) -> tuple[str, ...]:
    """The origins of a frame grant; none when it does not verify, is another session's, or has expired."""
    try:
        body = jwt.decode(
            grant,
            key,
            algorithms=[_ALGORITHM],
            audience=_FRAME,
            options={"verify_exp": False, "require": ["aud", "exp", "sid", "origins"]},
        )
    except jwt.PyJWTError:
        return ()
    return tuple(body["origins"]) if body["sid"] == sid and now < body["exp"] else ()


def verify(key: bytes, token: str, *, now: float) -> Claims:
    """Check a viewer token's signature, shape and expiry.

    Raises:
        Unauthorized: it does not verify, is not a viewer token, or has expired.
    """
    try:
        # RFC 7519 4.1.4 is checked below against ``now``: the library reads the clock itself.
        body = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "sid", "role"]},
        )
    except jwt.PyJWTError as exc:
        raise Unauthorized("the token does not verify", hint="ask for a new viewer token") from exc
    claims = _claims(body)
    if claims is None:
        raise Unauthorized("the token is not a viewer token", hint="ask for a new viewer token")
    if now >= claims.exp:
        raise Unauthorized("the token has expired", hint="ask for a new viewer token")
    return claims


def _claims(body: dict[str, Any]) -> Claims | None:
    sid, role, exp, iat = body["sid"], body["role"], body["exp"], body["iat"]
    origins = body.get("origins", [])
    if not isinstance(sid, str) or role not in get_args(Role):
        return None
    if not all(isinstance(stamp, int) and not isinstance(stamp, bool) for stamp in (exp, iat)):
        return None
    if not isinstance(origins, list) or not all(isinstance(origin, str) for origin in origins):
        return None
    return Claims(sid, cast(Role, role), exp, iat, tuple(origins))
