"""What went through one session's proxy. Pure, and of bounded size whatever the guest does."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from gateway.exits import Traffic

__all__ = ["Account"]

MAX_HOSTS = 64


class Account:
    """Args:
    earlier: what the session had carried before this gateway began; counted on from there.
    """

    def __init__(self, earlier: Traffic | None = None) -> None:
        self.bytes_up = 0
        """From the guest. This and the next three are of this gateway's life."""
        self.bytes_down = 0
        self.connections = 0
        """That were opened to the outside."""
        self.errors: Counter[str] = Counter()
        """By the error's kind, of which there are a few."""
        self._earlier = earlier if earlier is not None else Traffic()
        self._hosts = dict(islice(self._earlier.hosts.items(), MAX_HOSTS))

    @property
    def total_bytes(self) -> int:
        """Of the session's life."""
        return self.bytes_up + self.bytes_down + self._earlier.bytes_up + self._earlier.bytes_down

    def traffic(self) -> Traffic:
        """Of the session's life.

        Hosts are exact up to MAX_HOSTS names. Beyond, a newcomer takes the place and the count of the least (the
        Space-Saving sketch, Metwally et al. 2005), so what carries much is always there, and its count never too low.
        """
        return Traffic(
            bytes_up=self.bytes_up + self._earlier.bytes_up,
            bytes_down=self.bytes_down + self._earlier.bytes_down,
            connections=self.connections + self._earlier.connections,
            hosts=dict(sorted(self._hosts.items(), key=lambda item: item[1], reverse=True)),
            errors=dict(self.errors + Counter(self._earlier.errors)),
        )

    def opened(self, host: str) -> None:
        self.connections += 1
        self._credit(host, 0)

    def up(self, host: str, count: int) -> None:
        self.bytes_up += count
        self._credit(host, count)

    def down(self, host: str, count: int) -> None:
        self.bytes_down += count
        self._credit(host, count)

    def failed(self, kind: str) -> None:
        self.errors[kind] += 1

    def add(self, other: Account) -> None:
        """Count what another has carried as well in this gateway's life, without its hosts."""
        self.bytes_up += other.bytes_up
        self.bytes_down += other.bytes_down
        self.connections += other.connections
        self.errors += other.errors

    def _credit(self, host: str, count: int) -> None:
        if host not in self._hosts and len(self._hosts) >= MAX_HOSTS:
            least = min(self._hosts, key=self._hosts.__getitem__)
            self._hosts[host] = self._hosts.pop(least)
        self._hosts[host] = self._hosts.get(host, 0) + count
