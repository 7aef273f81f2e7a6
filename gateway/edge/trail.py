"""What a session's views tell the audit log: who came, left, and took control; and that it ended. Pure.

This sees what no route does: a viewer whose connection broke, control that passed on by itself, an end by a limit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from gateway.edge.audit import AuditLog
from gateway.sessions.view import SessionView

__all__ = ["Trail", "changes"]

MAX_SESSIONS = 16_384
"""Whose last view is remembered, ended ones among them; the longest untouched is forgotten first."""


class Trail:
    """Hands the changes of all sessions to the audit log."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._last: OrderedDict[str, SessionView] = OrderedDict()

    def saw(self, view: SessionView) -> None:
        """A session's view, each time that it is told of."""
        for event, fields in changes(self._last.pop(view.id, None), view):
            self._audit.note(event, actor="gateway", session=view.id, **fields)
        self._last[view.id] = view
        if len(self._last) > MAX_SESSIONS:
            self._last.popitem(last=False)


def changes(before: SessionView | None, after: SessionView) -> Iterator[tuple[str, dict[str, str]]]:
    """Events and their fields, from one view of a session to the next."""
    old = {viewer.name: viewer.role for viewer in before.control.viewers} if before is not None else {}
    new = {viewer.name: viewer.role for viewer in after.control.viewers}
    for name in new.keys() - old.keys():
        yield "viewer.join", {"viewer": name, "role": new[name]}
    controlled = before.control.controller if before is not None else None
    if after.control.controller != controlled:
        if after.control.controller is not None:
            yield "control.take", {"viewer": after.control.controller}
        elif controlled is not None:
            yield "control.release", {"viewer": controlled}
    for name in old.keys() - new.keys():
        yield "viewer.leave", {"viewer": name, "role": old[name]}
    ended = ("stopped", "failed")
    if after.state in ended and (before is None or before.state not in ended):
        yield "session.end", {"reason": after.error.kind if after.error is not None else after.state}
