"""From inside a VM: every tool gets out by the session's own upstream user, and by nothing else."""

from __future__ import annotations

import asyncio
import base64
import logging
import mmap
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from gateway.app import disk_dir, running
from gateway.exits import NO_EXIT, parse_exit
from gateway.routes.services import Services
from gateway.sessions.lifecycle import State
from gateway.sessions.record import Place
from gateway.sessions.session import Session
from gateway.vm.files import MachineFiles
from gateway.vm.images import GoldenImage
from tests.e2e.guest import Guest, eventually
from tests.logs import as_written
from tests.loopback.egress_upstreams import squid, tinyproxy
from tests.loopback.egress_world import NAME
from tests.vm.egress_site import CA, SAYS, Site, site, tools
from tests.vm.sessions import settings_for, until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

USER, PASSWORD = "anna", "Xq7vR2mKp9wLs4Tz"
OTHER, OTHER_PASSWORD = "ben", "Hw3nT8cYb6kJd1Ve"
METADATA = "http://169.254.169.254/latest/meta-data/"


async def started(services: Services, user: str, password: str, port: int, place: str | None = None) -> Session:
    """One that leaves by this upstream; ``place`` is its time zone and locale."""
    out = parse_exit(f"http://{user}:{password}@127.0.0.1:{port}")
    session = await services.manager.create(out=out, timezone=place, locale=place)
    await session.wait_ready()
    return session


async def run(session: Session, command: str) -> tuple[int, str]:
    """As a person would, in a shell that has read its profile."""
    ran = await session.exec(["bash", "-lc", command], as_user=True, timeout_s=240)
    return int(ran["code"]), f"{ran['stdout']}{ran['stderr']}".strip()


async def all_through(session: Session, web: Site) -> None:
    for name, command in tools(web).items():
        code, said = await run(session, command)
        assert code == 0, f"{name}: {said}"
        assert SAYS.get(name, "hello") in said, name
        print(f"{name}: through")


async def all_closed(session: Session, web: Site) -> None:
    asked = len(web.seen)
    for name, command in tools(web).items():
        code, said = await run(session, command)
        assert code != 0, f"{name} got through: {said}"
        print(f"{name}: closed")
    assert len(web.seen) == asked


def holds(path: Path, words: list[bytes]) -> list[bytes]:
    """Which of these are in a large file."""
    if path.stat().st_size == 0:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [word for word in words if data.find(word) >= 0]


def found_below(folder: Path, words: list[bytes]) -> list[str]:
    """Files there that hold one of these."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and holds(path, words)]


def said_of_processes() -> bytes:
    """Command lines and environments of all that run."""
    found = b""
    for name in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{name}"):
            try:
                found += path.read_bytes()
            except OSError:
                continue
    return found


async def test_every_tool_gets_out_by_the_sessions_own_user_and_fails_closed(
    golden_image: GoldenImage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with as_written(caplog), settings_for(golden_image) as settings:
        async with site(tmp_path) as (web, certificate), running(settings, media_port=0, lasting=True) as services:
            async with tinyproxy(tmp_path, USER, PASSWORD) as (port, log):
                session = await started(services, USER, PASSWORD, port)
                guest = Guest(session.link)
                await guest.write(CA, await asyncio.to_thread(certificate.path.read_text))
                await all_through(session, web)
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
                assert (await run(session, f"curl -sS -o /dev/null -w '%{{http_code}}' {METADATA}"))[1] == "403"
            await all_closed(session, web)
            said = (await run(session, f"curl -sS http://{NAME}:{web.plain}/"))[1]
            assert "The way to the internet is down" in said
            await run(session, f"chromium http://{NAME}:{web.plain}/?again >/dev/null 2>&1")
            await eventually(lambda: guest.window("The way to the internet is down"), "Chromium's page of it", 120)
            assert "/?again" not in [path for path, _ in web.seen]
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
            # Nor is it anywhere else on this host that others could look at: processes, the store, logs, answers.
            told = await asyncio.to_thread(said_of_processes)
            assert all(word not in told for word in secret)
            for folder in (settings.state_dir, settings.run_dir):
                assert await asyncio.to_thread(found_below, folder, secret) == []
            assert await asyncio.to_thread(found_below, settings.state_dir, [session.id.encode()])
            assert PASSWORD not in caplog.text
            assert session.id in caplog.text, "the log's lines are there as they are written"
            assert PASSWORD not in session.view().model_dump_json()


@pytest.mark.slow
async def test_two_sessions_before_one_squid_never_mix(golden_image: GoldenImage, tmp_path: Path) -> None:
    """Its log names who came: each session is its own user there, for all that its tools ask."""
    users = {USER: PASSWORD, OTHER: OTHER_PASSWORD}
    with settings_for(golden_image) as settings:
        async with site(tmp_path) as (web, certificate), running(settings, media_port=0) as services:
            async with squid(users) as (port, log):
                made = [started(services, user, word, port) for user, word in users.items()]
                sessions = dict(zip(users, await asyncio.gather(*made), strict=True))
                for session in sessions.values():
                    await Guest(session.link).write(CA, await asyncio.to_thread(certificate.path.read_text))
                await asyncio.gather(*(all_through(session, web) for session in sessions.values()))
                ask = f"curl -sS http://{NAME}:{web.plain}/of-"
                await asyncio.gather(*(run(session, ask + user) for user, session in sessions.items()))
                lines = (await asyncio.to_thread(log.read_text)).splitlines()
                for user in users:
                    assert [line.split()[7] for line in lines if f"/of-{user} " in line] == [user]
                    tunnels = [line for line in lines if f"CONNECT {NAME}:{web.secure} {user} " in line]
                    assert len(tunnels) >= 5, f"{user}: {len(tunnels)}"
                    print(f"{user}: {len(tunnels)} tunnels in squid's log")
                # A wrong password: the guest is shown that, and not asked for one; the other session goes on.
                anna, ben = sessions.values()
                await anna.leave_by(parse_exit(f"http://{USER}:{OTHER_PASSWORD}@127.0.0.1:{port}"))
                said = (await run(anna, f"curl -sS http://{NAME}:{web.plain}/"))[1]
                assert "does not let this desktop in" in said
                error = anna.view().egress.error
                assert error is not None
                assert error.kind == "upstream-auth"
                assert (await run(ben, f"curl -sSf http://{NAME}:{web.plain}/"))[1] == "<title>reached</title>hello"
            await asyncio.gather(*(all_closed(session, web) for session in sessions.values()))


@pytest.mark.slow
async def test_a_desktop_is_where_its_exit_is(golden_image: GoldenImage, tmp_path: Path) -> None:
    """Time zone and browser language, by the exit check and by hand, in a browser and a page that stay open."""
    with settings_for(golden_image) as settings:
        async with site(tmp_path) as (web, _), tinyproxy(tmp_path, USER, PASSWORD) as (port, _):
            checked = settings.model_copy(
                update={
                    "proxy_check_url": f"http://{NAME}:{web.plain}/where",
                    "public_addresses": ("198.51.100.0/24",),
                }
            )
            async with running(checked, media_port=0) as services:
                session = await started(services, USER, PASSWORD, port, place="exit")
                guest = Guest(session.link)

                async def looked_at() -> bool | None:
                    return session.view().egress.checked_at is not None or None

                await eventually(looked_at, "the exit check", 60)
                view = session.view()
                assert (view.egress.address, view.egress.country, view.egress.verdict) == (
                    "203.0.113.50", "DE", "ok",
                )  # fmt: skip
                assert (view.timezone, view.locale) == ("Europe/Berlin", "de-DE")
                await eventually(lambda: guest.window("Fenster - Chromium"), "the start page", 180)
                await run(session, f"chromium 'http://{NAME}:{web.plain}/zone' >/dev/null 2>&1")
                await shows(session, web, "Europe/Berlin", "de-DE")
                browser = (await run(session, "pgrep -o chromium"))[1]
                assert (await run(session, "date +%Z"))[1] in ("CET", "CEST")

                await session.be_taken_for(Place(timezone="Asia/Tokyo", locale="ja-JP"))
                await eventually(partial(says, session, "date +%Z", "JST"), "the new time zone")
                await shows(session, web, "Asia/Tokyo", "ja-JP")
                assert (await run(session, "pgrep -o chromium"))[1] == browser
                assert (await run(session, "timedatectl show -p Timezone --value"))[1] == "Asia/Tokyo"


STARTING = r"""
for _ in {1..400}; do
  files=/proc/$(pgrep --oldest --exact chromium)/fdinfo
  if grep -qs ^inotify "$files"/*; then
    # Of a link that leads to a file it watches the folder where that is.
    ! grep -qs "$(printf 'ino:%x ' "$(stat -c %i "$(dirname "$(readlink /etc/localtime)")")")" "$files"/*
    exit
  fi
  sleep 0.5
done
exit 2
"""
"""Wait until Chromium watches its policies; 0 when it does not yet watch the time zone, which it has read by then."""


@pytest.mark.slow
async def test_a_place_that_is_found_while_chromium_starts(golden_image: GoldenImage, tmp_path: Path) -> None:
    """As by an exit check that takes a second longer than the desktop."""
    with settings_for(golden_image) as settings:
        async with (
            site(tmp_path) as (web, _),
            tinyproxy(tmp_path, USER, PASSWORD) as (port, _),
            running(settings, media_port=0) as services,
        ):
            session = await started(services, USER, PASSWORD, port)
            guest = Guest(session.link)
            ran = await session.exec(["bash", "-c", STARTING], timeout_s=240)
            assert ran["code"] == 0, ran
            await session.be_taken_for(Place(timezone="Asia/Tokyo", locale="ja-JP"))
            await eventually(lambda: guest.window("Fenster - Chromium"), "the start page", 180)
            await run(session, f"chromium 'http://{NAME}:{web.plain}/zone' >/dev/null 2>&1")
            await shows(session, web, "Asia/Tokyo", "ja-JP")


async def shows(session: Session, web: Site, zone: str, language: str) -> None:
    """Chromium does, in the page that is open, and asks so for another."""
    guest, said, began = Guest(session.link), f"{zone} {language} - Chromium", time.monotonic()
    await eventually(lambda: guest.window(said), said, 120)
    print(f"{said}: after {time.monotonic() - began:.0f} s")
    page = f"/zone?{zone}"
    await run(session, f"chromium 'http://{NAME}:{web.plain}{page}' >/dev/null 2>&1")
    await eventually(partial(asked_for, web, page), page, 60)
    assert web.headers_of(page)["accept-language"].startswith(language)


async def asked_for(web: Site, page: str) -> bool | None:
    return any(path == page for path, _ in web.seen) or None


async def says(session: Session, command: str, expected: str) -> bool | None:
    return (await run(session, command))[1] == expected or None


CLIS = {
    "codex": ("CODEX_API_KEY=x timeout 150 codex exec --skip-git-repo-check hi", ("openai.com", "chatgpt.com")),
    "claude": ("ANTHROPIC_API_KEY=x timeout 150 claude -p hi", ("anthropic.com", "claude.ai", "claude.com")),
    "gemini": ("GEMINI_API_KEY=x timeout 150 gemini --skip-trust -p hi", ("googleapis.com",)),
}
"""By name, a command that needs its service, and domains of that."""


@pytest.mark.slow
async def test_the_clis_ask_the_proxy_and_nobody_else(golden_image: GoldenImage, tmp_path: Path) -> None:
    with settings_for(golden_image) as settings:
        async with tinyproxy(tmp_path, USER, PASSWORD) as (port, log), running(settings, media_port=0) as services:
            session = await started(services, USER, PASSWORD, port)
            # It talks to its maker too, and only the tools are to be counted.
            await session.exec(["systemctl", "stop", "fenster-chromium.service"])

            async def connects(domains: tuple[str, ...]) -> int:
                text = await asyncio.to_thread(log.read_text)
                lines = [line for line in text.splitlines() if ": CONNECT " in line]
                return sum(f"{domain}:443" in line for line in lines for domain in domains)

            async def asked(domains: tuple[str, ...]) -> bool | None:
                return await connects(domains) > 0 or None

            for name, (command, domains) in CLIS.items():
                await while_it_runs(session, name, command, partial(asked, domains))
                print(f"{name}: asked the upstream")
            # Without an exit its request comes to the session's proxy, is refused there, and goes nowhere else.
            await session.leave_by(NO_EXIT)
            before = {name: await connects(domains) for name, (_, domains) in CLIS.items()}
            for name, (command, domains) in CLIS.items():
                refused = session.traffic().traffic.errors.get("no-exit", 0)
                await while_it_runs(session, name, command, partial(more_refused, session, refused))
                assert await connects(domains) == before[name]
                print(f"{name}: refused")


async def more_refused(session: Session, before: int) -> bool | None:
    return session.traffic().traffic.errors.get("no-exit", 0) > before or None


async def while_it_runs(
    session: Session, name: str, command: str, probe: Callable[[], Awaitable[bool | None]]
) -> None:
    """Until the probe sees what it must; without its service the tool would go on asking, so it is ended then."""
    unit = f"systemd-run --quiet --collect --unit={name} --uid=1000 --working-directory=/tmp"
    start = f"{unit} bash -lc 'export HOME=/home/user; {command} </dev/null >/tmp/{name}.log 2>&1'"
    ran = await session.exec(["sh", "-c", start])
    assert ran["code"] == 0, ran
    await eventually(probe, f"{name} at the proxy", 150)
    await session.exec(["systemctl", "kill", "--signal=KILL", f"{name}.service"])

    async def gone() -> bool | None:
        ran = await session.exec(["systemctl", "is-active", f"{name}.service"])
        return ran["code"] != 0 or None

    await eventually(gone, f"the end of {name}")
