"""The options that commands share. Each is None unless given, so that the environment and the file count."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Accel",
    "Advertise",
    "AdvertiseTcpPort",
    "AsJson",
    "CacheDir",
    "Config",
    "Display",
    "Driver",
    "Hello",
    "Host",
    "InsecureHttp",
    "LogJson",
    "LogLevel",
    "MaxSessions",
    "MediaPort",
    "Memory",
    "PoolSize",
    "Port",
    "Profile",
    "PublicUrl",
    "Ready",
    "RunDir",
    "StateDir",
    "TlsCert",
    "TlsKey",
    "Url",
    "Vcpus",
]

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Config = Annotated[Path | None, typer.Option("--config", help="A TOML file with settings.")]
StateDir = Annotated[Path | None, typer.Option(help="Keys, logs, what was found out about the host.")]
CacheDir = Annotated[Path | None, typer.Option(help="Golden images and disks.")]
RunDir = Annotated[Path | None, typer.Option(help="Sockets of running sessions.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="TCP port for HTTP; 0 takes a free one.")]
MediaPort = Annotated[int | None, typer.Option(help="UDP port for media; the HTTP port's number unless given.")]
Advertise = Annotated[str | None, typer.Option(help="Addresses, by commas, that browsers send media to.")]
AdvertiseTcpPort = Annotated[
    int | None, typer.Option(help="TCP port that browsers send media to; the HTTP port unless given, 0 for none.")
]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate and its chain, PEM.")]
TlsKey = Annotated[Path | None, typer.Option(help="Its key, PEM.")]
InsecureHttp = Annotated[
    bool | None, typer.Option("--insecure-http", help="Plain HTTP off the loopback address: keys go in clear.")
]
PublicUrl = Annotated[str | None, typer.Option(help="Where people reach it, behind a reverse proxy.")]
Driver = Annotated[str | None, typer.Option(help="qemu, or process: WITHOUT a VM, for development.")]
Accel = Annotated[str | None, typer.Option(help="auto, kvm or tcg.")]
Profile = Annotated[str | None, typer.Option(help="Golden image profile.")]
Vcpus = Annotated[int | None, typer.Option(help="Virtual CPUs of a session.")]
Memory = Annotated[int | None, typer.Option("--memory-mib", help="Memory of a session.")]
Display = Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in px.")]
PoolSize = Annotated[int | None, typer.Option(help="Machines kept parked for sessions to come.")]
MaxSessions = Annotated[int | None, typer.Option(help="Sessions at once.")]
Hello = Annotated[float | None, typer.Option("--hello-timeout-s", help="How long a guest may take to say hello.")]
Ready = Annotated[float | None, typer.Option("--ready-timeout-s", help="How long agent and x11vnc may take then.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]
LogJson = Annotated[bool | None, typer.Option("--log-json/--no-log-json", help="Log in JSON.")]
Url = Annotated[str | None, typer.Option(help="Of the gateway; FENSTER_URL, or what the settings say.")]
