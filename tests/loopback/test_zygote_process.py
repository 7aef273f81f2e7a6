"""A real zygote process on a unix socket: forks, commands, dead agents, hosts that go and come."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_agent.protocol.rpc import INTERNAL_ERROR, NOT_READY, Failure, Result
from tests.zygote_host import ASSIGN, IDENTIFY, ROOT, ZygoteHost

EXEC = {"timeout_s": 20, "as_user": True, "stdin": ""}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ZygoteHost]:
    child = str(ROOT / "tests/loopback/zygote_child.py")
    host = ZygoteHost(tmp_path, [child, str(tmp_path / "agent.sock"), str(tmp_path / "etc")])
    yield host
    assert host.close() == 0


@pytest.fixture
def up(host: ZygoteHost) -> ZygoteHost:
    """With an identity and an agent."""
    host.result("identify", IDENTIFY)
    host.news("agent", state="up")
    return host


def offer(host: ZygoteHost, peer: str = "p1") -> Result | Failure:
    return host.ask("offer", {"peer": peer, "sdp": "v=0", "role": "view"})


def test_it_says_hello_by_itself_and_whenever_asked(host: ZygoteHost) -> None:
    greeting = host.news("hello")
    assert greeting["protocol"] == 1
    assert greeting["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    first, second = (host.answer(host.send("hello", {}, ident=0)) for _ in range(2))
    assert isinstance(first, Result)
    assert isinstance(second, Result)
    assert first.result["agent"] == second.result["agent"] == {"state": "down", "pid": None}


def test_a_session_from_hello_to_bye(up: ZygoteHost, tmp_path: Path) -> None:
    assert up.result("assign", ASSIGN)["skipped"] == {"clock": "this agent does not run the whole machine"}
    assert "SESSION_ID=k3v9x2ab\n" in (tmp_path / "etc/environment").read_text()
    display = up.news("peer", peer="display")["state"]
    assert "[1024, 600]" in display
    answer = up.result("offer", {"peer": "p1", "sdp": "v=0", "role": "control"})
    assert answer["port"] == up.nest()
    assert answer["pwd"] == ":7"
    ice = {k: answer[k] for k in ("ufrag", "pwd", "port")}
    peer = {"peer": "p1", "role": "control", "viewer": "", "connected": False, **ice}
    assert up.result("hello")["peers"] == [peer]
    up.result("bye", {"peer": "p1"})
    assert up.result("hello")["peers"] == []


def test_the_agent_has_nothing_of_the_zygotes_files(up: ZygoteHost) -> None:
    """Not the port above all: two readers of it would each get half of what the gateway says."""
    answer = up.result("offer", {"peer": "p1", "sdp": "v=0", "role": "view"})
    files = str(answer["sdp"]).split()
    assert len([name for name in files if name.startswith("socket:")]) == 1, files
    assert not [name for name in files if "eventpoll" in name or "pidfd" in name], files


def test_nothing_without_an_identity(host: ZygoteHost) -> None:
    for method, params in (("assign", ASSIGN), ("offer", {"peer": "p"}), ("bye", {"peer": "p"})):
        answer = host.ask(method, params)
        assert isinstance(answer, Failure)
        assert answer.code == NOT_READY


def test_malformed_lines_disturb_nothing(up: ZygoteHost) -> None:
    up.raw(b'\x00\xff{]\n{"jsonrpc":"2.0","id":1}\n\n[]\n' + b"x" * 600_000 + b"\n")
    assert up.result("hello")["agent"]["state"] == "up"
    assert isinstance(offer(up, "rubbish"), Result)


@pytest.mark.parametrize(("how", "code"), [("exit", 3), ("crash", 70), ("kill", -9), ("hang up", -9)])
def test_a_dead_agent_is_told_and_forked_again(up: ZygoteHost, how: str, code: int) -> None:
    before = up.result("hello")["agent"]["pid"]
    assert isinstance(offer(up), Result)
    answer = offer(up, how)
    assert isinstance(answer, Failure)
    assert answer.code == NOT_READY
    up.news("peer", peer="p1", state="closed")
    assert up.news("agent", state="down") == {"state": "down", "pid": before, "code": code}
    after = up.news("agent", state="up")["pid"]
    assert after != before
    assert isinstance(offer(up), Result)
    assert not Path(f"/proc/{before}").exists()


def test_another_identity_means_another_agent(up: ZygoteHost, tmp_path: Path) -> None:
    before = up.result("hello")["agent"]["pid"]
    up.result("identify", {**IDENTIFY, "machine_id": "f" * 32})
    assert up.news("agent", state="down")["code"] == -signal.SIGKILL
    after = up.news("agent", state="up")["pid"]
    assert after != before
    assert (tmp_path / "etc/machine-id").read_text() == "f" * 32 + "\n"


def test_zygote_and_nest_have_one_thread_each(up: ZygoteHost) -> None:
    for pid in (up.process.pid, up.nest()):
        assert len(os.listdir(f"/proc/{pid}/task")) == 1


def test_a_dead_nest_is_built_again_and_its_agent_with_it(up: ZygoteHost) -> None:
    before = up.nest()
    agent = os.pidfd_open(up.result("hello")["agent"]["pid"])
    os.kill(before, signal.SIGKILL)
    up.news("agent", state="down")
    ended(agent)
    up.news("agent", state="up")
    assert up.nest() != before
    assert isinstance(offer(up), Result)


def test_a_command_and_its_outputs(host: ZygoteHost) -> None:
    script = "cat; echo $DISPLAY >&2; exit 7"
    answer = host.result("exec", {**EXEC, "argv": ["sh", "-c", script], "stdin": "héllo\n"})
    assert answer == {"code": 7, "stdout": "héllo\n", "stderr": ":7\n"}
    host.result("identify", IDENTIFY)
    host.result("assign", ASSIGN)
    answer = host.result("exec", {**EXEC, "argv": ["sh", "-c", "echo $SESSION_ID"]})
    assert answer["stdout"] == "k3v9x2ab\n"


def test_a_command_that_does_not_exist(host: ZygoteHost) -> None:
    answer = host.ask("exec", {**EXEC, "argv": ["no-such-program"]})
    assert answer == Failure(1, INTERNAL_ERROR, "no-such-program: No such file or directory")


def test_outputs_are_cut_and_the_command_still_ends(host: ZygoteHost) -> None:
    script = "import sys; sys.stdout.write('x' * 3_000_000); sys.stderr.write('y' * 3_000_000)"
    answer = host.result("exec", {**EXEC, "argv": ["python3", "-c", script]})
    assert (answer["code"], len(answer["stdout"]), len(answer["stderr"])) == (0, 65536, 65536)


def test_bytes_that_are_no_text_are_replaced(host: ZygoteHost) -> None:
    answer = host.result("exec", {**EXEC, "argv": ["printf", r"a\377b"]})
    assert answer["stdout"] == "a\ufffdb"


def test_a_command_out_of_time_is_killed_with_its_children(host: ZygoteHost, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 3600 & echo $! > {pids}.new; mv {pids}.new {pids}; echo started; wait"
    running = host.send("exec", {**EXEC, "argv": ["sh", "-c", script], "timeout_s": 2})
    # By the time another command has seen the file, the child is there to be watched.
    host.result("exec", {**EXEC, "argv": ["sh", "-c", f"until [ -e {pids} ]; do sleep 0.01; done"]})
    child = os.pidfd_open(int(pids.read_text()))
    answer = host.answer(running)
    assert answer == Result(running, {"code": -9, "stdout": "started\n", "stderr": "", "timed_out": True})
    ended(child)


def test_what_a_command_leaves_running_does_not_hold_its_answer_up(host: ZygoteHost) -> None:
    answer = host.result("exec", {**EXEC, "argv": ["sh", "-c", "sleep 3600 & echo $!"]})
    assert answer["code"] == 0
    os.kill(int(answer["stdout"]), 9)


def test_a_command_that_reads_nothing_takes_no_harm(host: ZygoteHost) -> None:
    answer = host.result("exec", {**EXEC, "argv": ["true"], "stdin": "z" * 100_000})
    assert answer["code"] == 0


def test_the_loop_goes_on_while_a_command_runs(up: ZygoteHost) -> None:
    running = up.send("exec", {**EXEC, "argv": ["sleep", "3600"], "timeout_s": 500})
    assert up.result("hello")["agent"]["state"] == "up"
    assert isinstance(offer(up), Result)
    # Asked again with the same number, it is not run a second time.
    up.send("exec", {**EXEC, "argv": ["sleep", "3600"], "timeout_s": 500}, ident=running)
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
    names = [Path(f"/proc/{child}/comm").read_text().strip() for child in children]
    assert names.count("sleep") == 1


def test_a_host_that_went_comes_back_to_the_same_agent(up: ZygoteHost) -> None:
    pid = up.result("hello")["agent"]["pid"]
    up.hang_up()
    up.come_back()
    assert up.news("hello")["agent"] == {"state": "up", "pid": pid}
    assert isinstance(offer(up), Result)


def test_an_answer_for_a_host_that_left_is_not_given_to_the_next(up: ZygoteHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    late = up.send("exec", {**EXEC, "argv": ["sh", "-c", f"read x < {gate}; echo late"]})
    up.hang_up()
    up.come_back()
    gate.write_text("go\n")
    again = up.answer(up.send("exec", {**EXEC, "argv": ["echo", "mine"]}, ident=late))
    assert isinstance(again, Result)
    assert again.result["stdout"] == "mine\n"


def test_a_terminated_zygote_takes_its_agent_along(up: ZygoteHost) -> None:
    agent = os.pidfd_open(up.result("hello")["agent"]["pid"])
    up.process.terminate()
    up.process.wait(20)
    ended(agent)


def test_a_killed_zygote_takes_its_agent_along(tmp_path: Path) -> None:
    child = str(ROOT / "tests/loopback/zygote_child.py")
    host = ZygoteHost(tmp_path, [child, str(tmp_path / "agent.sock"), str(tmp_path / "etc")])
    host.result("identify", IDENTIFY)
    agent = os.pidfd_open(host.news("agent", state="up")["pid"])
    host.process.kill()
    assert host.close() == -9
    ended(agent)


def ended(pidfd: int) -> None:
    """Wait until that process has ended."""
    try:
        assert select.select([pidfd], [], [], 20)[0], "it lives on"
    finally:
        os.close(pidfd)
