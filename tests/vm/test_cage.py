"""From inside a guest, as root, every way out is tried; watched from outside, nothing leaves but by the proxy."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio

from gateway import host
from gateway.app import Serving, disk_dir, serving
from gateway.exits import parse_exit
from gateway.netns.lan import GUEST_IP, GUEST_MAC, HOST_IP
from gateway.netns.thread import NamespaceThread
from gateway.sessions.session import Session
from gateway.settings import Settings
from gateway.vm import cgroup
from gateway.vm.images import GoldenImage
from gateway.vm.qemu_vm import QemuVm
from tests.e2e.guest import Guest, eventually
from tests.vm import cage_cgroup
from tests.vm.cage_attempts import FOREIGN_IP, FOREIGN_MAC, Attempt, World, attempts
from tests.vm.cage_watch import Sniffer, Window, divider, listeners, mark, sniffing, trap, windows
from tests.vm.frames import mac
from tests.vm.sessions import settings_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

SCRIPT = Path(__file__).with_name("cage_guest.py").read_text()
PYTHON = "/opt/fenster/bin/python"


@dataclass
class Cage:
    settings: Settings
    gateway: Serving
    prisoner: Session
    other: Session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cage(golden_image: GoldenImage) -> AsyncIterator[Cage]:
    """Two sessions with the most that a session can be given: an exit that is this host itself."""
    with settings_for(
        golden_image, host="0.0.0.0", port=0, proxy_direct=True, proxy=parse_exit("direct"), max_sessions=2
    ) as settings:
        async with serving(settings) as gateway:
            manager, out = gateway.services.manager, gateway.services.exits.out
            sessions = [await manager.create(out=out) for _ in range(2)]
            for session in sessions:
                await session.wait_ready()
            yield Cage(settings, gateway, *sessions)


def pid_of(session: Session) -> int:
    assert isinstance(session.vm, QemuVm)
    return session.vm.process.pid


async def inside(thread: NamespaceThread, session: Session, job: Callable[[], None]) -> None:
    """Run something in a VM's namespace."""
    fd = os.open(f"/proc/{pid_of(session)}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        await thread.run(fd, job, lambda _: None)
    finally:
        os.close(fd)


def of_a_guest(token: bytes, data: bytes) -> bool:
    """Whether a frame that should not be here comes from the prisoner, or pretends what it pretended."""
    macs, ips = (mac(GUEST_MAC), mac(FOREIGN_MAC)), (socket.inet_aton(GUEST_IP), socket.inet_aton(FOREIGN_IP))
    return token in data or data[6:12] in macs or data[26:30] in ips


async def act(session: Session, rows: list[Attempt], token: bytes) -> list[str]:
    """Have the guest try all of it; what it saw."""
    plan = {
        "divider": divider(token, GUEST_MAC).hex(),
        "attempts": [row.plan(mark(token, number)) for number, row in enumerate(rows)],
    }
    guest = Guest(session.link)
    await guest.write("/tmp/cage.py", SCRIPT)
    told = await guest.run(PYTHON, "-I", "/tmp/cage.py", user=False, stdin=json.dumps(plan), timeout_s=180)
    return list(map(str, json.loads(told)))


def escaped(frames: Iterable[tuple[bool, bytes]], token: bytes, count: int) -> list[list[str]]:
    """By attempt, the frames with its mark; those without one stand at the end."""
    found: list[list[str]] = [[] for _ in range(count + 1)]
    for _, data in frames:
        at = data.find(token)
        number = int.from_bytes(data[at + len(token) : at + len(token) + 2], "big") if at >= 0 else count
        found[min(number, count)].append(data.hex())
    return found


def wrong(row: Attempt, came: str, window: Window) -> list[str]:
    """What of an attempt is not as it should be, the escapes apart."""
    kinds = {words.partition(" from port ")[0] for words in window.answers} - {"ARP answer", "ARP question"}
    faults = [] if window.sent else ["nothing was tried"]
    faults += [f"answered by {kind}" for kind in kinds - row.answers]
    through = came == "connected" or came.startswith("answered")
    if row.how == "proxy":
        through = " 403 " not in came
    if through is not row.open:
        faults.append(f"came to {came!r}")
    return faults


def table(rows: list[Attempt], came: list[str], seen: list[Window], faults: list[list[str]]) -> str:
    lines = [
        f"{'tried':<38} {'by':<6} {'target':<22} {'sent':>4}  {'the guest saw':<26} {'on the tap came back':<24} out"
    ]
    for row, told, window, fault in zip(rows, came, seen, faults, strict=True):
        target = "" if callable(row.target) else f"{row.target[0]}:{row.target[1]}"
        back = ", ".join(sorted({*window.answers, *window.by_proxy}))[:24] or "-"
        verdict = "; ".join(fault) or ("OPEN, as meant" if row.open else "-")
        lines.append(
            f"{row.name[:38]:<38} {row.how:<6} {target:<22} {window.sent:>4}  {told[:26]:<26} {back:<24} {verdict}"
        )
    return "\n".join(lines)


async def test_nothing_gets_out_but_by_the_proxy(cage: Cage) -> None:
    token = secrets.token_bytes(12)
    thread = NamespaceThread()
    await thread.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(thread.close)
        traps = await stack.enter_async_context(trap())
        rows = attempts(
            World(
                [address for address in host.addresses() if "." in address and not address.startswith("127.")],
                int(cage.gateway.url.rpartition(":")[2]),
                cage.gateway.services.dataplane.media_port,
                traps.port,
            )
        )
        watch = partial(of_a_guest, token)
        tap = await stack.enter_async_context(sniffing(partial(inside, thread, cage.prisoner), lambda _: True))
        neighbour = await stack.enter_async_context(sniffing(partial(inside, thread, cage.other), lambda _: True))
        outside = await stack.enter_async_context(sniffing(lambda job: job(), watch))
        await they_can_see(outside, neighbour, traps.port, traps.came, cage, token, len(rows))
        neighbour.frames.clear()

        came = await act(cage.prisoner, rows, token)

        for sniffer in (tap, neighbour, outside):
            sniffer.read()
        seen = windows(tap.frames, divider(token, GUEST_MAC), len(rows))
        # What another VM's own guest says has no mark.
        marked = [frame for frame in neighbour.frames if token in frame[1]]
        out = [a + b for a, b in zip(*(escaped(f, token, len(rows)) for f in (outside.frames, marked)), strict=True)]
        faults = [
            wrong(row, told, window) + [f"ESCAPED: {data}" for data in gone]
            for row, told, window, gone in zip(rows, came, seen, out, strict=False)
        ]
        print(f"\n{table(rows, came, seen, faults)}")
        print(
            f"{len(rows)} attempts; {len(tap.frames)} frames on the tap, {outside.total} looked at on the host and "
            f"{neighbour.total} at another VM: {sum(map(len, out))} of this guest; at listeners: {traps.came}"
        )
        assert [(row.name, fault) for row, fault in zip(rows, faults, strict=True) if fault] == []
        assert out[-1] == []
        assert traps.came == []


async def they_can_see(
    outside: Sniffer, neighbour: Sniffer, port: int, came: list[str], cage: Cage, token: bytes, number: int
) -> None:
    """A frame with the mark does not pass the watchers, or what follows would prove nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(mark(token, number), ("127.0.0.1", port))
    reader, writer = await cage.other.vm.dial(5901)
    # And the way in is open.
    assert (await reader.readline()).startswith(b"RFB")
    writer.close()

    async def seen() -> bool | None:
        return bool(came and outside.frames and neighbour.frames) or None

    await eventually(seen, "what the watchers must see", 10)
    assert all(token in data for _, data in outside.frames)
    came.clear()
    outside.frames.clear()


async def test_a_vms_namespace_holds_a_tap_and_the_proxys_listener(cage: Cage) -> None:
    thread = NamespaceThread()
    await thread.start()
    told: dict[str, str] = {}
    names = ["dev", "route", "tcp", "udp", "udp6", "tcp6", "raw", "raw6", "packet", "snmp", "if_inet6"]

    def look() -> None:
        told.update({name: Path("/proc/thread-self/net", name).read_text() for name in names if _is_there(name)})

    try:
        await inside(thread, cage.prisoner, look)
    finally:
        await thread.close()
    assert sorted(line.split(":")[0].strip() for line in told["dev"].splitlines()[2:]) == ["lo", "tap0"]
    assert [line.split()[1] for line in told["route"].splitlines()[1:]] == ["1400FEA9"]  # 169.254.0.20, the link's
    assert listeners(told["tcp"]) == [f"{HOST_IP}:3128"]
    assert [name for name in names if name.endswith("6") and len(told.get(name, "").splitlines()) > 1] == []
    assert len(told["raw"].splitlines()) == len(told["packet"].splitlines()) == 1
    # Each of these is the relay's, connected to one port of the guest, and takes nothing from another.
    for line in told["udp"].splitlines()[1:]:
        assert line.split()[2].split(":")[0] == "1500FEA9"
    head, values = (line.split() for line in told["snmp"].splitlines() if line.startswith("Ip:"))
    counted = dict(zip(head, values, strict=True))
    assert (counted["Forwarding"], counted["ForwDatagrams"]) == ("2", "0")


def _is_there(name: str) -> bool:
    return Path("/proc/thread-self/net", name).exists()


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")[:-1]


def limits_of(pid: int) -> dict[str, str]:
    """Hard limits by their names (proc_pid_limits(5))."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:25].strip(): line[47:67].strip() for line in lines}


def cgroup_of(pid: int) -> str:
    """In the unified hierarchy (cgroups(7)); "" where there is none."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "")


async def test_each_machine_is_a_stranger_without_rights_and_within_bounds(cage: Cage) -> None:
    pids = [pid_of(session) for session in (cage.prisoner, cage.other)]
    uids = set()
    for pid in pids:
        told = status_of(pid)
        assert (told["Seccomp"], told["NoNewPrivs"]) == ("2", "1")
        assert int(told["CapPrm"], 16) == int(told["CapBnd"], 16) == int(told["CapAmb"], 16) == 0
        assert told["Groups"].split() == []
        assert len(environment_of(pid)) == 2
        limits = limits_of(pid)
        exact = [limits[f"Max {name}"] for name in ("core file size", "open files", "processes")]
        assert exact == ["0", "1024", "192"]
        assert limits["Max address space"].isdecimal()
        assert limits["Max file size"].isdecimal()
        uids.add(told["Uid"])
    assert len(uids) == 2
    assert all(set(uid.split()) == {uid.split()[0]} and uid.split()[0] != "0" for uid in uids)
    if (own := cgroup_of(os.getpid())) != "":
        # It outlives the gateway, and must not end with the gateway's cgroup.
        places = {cgroup_of(pid) for pid in pids}
        assert len(places) == 2
        assert all(place != own and not place.startswith(f"{own.rstrip('/')}/gateway/") for place in places)
    # Nothing of a machine can be opened by its name, by whoever it runs as.
    for session in (cage.prisoner, cage.other):
        assert session.vm is not None
        disk = next(disk_dir(cage.settings).glob(f"{session.id}.raw"))
        assert (disk.stat().st_mode & 0o777, disk.stat().st_uid) == (0o600, os.geteuid())
        assert (cage.settings.run_dir / session.id).stat().st_mode & 0o777 == 0o700
    print(f"uids {uids}, cgroups {[cgroup_of(pid) for pid in pids]}, bounded {cage.prisoner.view().limits}")


def source_of(module: ModuleType) -> str:
    return Path(module.__file__ or "").read_text()


async def test_a_real_kernel_holds_a_machines_cgroup_to_its_bounds(cage: Cage) -> None:
    """In a guest, whose systemd has all controllers: this host may have given them to cgroup v1."""
    guest = Guest(cage.other.link)
    for module in (cgroup, cage_cgroup):
        await guest.run("tee", f"/tmp/{module.__name__.rpartition('.')[2]}.py", user=False, stdin=source_of(module))
    told = json.loads(await guest.run(PYTHON, "/tmp/cage_cgroup.py", user=False, timeout_s=60))
    print(told)
    assert told["controllers"] == ["memory", "pids", "cpu", "io"]
    assert told["why"] == ""
    assert told["unbounded"] == [0, 0]
    assert told["hungry"] == -9
    assert told["forks"] < cage_cgroup.PROCESSES
    assert told["throttled"] > 0
    assert told["io"].endswith("rbps=10000000 wbps=10000000 riops=max wiops=max")
    assert told["left"] == []
