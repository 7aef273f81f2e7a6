"""The product's own log in a test, and nothing of it left behind."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest
import structlog

from gateway import log

__all__ = ["as_written", "log_kept_apart"]

NAMES = ("", "aiohttp.access", "aiosqlite")
"""Loggers that log.configure() sets."""


@contextlib.contextmanager
def log_kept_apart() -> Iterator[None]:
    """What is configured inside holds no longer. Its handler would write to a stream that is closed by then."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in NAMES}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        structlog.reset_defaults()


@contextlib.contextmanager
def as_written(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """``caplog.text`` has each line as the gateway writes it: with the session's id, which no record has itself."""
    before = caplog.handler.formatter
    caplog.handler.setFormatter(log.formatter())
    try:
        yield
    finally:
        caplog.handler.setFormatter(before)
