"""The way out of a fresh machine: by its proxy, as far as its exit goes, and by nothing else."""

from __future__ import annotations

import asyncio

from gateway.sessions.session import Session
from gateway.sessions.view import EgressView
from gateway.verify.checks import Failed, Seen, in_guest

__all__ = ["way_out"]

CHECK_LIMIT_S = 45.0
ROUND = "curl -sS -o /dev/null --max-time 10 --noproxy '*' http://1.1.1.1/"
"""Past the proxy. An address, since names are unknown there."""
NO_EXIT = "curl -sS -o /dev/null -w '%{http_code}' http://fenster.invalid/"


async def way_out(session: Session, *, looked_at: bool = False) -> Seen:
    """Args:
    looked_at: the gateway has a proxy_check_url.
    """
    if (await in_guest(session, ROUND))[0] == 0:
        raise Failed("a request that went past the proxy was answered")
    view = session.view().egress
    if view.type == "none":
        code, said = await in_guest(session, NO_EXIT)
        if (code, said) != (0, "503"):
            raise Failed(f"the proxy of a session without an exit answered {said[-100:]!r}, not 503")
        return Seen("no exit is set, and nothing gets out")
    if not looked_at:
        return Seen(f"{view.type}, not looked at: proxy_check_url is not set")
    view = await _checked(session)
    if view.error is not None:
        raise Failed(view.error.message)
    if view.verdict not in ("ok", "direct", "unknown") or view.latency_ms is None:
        raise Failed(f"the internet sees {view.address or 'nothing'}: {view.verdict}")
    return Seen(
        f"{view.type}: the internet sees {view.address} after {view.latency_ms:.0f} ms ({view.verdict})",
        latency_ms=view.latency_ms,
    )


async def _checked(session: Session) -> EgressView:
    with session.updates.watch() as updates:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                while (view := await updates.get()) is not None:
                    if view.egress.checked_at is not None:
                        return view.egress
        except TimeoutError:
            raise Failed(f"the exit was not looked at within {CHECK_LIMIT_S:g} s") from None
    raise Failed("the session ended")
