"""Decodo's user names, which say from where in the world a session leaves, and for how long from one address. Pure.

Documented at https://help.decodo.com/docs (residential proxies: authentication, location, custom sticky sessions)::

    user-<name>-country-<cc>-city-<city>-session-<session>-sessionduration-<minutes>

Endpoint and port are the exit's own; nothing of Decodo's is known here but this form.
"""

from __future__ import annotations

from gateway.exits import Decodo

__all__ = ["user_name"]

_PREFIX = "user-"


def user_name(name: str, wanted: Decodo, *, session: str) -> str:
    """The user name that asks for ``wanted``.

    Args:
        name: the proxy user's, as Decodo's dashboard shows it.
        session: what keeps the address the same, unless ``wanted`` names another: one for each desktop.
    """
    parts = {
        "country": wanted.country.lower() if wanted.country else None,
        "city": wanted.city.lower() if wanted.city else None,
        "session": wanted.session or session,
        "sessionduration": wanted.duration_min,
    }
    words = [f"-{key}-{value}" for key, value in parts.items() if value is not None]
    return _PREFIX + name.removeprefix(_PREFIX) + "".join(words)
