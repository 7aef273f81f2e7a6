"""Which gateway a command speaks to, and with which key."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.app import local_url
from gateway.cli.client import Client, client
from gateway.keyfiles import read_api_key
from gateway.settings import load

__all__ = ["reach"]


@asynccontextmanager
async def reach(url: str | None, state_dir: Path | None, config: Path | None) -> AsyncIterator[Client]:
    """The gateway that the options, the environment and the settings name."""
    settings = load({"state_dir": state_dir}, config=config)
    found = url or os.environ.get("FENSTER_URL") or local_url(settings.host, settings.port)
    key = os.environ.get("FENSTER_API_KEY") or read_api_key(settings.state_dir)
    async with client(found, key) as api:
        yield api
