"""The composition root: the only place that names concrete drivers and builds everything from the settings."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway import host
from gateway.dataplane import DataPlane
from gateway.door import certificate, guarding, open_door
from gateway.edge.keystore import Keyring
from gateway.edge.listen import listen, local_url
from gateway.edge.trail import Trail
from gateway.errors import ConfigError, GatewayError
from gateway.keyfiles import Keys, load_keys, load_sealing_key
from gateway.local_dataplane import LocalDataPlane
from gateway.metrics import Metrics
from gateway.metrics.traces import tracing
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.observe import observe
from gateway.plane.client import RemoteDataPlane
from gateway.plane.compose import PlaneSettings, open_plane
from gateway.plane.process import SOCKET_NAME, reach, wait_for
from gateway.routes.services import ExitDefaults, LifetimeDefaults, Services
from gateway.sessions.manager import Limits, Room, SessionManager
from gateway.sessions.record import Place, Template
from gateway.sessions.seal import Seal
from gateway.sessions.store import Store
from gateway.sessions.view import SessionView
from gateway.sessions.vitals import Vitals
from gateway.sessions.world import Timeouts, World
from gateway.settings import Settings
from gateway.signaling.candidates import TcpReach
from gateway.signaling.whep import Whep
from gateway.vm.driver import VmDriver, VmSpec
from gateway.vm.local import ProcessDriver
from gateway.vm.qemu import QemuDriver
from gateway.vm.snapshot import Snapshot

__all__ = [
    "Serving",
    "build_snapshot",
    "disk_dir",
    "make_driver",
    "plane_settings",
    "running",
    "serving",
    "store_path",
    "templates",
]

logger = logging.getLogger(__name__)

STATIC_DIR = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Serving:
    """A gateway that answers."""

    services: Services
    url: str
    """As a browser on this host reaches it, without a slash at its end."""
    fingerprint: bytes | None = None
    """SHA-256 of its certificate, where that is self-signed."""
    reload: Callable[[], None] | None = None
    """Reads its certificate again; None where there is none."""


def disk_dir(settings: Settings) -> Path:
    """Where the machines' disks are made: beside the golden images, so that a reflink is possible."""
    return settings.cache_dir / "disks"


def store_path(settings: Settings) -> Path:
    """Where a lasting gateway keeps its sessions."""
    return settings.state_dir / "sessions.db"


def make_driver(settings: Settings, *, lasting: bool = False) -> VmDriver:
    if settings.driver == "process":
        logger.warning(
            "! the process driver isolates NOTHING: desktops run as programs of this host, for development"
        )
        return ProcessDriver(display=settings.process_display or None)
    return QemuDriver(
        settings.cache_dir / "golden",
        settings.state_dir,
        disk_dir(settings),
        snapshots_dir=settings.cache_dir / "snapshots" if settings.clones else None,
        accel=settings.accel,
        profile=settings.profile,
        reflink=settings.disk == "reflink",
        uids=range(settings.vm_uids[0], settings.vm_uids[1] + 1),
        disk_bps=None if settings.vm_disk_mbps is None else int(settings.vm_disk_mbps * 1e6),
        die_with_gateway=not lasting,
        cgroup=settings.vm_cgroup,
    )


async def build_snapshot(
    settings: Settings, template: Template, progress: Callable[[str], None], *, force: bool = False
) -> Snapshot | None:
    """The snapshot that sessions of a template are cloned from; None where the driver knows none.

    Raises VmError, NetnsError or ConfigError.
    """
    driver = make_driver(settings.model_copy(update={"clones": True}))
    if not isinstance(driver, QemuDriver):
        return None
    _own_directory(settings.run_dir)
    namespaces = NamespaceThread()
    await namespaces.start()
    try:
        lan = await NamespaceLan.create(namespaces)
        with TemporaryDirectory(prefix="template-", dir=settings.run_dir) as run_dir:
            spec = VmSpec(
                "template",
                Path(run_dir),
                template.vcpus,
                template.memory_mib,
                template.profile,
                template.browser,
                display_px=settings.display,
            )
            try:
                return await driver.make_snapshot(spec, lan, progress, force=force)
            finally:
                await lan.close()
    finally:
        await driver.close()
        await namespaces.close()


@asynccontextmanager
async def running(
    settings: Settings, *, media_port: int, tcp: TcpReach | None = None, lasting: bool = False
) -> AsyncIterator[Services]:
    """Everything but HTTP: data plane, driver, sessions. All of it is ended, in reverse order, on leaving.

    Args:
        media_port: the public UDP port; 0 takes a free one.
        tcp: where browsers find a TCP port whose media connections come to the data plane; None: nowhere.
        lasting: keep sessions on disk and have their machines outlive this process, for the next gateway; those that
            the last one left are there when this begins. SessionManager.leave() keeps them on leaving too.

    Raises:
        ConfigError: a directory or a port cannot be had, or another gateway has this state.
        NetnsError: no right to make namespaces.
        StoreError: the sessions of the last gateway cannot be read.
    """
    keys, seal = load_keys(settings.state_dir), Seal(load_sealing_key(settings.state_dir))
    plane = plane_settings(settings, media_port)
    _own_directory(settings.run_dir)
    async with AsyncExitStack() as stack:
        namespaces = NamespaceThread()
        await namespaces.start()
        stack.push_async_callback(namespaces.close)
        dataplane = await _open_dataplane(settings, plane, namespaces, lasting=lasting)
        stack.push_async_callback(dataplane.close)
        driver = make_driver(settings, lasting=lasting)
        store = await Store.open(store_path(settings) if lasting else None, seal)
        stack.push_async_callback(store.close)
        whep = Whep(dataplane)
        stack.push_async_callback(whep.aclose)
        guard = await stack.enter_async_context(guarding(settings))
        metrics = Metrics()
        traces = await stack.enter_async_context(tracing(settings.otlp_url))
        witnesses = (Trail(guard.audit).saw, metrics.sessions.saw, traces)
        world = _make_world(settings, driver, dataplane, whep, store, partial(_tell, witnesses))
        manager = _make_manager(settings, world)
        stack.push_async_callback(manager.close)
        await manager.recover()
        await dataplane.settle()
        _begin(manager)
        stack.push_async_callback(_observe(metrics, settings, dataplane, manager, driver).close)
        services = _make_services(settings, keys, guard.keyring, dataplane, driver, whep, manager, metrics, tcp)
        yield guard.before(services, settings)


def _make_services(
    settings: Settings,
    keys: Keys,
    keyring: Keyring,
    dataplane: DataPlane,
    driver: VmDriver,
    whep: Whep,
    manager: SessionManager,
    metrics: Metrics,
    tcp: TcpReach | None,
) -> Services:
    return Services(
        manager=manager,
        whep=whep,
        dataplane=dataplane,
        keys=keys,
        keyring=keyring,
        facts=driver.check,
        room=partial(_room, disk_dir(settings)),
        host_addresses=host.addresses,
        static_dir=STATIC_DIR,
        advertise=settings.advertise,
        tcp=tcp,
        metrics=metrics,
        token_lifetime_s=settings.token_lifetime_s,
        embed_origins=settings.embed_origins,
        max_upload_bytes=settings.max_upload_mib << 20,
        lifetime=LifetimeDefaults(settings.ttl_s, settings.idle_timeout_s, settings.idle_action),
        exits=ExitDefaults(settings.proxy, settings.proxy_direct),
    )


def _begin(manager: SessionManager) -> None:
    manager.pool.start()
    manager.reaper.start()
    manager.ledger.start()


def _observe(
    metrics: Metrics, settings: Settings, dataplane: DataPlane, manager: SessionManager, driver: VmDriver
) -> Vitals:
    machines = driver.counters if isinstance(driver, QemuDriver) else {}
    observe(metrics, dataplane, manager, lambda: machines, partial(_room, disk_dir(settings)))
    return Vitals.begin(manager.list, metrics.media, metrics.health)


def _tell(whom: Iterable[Callable[[SessionView], None]], view: SessionView) -> None:
    for saw in whom:
        saw(view)


async def _open_dataplane(
    settings: Settings, plane: PlaneSettings, namespaces: NamespaceThread, *, lasting: bool
) -> LocalDataPlane | RemoteDataPlane:
    if not lasting or settings.dataplane == "inside":
        return await open_plane(plane, namespaces)
    options = ["--log-level", settings.log_level, *(["--log-json"] if settings.log_json else [])]
    log = settings.state_dir / "logs" / "dataplane.log"
    path = settings.run_dir / SOCKET_NAME
    find = partial(wait_for, path) if settings.dataplane == "service" else partial(reach, path, log, options)
    return await RemoteDataPlane.connect(find, plane, namespaces)


def plane_settings(settings: Settings, media_port: int) -> PlaneSettings:
    """What of the settings is the data plane's. Raises ConfigError."""
    if settings.proxy.type == "direct" and not settings.proxy_direct:
        raise ConfigError("proxy is direct, which proxy_direct does not allow", hint="set proxy_direct = true")
    named = settings.model_dump(include=set(PlaneSettings.model_fields) - {"media_port"})
    return PlaneSettings(media_port=media_port, bind=_media_addresses(settings), **named)


def _make_world(
    settings: Settings,
    driver: VmDriver,
    dataplane: DataPlane,
    whep: Whep,
    store: Store,
    witness: Callable[[SessionView], None],
) -> World:
    return World(
        driver=driver,
        dataplane=dataplane,
        signalling=whep,
        facts=driver.check,
        run_root=settings.run_dir,
        logs_dir=settings.state_dir / "logs",
        timeouts=Timeouts(
            hello_s=settings.hello_timeout_s, call_s=settings.ready_timeout_s, ready_s=settings.ready_timeout_s
        ),
        store=store,
        witness=witness,
    )


def templates(settings: Settings) -> dict[str, Template]:
    """By name; the first is the default."""
    place = Place(timezone=settings.timezone, locale=settings.locale)
    plain = Template(
        settings.profile, settings.profile, settings.vcpus, settings.memory_mib, settings.browser, place=place
    )
    named = {
        name: Template(
            name,
            given.profile or settings.profile,
            given.vcpus or settings.vcpus,
            given.memory_mib or settings.memory_mib,
            given.browser or settings.browser,
            place=Place(timezone=given.timezone or place.timezone, locale=given.locale or place.locale),
        )
        for name, given in settings.templates.items()
    }
    return {**({} if plain.name in named else {plain.name: plain}), **named}


def _make_manager(settings: Settings, world: World) -> SessionManager:
    return SessionManager(
        world,
        templates=templates(settings),
        display_px=settings.display,
        limits=Limits(
            max_sessions=settings.max_sessions,
            reserve_memory_mib=settings.reserve_memory_mib,
            reserve_disk_mib=settings.reserve_disk_mib,
        ),
        room=partial(_room, disk_dir(settings)),
        pool_size=settings.pool_size,
    )


@asynccontextmanager
async def serving(settings: Settings, *, lasting: bool = False) -> AsyncIterator[Serving]:
    """The whole gateway, answering HTTP.

    Args:
        lasting: see :func:`running`.

    Raises:
        As :func:`running`.
    """
    files = await asyncio.to_thread(certificate, settings)
    with listen(settings.host, settings.port) as sock:
        port = sock.getsockname()[1]
        media_port = settings.media_port if settings.media_port is not None else port
        tcp = _tcp_reach(settings, port)
        async with running(settings, media_port=media_port, tcp=tcp, lasting=lasting) as services:
            media = services.dataplane.take if tcp is not None else None
            async with open_door(settings, sock, services, files, media) as door:
                _log_door(settings, tls=files is not None)
                await _log_host(services)
                url = local_url(settings.host, port, tls=files is not None)
                yield Serving(door.services, url, door.fingerprint, door.reload)


def _log_door(settings: Settings, *, tls: bool) -> None:
    if not tls and not ipaddress.ip_address(settings.host).is_loopback:
        logger.warning(
            "! PLAIN HTTP on %s (insecure_http): API keys, tokens and noVNC's keystrokes cross the network in clear, "
            "and browsers withhold clipboard and keyboard lock",
            settings.host,
        )


async def _log_host(services: Services) -> None:
    try:
        facts = await services.facts()
    except GatewayError as exc:
        logger.error("! no session can start here: %s", exc)
        return
    logger.info("= driver %s, accelerator %s: %s", facts.name, facts.accelerator, facts.why)
    if not facts.isolated:
        logger.warning(
            "x %s is no isolation boundary: run nothing here that you would not run yourself", facts.accelerator
        )


def _tcp_reach(settings: Settings, port: int) -> TcpReach | None:
    match settings.advertise_tcp_port:
        case None:
            return TcpReach(port, settings.host)
        case 0:
            return None
        case advertised:
            return TcpReach(advertised)


def _media_addresses(settings: Settings) -> tuple[str, ...]:
    # Behind a proxy on the loopback address media still comes from outside, where it was told to.
    wild = settings.host in ("0.0.0.0", "::") or settings.advertise
    return ("0.0.0.0", "::") if wild else (settings.host,)


def _room(disks: Path) -> Room:
    return Room(memory_mib=host.available_memory_mib(), disk_mib=host.free_disk_mib(disks))


def _own_directory(path: Path) -> None:
    """Make it, private; refuse one that another user could have put in our way."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.stat()
    except OSError as exc:
        raise ConfigError(
            f"cannot make {path}: {exc.strerror}", hint="set run_dir to a directory of your own"
        ) from exc
    if info.st_uid != os.geteuid() or info.st_mode & 0o022:
        raise ConfigError(f"{path} belongs to another user, or others may write it", hint="remove it, or set run_dir")
