"""A VM's private network: a namespace with one tap, and nothing else.

There is no veth, no NAT, no forwarding and no route out: what a guest can reach is exactly what the gateway listens
on inside (DESIGN 4). Addresses and MACs are the same for every VM, because a clone keeps those of its template.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import NetnsError
from gateway.netns.thread import NamespaceThread

if TYPE_CHECKING:
    from gateway.vm.driver import Command, Lan

__all__ = ["GUEST_IP", "GUEST_MAC", "HOST_IP", "TAP_MAC", "NamespaceLan"]

T = TypeVar("T")

HOST_IP = "169.254.0.22"
GUEST_IP = "169.254.0.21"
NETMASK = "255.255.255.252"
TAP_NAME = "tap0"
TAP_MAC = "02:fc:00:00:00:06"
GUEST_MAC = "02:fc:00:00:00:05"

CONNECT_TIMEOUT_S = 5.0
BACKLOG = 128
IP_FREEBIND = 15
"""linux/in.h; the socket module has it from Python 3.14."""

# linux/if.h, linux/if_arp.h, linux/if_tun.h, linux/sockios.h
IFF_UP = 0x1
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUNSETIFF = 0x400454CA
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFHWADDR = 0x8916, 0x891C, 0x8924
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
SIOCSARP = 0x8955
ATF_COM, ATF_PERM = 0x02, 0x04
ARPHRD_ETHER = 1

_SYSCTLS = {
    # Only IPv4 is spoken here; a link-local IPv6 address would be a second way to the host's end.
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
    # A new namespace takes these over from the host (net.core.devconf_inherit_init_net), where they may be on.
    "net/ipv4/ip_forward": "0",
    "net/ipv4/conf/all/route_localnet": "0",
    "net/ipv4/conf/default/route_localnet": "0",
    # What a guest forges is dropped before anything looks at it (networking/ip-sysctl.rst): a source address that is
    # not behind the tap, a source route, a redirect, a neighbour nobody asked for.
    "net/ipv4/conf/all/rp_filter": "1",
    "net/ipv4/conf/default/rp_filter": "1",
    "net/ipv4/conf/all/accept_source_route": "0",
    "net/ipv4/conf/default/accept_source_route": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
    "net/ipv4/conf/default/drop_gratuitous_arp": "1",
    # The kernel has one answer fewer to give.
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/icmp_echo_ignore_all": "1",
}


class NamespaceLan:
    """A :class:`~gateway.vm.driver.Lan`; made by :meth:`create`. The host's end of the tap is HOST_IP.

    Args:
        fd: holds a namespace that is set up; owned from here on.
    """

    def __init__(self, thread: NamespaceThread, fd: int) -> None:
        self.host_ip = HOST_IP
        self.guest_ip = GUEST_IP
        self._thread = thread
        self._fd = fd

    @property
    def fd(self) -> int:
        """Holds the namespace; stays this object's. -1 when closed."""
        return self._fd

    @classmethod
    async def create(cls, thread: NamespaceThread) -> NamespaceLan:
        """Make the namespace, with its loopback up. Raises NetnsError."""
        lan = cls(thread, await thread.create())
        try:
            await lan._run(_settle, _nothing, "set up a namespace")
        except BaseException:
            await lan.close()
            raise
        return lan

    @classmethod
    async def of_process(cls, thread: NamespaceThread, pid: int) -> NamespaceLan:
        """The network that a process of an earlier gateway is in. Raises NetnsError."""
        try:
            return cls(thread, await asyncio.to_thread(os.open, f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as exc:
            raise NetnsError(f"the network of process {pid} cannot be had: {exc.strerror}") from exc

    async def open_tap(self) -> int:
        return await self._run(_open_tap, os.close, "make a tap")

    async def open_loopback_guest(self) -> None:
        await self._run(_add_guest_address, _nothing, "give the namespace the guest's address")

    async def spawn(self, command: Command) -> subprocess.Popen[bytes]:
        def job() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                list(command.argv),
                stdin=command.stdin,
                stdout=command.stdout,
                stderr=command.stderr,
                pass_fds=command.pass_fds,
                env=None if command.env is None else dict(command.env),
                cwd=command.cwd,
                start_new_session=True,
            )

        return await self._run(job, _kill, f"start {command.argv[0]}")

    async def tcp(self, port: int) -> socket.socket:
        what = f"connect to the guest's port {port}"
        sock = await self._run(lambda: _new_socket(socket.SOCK_STREAM), socket.socket.close, what)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(sock, (self.guest_ip, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as exc:
            sock.close()
            raise NetnsError(f"cannot {what}: no answer within {CONNECT_TIMEOUT_S:g} s") from exc
        except OSError as exc:
            sock.close()
            raise NetnsError(f"cannot {what}: {os.strerror(exc.errno or 0)}") from exc
        except BaseException:
            sock.close()
            raise
        return sock

    async def udp(self, guest_port: int) -> socket.socket:
        def job() -> socket.socket:
            sock = _new_socket(socket.SOCK_DGRAM)
            try:
                # Returns at once: connecting UDP only fixes the peer and picks the source address (udp(7)).
                sock.connect((self.guest_ip, guest_port))
            except BaseException:
                sock.close()
                raise
            return sock

        return await self._run(job, socket.socket.close, f"open a socket to the guest's UDP port {guest_port}")

    async def listen(self, port: int) -> socket.socket:
        def job() -> socket.socket:
            sock = _new_socket(socket.SOCK_STREAM)
            try:
                # A gateway that was killed has left connections that keep the port for a minute.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # The address comes with the tap, which may be made later.
                sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
                sock.bind((self.host_ip, port))
                sock.listen(BACKLOG)
            except BaseException:
                sock.close()
                raise
            return sock

        return await self._run(job, socket.socket.close, f"listen on port {port}")

    async def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    async def _run(self, job: Callable[[], T], discard: Callable[[T], object], what: str) -> T:
        if self._fd < 0:
            raise NetnsError(f"cannot {what}: the namespace is closed")
        try:
            return await self._thread.run(self._fd, job, discard)
        except OSError as exc:
            hint = "load the tun module, and see that /dev/net/tun may be opened" if job is _open_tap else ""
            raise NetnsError(f"cannot {what}: {exc.strerror or exc}", hint=hint) from exc


def _nothing(result: object) -> None:
    pass


def _kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _new_socket(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    return sock


def _settle() -> None:
    for name, value in _SYSCTLS.items():
        # Absent without IPv6 in the kernel, read-only in some containers; the topology holds without them.
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text(value)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _up(control, "lo")


def _open_tap() -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Not persistent: the interface goes with the last descriptor, QEMU's or ours.
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", TAP_NAME.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            mac = bytes.fromhex(TAP_MAC.replace(":", ""))
            fcntl.ioctl(control, SIOCSIFHWADDR, struct.pack("16sH6s16x", TAP_NAME.encode(), ARPHRD_ETHER, mac))
            _address(control, TAP_NAME, HOST_IP, NETMASK)
            _up(control, TAP_NAME)
            _neighbour(control, TAP_NAME, GUEST_IP, GUEST_MAC)
    except BaseException:
        os.close(tap)
        raise
    return tap


def _add_guest_address() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _address(control, "lo:1", GUEST_IP, "255.255.255.255")
        # Where the guest looks for its proxy; a VM has it on its tap.
        _address(control, "lo:2", HOST_IP, "255.255.255.255")


def _address(control: socket.socket, name: str, address: str, netmask: str) -> None:
    for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, netmask)):
        inet = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
        fcntl.ioctl(control, request, struct.pack("16s16s8x", name.encode(), inet))


def _neighbour(control: socket.socket, name: str, address: str, mac: str) -> None:
    """Who has an address is known for good (arp(7)): nobody is asked, and nobody who says otherwise is believed."""
    inet = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
    ether = struct.pack("H6s8x", ARPHRD_ETHER, bytes.fromhex(mac.replace(":", "")))
    fcntl.ioctl(control, SIOCSARP, struct.pack("16s16si16s16s", inet, ether, ATF_COM | ATF_PERM, b"", name.encode()))


def _up(control: socket.socket, name: str) -> None:
    got = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
    (flags,) = struct.unpack_from("H", got, 16)
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags | IFF_UP))


if TYPE_CHECKING:
    _: type[Lan] = NamespaceLan
