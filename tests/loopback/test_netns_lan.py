"""A VM's network: what is in it, what is not, and that it goes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from gateway.errors import NetnsError
from gateway.netns.lan import GUEST_IP, GUEST_MAC, HOST_IP, NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.vm.driver import Command
from tests.leaks import footprint, grown, namespace_of, namespace_users


@pytest.fixture
async def thread() -> AsyncIterator[NamespaceThread]:
    before = footprint()
    made = NamespaceThread()
    await made.start()
    yield made
    await made.close()
    left = grown(before, footprint())
    assert not left, left


@pytest.fixture
async def lan(thread: NamespaceThread) -> AsyncIterator[NamespaceLan]:
    made = await NamespaceLan.create(thread)
    yield made
    await made.close()


async def _inside(lan: NamespaceLan, *argv: str) -> str:
    child = await lan.spawn(Command(argv, stdout=subprocess.PIPE))
    out, _ = await asyncio.to_thread(child.communicate)
    return out.decode()


async def test_there_is_a_loopback_and_nothing_else(lan: NamespaceLan) -> None:
    links = await _inside(lan, "ip", "-brief", "link")
    assert [line.split()[0] for line in links.splitlines()] == ["lo"]
    assert await _inside(lan, "ip", "route") == ""


async def test_the_tap_has_its_address_and_mac_and_goes_with_its_descriptor(lan: NamespaceLan) -> None:
    tap = await lan.open_tap()
    assert not os.get_inheritable(tap)
    assert f"inet {HOST_IP}/30" in await _inside(lan, "ip", "address", "show", "tap0")
    assert "02:fc:00:00:00:06" in await _inside(lan, "ip", "link", "show", "tap0")
    routes = await _inside(lan, "ip", "route")
    assert routes.split() == f"169.254.0.20/30 dev tap0 proto kernel scope link src {HOST_IP}".split()
    neighbours = await _inside(lan, "ip", "neighbour")
    assert neighbours.split() == f"{GUEST_IP} dev tap0 lladdr {GUEST_MAC} PERMANENT".split()
    os.close(tap)
    assert "tap0" not in await _inside(lan, "ip", "link")


async def test_no_ipv6_and_no_forwarding(lan: NamespaceLan) -> None:
    tap = await lan.open_tap()
    assert await _inside(lan, "ip", "-6", "address", "show", "tap0") == ""
    assert (await _inside(lan, "cat", "/proc/sys/net/ipv4/ip_forward")).strip() == "0"
    os.close(tap)


async def test_the_internet_is_not_reachable(lan: NamespaceLan) -> None:
    script = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); print(s.connect_ex(('192.0.2.1', 53)))"
    )
    assert (await _inside(lan, "python3", "-c", script)).strip() == "101"  # ENETUNREACH


async def test_tcp_reaches_a_guest_of_host_processes(lan: NamespaceLan) -> None:
    await lan.open_loopback_guest()
    script = (
        "import socket; s = socket.create_server(('169.254.0.21', 5901)); print('up', flush=True); "
        "c, _ = s.accept(); c.sendall(b'RFB 003.008\\n'); c.recv(1)"
    )
    child = await lan.spawn(Command(["python3", "-c", script], stdout=subprocess.PIPE))
    assert child.stdout is not None
    with child.stdout:
        await asyncio.to_thread(child.stdout.readline)
        reader, writer = await asyncio.open_connection(sock=await lan.tcp(5901))
        assert await reader.readline() == b"RFB 003.008\n"
        writer.close()
        await writer.wait_closed()
        await asyncio.to_thread(child.wait)


async def test_a_closed_port_is_a_netns_error_at_once(lan: NamespaceLan) -> None:
    await lan.open_loopback_guest()
    with pytest.raises(NetnsError, match="port 5901: Connection refused"):
        await lan.tcp(5901)


async def test_a_guest_that_is_not_there_is_a_netns_error(lan: NamespaceLan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.netns.lan.CONNECT_TIMEOUT_S", 0.05)
    with pytest.raises(NetnsError, match="Network is unreachable"):
        await lan.tcp(5901)
    tap = await lan.open_tap()
    with pytest.raises(NetnsError, match=r"no answer within 0\.05 s"):
        await lan.tcp(5901)
    os.close(tap)


async def test_udp_is_connected_inside(lan: NamespaceLan) -> None:
    tap = await lan.open_tap()
    with await lan.udp(40001) as sock:
        assert sock.getpeername() == (GUEST_IP, 40001)
        assert sock.getsockname()[0] == HOST_IP
        assert not sock.getblocking()
    os.close(tap)


async def test_two_have_the_same_addresses_and_do_not_meet(thread: NamespaceThread) -> None:
    first, second = await NamespaceLan.create(thread), await NamespaceLan.create(thread)
    for lan in (first, second):
        await lan.open_loopback_guest()
    with await first.udp(40001) as near, await second.udp(40001) as far:
        assert near.getpeername() == far.getpeername()
    child = await first.spawn(Command(["sleep", "1000"]))
    other = await second.spawn(Command(["sleep", "1000"]))
    assert len({namespace_of(pid) for pid in (child.pid, other.pid, os.getpid())}) == 3
    for process in (child, other):
        process.kill()
        await asyncio.to_thread(process.wait)
    await first.close()
    await second.close()


async def test_closing_lets_the_namespace_go(thread: NamespaceThread) -> None:
    lan = await NamespaceLan.create(thread)
    child = await lan.spawn(Command(["sleep", "1000"]))
    name = namespace_of(child.pid)
    await lan.close()
    await lan.close()
    assert namespace_users(name) == [f"process {child.pid}"]
    child.kill()
    await asyncio.to_thread(child.wait)
    assert namespace_users(name) == []
    with pytest.raises(NetnsError, match="closed"):
        await lan.open_tap()


async def test_a_socket_outlives_its_lan(thread: NamespaceThread) -> None:
    lan = await NamespaceLan.create(thread)
    await lan.open_loopback_guest()
    sock = await lan.udp(40001)
    await lan.close()
    assert sock.getpeername() == (GUEST_IP, 40001)
    sock.close()


async def test_a_program_that_is_not_there_is_a_netns_error(lan: NamespaceLan) -> None:
    with pytest.raises(NetnsError, match="cannot start /nonexistent: No such file"):
        await lan.spawn(Command(["/nonexistent"]))


async def test_a_child_gets_only_what_it_is_given(lan: NamespaceLan) -> None:
    script = "import os, sys; print(sorted(map(int, os.listdir('/proc/self/fd'))), sorted(os.environ))"
    near, far = socket.socketpair()
    with near, far:
        argv = [sys.executable, "-S", "-c", script]
        child = await lan.spawn(Command(argv, [far.fileno()], {"A": "b", "LC_ALL": "C"}, stdout=subprocess.PIPE))
        out, _ = await asyncio.to_thread(child.communicate)
        # Beside it there is the directory that is being listed, at the lowest free number.
        listing = 3 if far.fileno() != 3 else 4
        assert out.decode().strip() == f"{sorted([0, 1, 2, listing, far.fileno()])} ['A', 'LC_ALL']"
