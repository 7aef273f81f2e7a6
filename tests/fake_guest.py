"""A guest's inside as a script: zygote and agent answering the link protocol from a table."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from guest_agent.protocol.link import LINK_VERSION
from guest_agent.protocol.rpc import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    NOT_READY,
    Failure,
    LineDecoder,
    Notification,
    Request,
    Result,
    encode,
)

__all__ = ["FakeGuest", "GuestRefusal"]

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]


class GuestRefusal(Exception):
    """Raised by a handler to answer with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class FakeGuest:
    """Zygote and agent in one: answers the link protocol from a table that a test may change.

    Args:
        silent: never answer anything, as a guest that hangs in its kernel does.
        ignore_hellos: how many hello requests to lose first, as a port that nobody has open does.
        handlers: replaces or adds answers by method name; may be coroutines; GuestRefusal answers an error.
    """

    def __init__(
        self, *, silent: bool = False, ignore_hellos: int = 0, handlers: Mapping[str, Handler] | None = None
    ) -> None:
        self.silent = silent
        self.ignore_hellos = ignore_hellos
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.called = asyncio.Event()
        """Set after every request; a test clears it and waits again."""
        self.identity: str | None = None
        self.assigned: Mapping[str, Any] | None = None
        self.peers: dict[str, Mapping[str, Any]] = {}
        self.control: dict[str, Any] = {"peer": None, "viewer": None}
        self.handlers: dict[str, Handler] = {
            "hello": lambda params: self.hello_result(),
            "identify": self._identify,
            "assign": self._assign,
            "exec": self._exec,
            "offer": self._offer,
            "bye": self._bye,
            "clipboard": lambda params: {},
            "settle": lambda params: {},
            "warm": lambda params: {},
            "control": self._control,
            "display": lambda params: {},
            "marker": self._marker,
            **(handlers or {}),
        }
        self._writer: asyncio.StreamWriter | None = None

    def hello_result(self) -> dict[str, Any]:
        agent = {"state": "down", "pid": None} if self.identity is None else {"state": "up", "pid": 4242}
        return {
            "protocol": LINK_VERSION,
            "version": "fake",
            "boot_id": "00000000-0000-4000-8000-000000000000",
            "uptime_s": 1.0,
            "state": "fresh" if self.identity is None else "running",
            "agent": agent,
            "peers": list(self.peers.values()),
            "control": self.control,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the stream ends."""
        self._writer = writer
        decoder = LineDecoder()
        if not self.silent and not self.ignore_hellos:
            self.notify("hello", self.hello_result())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for message in decoder.feed(data):
                    if isinstance(message, Request):
                        await self._answer(message, writer)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification to the gateway."""
        assert self._writer is not None, "the guest is not connected"
        self._writer.write(encode(Notification(method, params)))

    def send_raw(self, data: bytes) -> None:
        """Send bytes that need not be a message."""
        assert self._writer is not None, "the guest is not connected"
        self._writer.write(data)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.calls.append((request.method, request.params))
        self.called.set()
        if request.method == "hello" and self.ignore_hellos > 0:
            self.ignore_hellos -= 1
            return
        if self.silent:
            return
        handler = self.handlers.get(request.method)
        reply: Result | Failure
        if handler is None:
            reply = Failure(request.id, METHOD_NOT_FOUND, f"no method {request.method}")
        else:
            try:
                answer = handler(request.params)
                result = await answer if inspect.isawaitable(answer) else answer
                reply = Result(request.id, result)
            except GuestRefusal as exc:
                reply = Failure(request.id, exc.code, str(exc))
            except Exception as exc:
                reply = Failure(request.id, INTERNAL_ERROR, repr(exc))
        writer.write(encode(reply))
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    def _identify(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        self.identity = params["machine_id"]
        self.notify("agent", {"state": "up", "pid": 4242, "code": None})
        return {}

    def _assign(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.identity is None:
            raise GuestRefusal(NOT_READY, "identify comes first")
        self.assigned = dict(params)
        self.notify("desktop", {"windows": ["Xfce4-panel", "Xfce4-terminal", "Chromium"]})
        return {}

    async def _exec(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Really runs it, so that a test of the exec path sees what a guest would give."""
        done = await asyncio.to_thread(
            subprocess.run,
            params["argv"],
            input=params.get("stdin", "").encode(),
            capture_output=True,
            timeout=params["timeout_s"],
            check=False,
        )
        return {"code": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()}

    def _offer(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.identity is None:
            raise GuestRefusal(NOT_READY, "no agent runs")
        peer = params["peer"]
        number = len(self.peers) + 1
        ufrag, pwd, port = f"fake{number:04d}", f"{number:022d}", 40000 + number
        self.peers[peer] = {
            "peer": peer, "role": params.get("role"), "viewer": params.get("viewer"), "connected": False,
            "ufrag": ufrag, "pwd": pwd, "port": port,
        }  # fmt: skip
        return {"sdp": _answer_sdp(ufrag, pwd, port), "ufrag": ufrag, "pwd": pwd, "port": port}

    def _control(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        self.control = dict(params)
        return {}

    def _marker(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if not params["seconds"]:
            return {}
        where = {"display": [1280, 720], "patch": [544, 240, 192, 192], "strip": [544, 432, 192, 48]}
        return {**where, "at_us": 7, "flips": [[5, 6]]}

    def _bye(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        self.peers.pop(params["peer"], None)
        return {}


def _answer_sdp(ufrag: str, pwd: str, port: int) -> str:
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 169.254.0.21",
        "a=sendonly",
        "a=mid:0",
        "a=rtcp-mux",
        "a=rtpmap:96 H264/90000",
        f"a=candidate:1 1 udp 2130706431 169.254.0.21 {port} typ host",
        "a=end-of-candidates",
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{pwd}",
        "a=fingerprint:sha-256 " + ":".join(["00"] * 32),
        "a=setup:passive",
    ]
    return "\r\n".join(lines) + "\r\n"
