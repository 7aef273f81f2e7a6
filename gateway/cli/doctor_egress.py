"""doctor on the sessions' way to the internet: their exit unless they name one, and how its password is kept."""

from __future__ import annotations

import asyncio
import stat

from gateway.app import plane_settings
from gateway.cli.finding import Finding, Grade
from gateway.egress.service import try_exit
from gateway.errors import ConfigError
from gateway.exits import ExitCheck
from gateway.keyfiles import load_sealing_key, sealing_key_path
from gateway.plane.compose import egress_config
from gateway.settings import Settings

__all__ = ["examine_egress"]


async def examine_egress(settings: Settings) -> list[Finding]:
    return [await asyncio.to_thread(_sealing_key, settings), await _exit(settings)]


def _sealing_key(settings: Settings) -> Finding:
    path = sealing_key_path(settings.state_dir)
    try:
        if not path.exists():
            return Finding("sealing key", Grade.OK, "it is made at the first start")
        load_sealing_key(settings.state_dir)
        mode = stat.S_IMODE(path.stat().st_mode)
    except ConfigError as exc:
        return Finding("sealing key", Grade.FAIL, exc.message, exc.hint)
    except OSError as exc:
        return Finding("sealing key", Grade.FAIL, f"{path}: {exc.strerror}", "run as the gateway's user")
    if mode & 0o077:
        return Finding(
            "sealing key", Grade.FAIL, f"others can read {path}, and with it the sessions' proxy passwords",
            f"chmod 0600 {path}",
        )  # fmt: skip
    return Finding("sealing key", Grade.OK, "proxy passwords are sealed at rest")


async def _exit(settings: Settings) -> Finding:
    out = settings.proxy
    try:
        config = await asyncio.to_thread(egress_config, plane_settings(settings, 0))
    except ConfigError as exc:
        return Finding("internet exit", Grade.FAIL, exc.message, exc.hint)
    if out.type == "none":
        return Finding(
            "internet exit", Grade.WARN, "none: a session reaches nothing unless it names a proxy of its own",
            "set proxy, or give each session one: fenster new --proxy",
        )  # fmt: skip
    seen, error = await try_exit(out, config)
    if error is not None:
        return Finding(
            "internet exit", Grade.FAIL, f"{out}: {error.message}", error.hint or "see proxy in the settings"
        )
    if seen is None:
        what = (
            "sessions leave from this host itself"
            if out.type == "direct"
            else "it takes connections; no more was tried"
        )
        return Finding("internet exit", Grade.WARN, f"{out}: {what}", "set proxy_check_url to have exits looked at")
    return _seen(str(out), direct=out.type == "direct", seen=seen)


def _seen(out: str, *, direct: bool, seen: ExitCheck) -> Finding:
    shown = f"{out}: the internet sees {seen.address}{f' ({seen.country})' if seen.country else ''}"
    shown += f", after {seen.latency_ms:.0f} ms"
    if direct:
        return Finding("internet exit", Grade.WARN, f"{shown}; sessions leave from this host itself")
    if seen.ours:
        return Finding(
            "internet exit", Grade.FAIL, f"{shown}, an address of this host", "see the upstream's own exit"
        )
    if seen.ours is None:
        return Finding(
            "internet exit", Grade.WARN, f"{shown}; whether that is this host's own is not known",
            "set public_addresses to what the internet takes for this host's",
        )  # fmt: skip
    return Finding("internet exit", Grade.OK, shown)
