"""The faults: how each is made, how it is seen that all is well again, within how long, and what it may cost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.e2e.guest import eventually
from tests.faults.desk import Desk
from tests.faults.host import Host
from tests.faults.host_faults import disk_full, exit_gone, exit_mute, golden_deleted, store_locked
from tests.faults.table import Loss

__all__ = ["FAULTS", "HOST_FAULTS", "Back", "Fault"]

Back = Callable[[], Awaitable[Any]]
"""Not None once it is back."""

WINDOWS = frozenset({Loss.TERMINAL, Loss.CHROMIUM})
FREEZE = "FREEZE"
"""No signal: what is frozen (cgroup v2) cannot be told to go on, as what hangs by itself."""
SIGNALS = {"kill": "KILL", "hang": "STOP", "freeze": FREEZE}
CGROUP = "/sys/fs/cgroup/system.slice/fenster-{}.service"


@dataclass(frozen=True, slots=True)
class Fault:
    """Args:
    name, how: "kill", "hang" (SIGSTOP), "freeze", or another word for what is done.
    make: does it, and gives what is asked until it is back.
    bound_s: from then on.
    allowed: what may be lost.
    fast: in every run of the tests.
    """

    name: str
    how: str
    make: Callable[[Desk], Awaitable[Back]]
    bound_s: float
    allowed: frozenset[Loss] = field(default_factory=frozenset)
    fast: bool = False

    @property
    def id(self) -> str:
        return f"{self.name}, {self.how}".replace(" ", "-")


async def _agent(desk: Desk, name: str) -> Back:
    pid = int((await desk.hello())["agent"]["pid"])
    await desk.signal(name, pid)
    return partial(desk.agent_is, other_than=pid)


async def _zygote(desk: Desk, name: str) -> Back:
    agent = int((await desk.hello())["agent"]["pid"])
    zygote = await desk.main_pid("agent")
    # It cannot be asked to hit itself and to tell of it.
    later = ("systemd-run", "--quiet", "--on-active=0.1", "--timer-property=AccuracySec=10ms")
    await desk.guest.run(*later, "kill", f"-{name}", str(zygote), user=False)
    return partial(desk.agent_is, other_than=agent)


async def _x_server(desk: Desk, name: str) -> Back:
    pid = await _strike(desk, name, "x")

    async def back() -> bool | None:
        main = await desk.main_pid("x")
        return ((await _goes_on(desk, name, pid) or main not in (0, pid)) and await desk.is_complete()) or None

    return back


async def _x11vnc(desk: Desk, name: str) -> Back:
    await _strike(desk, name, "vnc")
    return desk.banner


async def _chromium(desk: Desk, name: str) -> Back:
    pid = await _strike(desk, name, "chromium")

    async def back() -> bool | None:
        return await _goes_on(desk, name, pid) or (name != "STOP" and await desk.other_chromium(pid)) or None

    return back


async def _goes_on(desk: Desk, name: str, pid: int) -> bool:
    """It was only stopped, and runs again."""
    return name == "STOP" and await desk.runs(pid)


async def _strike(desk: Desk, name: str, unit: str) -> int:
    """The unit's main process, which now has the signal, or is frozen."""
    pid = await desk.main_pid(unit)
    desk.struck()
    if name == FREEZE:
        await desk.guest.run("tee", CGROUP.format(unit) + "/cgroup.freeze", user=False, stdin="1")
    else:
        await desk.signal(name, pid)
    return pid


async def _window_manager(desk: Desk, name: str) -> Back:
    pid = await desk.window_manager_pid()
    await desk.signal(name, pid)

    async def back() -> bool | None:
        other = await desk.window_manager_pid() != pid
        return ((other or await _goes_on(desk, name, pid)) and await desk.is_complete()) or None

    return back


async def _data_plane(desk: Desk, name: str) -> Back:
    pid = desk.gateway.data_plane()
    assert pid is not None
    os.kill(pid, signal.Signals[f"SIG{name}"])
    at = time.monotonic()

    async def back() -> bool | None:
        other = await asyncio.to_thread(desk.gateway.data_plane) not in (None, pid)
        return (other and await desk.watcher.sees(at) and await desk.banner()) or None

    return back


async def _gateway_killed(desk: Desk) -> Back:
    await desk.gateway.kill(signal.SIGKILL)
    await desk.gateway.start()
    return lambda: _answers(desk)


async def _gateway_hung(desk: Desk) -> Back:
    """As systemd ends it, which has not heard of it for WatchdogSec."""
    desk.gateway.send(signal.SIGSTOP)
    await asyncio.sleep(HUNG_S)
    desk.mended()
    await desk.gateway.kill(signal.SIGKILL)
    await desk.gateway.start()
    return lambda: _answers(desk)


HUNG_S = 8.0


async def _everything_of_the_hosts(desk: Desk) -> Back:
    """Nothing holds the machine's network namespace any more but its QEMU."""
    plane = desk.gateway.data_plane()
    assert plane is not None
    os.kill(plane, signal.SIGKILL)
    await desk.gateway.kill(signal.SIGKILL)
    at = time.monotonic()
    await desk.gateway.start()

    async def back() -> bool | None:
        return (await _answers(desk) and await desk.watcher.sees(at) and await desk.banner()) or None

    return back


async def _answers(desk: Desk) -> bool | None:
    view = await desk.gateway.call("GET", f"/v1/sessions/{desk.sid}")
    return (view["state"] == "ready" and await desk.banner()) or None


async def _clock(desk: Desk, by: str) -> Back:
    await desk.guest.run("date", "--set", by, user=False)
    at = time.monotonic()

    async def back() -> bool | None:
        return (await desk.agent_is(other_than=0) and await desk.watcher.sees(at) and await desk.banner()) or None

    return back


HOG = "held = []\nwhile True: held.append(bytearray(b'x') * (8 << 20))"
RUN_HOG = f"""
echo $$ > {CGROUP.format("desktop")}/cgroup.procs
exec setsid -f runuser -u user -- python3 -c "$0" </dev/null >/dev/null 2>&1
"""


async def _guest_memory(desk: Desk) -> Back:
    """A program of the user's, as the terminal starts it, takes all there is; the kernel ends it."""
    await desk.guest.run("bash", "-c", RUN_HOG, HOG, user=False)

    async def over() -> bool | None:
        found = await desk.guest.run("sh", "-c", "pgrep -f '[h]eld = ' || echo none")
        return found.strip() == "none" or None

    return over


FILLER = "/home/user/filler"


async def _guest_disk(desk: Desk) -> Back:
    """The user fills it, goes on working, and makes room again."""
    await desk.guest.run(
        "sh", "-c", f"cat /dev/zero > {FILLER} 2>/dev/null; ! echo x > ~/one-more 2>/dev/null", timeout_s=120
    )
    pid = int((await desk.hello())["agent"]["pid"])
    await desk.signal("KILL", pid)
    await eventually(partial(desk.agent_is, other_than=pid), "an agent on a full disk")
    at = time.monotonic()
    await eventually(partial(desk.watcher.sees, at), "a picture of a full disk")
    await eventually(partial(desk.has_reason, "disk-full"), "its health says so")
    await desk.guest.run("rm", FILLER)
    desk.mended()
    return desk.banner


async def _send(make: Callable[[Desk, str], Awaitable[Back]], sign: str, desk: Desk) -> Back:
    return await make(desk, sign)


def _each(
    name: str, make: Callable[[Desk, str], Awaitable[Back]], bounds_s: Mapping[str, float],
    allowed: frozenset[Loss] = frozenset(), fast: tuple[str, ...] = (), kept: tuple[str, ...] = (),
) -> list[Fault]:  # fmt: skip
    """One for each of the ways in ``bounds_s``. Those in ``kept`` may cost nothing."""
    return [
        Fault(name, how, partial(_send, make, SIGNALS[how]), bound_s, frozenset() if how in kept else allowed,
              how in fast)
        for how, bound_s in bounds_s.items()
    ]  # fmt: skip


FAULTS: list[Fault] = [
    *_each("agent", _agent, {"kill": 3, "hang": 3}, fast=("hang",)),
    # Another one has all libraries to load before it can fork an agent.
    *_each("zygote", _zygote, {"kill": 15, "hang": 30}),
    *_each("x11vnc", _x11vnc, {"kill": 10, "hang": 10, "freeze": 15}, fast=("kill",)),
    *_each("window manager", _window_manager, {"kill": 30, "hang": 30}),
    # What is frozen must be seen not to answer, which takes two looks.
    *_each("Chromium", _chromium, {"kill": 10, "hang": 10, "freeze": 20}, frozenset({Loss.CHROMIUM}), kept=("hang",)),
    *_each("X server", _x_server, {"kill": 30, "hang": 30, "freeze": 40}, WINDOWS, kept=("hang",)),
    Fault("guest's clock", "a day on", partial(_clock, by="+1 day"), 3),
    Fault("guest's clock", "a day back", partial(_clock, by="-1 day"), 3),
    Fault("guest's memory", "used up", _guest_memory, 30),
    Fault("guest's disk", "full", _guest_disk, 10),
    *_each("data plane", _data_plane, {"kill": 5, "hang": 15}, frozenset({Loss.CONNECTIONS})),
    Fault("gateway", "kill", _gateway_killed, 10),
    Fault("gateway", f"hang, ended after {HUNG_S:g} s", _gateway_hung, 10),
    Fault("gateway and data plane", "kill", _everything_of_the_hosts, 10),
]
"""Of one desktop, one after the other."""

HOST_FAULTS: list[tuple[str, str, Callable[[Desk, Host], Awaitable[Back]], float]] = [
    ("exit", "gone", exit_gone, 5),
    ("exit", "mute", exit_mute, 5),
    ("database", "locked", store_locked, 5),
    ("state directory", "disk full", disk_full, 5),
    ("golden files", "deleted", golden_deleted, 60),
]
"""Name, how, what makes it and mends it, and the bound in s from then on. Nothing may be lost by them."""
