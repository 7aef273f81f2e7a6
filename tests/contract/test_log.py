"""What strangers cannot write into the log."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.log import not_a_strangers
from tests.contract.api import Api


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nX: \0\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_http_is_refused_and_leaves_no_line(
    api: Api, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    server = logging.getLogger("aiohttp.server")
    for strict in (False, True):
        if strict:
            server.addFilter(not_a_strangers)
        caplog.clear()
        try:
            reader, writer = await asyncio.open_connection(api.client.host, api.client.port)
            writer.write(said)
            assert (await reader.readline()).split()[1] == b"400"
            await reader.read()
            writer.close()
            await writer.wait_closed()
        finally:
            server.removeFilter(not_a_strangers)
        # Without it there is one: a test that aiohttp still needs it.
        assert len([record for record in caplog.records if record.name == "aiohttp.server"]) == (not strict)


def test_our_own_mistakes_are_logged() -> None:
    for error in (ValueError("x"), None):
        info = (type(error), error, None) if error is not None else None
        record = logging.LogRecord("aiohttp.server", logging.ERROR, __file__, 1, "Unhandled exception", None, info)
        assert not_a_strangers(record)
