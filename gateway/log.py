"""Log set-up: one line per record, with the session's id on every record of its task.

Modules use ``logging.getLogger(__name__)`` or ``structlog.get_logger(__name__)``; both end here. The level
says how much; info is one line per lifecycle transition.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

__all__ = ["configure", "formatter"]


def configure(level: str = "info", *, json: bool = False) -> None:
    """Send every record to stderr.

    Args:
        level: debug, info, warning or error.
        json: one JSON object per line, for a log collector; else columns for a person.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(json=json, colors=sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # One line per request at info would bury the transitions.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # It logs each statement with its values, and those of a session are nobody's to read.
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(json=json),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def formatter(*, json: bool = False, colors: bool = False) -> logging.Formatter:
    """One line of a record, with what its task has bound (the session's id, the request's)."""
    final: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(json=json), structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
    )


def _shared(*, json: bool) -> list[Any]:
    """What is added to each record."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S", utc=json),
    ]
