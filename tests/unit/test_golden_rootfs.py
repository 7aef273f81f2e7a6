"""The overlay's own rules: what its files promise each other, and the shell hook that sees a new session."""

from __future__ import annotations

import configparser
import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gateway.exits import PROXY_URL
from gateway.vm import local_sound
from golden.overlay import merge, read_tree
from golden.recipe import load_default
from golden.sources import PACKAGE_DIR

ROOTFS = PACKAGE_DIR / "rootfs"
COMMON = read_tree(ROOTFS / "common")
UNITS = "usr/lib/systemd/system"


def unit(name: str) -> str:
    return COMMON[f"{UNITS}/{name}"].decode()


@pytest.mark.parametrize("profile", ["xfce", "openbox"])
def test_every_enabled_unit_of_ours_is_there_and_its_programs_too(profile: str) -> None:
    files = merge(COMMON, read_tree(ROOTFS / profile))
    ours = [name for name in load_default().enable if name.startswith("fenster-")]
    assert f"{UNITS}/fenster-agent.service" in files
    for name in ours:
        assert f"{UNITS}/{name}" in files
        # A path or socket unit starts a service of its own name.
        text = files[f"{UNITS}/{name.partition('.')[0]}.service"].decode()
        assert "Restart=on-failure" in text
        for line in text.splitlines():
            if line.startswith("Exec") and "/usr/lib/fenster/" in line:
                program = line.split("=", 1)[1].split()[0].lstrip("/")
                assert files[program].startswith(b"#!"), program


def test_x11vnc_runs_as_the_contract_says() -> None:
    text = unit("fenster-vnc.service")
    for words in ("-display :1", "-rfbport 5901", "-forever -shared -wait 50", "-nosel", "-o /var/log/x11vnc.log"):
        assert words in text
    assert "-rfbauth /etc/fenster/vnc.passwd" in text
    assert "RestartSec=3" in text
    assert not any(word in text for word in ("-passwd ", "-nopw"))


def test_the_terminal_starts_with_its_size() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(COMMON["etc/xdg/autostart/terminal.desktop"].decode())
    assert parser["Desktop Entry"]["Exec"].startswith("xfce4-terminal --geometry=100x30")


def test_chromium_keeps_its_sandbox_and_uses_the_machines_proxy() -> None:
    policy = json.loads(COMMON["etc/chromium/policies/managed/fenster.json"])
    assert policy["ProxySettings"]["ProxyServer"] == PROXY_URL
    # What would go round it.
    assert policy["QuicAllowed"] is False
    assert policy["WebRtcIPHandling"] == "disable_non_proxied_udp"
    assert (policy["DnsOverHttpsMode"], policy["BuiltInDnsClientEnabled"]) == ("off", False)
    every = COMMON["etc/chromium.d/fenster"] + COMMON[f"{UNITS}/fenster-chromium.service"]
    assert b"no-sandbox" not in every
    assert b"User=user" in every


def test_every_tool_finds_the_proxy_where_the_gateway_has_it() -> None:
    for name in ("etc/apt/apt.conf.d/90fenster", "etc/gitconfig", "etc/npmrc", "etc/pip.conf"):
        assert PROXY_URL in COMMON[name].decode(), name
    kept = COMMON["etc/sudoers.d/fenster"].decode()
    assert all(f"{name} " in kept for name in ("HTTP_PROXY", "https_proxy", "no_proxy", "NODE_OPTIONS"))
    preload = "usr/lib/fenster/node-proxy.cjs"
    assert preload in COMMON
    assert f"NODE_OPTIONS=--require=/{preload}\n" in COMMON["usr/lib/fenster/desktop.env"].decode()
    assert f"--require=/{preload}" in COMMON["etc/profile.d/fenster.sh"].decode()


def test_no_secret_is_baked_in() -> None:
    assert not [name for name in COMMON if name.endswith(("vnc.passwd", "xauth", "random-seed", "machine-id"))]
    for name in ("etc/environment", "etc/profile.d/decodo-proxy.sh"):
        for line in COMMON[name].decode().splitlines():
            assert line.split("=", 1)[1] in ("", '""'), line


def test_every_xml_file_parses_and_names_its_channel() -> None:
    found = [path for path in ROOTFS.rglob("*.xml") if "xfconf" in path.parts]
    assert found
    for path in found:
        assert ET.parse(path).getroot().get("name") == path.stem


def test_an_open_shell_sees_a_session_assigned_while_its_prompt_waits(tmp_path: Path) -> None:
    session = tmp_path / "decodo-proxy.sh"
    session.write_text('export SESSION_ID=""\n')
    rc = tmp_path / "rc"
    rc.write_text(COMMON["etc/bash.bashrc"].decode().replace("/etc/profile.d/decodo-proxy.sh", str(session)))
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, bufsize=1, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert shell.stdin is not None
    assert shell.stdout is not None

    def answer(command: str) -> str:
        """What the shell prints for ``command``; returns when the next prompt is out, so its hook has run."""
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(f"echo ans''wer:{command}:\n")
        shell.stdin.flush()
        found = ""
        for line in shell.stdout:
            if "answer:" in line:
                found = line.split("answer:")[1].split(":")[0]
            elif found and line == "prompt\n":
                return found
        raise AssertionError("the shell ended")

    with shell:
        shell.stdin.write(f"source {rc}\nPS1='prompt\\n'\n")
        assert answer("[$SESSION_ID]") == "[]"
        # The prompt is out already: only what runs between reading a command and expanding it can see this.
        session.write_text("export SESSION_ID=s1\n")
        assert answer("[$SESSION_ID]") == "[s1]"
        # What the person sets by hand stays, as long as the file says nothing new.
        shell.stdin.write("export SESSION_ID=mine\n")
        assert answer("[$SESSION_ID]") == "[mine]"
        session.write_text("export SESSION_ID=s2\n")
        assert answer("[$SESSION_ID]") == "[s2]"
        session.unlink()
        assert answer("[$SESSION_ID]") == "[s2]"
        shell.stdin.close()


def settings(text: str) -> list[str]:
    """A configuration file without its reasons and its spacing."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_the_development_driver_has_the_images_sound_server() -> None:
    """The `process` driver cannot import the image's files, so each has the configuration."""
    assert settings(COMMON["usr/share/pipewire/fenster.conf"].decode()) == settings(local_sound.SERVER)
    links = COMMON["usr/share/wireplumber/wireplumber.conf.d/50-fenster.conf"].decode()
    assert settings(links) == settings(local_sound.LINKS)


def test_programs_find_the_sound_server_where_its_sockets_are() -> None:
    env = dict(line.split("=", 1) for line in COMMON["usr/lib/fenster/desktop.env"].decode().splitlines())
    listen = [line.split("=", 1)[1] for line in unit("fenster-sound.socket").splitlines() if "ListenStream" in line]
    # What PulseAudio's and PipeWire's clients look for when nothing tells them otherwise.
    assert listen == [f"{env['XDG_RUNTIME_DIR']}/pipewire-0", f"{env['XDG_RUNTIME_DIR']}/pulse/native"]
    # libpulse refuses a directory that is not the user's own.
    made = COMMON["usr/lib/tmpfiles.d/fenster.conf"].decode()
    assert f"d {env['XDG_RUNTIME_DIR']}/pulse 0700 user user -" in made
    for name in ("fenster-desktop", "fenster-chromium", "fenster-sound", "fenster-sound-links"):
        assert "EnvironmentFile=/usr/lib/fenster/desktop.env" in unit(f"{name}.service")
