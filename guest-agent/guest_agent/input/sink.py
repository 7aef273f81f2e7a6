"""Where the media half hands over what viewers do: state, leases, and the way to the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from guest_agent.input.ops import Op
from guest_agent.input.state import InputState
from guest_agent.ports import InputSink
from guest_agent.protocol.messages import Message
from guest_agent.times import InputTimes

__all__ = ["Pusher", "XInputSink"]


class Pusher(Protocol):
    """worker.InputWorker, as seen from the loop."""

    def push(self, ops: Iterable[Op]) -> None: ...


class XInputSink:
    """An :class:`~guest_agent.ports.InputSink`, made on the running loop, whose clock times the leases.

    ``times`` hears of each message as it comes.
    """

    def __init__(self, worker: Pusher, state: InputState | None = None, *, times: InputTimes | None = None) -> None:
        self.state = state or InputState()
        self._times = times
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def handle(self, peer: str, message: Message) -> None:
        if self._times is not None:
            self._times.received(getattr(message, "seq", 0))
        self._do(self.state.apply(peer, message, self._loop.time()))

    def release(self, peer: str) -> None:
        self._do(self.state.release(peer))

    def peer_gone(self, peer: str) -> None:
        self._do(self.state.gone(peer))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _do(self, ops: list[Op]) -> None:
        if ops:
            self._worker.push(ops)
        deadline = self.state.deadline()
        # A lease is renewed by every message: the timer is moved on only when it fires.
        if deadline is not None and self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._do(self.state.expire(self._loop.time()))


_: type[InputSink] = XInputSink
