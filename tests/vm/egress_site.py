"""What a guest's tools ask for through its upstream: pages, a git repository, registries of npm and pip."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.loopback.egress_world import NAME, Certificate, served

__all__ = ["CA", "SAYS", "Site", "site", "tools"]

CA = "/tmp/test-ca.pem"
"""In the guest."""
PACKAGE = {
    "name": "fenster-stub",
    "dist-tags": {"latest": "4.5.6"},
    "versions": {"4.5.6": {"name": "fenster-stub", "version": "4.5.6", "dist": {"tarball": "https://x/"}}},
}
SIMPLE = (
    b'<!doctype html><a href="/files/fenster_stub-4.5.6-py3-none-any.whl">fenster_stub-4.5.6-py3-none-any.whl</a>'
)
"""PEP 503."""
ECHO = {"ip": "203.0.113.50", "country": "DE", "timezone": "Europe/Berlin"}
ZONE_PAGE = b"""<title>?</title><script>
setInterval(() => {
  document.title = Intl.DateTimeFormat().resolvedOptions().timeZone + " " + navigator.languages[0];
}, 500);
</script>"""
"""Its title goes on being what the page could find out, for as long as it is open."""
PIP = "python3 $(ls /usr/share/python-wheels/pip-*.whl)/pip"
"""Debian keeps pip for virtual environments there; it runs from its archive."""


@dataclass
class Site:
    """A web server of files, and who asked for what."""

    files: dict[str, bytes]
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """(path with query, headers by lower-case name)."""
    plain: int = 0
    secure: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
            first, *lines = head.split("\r\n")
            fields = [line.partition(":") for line in lines if line]
            self.seen.append((first.split()[1], {name.lower(): value.strip() for name, _, value in fields}))
            path = first.split()[1].partition("?")[0]
            body = self.files.get(path)
            status = "404 Not Found" if body is None else "200 OK"
            kind = "application/json" if path in ("/fenster-stub", "/where") else "text/html"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body or b'')}\r\n\r\n".encode()
            )
            writer.write(body or b"")
            await writer.drain()

    def asked_by(self, word: str) -> bool | None:
        """True once somebody whose User-Agent has that word asked for something, else None."""
        return any(word in headers.get("user-agent", "") for _, headers in self.seen) or None

    def headers_of(self, path: str) -> dict[str, str]:
        """Of the last request for it."""
        return next(headers for asked, headers in reversed(self.seen) if asked == path)


def repository(folder: Path) -> dict[str, bytes]:
    """A git repository as plain files, by path."""
    work, bare = folder / "work", folder / "bare.git"
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (
        ["git", "init", "-q", str(work)],
        ["git", *author, "-C", str(work), "commit", "-q", "--allow-empty", "-m", "one"],
        ["git", "clone", "-q", "--bare", str(work), str(bare)],
        ["git", "-C", str(bare), "update-server-info"],
    ):
        subprocess.run(command, check=True)
    return {f"/repo.git/{path.relative_to(bare)}": path.read_bytes() for path in bare.rglob("*") if path.is_file()}


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[tuple[Site, Certificate]]:
    files = await asyncio.to_thread(repository, folder)
    certificate = await asyncio.to_thread(Certificate, folder)
    made = Site(
        {
            "/": b"<title>reached</title>hello",
            "/zone": ZONE_PAGE,
            "/where": json.dumps(ECHO).encode(),
            "/fenster-stub": json.dumps(PACKAGE).encode(),
            "/simple/fenster-stub/": SIMPLE,
            **files,
        }
    )
    async with served(made.serve) as plain, served(made.serve, certificate.server()) as secure:
        made.plain, made.secure = plain, secure
        yield made, certificate


def tools(site: Site) -> dict[str, str]:
    """By name, a command that succeeds and says what is expected only when it got through."""
    plain, secure = f"http://{NAME}:{site.plain}", f"https://{NAME}:{site.secure}"
    fetch = "fetch(process.argv[1]).then(r => r.ok ? r.text() : Promise.reject(r.status)).then(console.log)"
    node = f"NODE_EXTRA_CA_CERTS={CA} node -e '{fetch}'"
    pip = f"{PIP} index versions --retries 0 --cert {CA} --index-url {secure}/simple fenster-stub"
    return {
        "curl": f"curl -sSf {plain}/",
        "curl, TLS": f"curl -sSf --cacert {CA} {secure}/",
        "Node's fetch": f"{node} {plain}/",
        "Node's fetch, TLS": f"{node} {secure}/",
        "npm": f"npm view --fetch-retries=0 --cafile {CA} --registry {secure}/ fenster-stub version",
        "pip": pip,
        "pip without the environment": f"env -u HTTPS_PROXY -u https_proxy {pip}",
        "git": f"rm -rf /tmp/r; GIT_SSL_CAINFO={CA} git clone -q {secure}/repo.git /tmp/r && cd /tmp/r && git log",
        "curl under sudo": f"sudo curl -sSf {plain}/",
    }


SAYS = {"npm": "4.5.6", "git": "one", "pip": "4.5.6", "pip without the environment": "4.5.6"}
"""What a tool says that got through, where it is not "hello"."""
