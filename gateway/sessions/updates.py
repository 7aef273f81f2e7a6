"""Fan-out of a session's states to those who watch it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from gateway.errors import CapacityError

__all__ = ["Subscription", "Updates"]

T = TypeVar("T")


class Subscription(Generic[T]):
    """One watcher's queue: bounded, the oldest dropped, since a newer state says all that an older one did."""

    def __init__(self, max_items: int) -> None:
        self._items: deque[T] = deque(maxlen=max_items)
        self._ended = False
        self._changed = asyncio.Event()

    def push(self, item: T) -> None:
        self._items.append(item)
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def get(self) -> T | None:
        """The next state; None when there will be no more."""
        while not self._items:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()


class Updates(Generic[T]):
    """Keeps the latest state and hands it, and each later one, to every watcher.

    Args:
        latest: the state now.
        max_items: states kept for a watcher that is slow.
        max_watchers: more are refused with CapacityError.
    """

    def __init__(self, latest: T, *, max_items: int = 16, max_watchers: int = 64) -> None:
        self.latest = latest
        self._max_items = max_items
        self._max_watchers = max_watchers
        self._watchers: set[Subscription[T]] = set()
        self._ended = False

    def publish(self, item: T) -> None:
        self.latest = item
        for watcher in self._watchers:
            watcher.push(item)

    def end(self) -> None:
        """There will be no more. Idempotent."""
        self._ended = True
        for watcher in self._watchers:
            watcher.end()

    @contextmanager
    def watch(self) -> Iterator[Subscription[T]]:
        """The latest state first, then each that follows."""
        if len(self._watchers) >= self._max_watchers:
            raise CapacityError(
                f"{self._max_watchers} watchers follow this session", hint="close a tab that shows this session"
            )
        watcher: Subscription[T] = Subscription(self._max_items)
        watcher.push(self.latest)
        if self._ended:
            watcher.end()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
