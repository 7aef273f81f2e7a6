from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.api import Api, api_on


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with api_on(tmp_path) as api:
        yield api
