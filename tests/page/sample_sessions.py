"""What the API says of hosts and sessions in states that pass, or take a broken host: for pages that are shown it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["DOWN", "HOST", "PROBLEM", "STAGES", "ago", "egress", "several"]

STAGES = {
    "disk": 0.11,
    "network": 0.16,
    "spawn": 0.42,
    "restore": 0.48,
    "resume": 0.83,
    "hello": 1.27,
    "identify": 1.4,
}
DONE = {**STAGES, "assign": 1.62, "agent": 1.9, "vnc": 2.04, "ready": 2.1, "first_offer": 2.6, "connected": 2.74}

PROBLEM = {
    "type": "urn:fenster:capacity",
    "title": "capacity",
    "status": 503,
    "detail": "this host has no memory left for another desktop",
    "hint": "suspend or destroy one that is not needed",
}
HOST = {
    "version": "0.1.0", "driver": "qemu", "accelerator": "kvm", "why": "the golden kernel booted with it",
    "isolated": True, "versions": {}, "problem": None, "sessions": 3, "max_sessions": 24, "free_memory_mib": 21_504,
    "free_disk_mib": 188_416, "media_port": 8443, "parked": 2, "counters": {},
    "egress": {"socks5://gate.example:7000": "ok", "http://proxy.example:8080": "failing"},
}  # fmt: skip


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def egress(kind: str, state: str, **changes: Any) -> dict[str, Any]:
    """As the API has it in a session."""
    base = {"type": kind, "state": state, "error": None, "address": None, "latency_ms": None, "checked_at": None}
    return {**base, "verdict": None, **changes}


DOWN = {
    "kind": "upstream-down",
    "message": "nothing listens at the upstream",
    "hint": "see whether the upstream proxy runs, and its host and port",
}


def session(sid: str, state: str, **changes: Any) -> dict[str, Any]:
    """As the API has it."""
    base: dict[str, Any] = {
        "id": sid, "state": state, "created_at": ago(60), "timings": DONE, "durations": {}, "error": None,
        "notice": "", "viewers": 0, "control": {"controller": None, "requests": [], "viewers": []},
        "display": {"width": 1280, "height": 720}, "template": "default", "accelerator": "kvm", "metadata": {},
        "ends_at": None, "idle_at": None, "idle_action": "suspend", "warning": None, "clipboard": "both",
        "files": "both", "egress": egress("none", "off"),
    }  # fmt: skip
    return {**base, **changes}


def several() -> list[dict[str, Any]]:
    failed = {
        "kind": "boot-failed",
        "message": "the guest said nothing for 30 s",
        "hint": "fenster doctor says what this host lacks",
    }
    return [
        session("k3wq8d2m", "failed", timings=STAGES, error=failed, created_at=ago(7260)),
        session("p7n4x1vb", "suspended", created_at=ago(86500)),
        session(
            "t9c5r0za",
            "ready",
            ends_at=ago(-9_000),
            created_at=ago(3000),
            egress=egress("http", "failing", error=DOWN),
        ),
        session("h2m6y8eu", "restoring", timings=STAGES, created_at=ago(2)),
        session(
            *("b1f7j3qs", "ready"),
            viewers=2,
            template="coding",
            created_at=ago(900),
            egress=egress("socks5", "ok", address="203.0.113.9"),
        ),
    ]
