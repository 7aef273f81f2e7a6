"""How many connections each address has. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

__all__ = ["Places"]


class Places:
    """Args:
    most: of one address; None is any number.
    exempt: whether an address may have any number, as a reverse proxy does.
    """

    def __init__(self, most: int | None = None, exempt: Callable[[str], bool] = lambda address: False) -> None:
        self._most = most
        self._exempt = exempt
        self._taken: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._taken)

    def free(self, address: str) -> bool:
        """Whether an address may have one more."""
        return self._most is None or self._taken[address] < self._most or self._exempt(address)

    def take(self, address: str) -> None:
        """Give each back once."""
        self._taken[address] += 1

    def give_back(self, address: str) -> None:
        self._taken[address] -= 1
        if self._taken[address] <= 0:
            del self._taken[address]
