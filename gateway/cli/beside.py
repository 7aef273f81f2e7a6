"""Whose user namespace a process that starts now must share."""

from __future__ import annotations

from gateway.app import store_path
from gateway.netns.holder import HOLDER_SOCKET
from gateway.plane.process import SOCKET_NAME, pid_of
from gateway.sessions.store import machine_uuids
from gateway.settings import Settings
from gateway.vm.find import find_process

__all__ = ["survivor"]


def survivor(settings: Settings, *, plane: bool = True) -> int | None:
    """The pid of the data plane, of a machine that the last gateway has left, or of fenster-vms.service's process.

    Args:
        plane: look for the data plane too, as everybody but itself does.
    """
    if plane and (pid := pid_of(settings.run_dir / SOCKET_NAME)) is not None:
        return pid
    found = (find_process(uuid) for uuid in machine_uuids(store_path(settings)))
    machine = next((pid for pid in found if pid is not None), None)
    return machine if machine is not None else pid_of(settings.run_dir / HOLDER_SOCKET)
