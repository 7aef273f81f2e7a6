"""Which gateway a command speaks to, and with which key."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.cli.client import Client, client
from gateway.edge.certificate import fingerprint, own_chain
from gateway.edge.listen import local_url
from gateway.edge.tls import speaks_tls
from gateway.keyfiles import read_api_key
from gateway.settings import load

__all__ = ["reach"]


@asynccontextmanager
async def reach(url: str | None, state_dir: Path | None, config: Path | None) -> AsyncIterator[Client]:
    """The gateway that the options, the environment and the settings name."""
    settings = load({"state_dir": state_dir}, config=config)
    named = url or os.environ.get("FENSTER_URL")
    key = os.environ.get("FENSTER_API_KEY") or read_api_key(settings.state_dir)
    tls = speaks_tls(settings.host, settings.tls_cert, insecure=settings.insecure_http)
    # Of this host's own gateway the certificate is known, whatever names it is good for.
    pinned = None if named or not tls else fingerprint(settings.tls_cert or own_chain(settings.state_dir))
    async with client(named or local_url(settings.host, settings.port, tls=tls), key, pinned) as api:
        yield api
