"""One session on doubles: its stages, its failures, and that nothing of it is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict, DiskError, ImageError, LinkClosed, NetnsError
from gateway.exits import PROXY_URL
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from gateway.sessions.world import Timeouts
from tests.fakes import FakeGuest, GuestRefusal, boot_failure, silent_guest
from tests.sessions import LONG_S, Stage, until, watch

NOW = Timeouts(hello_s=0.05, call_s=0.05, ready_s=0.05, last_words_s=0.05)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()
    assert stage.left() == []


async def test_a_session_goes_through_its_states_in_order(stage: Stage) -> None:
    stage.driver.gate.clear()
    session = await stage.manager.create()
    watching = asyncio.create_task(watch(session))
    await stage.driver.starting.wait()
    stage.driver.gate.set()
    await until(session, State.READY)
    await stage.manager.destroy(session.id)
    assert await watching == ["creating", "booting", "assigning", "ready", "stopping", "stopped"]


async def test_stage_timings_are_recorded_once_and_in_order(stage: Stage) -> None:
    session = await stage.ready()
    await until_marked(session, "complete")
    stages = ["disk", "spawn", "hello", "identify", "assign", "ready"]
    times = [session.timings[name] for name in stages]
    assert times == sorted(times)
    assert {"agent", "vnc", "complete"} <= set(session.timings)
    before = dict(session.timings)
    session.mark("hello")
    assert session.timings == before


async def until_marked(session: Session, stage: str) -> None:
    async with asyncio.timeout(LONG_S):
        with session.updates.watch() as updates:
            while (view := await updates.get()) is not None and stage not in view.timings:
                pass


async def test_the_guest_is_told_who_it_is(stage: Stage) -> None:
    session = await stage.ready()
    calls = dict(stage.vm(session).guest.calls)
    assert set(calls) == {"hello", "identify", "assign"}
    assert len(bytes.fromhex(calls["identify"]["entropy"])) == 32
    assert len(bytes.fromhex(calls["identify"]["machine_id"])) == 16
    assigned = calls["assign"]
    assert (assigned["session_id"], assigned["proxy"], assigned["display"]) == (session.id, PROXY_URL, [1280, 720])
    assert assigned["epoch_ns"] > 1_600_000_000 * 10**9
    assert len(assigned["vnc_password"]) == 8
    assert assigned["vnc_password"] == session.vnc_password


async def test_no_two_sessions_share_a_secret(stage: Stage) -> None:
    first, second = await stage.ready(), await stage.ready()
    one, other = dict(stage.vm(first).guest.calls), dict(stage.vm(second).guest.calls)
    assert one["identify"]["entropy"] != other["identify"]["entropy"]
    assert one["identify"]["machine_id"] != other["identify"]["machine_id"]
    assert first.vnc_password != second.vnc_password


async def test_a_desktop_is_complete_with_terminal_and_chromium(stage: Stage) -> None:
    def assign(params: Any) -> dict[str, Any]:
        return {}

    stage.driver.guest = lambda: FakeGuest(handlers={"assign": assign})
    session = await stage.ready()
    guest = stage.vm(session).guest
    for windows in ([], ["Xfce4-terminal"], ["chromium"], "Xfce4-terminal Chromium", None):
        guest.notify("desktop", {"windows": windows})
    guest.notify("peer", {"peer": "x", "state": "connected", "reason": ""})
    await until_marked(session, "connected")
    assert "complete" not in session.timings
    guest.notify("desktop", {"windows": ["xfce4-terminal", "Chromium"]})
    await until_marked(session, "complete")
    assert session.windows == ("xfce4-terminal", "Chromium")


async def test_a_killed_machine_fails_its_session_with_the_reason_and_leaves_nothing(stage: Stage) -> None:
    session = await stage.ready()
    await stage.vm(session).crash("QEMU was killed by signal 9", hint="see dmesg")
    await session.wait_ended()
    assert session.state is State.FAILED
    assert session.error is not None
    assert (session.error.kind, session.error.message) == ("vm-lost", "QEMU was killed by signal 9")
    assert session.error.hint.startswith("see dmesg")
    assert stage.left() == []


async def test_a_machine_that_dies_before_hello_failed_to_boot(stage: Stage) -> None:
    stage.driver.guest = silent_guest
    session = await stage.manager.create()
    await until(session, State.BOOTING)
    await stage.vm(session).crash("the guest kernel panicked: VFS")
    await session.wait_ended()
    assert session.error is not None
    assert (session.error.kind, session.error.message) == ("boot-failed", "the guest kernel panicked: VFS")


async def failed(stage: Stage) -> Session:
    session = await stage.manager.create()
    async with asyncio.timeout(LONG_S):
        await session.wait_ended()
    assert session.state is State.FAILED
    assert stage.left() == []
    return session


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (boot_failure(), "boot-failed"),
        (DiskError("no space", hint="free some"), "disk"),
        (RuntimeError("a mistake of ours, secret=1"), "internal"),
    ],
)
async def test_a_driver_that_cannot_start(stage: Stage, error: Any, kind: str) -> None:
    stage.driver.start_error = error
    session = await failed(stage)
    assert session.error is not None
    assert session.error.kind == kind
    assert session.error.hint
    assert "secret" not in session.error.message


async def test_a_host_without_an_image(stage: Stage) -> None:
    stage.driver.check_error = ImageError("there is no golden image", hint="fenster build")
    session = await failed(stage)
    assert session.error is not None
    assert (session.error.kind, session.error.hint) == ("image", "fenster build")
    assert stage.driver.specs == []


async def test_a_network_that_cannot_be_made(stage: Stage) -> None:
    stage.dataplane.attach_error = NetnsError("no right to make namespaces", hint="run as root")
    session = await failed(stage)
    assert session.error is not None
    assert session.error.kind == "netns"


async def test_a_silent_guest(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "run", tmp_path / "logs", timeouts=NOW)
    stage.driver.guest = silent_guest
    session = await failed(stage)
    assert session.error is not None
    assert session.error.kind == "boot-failed"
    assert "said nothing" in session.error.message


async def test_a_guest_without_vnc(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "run", tmp_path / "logs", timeouts=Timeouts(LONG_S, LONG_S, 0.05, LONG_S))
    stage.driver.gate.clear()
    session = await stage.manager.create()
    await stage.driver.starting.wait()
    stage.dataplane.lans[session.id].ports[5901] = _http
    stage.driver.gate.set()
    await session.wait_ended()
    assert session.error is not None
    assert session.error.kind == "boot-failed"
    assert "not a VNC server" in session.error.message
    assert stage.left() == []


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n")
    await reader.read()


async def test_an_agent_that_never_comes_up(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "run", tmp_path / "logs", timeouts=Timeouts(LONG_S, LONG_S, 0.05, LONG_S))
    stage.driver.guest = lambda: FakeGuest(handlers={"identify": lambda params: {}, "assign": lambda params: {}})
    session = await failed(stage)
    assert session.error is not None
    assert "agent" in session.error.message


async def test_a_guest_that_refuses_its_identity(stage: Stage) -> None:
    def refuse(params: Any) -> dict[str, Any]:
        raise GuestRefusal(-32603, "no /dev/random")

    stage.driver.guest = lambda: FakeGuest(handlers={"identify": refuse})
    session = await failed(stage)
    assert session.error is not None
    assert session.error.kind == "guest-error"


async def test_a_guest_of_another_protocol(stage: Stage) -> None:
    stage.driver.guest = lambda: FakeGuest(handlers={"hello": lambda params: {"protocol": 99}})
    session = await failed(stage)
    assert session.error is not None
    assert "99" in session.error.message
    assert "fenster build" in session.error.hint


async def test_a_guest_that_came_back_is_told_again_who_it_is(stage: Stage) -> None:
    session = await stage.ready()
    guest = stage.vm(session).guest
    first = dict(guest.calls)["identify"]
    guest.calls.clear()
    guest.identity = None
    guest.notify("hello", guest.hello_result())
    async with asyncio.timeout(LONG_S):
        while "assign" not in dict(guest.calls):
            guest.called.clear()
            await guest.called.wait()
    again = dict(guest.calls)
    assert again["identify"]["machine_id"] == first["machine_id"]
    assert again["identify"]["entropy"] != first["entropy"]
    assert again["assign"]["vnc_password"] == session.vnc_password
    assert session.state is State.READY


async def test_nonsense_from_the_guest_disturbs_nothing(stage: Stage) -> None:
    session = await stage.ready()
    guest = stage.vm(session).guest
    guest.send_raw(b"\xff\xfe garbage\n{}\n[1,2\n")
    nonsense: list[tuple[str, dict[str, Any]]] = [
        ("desktop", {}),
        ("desktop", {"windows": [None, 7, {}]}),
        ("peer", {"state": ["connected"]}),
        ("agent", {"state": 5}),
        ("nobody-knows", {"x": 1}),
    ]
    for method, params in nonsense:
        guest.notify(method, params)
    guest.notify("peer", {"peer": "x", "state": "connected", "reason": ""})
    await until_marked(session, "connected")
    assert session.state is State.READY


@pytest.mark.parametrize("hold", ["driver", "guest"])
async def test_stopped_while_it_boots(stage: Stage, hold: str) -> None:
    if hold == "driver":
        stage.driver.gate.clear()
    else:
        stage.driver.guest = silent_guest
    session = await stage.manager.create()
    if hold == "driver":
        await stage.driver.starting.wait()
    else:
        await until(session, State.BOOTING)
    await session.stop()
    assert session.state is State.STOPPED
    assert session.error is None
    assert stage.left() == []


async def test_stopped_before_its_first_step(stage: Stage) -> None:
    session = await stage.manager.create()
    await session.stop()
    assert session.state is State.STOPPED
    assert stage.left() == []


async def test_many_stops_are_one(stage: Stage) -> None:
    session = await stage.ready()
    await asyncio.gather(*(session.stop() for _ in range(5)))
    await session.stop()
    assert session.state is State.STOPPED
    assert stage.vm(session).stops == 1


async def test_a_cancelled_stop_does_not_keep_the_session_alive(stage: Stage) -> None:
    session = await stage.ready()
    stopping = asyncio.create_task(session.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait({stopping})
    async with asyncio.timeout(LONG_S):
        await session.wait_ended()
    assert session.state is State.STOPPED


async def test_a_release_that_fails_is_said_and_does_not_stop_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    detach = stage.dataplane.detach

    async def broken(vm_id: str) -> None:
        await detach(vm_id)
        raise NetnsError("the namespace is busy")

    monkeypatch.setattr(stage.dataplane, "detach", broken)
    session = await stage.ready()
    await session.stop()
    assert session.state.value == "failed"
    assert session.error is not None
    assert "network: the namespace is busy" in session.error.message
    # The next gateway will try again, and so does the next DELETE.
    assert stage.left() == [session.id]
    await stage.manager.destroy(session.id)
    assert stage.left() == []


async def test_a_failed_session_keeps_its_logs(stage: Stage) -> None:
    session = await stage.ready()
    (session.run_dir / "serial.log").write_text("Kernel panic")
    await stage.vm(session).crash(hint=f"its console is in {session.run_dir}/serial.log")
    await session.wait_ended()
    kept = stage.logs_dir / session.id
    assert (kept / "serial.log").read_text() == "Kernel panic"
    assert session.error is not None
    assert session.error.hint == f"its console is in {kept}/serial.log"


async def test_a_stopped_session_keeps_no_logs(stage: Stage) -> None:
    session = await stage.ready()
    (session.run_dir / "serial.log").write_text("fine")
    await session.stop()
    assert not stage.logs_dir.exists()


async def test_before_and_after_its_machine_a_session_says_so(stage: Stage) -> None:
    stage.driver.gate.clear()
    session = await stage.manager.create()
    with pytest.raises(LinkClosed):
        _ = session.link
    with pytest.raises(Conflict) as caught:
        session.require_ready()
    assert "wait" in caught.value.hint
    stage.driver.gate.set()
    await until(session, State.READY)
    session.require_ready()
    await session.stop()
    with pytest.raises(Conflict) as caught:
        session.require_ready()
    assert "new session" in caught.value.hint


async def test_commands_run_in_the_guest(stage: Stage) -> None:
    session = await stage.ready()
    result = await session.exec(["cat"], stdin="hello")
    assert (result["code"], result["stdout"]) == (0, "hello")


async def test_the_run_directory_is_private(stage: Stage) -> None:
    session = await stage.ready()
    assert session.run_dir.stat().st_mode & 0o777 == 0o700


async def test_a_run_directory_that_is_too_deep(tmp_path: Path) -> None:
    stage = Stage(tmp_path / ("d" * 90), tmp_path / "logs")
    session = await failed(stage)
    assert session.error is not None
    assert "longer than" in session.error.message
