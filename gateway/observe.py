"""What the gateway's parts count, by the names under which Prometheus finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from gateway.dataplane import DataPlane
from gateway.metrics import Metrics
from gateway.metrics.health import unwell
from gateway.sessions.lifecycle import State
from gateway.sessions.manager import Room, SessionManager
from gateway.sessions.view import SessionView

__all__ = ["observe"]


def observe(
    metrics: Metrics,
    dataplane: DataPlane,
    manager: SessionManager,
    machines: Callable[[], Mapping[str, int]],
    room: Callable[[], Room],
) -> None:
    """Have ``metrics`` read all of it whenever it is asked.

    Args:
        machines: started, by how (Facts.counters).
        room: of the host; two short reads.
    """
    plane, egress, pool = dataplane.counters, dataplane.egress_counters, manager.pool
    metrics.count(
        "fenster_relay_packets", "Datagrams handed on", ("way", "transport"), lambda: _carried(plane(), "packets")
    )
    metrics.count(
        "fenster_relay_bytes", "Of those datagrams", ("way", "transport"), lambda: _carried(plane(), "bytes")
    )
    metrics.count("fenster_relay_drops", "Datagrams dropped", ("reason",), lambda: _after("dropped_", plane()))
    metrics.watch("fenster_dataplane", "What else the data plane counts", lambda: _rest(plane()))
    metrics.count(
        "fenster_egress_bytes", "Through the sessions' proxies", ("way",), lambda: _after("egress_bytes_", egress())
    )
    metrics.count(
        "fenster_egress_connections",
        "To the outside",
        (),
        lambda: {(): egress().get("egress_connections", 0)},
    )
    metrics.count(
        "fenster_egress_errors", "Requests that failed", ("kind",), lambda: _after("egress_error_", egress())
    )
    metrics.gauge(
        "fenster_exits", "Sessions by their exit's state and the verdict of its last check",
        ("state", "verdict"), lambda: _exits(manager),
    )  # fmt: skip
    metrics.gauge("fenster_sessions", "By state", ("state",), lambda: _states(manager))
    metrics.gauge("fenster_sessions_unwell", "By reason", ("reason",), lambda: unwell(_views(manager)))
    metrics.gauge("fenster_sessions_max", "More are refused", (), lambda: {(): manager.limits.max_sessions})
    metrics.gauge("fenster_viewers", "By transport", ("transport",), lambda: _viewers(manager))
    metrics.gauge(
        "fenster_pool_machines", "Of the warm pool: wanted, parked", ("which",),
        lambda: {("wanted",): pool.size, ("parked",): pool.parked},
    )  # fmt: skip
    metrics.count("fenster_pool", "What became of it", ("event",), lambda: _after("pool_", pool.counters))
    metrics.count("fenster_machines", "Started, by how", ("how",), lambda: {(k,): v for k, v in machines().items()})
    metrics.gauge("fenster_host_available_bytes", "Memory, disk", ("what",), lambda: _room(room()))


def _carried(counters: Mapping[str, int], what: str) -> dict[tuple[str, ...], float]:
    """By way and transport: the plain names count both transports."""
    carried: dict[tuple[str, ...], float] = {}
    for way in ("to_guest", "to_viewer"):
        by_tcp = counters.get(f"tcp_{what}_{way}", 0)
        carried[way, "tcp"] = by_tcp
        carried[way, "udp"] = counters.get(f"{what}_{way}", 0) - by_tcp
    return carried


def _after(prefix: str, counters: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name.removeprefix(prefix),): count for name, count in counters.items() if name.startswith(prefix)}


def _rest(counters: Mapping[str, int]) -> dict[str, int]:
    told = ("packets_", "bytes_", "tcp_packets_", "tcp_bytes_", "dropped_")
    return {name: count for name, count in counters.items() if not name.startswith(told)}


def _states(manager: SessionManager) -> dict[tuple[str, ...], float]:
    found = Counter(session.state for session in manager.list())
    return {(state.value,): found[state] for state in State}


def _viewers(manager: SessionManager) -> dict[tuple[str, ...], float]:
    found = Counter(one.transport for session in manager.list() for one in session.handover.view().viewers)
    return {("webrtc",): found["webrtc"], ("novnc",): found["novnc"]}


def _views(manager: SessionManager) -> list[SessionView]:
    return [session.updates.latest for session in manager.list()]


def _exits(manager: SessionManager) -> dict[tuple[str, ...], float]:
    views = [view.egress for view in _views(manager)]
    found = Counter((view.state, view.verdict or "none") for view in views)
    return {(state, verdict): count for (state, verdict), count in found.items()}


def _room(room: Room) -> dict[tuple[str, ...], float]:
    return {("memory",): room.memory_mib << 20, ("disk",): room.disk_mib << 20}
