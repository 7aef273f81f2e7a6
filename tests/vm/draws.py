"""What a session's desktop draws and says, asked from inside it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from gateway.sessions.session import Session
from tests.e2e.guest import Guest, eventually
from tests.vm.draws_guest import DRAWS, PATIENCE_S

__all__ = ["ask_terminal", "chromium_draws", "system_draws"]

HERE = Path(__file__).parent
SYSTEM = """
cat /proc/sys/kernel/random/uuid /etc/machine-id
od -An -tx1 /etc/fenster/vnc.passwd
date +%s.%N
cat /etc/fenster/session
"""


async def system_draws(session: Session) -> tuple[dict[str, str], float, str]:
    """(what must differ, by name; least seconds that its clock is wrong; its session id) as the guest sees it."""
    asked_at = time.time()
    told = await session.exec(["sh", "-c", SYSTEM])
    answered_at = time.time()
    uuid, machine_id, password, clock, sid = str(told["stdout"]).split("\n")[:5]
    drawn = {"kernel uuid": uuid, "machine id": machine_id, "VNC password": password}
    return drawn, max(0.0, asked_at - float(clock), float(clock) - answered_at), sid


async def chromium_draws(session: Session) -> dict[str, str]:
    """What its Chromium draws, by name; all of it, or the test fails."""
    guest = Guest(session.link)
    # Two that start at once take more than twice as long.
    await eventually(lambda: guest.window("Fenster - Chromium"), "the start page", 180)
    script = (HERE / "draws_guest.py").read_text()
    told = await session.exec(["python3", "-"], as_user=True, stdin=script, timeout_s=PATIENCE_S + 10)
    assert told["code"] == 0, told
    drawn = json.loads(str(told["stdout"]))
    assert drawn.keys() == DRAWS
    assert all(drawn.values()), drawn
    return {name: str(value) for name, value in drawn.items()}


async def ask_terminal(session: Session, words: str) -> tuple[str, dict[str, str]]:
    """(what the shell of its open terminal echoes for ``words``, the shell's environment at its start)."""
    said = "/tmp/said"
    script = (HERE / "terminal_guest.py").read_text()
    line = f"echo {words} > {said}.new && mv {said}.new {said}"
    told = await session.exec(["python3", "-", line], stdin=script)
    assert told["code"] == 0, told
    guest = Guest(session.link)
    answer = await eventually(lambda: guest.read(said), "the terminal's answer", 60)
    await guest.run("rm", said)
    return answer.removesuffix("\n"), json.loads(str(told["stdout"]))
