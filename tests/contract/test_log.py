"""What strangers cannot write into the log."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.routes.quiet import LOGGER
from tests.contract.api import Api


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nX: \0\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_http_is_refused_and_leaves_no_line(
    api: Api, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    reader, writer = await asyncio.open_connection(api.client.host, api.client.port)
    writer.write(said)
    assert (await reader.readline()).split()[1] == b"400"
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_our_own_mistakes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("x")
    except ValueError:
        LOGGER.exception("Unhandled exception")
    assert [record.name for record in caplog.records] == [LOGGER.name]
