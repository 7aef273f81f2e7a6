"""The zygote's end of the agent link: a virtio-serial port, or a unix socket for development.

A virtio-serial port has no connection: it stays open for life, reads nothing and polls as hung up while the
host's end is not open (Linux drivers/char/virtio_console.c). A loop that waited for it then would spin, so it is
looked at by the clock until the host is there.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path

from guest_agent.protocol.link import PORT_NAME

__all__ = ["DEFAULT_LINK", "LOOK_S", "Port", "open_port"]

DEFAULT_LINK = f"virtio:{PORT_NAME}"
PORTS_DIR = Path("sys/class/virtio-ports")
"""Where the kernel names its ports; udev's links in /dev/virtio-ports come seconds later in a boot."""
LOOK_S = 0.2
"""How often to look for a host that is away."""
READ_BYTES = 64 * 1024
MAX_QUEUED_BYTES = 2 * 1024 * 1024


class Port:
    """Bytes to and from the gateway. Subclasses open and close it.

    Outgoing lines wait in a queue of MAX_QUEUED_BYTES; a line that does not fit is dropped and counted, and so is
    everything that waits when the host goes away, since what it asked died with it.
    """

    def __init__(self) -> None:
        self.connected = False
        self.dropped_lines = 0
        self._fd = -1
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0

    def look(self) -> bool:
        """Try to reach the host. True when it is there now and was not before."""
        raise NotImplementedError

    def fileno(self) -> int:
        return self._fd

    @property
    def wants_write(self) -> bool:
        return bool(self._queue)

    def read(self) -> bytes | None:
        """What has come; empty when nothing has, None when the host went away."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._away()
            return None
        return data

    def send(self, line: bytes) -> None:
        """Queue a line and write what can be written."""
        if not self.connected or self._queued_bytes + len(line) > MAX_QUEUED_BYTES:
            self.dropped_lines += 1
            return
        self._queue.append(line)
        self._queued_bytes += len(line)
        self.flush()

    def flush(self) -> None:
        while self._queue:
            line = self._queue.popleft()
            try:
                written = os.write(self._fd, line)
            except BlockingIOError:
                written = 0
            except OSError:
                self._queue.appendleft(line)
                self._away()
                return
            self._queued_bytes -= written
            if written < len(line):
                self._queue.appendleft(line[written:])
                return

    def close(self) -> None:
        """Let go of it, as a forked child must."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _away(self) -> None:
        self.connected = False
        self.dropped_lines += len(self._queue)
        self._queue.clear()
        self._queued_bytes = 0

    def _arrived(self) -> None:
        self.connected = True
        # Ends whatever half line an earlier host was left with.
        self.send(b"\n")


class _DevicePort(Port):
    """Args:
    find: the device's path, or None while there is none.
    """

    def __init__(self, find: Callable[[], Path | None]) -> None:
        super().__init__()
        self._find = find

    def look(self) -> bool:
        if self.connected:
            return False
        if self._fd < 0:
            path = self._find()
            if path is None:
                return False
            try:
                self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            except OSError:
                return False
        poll = select.poll()
        poll.register(self._fd, select.POLLIN | select.POLLOUT)
        if any(events & select.POLLHUP for _, events in poll.poll(0)):
            return False
        self._arrived()
        return True


class _UnixPort(Port):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def look(self) -> bool:
        if self.connected:
            return False
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as sock:
            try:
                sock.connect(str(self._path))
            except OSError:
                return False
            sock.setblocking(False)
            self._fd = sock.detach()
        self._arrived()
        return True

    def _away(self) -> None:
        super()._away()
        self.close()


def _device_named(name: str, root: Path) -> Path | None:
    for port in (root / PORTS_DIR).glob("vport*"):
        with contextlib.suppress(OSError):
            if (port / "name").read_text().strip() == name:
                return root / "dev" / port.name
    return None


def open_port(link: str, root: Path = Path("/")) -> Port:
    """A port of the given kind; nothing is opened before :meth:`Port.look`.

    Args:
        link: ``virtio:name``, ``unix:/path`` or the path of a character device.
        root: holds ``sys`` and ``dev``, where virtio ports are looked up.
    """
    scheme, _, rest = link.partition(":")
    match scheme:
        case "unix":
            return _UnixPort(Path(rest))
        case "virtio":
            return _DevicePort(lambda: _device_named(rest, root))
        case _:
            return _DevicePort(lambda: Path(link))
