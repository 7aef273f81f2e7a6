"""Pictures of a real X display, through the agent's own service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.errors import BadRequest, GuestServiceError
from gateway.guest_stream import asking, whole
from guest_agent.screen_service import ScreenService
from tests.x11.conftest import XServer
from tests.x11.painter import Painter

pytestmark = pytest.mark.x11


@pytest.fixture
def painter(xserver: XServer) -> Iterator[Painter]:
    painter = Painter(xserver.display)
    yield painter
    painter.close()


@pytest.fixture
async def service(xserver: XServer) -> Any:
    service = ScreenService(xserver.display, "127.0.0.1", 0)
    await service.start()
    yield service
    await service.close()


async def shot(service: ScreenService, **head: Any) -> tuple[dict[str, Any], bytes]:
    async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", service.port)

    asked = {"op": "shot", "kind": "png", "width": 0, "known": "", **head}
    async with asking(dial, 0, **asked) as guest:
        data = b"".join([part async for part in guest.body(whole(guest.answer, "length"))])
        return dict(guest.answer), data


def decoded(data: bytes, form: str) -> NDArray[np.uint8]:
    with av.open(BytesIO(data), "r", format=form) as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


async def test_a_png_has_each_pixel(service: ScreenService, painter: Painter) -> None:
    painter.fill(100, 60, 40, 20, 0xFF8000)
    answer, data = await shot(service)
    picture = decoded(data, "png_pipe")
    assert picture.shape == (answer["height"], answer["width"], 3)
    assert (picture[60:80, 100:140] == [0xFF, 0x80, 0]).all()
    assert not (picture[59, 100:140] == [0xFF, 0x80, 0]).all()


async def test_a_jpeg_is_smaller_and_in_proportion(service: ScreenService, painter: Painter) -> None:
    whole_size, _ = await shot(service)
    painter.fill(0, 0, whole_size["width"] // 2, whole_size["height"], 0x0000FF)
    _, data = await shot(service, kind="jpeg", width=320)
    picture = decoded(data, "jpeg_pipe").astype(int)
    assert picture.shape[1] == 320
    assert abs(picture.shape[0] - 320 * whole_size["height"] / whole_size["width"]) <= 2
    red, green, blue = picture[:, 8:150].reshape(-1, 3).mean(axis=0)
    assert red < 16
    assert green < 16
    assert blue > 240
    assert len(data) < 32 * 1024


async def test_what_is_known_is_not_sent_again(service: ScreenService, painter: Painter) -> None:
    painter.fill(0, 0, 50, 50, 0x00FF00)
    first, _ = await shot(service, kind="jpeg", width=160)
    again, data = await shot(service, kind="jpeg", width=160, known=first["digest"])
    assert (again["digest"], data) == (first["digest"], b"")
    painter.fill(0, 0, 50, 50, 0xFF00FF)
    other, data = await shot(service, kind="jpeg", width=160, known=first["digest"])
    assert other["digest"] != first["digest"]
    assert data


@pytest.mark.parametrize("head", [{"op": "get"}, {"kind": "gif"}, {"width": -1}, {"width": True}])
async def test_nonsense_is_refused(service: ScreenService, head: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        await shot(service, **head)


async def test_a_display_that_is_gone_is_told() -> None:
    service = ScreenService(":9999", "127.0.0.1", 0)
    await service.start()
    try:
        with pytest.raises(GuestServiceError, match="no X server"):
            await shot(service)
    finally:
        await service.close()
