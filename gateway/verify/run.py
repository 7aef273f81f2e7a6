"""Run the checks on a fresh machine, one after the other, and tear it down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from gateway.errors import GatewayError
from gateway.exits import NO_EXIT, Exit
from gateway.sessions.manager import SessionManager
from gateway.sessions.session import Session
from gateway.sessions.view import SessionView
from gateway.verify import checks
from gateway.verify.egress import way_out
from gateway.verify.report import Check, Report

__all__ = ["plan", "verify"]

_Look = Callable[[Session], Awaitable[checks.Seen]]


def plan(*, looked_at: bool = False) -> list[tuple[str, _Look]]:
    """Name and function of each check, in order. Idle comes last: what ran before must have gone quiet.

    Args:
        looked_at: the gateway looks at exits (proxy_check_url).
    """
    tools: list[tuple[str, _Look]] = [(name, partial(_cli, name)) for name in checks.CLIS]
    return [
        ("terminal and Chromium on screen", checks.windows),
        ("SESSION_ID", checks.session_id),
        ("Node 20", checks.node),
        *tools,
        ("x11vnc under systemd", checks.vnc_active),
        ("x11vnc returns after a kill", checks.vnc_returns),
        ("sound server", checks.sound),
        ("way to the internet", partial(way_out, looked_at=looked_at)),
        ("units restart on failure", checks.restarts),
        ("idle desktop", checks.idle),
    ]


async def _cli(name: str, session: Session) -> checks.Seen:
    return await checks.cli(session, name)


async def verify(
    manager: SessionManager,
    *,
    progress: Callable[[SessionView], None],
    checked: Callable[[Check], None],
    out: Exit = NO_EXIT,
    looked_at: bool = False,
) -> Report:
    """Boot a machine, run every check on it, end it.

    Args:
        progress: told each state of the session while it boots.
        checked: told each check as it is done.
        out: where its traffic leaves.
        looked_at: as of plan().

    Raises:
        GatewayError: the machine did not come up; nothing could be checked.
    """
    session = await manager.create(out=out)
    try:
        await session.wait_ready(progress)
        report = Report(session.id, accelerator=session.accelerator or "")
        for name, look in plan(looked_at=looked_at):
            check = await _check(session, name, look)
            report.checks.append(check)
            checked(check)
        report.timings = dict(session.timings)
        return report
    finally:
        await asyncio.shield(manager.destroy(session.id))


async def _check(session: Session, name: str, look: _Look) -> Check:
    began = time.monotonic()
    try:
        seen = await look(session)
    except (checks.Failed, GatewayError) as exc:
        return Check(name, False, str(exc), round(time.monotonic() - began, 1))
    return Check(name, True, seen.detail, round(time.monotonic() - began, 1), dict(seen))
