"""A browser's own machine: a network namespace with one cable to the gateway's.

Nothing but the gateway's end of the cable is reachable from inside. `drop_udp` takes UDP away the way a strict
office network does, and `drop_media` all that is not the web's, by a packet filter on the browser's side, with
no switch in the product.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from gateway import host

__all__ = ["BROWSER_IP", "GATEWAY_IP", "BrowserHost", "chromium", "run"]


def _free_net() -> str:
    """Test runs beside each other each have a cable of their own, and one that was killed has left its."""
    taken = {address.rpartition(".")[0] for address in host.addresses()}
    nets = (f"169.254.{64 + (os.getpid() + number) % 128}" for number in range(128))
    return next(net for net in nets if net not in taken)


_NET = _free_net()
GATEWAY_IP = f"{_NET}.1"
BROWSER_IP = f"{_NET}.2"

MAGIC_COOKIE = 0x2112A442
"""RFC 8489 5."""
DROP_UDP = "meta l4proto udp drop;"
DROP_ICE_TCP = f"meta l4proto tcp @ih,48,32 {MAGIC_COOKIE:#x} drop;"
"""A segment that begins with a framed STUN message: its magic cookie stands behind length, type and length."""

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def run(*argv: str, stdin: str | None = None) -> None:
    subprocess.run(argv, check=True, input=stdin, text=True, capture_output=True)


class BrowserHost:
    """Owns the namespace, the cable and the packet filter; `close` removes them all."""

    def __init__(self) -> None:
        self.name = f"fenster-e2e-{os.getpid()}"
        self._outer = f"fe2e{os.getpid() % 100000}"
        run("ip", "netns", "add", self.name)
        try:
            self._wire()
        except subprocess.CalledProcessError:
            self.close()
            raise
        fd, path = tempfile.mkstemp(prefix="fenster-e2e-", suffix=".sh")
        with os.fdopen(fd, "w") as script:
            script.write(f'#!/bin/sh\nexec ip netns exec {self.name} chromium "$@"\n')
        self.launcher = Path(path)
        self.launcher.chmod(0o755)

    def _wire(self) -> None:
        inner = f"{self._outer}b"
        self._cable(inner)
        run("ip", "address", "add", f"{GATEWAY_IP}/30", "dev", self._outer)
        run("ip", "link", "set", self._outer, "up")
        inside = ("ip", "-n", self.name)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "address", "add", f"{BROWSER_IP}/30", "dev", inner)
        run(*inside, "link", "set", inner, "up")
        # Chromium offers no candidate at all on a host without a default route.
        run(*inside, "route", "add", "default", "via", GATEWAY_IP)
        self._rules = ""
        self._filter(self._rules)

    def _cable(self, inner: str) -> None:
        """Makes the two ends, the inner one in the namespace."""
        run("ip", "link", "add", self._outer, "type", "veth", "peer", "name", inner, "netns", self.name)

    def _filter(self, rules: str) -> None:
        run(
            "ip", "netns", "exec", self.name, "nft", "-f", "-",
            stdin=f"""
            table inet browser
            delete table inet browser
            table inet browser {{
              chain out {{
                type filter hook output priority 0; policy drop;
                oifname "lo" accept; {rules} ip daddr {GATEWAY_IP} accept
              }}
              chain in {{
                type filter hook input priority 0; policy drop;
                iifname "lo" accept; {rules} ip saddr {GATEWAY_IP} accept
              }}
            }}
            """,
        )  # fmt: skip

    def drop_udp(self) -> None:
        self._set(DROP_UDP)

    def drop_media(self) -> None:
        """UDP, and ICE-TCP on whatever port: what a filter that knows protocols does."""
        self._set(DROP_UDP + DROP_ICE_TCP)

    def drop_all(self) -> None:
        """The cable is there, and nothing passes."""
        self._set("drop;")

    def pass_udp(self) -> None:
        self._set("")

    def _set(self, rules: str) -> None:
        self._rules = rules
        self._filter(rules)

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """No packet passes, and nobody is told."""
        self._filter("drop;")
        try:
            yield
        finally:
            self._filter(self._rules)

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._outer], check=False, capture_output=True)
        with contextlib.suppress(AttributeError, FileNotFoundError):
            self.launcher.unlink()


@contextlib.asynccontextmanager
async def chromium(host: BrowserHost, origin: str, *, env: Mapping[str, str] | None = None) -> AsyncIterator[Browser]:
    """Chromium with a fresh profile on that host: headless, or in a window on the display that ``env`` names.

    ``origin`` is treated as secure, as it is behind TLS; the gateway under test speaks plain HTTP.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(host.launcher),
            headless=env is None,
            env=dict(env) if env is not None else None,
            args=[*CHROMIUM_FLAGS, f"--unsafely-treat-insecure-origin-as-secure={origin}"],
        )
        try:
            yield browser
        finally:
            await browser.close()
