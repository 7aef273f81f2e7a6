"""Sessions on the golden image, with directories of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from gateway.settings import Settings
from gateway.vm.images import GoldenImage

__all__ = ["settings_for", "until"]


@contextmanager
def settings_for(image: GoldenImage, **more: Any) -> Iterator[Settings]:
    """On the image's own cache; two machines may boot at once on what may be a small host."""
    with tempfile.TemporaryDirectory(prefix="fen") as name:
        yield Settings(
            state_dir=Path(name, "state"),
            run_dir=Path(name, "run"),
            cache_dir=image.path.parents[1],
            profile=image.profile,
            accel="tcg",
            hello_timeout_s=240,
            ready_timeout_s=240,
            **more,
        )


async def until(session: Session, state: State) -> None:
    """Wait for the session's state; its failure, unless waited for, fails the test with its reason."""
    with session.updates.watch() as updates:
        while (view := await updates.get()) is not None and view.state != state.value:
            assert state is State.FAILED or view.error is None, view.error
