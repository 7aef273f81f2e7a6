"""From inside a VM: every tool gets out by the session's own upstream user, and by nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import mmap
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from gateway.app import disk_dir, running
from gateway.exits import parse_exit
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from gateway.vm.files import MachineFiles
from gateway.vm.images import GoldenImage
from tests.e2e.guest import Guest, eventually
from tests.loopback.egress_world import NAME, Certificate, served, tinyproxy
from tests.vm.sessions import settings_for, until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

USER, PASSWORD = "anna", "Xq7vR2mKp9wLs4Tz"
CA = "/tmp/test-ca.pem"
PACKAGE = {
    "name": "fenster-stub",
    "dist-tags": {"latest": "4.5.6"},
    "versions": {"4.5.6": {"name": "fenster-stub", "version": "4.5.6", "dist": {"tarball": "https://x/"}}},
}


@dataclass
class Site:
    """A web server of files, and who asked for what."""

    files: dict[str, bytes]
    seen: list[tuple[str, str]] = field(default_factory=list)
    """(path, User-Agent)."""
    plain: int = 0
    secure: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
            agents = [line[11:].strip() for line in head.split("\r\n") if line.lower().startswith("user-agent:")]
            path = head.split()[1].partition("?")[0]
            self.seen.append((path, agents[0] if agents else ""))
            body = self.files.get(path)
            status = "404 Not Found" if body is None else "200 OK"
            kind = "application/json" if path == "/fenster-stub" else "text/html"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body or b'')}\r\n\r\n".encode()
            )
            writer.write(body or b"")
            await writer.drain()

    def asked_by(self, word: str) -> bool | None:
        """True once somebody whose User-Agent has that word asked for something, else None."""
        return any(word in agent for _, agent in self.seen) or None


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
    made = Site({"/": b"<title>reached</title>hello", "/fenster-stub": json.dumps(PACKAGE).encode(), **files})
    async with served(made.serve) as plain, served(made.serve, certificate.server()) as secure:
        made.plain, made.secure = plain, secure
        yield made, certificate


def tools(site: Site) -> dict[str, str]:
    """By name, a command that succeeds and says what is expected only when it got through."""
    plain, secure = f"http://{NAME}:{site.plain}", f"https://{NAME}:{site.secure}"
    fetch = "fetch(process.argv[1]).then(r => r.ok ? r.text() : Promise.reject(r.status)).then(console.log)"
    node = f"NODE_EXTRA_CA_CERTS={CA} node -e '{fetch}'"
    return {
        "curl": f"curl -sSf {plain}/",
        "curl, TLS": f"curl -sSf --cacert {CA} {secure}/",
        "Node's fetch": f"{node} {plain}/",
        "Node's fetch, TLS": f"{node} {secure}/",
        "npm": f"npm view --fetch-retries=0 --cafile {CA} --registry {secure}/ fenster-stub version",
        "git": f"rm -rf /tmp/r; GIT_SSL_CAINFO={CA} git clone -q {secure}/repo.git /tmp/r && cd /tmp/r && git log",
        "curl under sudo": f"sudo curl -sSf {plain}/",
    }


SAYS = {"npm": "4.5.6", "git": "one"}


async def run(session: Session, command: str) -> tuple[int, str]:
    """As a person would, in a shell that has read its profile."""
    ran = await session.exec(["bash", "-lc", command], as_user=True, timeout_s=120)
    return int(ran["code"]), f"{ran['stdout']}{ran['stderr']}".strip()


def holds(path: Path, words: list[bytes]) -> list[bytes]:
    """Which of these are in a large file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [word for word in words if data.find(word) >= 0]


def command_lines() -> bytes:
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes()
        except OSError:
            continue
    return found


async def test_every_tool_gets_out_by_the_sessions_own_user_and_fails_closed(
    golden_image: GoldenImage, tmp_path: Path
) -> None:
    with settings_for(golden_image) as settings:
        async with site(tmp_path) as (web, certificate), running(settings, media_port=0) as services:
            async with tinyproxy(tmp_path, USER, PASSWORD) as (port, log):
                session = await services.manager.create(out=parse_exit(f"http://{USER}:{PASSWORD}@127.0.0.1:{port}"))
                await session.wait_ready()
                guest = Guest(session.link)
                await guest.write(CA, await asyncio.to_thread(certificate.path.read_text))
                for name, command in tools(web).items():
                    code, said = await run(session, command)
                    assert code == 0, f"{name}: {said}"
                    assert SAYS.get(name, "hello") in said, name
                    print(f"{name}: through")
                # apt names its proxy itself. There is no archive here, but it asks.
                source = f"deb [trusted=yes] http://{NAME}:{web.plain} ./"
                await run(
                    session, f"echo '{source}' > /tmp/s.list; sudo apt-get update -o Dir::Etc::sourcelist=/tmp/s.list"
                )
                assert web.asked_by("APT")
                await eventually(lambda: guest.window("Fenster - Chromium"), "the start page", 180)
                await run(session, f"chromium http://{NAME}:{web.plain}/ >/dev/null 2>&1")
                await eventually(lambda: guest.window("reached - Chromium"), "the page in Chromium", 120)
                assert web.asked_by("Chrome/")
                assert session.view().egress.state == "ok"
                text = await asyncio.to_thread(log.read_text)
                assert f"CONNECT {NAME}:{web.secure}" in text
                # Nobody but who knows the password is served there.
                assert (await run(session, f"curl -sS -o /dev/null -w '%{{http_code}}' {_metadata()}"))[1] == "403"
            asked = len(web.seen)
            for name, command in tools(web).items():
                code, said = await run(session, command)
                assert code != 0, f"{name} got through: {said}"
                print(f"{name}: closed")
            code, said = await run(session, f"curl -sS http://{NAME}:{web.plain}/")
            assert "The way to the internet is down" in said
            await run(session, f"chromium http://{NAME}:{web.plain}/?again >/dev/null 2>&1")
            await eventually(lambda: guest.window("The way to the internet is down"), "Chromium's page of it", 120)
            assert len(web.seen) == asked
            view = session.view().egress
            assert view.error is not None
            assert (view.state, view.error.kind) == ("failing", "upstream-down")

            # What the guest never had: its memory and its disk, as they stand.
            session.suspend()
            await until(session, State.SUSPENDED)
            files = MachineFiles(disk_dir(settings), session.id)
            secret = [PASSWORD.encode(), base64.b64encode(f"{USER}:{PASSWORD}".encode())]
            for path in (files.stream, files.disk):
                assert await asyncio.to_thread(holds, path, secret) == []
                assert await asyncio.to_thread(holds, path, [session.id.encode()]), "the search finds what is there"
            assert PASSWORD.encode() not in await asyncio.to_thread(command_lines)


CLIS = {
    "codex": ("CODEX_API_KEY=x timeout 150 codex exec --skip-git-repo-check hi", ("openai.com", "chatgpt.com")),
    "claude": ("ANTHROPIC_API_KEY=x timeout 150 claude -p hi", ("anthropic.com", "claude.ai", "claude.com")),
    "gemini": ("GEMINI_API_KEY=x timeout 150 gemini --skip-trust -p hi", ("googleapis.com",)),
}
"""By name, a command that needs its service, and domains of that."""


async def test_the_clis_ask_the_proxy(golden_image: GoldenImage, tmp_path: Path) -> None:
    with settings_for(golden_image) as settings:
        async with tinyproxy(tmp_path, USER, PASSWORD) as (port, log), running(settings, media_port=0) as services:
            session = await services.manager.create(out=parse_exit(f"http://{USER}:{PASSWORD}@127.0.0.1:{port}"))
            await session.wait_ready()

            async def asked(domains: tuple[str, ...]) -> bool | None:
                text = await asyncio.to_thread(log.read_text)
                lines = [line for line in text.splitlines() if ": CONNECT " in line]
                return any(f"{domain}:443" in line for line in lines for domain in domains) or None

            for name, (command, domains) in CLIS.items():
                # Without its service it would go on asking.
                await session.exec(
                    ["bash", "-lc", f"cd /tmp; setsid -f env {command} </dev/null >/tmp/{name}.log 2>&1"],
                    as_user=True,
                )
                await eventually(partial(asked, domains), f"{name} at the proxy", 150)
                print(f"{name}: asked")


def _metadata() -> str:
    return "http://169.254.169.254/latest/meta-data/"
