"""vms: the place in which machines live on while gateway and data plane come and go."""

from __future__ import annotations

import asyncio
import logging
import signal

from gateway import log
from gateway.cli import options
from gateway.netns.holder import HOLDER_SOCKET, Holder
from gateway.netns.userns import ensure_privileges
from gateway.notify import Notifier
from gateway.settings import Settings, load
from gateway.vm.cgroup import Cgroups

__all__ = ["vms"]

logger = logging.getLogger(__name__)


def vms(
    run_dir: options.RunDir = None,
    log_level: options.LogLevel = None,
    log_json: options.LogJson = None,
    config: options.Config = None,
) -> None:
    """Keep the user namespace and the cgroup of all desktops. For fenster-vms.service; its end is theirs."""
    settings = load({"run_dir": run_dir, "log_level": log_level, "log_json": log_json}, config=config)
    ensure_privileges()
    log.configure(settings.log_level, json=settings.log_json)
    asyncio.run(_keep(settings))


async def _keep(settings: Settings) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    cgroups = await asyncio.to_thread(Cgroups.open)
    if cgroups.why:
        logger.warning("x machines are bound by less than they could be: %s", cgroups.why)
    holder, notifier = Holder(settings.run_dir / HOLDER_SOCKET), Notifier()
    holder.start()
    try:
        notifier.say(READY="1", STATUS=f"Cgroups bound {', '.join(cgroups.controllers) or 'nothing'}")
        await ended.wait()
        notifier.say(STOPPING="1")
    finally:
        holder.close()
