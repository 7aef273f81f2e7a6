"""What the routes that carry files and clipboards have in common: who may, and ending with the session."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

from gateway.errors import Conflict, Forbidden
from gateway.routes.access import Caller
from gateway.sessions.session import Session

__all__ = ["carried", "may_copy", "may_transfer"]

T = TypeVar("T")


def may_transfer(session: Session, caller: Caller, way: Literal["upload", "download"]) -> None:
    """Files are for the API key, and for controlling viewers as the session's switch says. Raises Forbidden."""
    if caller.admin:
        return
    _require_control(caller, "files")
    if session.sharing.files not in (way, "both"):
        raise Forbidden(f"this session lets viewers {way} no files", hint="its switch is named files")


def may_copy(session: Session, caller: Caller, way: Literal["to_guest", "to_viewer"]) -> None:
    """The same for the clipboard. Raises Forbidden."""
    if caller.admin:
        return
    _require_control(caller, "the clipboard")
    if session.sharing.clipboard not in (way, "both"):
        raise Forbidden("this session lets viewers not copy that way", hint="its switch is named clipboard")


def _require_control(caller: Caller, what: str) -> None:
    # The one place here that says who controls.
    if caller.role != "control":
        raise Forbidden(f"who may only look has no use of {what}", hint="ask for a token with the role control")


async def carried(session: Session, transfer: Coroutine[Any, Any, T]) -> T:
    """Run a transfer that the session's end, or its suspending, cuts off.

    Raises:
        Conflict: it was.
    """
    task = asyncio.create_task(transfer, name=f"transfer-{session.id}")
    try:
        with session.carrying(task):
            await asyncio.wait({task})
    finally:
        task.cancel()
        await asyncio.wait({task})
    if task.cancelled():
        raise Conflict("the session came to its end meanwhile", hint="try again when it is ready")
    return task.result()
