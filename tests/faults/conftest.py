"""One gateway and one desktop for all faults, and the table at the end."""

from __future__ import annotations

import asyncio
import os
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
from tests.faults.host import Host
from tests.faults.table import Row, markdown
from tests.faults.upstream import Upstream
from tests.loopback.relay_lan import LOOPBACK

REPORTS = Path(__file__).parent / "report"


@pytest.fixture(scope="session")
def table() -> Iterator[list[Row]]:
    """Rows, as they come; printed at the end, and kept where FENSTER_TEST_FAULT_REPORT is set."""
    rows: list[Row] = []
    yield rows
    text = markdown(rows)
    print(f"\n{text}")
    if os.environ.get("FENSTER_TEST_FAULT_REPORT"):
        REPORTS.mkdir(exist_ok=True)
        today = datetime.now(UTC).date().isoformat()
        head = f"# Faults, {today}\n\nMade by `make faults`; `tests/README.md` says how to read it.\n\n"
        (REPORTS / f"{today}.md").write_text(head + text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[tuple[KillableGateway, Host]]:
    """A gateway that runs, with state, golden files and an exit of its own."""
    cache = Settings().cache_dir
    with (
        tempfile.TemporaryDirectory(prefix="faults-", dir=cache) as home,
        tempfile.TemporaryDirectory(prefix="ff-", dir="/tmp") as run_dir,  # short: socket paths end at 108 bytes
    ):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = probe.getsockname()[1]
        gateway = KillableGateway(LOOPBACK, port, Path(home), Path(run_dir))
        host = Host(cache, Path(home), await Upstream.begin())
        try:
            await asyncio.to_thread(_furnish, host, Path(home, "cache"))
            await gateway.start()
            yield gateway, host
        finally:
            try:
                await gateway.close()
                assert gateway.left() == []
            finally:
                await host.upstream.stop()
                await asyncio.to_thread(host.unmount_state)


def _furnish(host: Host, cache: Path) -> None:
    for name in ("golden", "snapshots"):
        (cache / name).unlink()
    host.link_golden()
    host.mount_state()


@pytest.fixture(scope="module")
def gateway(world: tuple[KillableGateway, Host]) -> KillableGateway:
    return world[0]


@pytest.fixture(scope="module")
def host(world: tuple[KillableGateway, Host]) -> Host:
    return world[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(gateway: KillableGateway, host: Host) -> AsyncIterator[Desk]:
    made = await Desk.open(gateway, {"proxy": host.upstream.url})
    yield made
    await made.close()
