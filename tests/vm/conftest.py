"""The golden image, as ``make golden`` built it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.vm.images import GoldenImage, open_image
from golden.build import default_cache, find


@pytest.fixture(scope="session")
def golden_image() -> GoldenImage:
    """The built XFCE image; FENSTER_TEST_IMAGE names another directory. Without one these tests fail."""
    if named := os.environ.get("FENSTER_TEST_IMAGE"):
        return open_image(Path(named))
    image = find("xfce", default_cache())
    assert image is not None, "there is no golden image of this tree: run make golden"
    return open_image(image.path)
