"""The gateway's end of a real zygote process, for tests: a unix socket that it connects to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from guest_agent.protocol.rpc import Failure, Incoming, LineDecoder, Notification, Request, Result, encode

__all__ = ["ASSIGN", "IDENTIFY", "ROOT", "ZygoteHost"]

ROOT = Path(__file__).resolve().parents[1]
ANSWER_S = 30.0
IDENTIFY = {"entropy": "5a" * 32, "machine_id": "0123456789abcdef" * 2}
ASSIGN = {
    "session_id": "k3v9x2ab",
    "epoch_ns": 0,
    "vnc_password": "s3cr3t!x",
    "proxy": None,
    "display": [1024, 600],
}


class ZygoteHost:
    """Listens, starts the zygote, and takes its connection."""

    def __init__(self, folder: Path, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.path = folder / "agent.sock"
        self.log = folder / "zygote.log"
        self._ident = 0
        self._decoder = LineDecoder()
        self._queue: list[Incoming] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._listener.settimeout(ANSWER_S)
        env = {**(env or os.environ), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "guest-agent")])}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *argv], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._sock = self._accept()

    def close(self) -> int:
        """End it; its exit status."""
        self._sock.close()
        self._listener.close()
        self.process.terminate()
        return self.process.wait(ANSWER_S)

    def nest(self) -> int:
        """The process that agents are forked from: its first child."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(task.read_text().split()[0])

    def hang_up(self) -> None:
        """The host goes away."""
        self._sock.close()

    def come_back(self) -> None:
        self._sock = self._accept()

    def send(self, method: str, params: Mapping[str, Any], ident: int | None = None) -> int:
        """A request, not waited for; its id."""
        if ident is None:
            self._ident += 1
            ident = self._ident
        self.raw(encode(Request(ident, method, params)))
        return ident

    def raw(self, data: bytes) -> None:
        self._sock.sendall(data)

    def answer(self, ident: int) -> Result | Failure:
        found = self._take(lambda message: isinstance(message, Result | Failure) and message.id == ident)
        assert isinstance(found, Result | Failure)
        return found

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Result | Failure:
        return self.answer(self.send(method, params or {}))

    def result(self, method: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        found = self.ask(method, params)
        assert isinstance(found, Result), found
        return found.result

    def news(self, method: str, **fields: object) -> Mapping[str, Any]:
        """The next notification of that name with those parameters."""
        found = self._take(
            lambda message: (
                isinstance(message, Notification)
                and message.method == method
                and all(message.params.get(name) == value for name, value in fields.items())
            )
        )
        assert isinstance(found, Notification)
        return found.params

    def _accept(self) -> socket.socket:
        self._decoder = LineDecoder()
        self._queue.clear()
        return self._listener.accept()[0]

    def _take(self, wanted: Callable[[Incoming], bool]) -> Incoming:
        """Wait for a message; others stay for later."""
        end = time.monotonic() + ANSWER_S
        while True:
            for at, message in enumerate(self._queue):
                if wanted(message):
                    return self._queue.pop(at)
            self._sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self._sock.recv(65536)
            except TimeoutError:
                raise AssertionError(f"not said; instead {self._queue}\n{self.log.read_text()[-2000:]}") from None
            if not data:
                raise AssertionError(f"the zygote hung up\n{self.log.read_text()[-2000:]}")
            self._queue += self._decoder.feed(data)
