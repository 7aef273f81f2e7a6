"""aiohttp's own log, without what strangers send: a bad request's bytes may hold a credential, and cost nothing."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["LOGGER"]


class _NoBadRequests(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


LOGGER = logging.getLogger("gateway.http")
"""What aiohttp says of its connections."""
LOGGER.addFilter(_NoBadRequests())
