"""The fenster command as a person runs it: a process of its own against a gateway on doubles."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ImageError
from gateway.exits import ExitCheck, ExitReport
from gateway.sessions.lifecycle import State
from guest_agent.protocol.stream import FILES_PORT
from tests.contract.api import KEYS, Api
from tests.file_service import bridge, file_service

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        (line,) = self.out.splitlines()
        return json.loads(line)


Fenster = Callable[..., Coroutine[Any, Any, Done]]


@pytest.fixture
async def fenster(api: Api, tmp_path: Path) -> Fenster:
    """Runs a command; keyword arguments but ``typed``, its standard input, are added to its environment."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FENSTER_")}
    environ |= {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'guest-agent'}",
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "FENSTER_URL": f"http://{api.client.host}:{api.client.port}",
        "FENSTER_API_KEY": KEYS.api_key,
        "COLUMNS": "200",
    }

    async def run(*argv: str, typed: str = "", **more: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", *argv,
            env=environ | more, cwd=tmp_path, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(typed.encode())
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Done(process.returncode, out.decode(), err.decode())

    return run


async def test_a_session_from_new_to_rm(api: Api, fenster: Fenster) -> None:
    made = await fenster("new")
    assert made.code == 0
    (session,) = api.stage.manager.list()
    assert session.state is State.READY
    base = f"http://{api.client.host}:{api.client.port}"
    assert made.out.startswith(f"{base}/s/{session.id}#token=")
    assert "guest says hello" in made.err
    listed = await fenster("ls")
    assert session.id in listed.out
    assert "ready" in listed.out
    shown = await fenster("show", session.id)
    assert "x11vnc is up" in shown.out
    opened = await fenster("open", session.id, "--view", "--no-browser")
    assert opened.out.startswith(f"{base}/s/{session.id}#token=")
    removed = await fenster("rm", session.id)
    assert removed.code == 0
    assert api.stage.left() == []


async def test_every_command_answers_in_json(api: Api, fenster: Fenster) -> None:
    made = (await fenster("new", "--template", "openbox", "--display", "800x600", "--json")).json
    assert (made["state"], made["template"], made["display"]) == ("ready", "openbox", {"width": 800, "height": 600})
    assert made["viewer_url"].endswith(made["token"])
    sid = made["id"]
    assert [view["id"] for view in (await fenster("ls", "--json")).json["sessions"]] == [sid]
    assert (await fenster("show", sid, "--json")).json["id"] == sid
    assert (await fenster("open", sid, "--json")).json["role"] == "control"
    assert (await fenster("rm", sid, "--json")).json == {"removed": [sid]}


async def test_an_exit_is_set_and_shown_without_its_password(api: Api, fenster: Fenster) -> None:
    assert (await fenster("new", "--proxy", "-", typed="http://anna:s3cret@proxy.example:8080\n")).code == 0
    (session,) = api.stage.manager.list()
    assert session.out.password.get_secret_value() == "s3cret"
    error = "the upstream does not take the user name and password"
    check = ExitCheck(1_700_000_000.0, 81.5, "203.0.113.50", ours=True)
    api.stage.dataplane.report(session.id, ExitReport("failing", "upstream-auth", error, check))
    shown = await fenster("show", session.id)
    assert f"http failing ({error}) seen as 203.0.113.50 in 82 ms - which is an address of the gateway" in shown.out
    assert "s3cret" not in shown.out
    refused = await fenster("new", "--proxy", "http://anna:s3cret@proxy.example")
    assert (refused.code, "s3cret" in refused.err) == (1, False)
    made = (await fenster("new", "--timezone", "Europe/Berlin", "--locale", "de-DE", "--json")).json
    assert (made["egress"]["type"], made["timezone"], made["locale"]) == ("none", "Europe/Berlin", "de-DE")
    refused = await fenster("new", "--timezone", "nowhere at all")
    assert (refused.code, "timezone" in refused.err) == (1, True)


async def test_a_session_that_fails_says_why(api: Api, fenster: Fenster) -> None:
    api.stage.driver.check_error = ImageError("there is no golden image", hint="fenster build")
    failed = await fenster("new")
    assert failed.code == 1
    assert failed.out == ""
    assert "error: there is no golden image" in failed.err
    assert "hint: fenster build" in failed.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("show", "nosuchid"), "no such session"),
        (("rm", "nosuchid"), "no such session"),
        (("open", "nosuchid"), "no such session"),
        (("new", "--template", "gnome"), "gnome"),
    ],
)
async def test_refusals_are_a_line_and_a_hint(fenster: Fenster, argv: tuple[str, ...], said: str) -> None:
    done = await fenster(*argv)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert "hint:" in done.err
    as_json = await fenster(*argv, "--json")
    assert as_json.code == 1
    assert said in as_json.json["error"]["message"]


async def test_a_gateway_that_is_not_there(fenster: Fenster) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        done = await fenster("ls", FENSTER_URL=f"http://127.0.0.1:{sock.getsockname()[1]}")
    assert done.code == 1
    assert "no gateway answers" in done.err
    assert "fenster serve" in done.err


async def test_a_wrong_key(fenster: Fenster) -> None:
    done = await fenster("ls", FENSTER_API_KEY="fenster_other")
    assert done.code == 1
    assert "not this gateway's" in done.err


async def test_no_key_at_all(fenster: Fenster) -> None:
    done = await fenster("ls", FENSTER_API_KEY="")
    assert done.code == 1
    assert "no API key" in done.err


@pytest.mark.parametrize(
    ("argv", "environ", "said"),
    [
        (("serve", "--port", "70000"), {}, "--port"),
        (("serve",), {"FENSTER_MEMORY": "1"}, "FENSTER_MEMORY"),
        (("serve", "--config", "none.toml"), {}, "no settings file"),
        (("verify", "--accel", "xen"), {}, "--accel"),
    ],
)
async def test_bad_settings(fenster: Fenster, argv: tuple[str, ...], environ: dict[str, str], said: str) -> None:
    done = await fenster(*argv, **environ)
    assert done.code == 1
    assert said in done.err


async def test_a_port_in_use(fenster: Fenster) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = str(sock.getsockname()[1])
        done = await fenster("serve", "--port", port)
    assert done.code == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in done.err
    assert "--port" in done.err


async def test_doctor_names_what_is_missing_and_what_mends_it(fenster: Fenster) -> None:
    done = await fenster("doctor", "--json")
    findings = {finding["name"]: finding for finding in done.json["findings"]}
    # Ids are looked for where they are needed: by who is not root.
    assert set(findings) - {"subordinate ids"} == {
        "QEMU", "accelerator", "taps", "namespaces", "limits", "build tools", "golden image", "memory", "disk",
        "media address", "sealing key", "internet exit",
    }  # fmt: skip
    assert findings["golden image"]["grade"] == "fail"
    assert findings["golden image"]["mend"] == "fenster build"
    assert findings["internet exit"]["grade"] == "warn"
    assert done.code == 1
    assert not done.json["ok"]
    text = await fenster("doctor")
    assert "fenster build" in text.out


async def test_version_and_help(fenster: Fenster) -> None:
    assert (await fenster("--version")).out.startswith("fenster 0.")
    assert "Start a fresh machine" in (await fenster("--help")).out


async def test_a_file_is_copied_there_and_back(api: Api, fenster: Fenster, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    session = await api.stage.ready()
    data = os.urandom(700_000)
    (tmp_path / "report ä.bin").write_bytes(data)
    with file_service(home) as port:
        api.stage.dataplane.lans[session.id].ports[FILES_PORT] = bridge(port)
        done = await fenster("cp", "report ä.bin", f"{session.id}:Downloads/")
        assert (done.code, done.out) == (0, ""), done.err
        assert (home / "Downloads/report ä.bin").read_bytes() == data
        done = await fenster("cp", f"{session.id}:~/Downloads/report ä.bin", "back.bin", "--json")
        assert (done.code, done.json["size"]) == (0, len(data)), done.err
        assert (tmp_path / "back.bin").read_bytes() == data

        for argv, words in (
            (("cp", f"{session.id}:nothing", "back.bin"), "no such file"),
            (("cp", "nothing", f"{session.id}:x"), "cannot read"),
            (("cp", f"{session.id}:../x", "y"), "'..'"),
            (("cp", f"{session.id}:Downloads/", "y"), "folder"),
        ):
            done = await fenster(*argv)
            assert done.code == 1
            assert words in done.err, done.err
        assert (tmp_path / "back.bin").read_bytes() == data
        assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]
    done = await fenster("cp", "a", "b")
    assert done.code == 2
    assert "ID:PATH" in done.err


async def test_keys_are_made_listed_and_revoked(fenster: Fenster, tmp_path: Path) -> None:
    made = (await fenster("keys", "new", "shop", "--scope", "sessions:read", "--days", "30", "--json")).json
    assert made["key"].startswith("fenster_")
    assert (made["owner"], made["scopes"], made["state"]) == ("shop", "sessions:read", "usable")
    plain = await fenster("keys", "new", "shop")
    assert plain.out.strip().startswith("fenster_")
    assert "not shown again" in plain.err
    listed = (await fenster("keys", "list", "--json")).json["keys"]
    assert [key["owner"] for key in listed] == ["operator", "shop", "shop"]
    assert made["key"] not in json.dumps(listed)
    for _ in range(2):
        assert (await fenster("keys", "revoke", made["id"], "--json")).json["state"] == "revoked"
    assert "revoked" in (await fenster("keys", "list")).out
    unknown = await fenster("keys", "revoke", "nosuchid", "--json")
    assert (unknown.code, unknown.json["error"]["kind"]) == (1, "not-found")
    bad = await fenster("keys", "new", "Not An Owner", "--json")
    assert (bad.code, bad.json["error"]["kind"]) == (1, "config")
    audit = [json.loads(line) for line in (tmp_path / "fenster/audit.jsonl").read_text().splitlines()]
    assert [(one["event"], one["actor"]) for one in audit] == [("key.new", "operator")] * 2 + [
        ("key.revoke", "operator")
    ] * 2
    assert not any(made["key"] in path.read_text() for path in (tmp_path / "fenster").glob("a*"))


async def test_save_has_this_hosts_commands_use_a_key(fenster: Fenster, tmp_path: Path) -> None:
    made = (await fenster("keys", "new", "operator", "--scope", "admin", "--save", "--json")).json
    assert (tmp_path / "fenster/api-key").read_text().strip() == made["key"]
