"""Each part of a desktop and of its gateway is killed and made to hang, under somebody who watches."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.e2e.guest import eventually
from tests.e2e.killable import KillableGateway
from tests.faults.desk import Desk
from tests.faults.faults import FAULTS, HOST_FAULTS, Back, Fault
from tests.faults.host import Host
from tests.faults.table import Loss, Row

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

PATIENCE = 3.0
"""Times its bound, and a fault is given up: the row then says how long it was not back."""
LENIENCE = 1.0 if os.environ.get("FENSTER_TEST_FAULT_TIMES") else PATIENCE
"""``make faults`` holds each to its time. Beside other tests that would judge the host."""


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=fault.id, marks=[] if fault.fast else [pytest.mark.slow]) for fault in FAULTS],
)
async def test_a_fault_costs_no_more_than_it_may(desk: Desk, fault: Fault, table: list[Row]) -> None:
    await run(desk, fault, table)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "how", "make", "bound_s"), HOST_FAULTS)
async def test_a_fault_of_the_host_costs_nothing(
    desk: Desk, host: Host, table: list[Row], name: str, how: str,
    make: Callable[[Desk, Host], Awaitable[Back]], bound_s: float,
) -> None:  # fmt: skip
    async def on_host(desk: Desk) -> Back:
        return await make(desk, host)

    await run(desk, Fault(name, how, on_host, bound_s), table)


async def run(desk: Desk, fault: Fault, table: list[Row]) -> None:
    await desk.settled()
    before = await desk.kept()
    desk.reasons.clear()
    desk.since = at = time.monotonic()
    back = await fault.make(desk)

    async def is_back() -> Any:
        # While it is not, what is asked may fail in many ways.
        with contextlib.suppress(AssertionError, TimeoutError, OSError, aiohttp.ClientError):
            return await back()

    try:
        await eventually(is_back, f"{fault.id} is over", PATIENCE * fault.bound_s)
    finally:
        took_s, saw = time.monotonic() - desk.since, desk.watcher
        # Also what is there again, but not yet shown to anybody.
        await desk.settled()
        row = Row(
            fault.name, fault.how, saw.says(at), took_s, fault.bound_s,
            before.lost_by(await desk.kept()), fault.allowed, desk.told(),
        )  # fmt: skip
        table.append(row)
        print(f"\n{row}")
    assert row.beyond(LENIENCE) == []


@pytest.mark.slow
@pytest.mark.parametrize(("how", "sign", "bound_s"), [("kill", signal.SIGKILL, 2.0), ("hang", signal.SIGSTOP, 15.0)])
async def test_only_a_dead_qemu_takes_a_session_and_says_so(
    desk: Desk, gateway: KillableGateway, table: list[Row], how: str, sign: signal.Signals, bound_s: float
) -> None:
    await desk.settled()
    others = set(gateway.processes())
    lost = await Desk.open(gateway)
    (qemu,) = set(gateway.processes()) - others
    at = time.monotonic()
    os.kill(qemu, sign)

    async def told() -> dict[str, Any] | None:
        view = await gateway.call("GET", f"/v1/sessions/{lost.sid}")
        return view if view["state"] == "failed" else None

    try:
        view = await eventually(told, "the session says that it is lost", PATIENCE * bound_s)
        took_s = time.monotonic() - at
        error = f"{view['error']['kind']}: {view['error']['message']}"
        row = Row("QEMU", how, lost.watcher.says(at), took_s, bound_s,
                  frozenset({Loss.SESSION}), frozenset({Loss.SESSION}), error)  # fmt: skip
        table.append(row)
        print(f"\n{row}")
        assert (view["error"]["kind"], row.beyond(LENIENCE)) == ("vm-lost", [])
        # Nobody else's.
        assert await desk.watcher.sees(at + took_s / 2) or how == "kill"
        await desk.settled()
    finally:
        await lost.close()
        await gateway.call("DELETE", f"/v1/sessions/{lost.sid}")
