"""Each part of a desktop and of its gateway is killed and made to hang, under somebody who watches."""

from __future__ import annotations

import time

import pytest

from tests.e2e.guest import eventually
from tests.faults.desk import Desk
from tests.faults.faults import FAULTS, Fault
from tests.faults.table import Row

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

PATIENCE = 4.0
"""Times its bound, and a fault is given up: the row then says how long it was not back."""


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=fault.id, marks=[] if fault.fast else [pytest.mark.slow]) for fault in FAULTS],
)
async def test_a_fault_costs_no_more_than_it_may(desk: Desk, fault: Fault, table: list[Row]) -> None:
    await desk.settled()
    before = await desk.kept()
    desk.reasons.clear()
    at = time.monotonic()
    back = await fault.make(desk)
    try:
        await eventually(back, f"{fault.id} is over", PATIENCE * fault.bound_s)
    finally:
        took_s = time.monotonic() - at
        # Also what is there again, but not yet shown to anybody.
        await desk.settled()
        row = Row(
            fault.name, fault.how, desk.watcher.says(at), took_s, fault.bound_s,
            before.lost_by(await desk.kept()), fault.allowed, desk.told(),
        )  # fmt: skip
        table.append(row)
        print(f"\n{row}")
    assert row.beyond() == []
