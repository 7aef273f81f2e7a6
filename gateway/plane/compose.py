"""A data plane as the settings say, in whichever process it is to be."""

from __future__ import annotations

import asyncio
from functools import partial

from pydantic import BaseModel, ConfigDict

from gateway import host
from gateway.egress.checking import CheckConfig
from gateway.egress.limits import Limits
from gateway.egress.policy import Policy
from gateway.egress.proxy import EgressConfig
from gateway.local_dataplane import LocalDataPlane
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.relay.relay import Relay

__all__ = ["PlaneSettings", "egress_config", "open_plane"]


class PlaneSettings(BaseModel):
    """What of the settings is the data plane's; see gateway/settings.py."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    media_port: int
    bind: tuple[str, ...]
    """Addresses for media."""
    proxy_direct: bool = False
    proxy_allow: tuple[str, ...] = ()
    proxy_deny: tuple[str, ...] = ()
    proxy_ports: tuple[int, ...] = ()
    proxy_connections: int = 256
    proxy_rate_mbps: float | None = None
    proxy_quota_mib: int | None = None
    proxy_check_url: str = ""
    proxy_check_every_s: float = 900.0
    public_addresses: tuple[str, ...] = ()


async def open_plane(settings: PlaneSettings, namespaces: NamespaceThread) -> LocalDataPlane:
    """Its port open. Raises ConfigError when the port cannot be had."""
    egress = await asyncio.to_thread(egress_config, settings)
    relay = await Relay.open(settings.media_port, bind=settings.bind)
    return LocalDataPlane(partial(_open_lan, namespaces), relay, egress)


async def _open_lan(namespaces: NamespaceThread, vm_id: str, pid: int | None) -> NamespaceLan:
    if pid is not None:
        return await NamespaceLan.of_process(namespaces, pid)
    return await NamespaceLan.create(namespaces)


def egress_config(settings: PlaneSettings) -> EgressConfig:
    """What the settings say of the sessions' proxies. Blocking: it reads the host's certificates."""
    rate, quota = settings.proxy_rate_mbps, settings.proxy_quota_mib
    return EgressConfig(
        policy=Policy(settings.proxy_allow, settings.proxy_deny, settings.proxy_ports, settings.proxy_direct),
        limits=Limits(
            connections=settings.proxy_connections,
            bytes_per_s=None if rate is None else rate * 1e6 / 8,
            quota_bytes=None if quota is None else quota << 20,
        ),
        check=CheckConfig(settings.proxy_check_url, settings.proxy_check_every_s),
        own_addresses=host.addresses,
        public_addresses=settings.public_addresses,
    )
