"""What a driver answers that can start machines and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from gateway.errors import VmUnavailable
from gateway.vm.driver import Lan, SavedTemplate, StageFn, Vm, VmSpec

__all__ = ["StartsOnly"]


class StartsOnly:
    """The rest of VmDriver. Its machines own no disk, and none is left when one has been stopped."""

    async def boot(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        _refuse("boot a machine's disk again")

    async def suspend(self, vm: Vm, spec: VmSpec) -> None:
        _refuse("suspend a desktop")

    def suspended(self, spec: VmSpec) -> bool:
        return False

    async def resume(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        _refuse("resume a desktop")

    async def fork(self, vm: Vm, spec: VmSpec, child: VmSpec) -> float:
        _refuse("fork a desktop")

    async def save(self, spec: VmSpec, lan: Lan, name: str) -> SavedTemplate:
        _refuse("save a desktop")

    def saved(self) -> Sequence[SavedTemplate]:
        return ()

    def find(self, spec: VmSpec) -> int | None:
        return None

    async def adopt(self, spec: VmSpec, lan: Lan, pid: int) -> Vm:
        _refuse("take a desktop over")

    async def end(self, spec: VmSpec) -> None:
        return None

    async def discard(self, spec: VmSpec) -> None:
        return None


def _refuse(what: str) -> NoReturn:
    raise VmUnavailable(f"this driver cannot {what}", hint="driver = qemu can")
