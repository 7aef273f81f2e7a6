"""One gateway and one desktop for all faults, and the table at the end."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.settings import Settings
from tests.e2e.killable import KillableGateway
from tests.faults.desk import Desk
from tests.faults.table import Row, markdown
from tests.loopback.relay_lan import LOOPBACK

REPORTS = Path(__file__).parent / "report"


@pytest.fixture(scope="session")
def table() -> Iterator[list[Row]]:
    """Rows, as they come; printed at the end, and kept where FENSTER_FAULT_REPORT is set."""
    rows: list[Row] = []
    yield rows
    text = markdown(rows)
    print(f"\n{text}")
    if os.environ.get("FENSTER_FAULT_REPORT"):
        REPORTS.mkdir(exist_ok=True)
        today = datetime.now(UTC).date().isoformat()
        head = f"# Faults, {today}\n\nMade by `make faults`; `tests/README.md` says how to read it.\n\n"
        (REPORTS / f"{today}.md").write_text(head + text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway() -> AsyncIterator[KillableGateway]:
    """On a state of its own, and on copies by name (hard links) of the golden files: they may be deleted."""
    cache = Settings().cache_dir
    with (
        tempfile.TemporaryDirectory(prefix="faults-", dir=cache) as home,
        tempfile.TemporaryDirectory(prefix="ff-", dir="/tmp") as run_dir,  # short: socket paths end at 108 bytes
    ):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = probe.getsockname()[1]
        made = KillableGateway(LOOPBACK, port, Path(home), Path(run_dir))
        _copy_by_name(cache, Path(home, "cache"))
        await made.start()
        try:
            yield made
        finally:
            await made.close()
            assert made.left() == []


def _copy_by_name(cache: Path, mine: Path) -> None:
    for name in ("golden", "snapshots"):
        (mine / name).unlink()
        shutil.copytree(cache / name, mine / name, copy_function=os.link, symlinks=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(gateway: KillableGateway) -> AsyncIterator[Desk]:
    made = await Desk.open(gateway)
    yield made
    await made.close()
