"""new, ls, show, suspend, resume, fork, save, rm, open: sessions of a running gateway."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli import options
from gateway.cli.client import Client
from gateway.cli.output import console, emit, notes
from gateway.cli.progress import STAGES, StageLines
from gateway.cli.reach import reach
from gateway.errors import GatewayError
from gateway.settings import parse_display

__all__ = ["fork", "ls", "new", "open_session", "resume", "rm", "save", "show", "suspend"]

Sid = Annotated[str, typer.Argument(help="The session's id.")]


def new(
    template: Annotated[str | None, typer.Option(help="What to boot; the gateway's default unless given.")] = None,
    display: options.Display = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            help="Where its traffic leaves: TYPE://USER:PASSWORD@HOST:PORT (http, https, socks5), none or direct; "
            "- reads it from standard input, since others on this host can see what stands in a command."
        ),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="As Europe/Berlin; exit: its exit's; the template's unless given.")
    ] = None,
    locale: Annotated[
        str | None, typer.Option(help="In which its browser asks for pages: as de-DE; exit: of its exit's country.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is ready.")] = True,
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Start a session and print the URL that shows it."""
    named = {"template": template, "timezone": timezone, "locale": locale}
    body: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if display is not None:
        try:
            width, height = parse_display(display)
        except ValueError as exc:
            raise typer.BadParameter(str(exc), param_hint="--display") from exc
        body["display"] = {"width": width, "height": height}
    if proxy is not None:
        body["proxy"] = sys.stdin.readline().strip() if proxy == "-" else proxy

    async def run() -> None:
        async with reach(url, state_dir, config) as api:
            created = await api.call("POST", "/v1/sessions", body)
            viewer_url = api.url + created["viewer_url"]
            if wait:
                created |= await _until_ready(api, created["id"], quiet=as_json)
            if as_json:
                emit({**created, "viewer_url": viewer_url})
            else:
                console().print(escape(viewer_url), soft_wrap=True)

    asyncio.run(run())


async def _until_ready(api: Client, sid: str, *, quiet: bool) -> dict[str, Any]:
    lines = StageLines(notes())
    async with aclosing(api.follow(sid)) as views:
        async for view in views:
            if not quiet:
                lines(view["timings"])
            if view["state"] == "ready":
                return view
            if view["error"] is not None:
                raise GatewayError(view["error"]["message"], hint=view["error"]["hint"])
    raise GatewayError("the session was ended before it was ready")


def ls(
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """List the sessions."""

    async def run() -> None:
        async with reach(url, state_dir, config) as api:
            found = await api.call("GET", "/v1/sessions")
        if as_json:
            emit(found)
            return
        table = Table("id", "state", "age", "viewers", "display", "template", "accelerator", box=None, pad_edge=False)
        for view in found["sessions"]:
            display = f"{view['display']['width']}x{view['display']['height']}"
            table.add_row(
                view["id"], view["state"], _age(view["created_at"]), str(view["viewers"]), display,
                view["template"], view["accelerator"] or "",
            )  # fmt: skip
        console().print(table)

    asyncio.run(run())


def _age(created_at: str) -> str:
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(created_at)).total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def show(
    sid: Sid,
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Show a session with its stage timings."""

    async def run() -> None:
        async with reach(url, state_dir, config) as api:
            view = await api.call("GET", f"/v1/sessions/{sid}")
        if as_json:
            emit(view)
        else:
            _print_session(view)

    asyncio.run(run())


def _print_session(view: Mapping[str, Any]) -> None:
    out = console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for name in ("id", "state", "created_at", "viewers", "template", "accelerator"):
        table.add_row(name, escape(str(view[name] if view[name] is not None else "")))
    table.add_row("display", f"{view['display']['width']}x{view['display']['height']}")
    table.add_row("egress", escape(_egress(view["egress"])))
    for name in ("ends_at", "idle_at", "notice"):
        if view[name]:
            table.add_row(name, escape(str(view[name])))
    if view["error"] is not None:
        table.add_row("error", f"{escape(view['error']['kind'])}: {escape(view['error']['message'])}")
        table.add_row("hint", escape(view["error"]["hint"]))
    out.print(table)
    for stage, seconds in sorted(view["timings"].items(), key=lambda item: float(item[1])):
        out.print(f"  {seconds:6.1f} s  {escape(STAGES.get(stage, stage))}")
    for what, seconds in view["durations"].items():
        out.print(f"  {seconds:6.2f} s  the last {escape(what.replace('_', ' '))} took")


def _egress(egress: Mapping[str, Any]) -> str:
    """The session's way to the internet, in a line."""
    if egress["type"] == "none":
        return "none"
    words = [egress["type"], egress["state"]]
    if egress["error"] is not None:
        words.append(f"({egress['error']['message']})")
    if egress["address"] is not None:
        words.append(f"seen as {egress['address']} in {egress['latency_ms']:.0f} ms")
    if egress["verdict"] == "leak":
        words.append("- which is an address of the gateway's own host")
    if egress["verdict"] == "unknown":
        words.append("- and whether that is the gateway's own host is not known (public_addresses)")
    return " ".join(words)


def suspend(
    sid: Sid,
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Write a session to disk and free its memory; returns when that is done."""
    _change(sid, "suspend", "suspended", as_json, url, state_dir, config)


def resume(
    sid: Sid,
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Go on with a suspended session; returns when it is ready."""
    _change(sid, "resume", "ready", as_json, url, state_dir, config)


def _change(
    sid: str, call: str, wanted: str, as_json: bool, url: str | None, state_dir: Path | None, config: Path | None
) -> None:
    async def run() -> dict[str, Any]:
        async with reach(url, state_dir, config) as api:
            await api.call("POST", f"/v1/sessions/{sid}/{call}")
            async with aclosing(api.follow(sid)) as views:
                async for view in views:
                    if view["state"] == wanted:
                        return view
                    if view["error"] is not None:
                        raise GatewayError(view["error"]["message"], hint=view["error"]["hint"])
                    if view["state"] == "ready":
                        raise GatewayError(view["notice"] or f"the session did not {call}")
        raise GatewayError("the session was ended")

    view = asyncio.run(run())
    if as_json:
        emit(view)
        return
    seconds = view["durations"].get(call)
    notes().print(f"{escape(sid)} is {wanted}" + ("" if seconds is None else f" after {seconds:.2f} s"))
    if view["notice"]:
        notes().print(escape(view["notice"]))


def fork(
    sid: Sid,
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Make a second session of what a session is now, and print the URL that shows it."""

    async def run() -> dict[str, Any]:
        async with reach(url, state_dir, config) as api:
            made = await api.call("POST", f"/v1/sessions/{sid}/fork")
            return {**made, "viewer_url": api.url + made["viewer_url"]}

    made = asyncio.run(run())
    if as_json:
        emit(made)
    else:
        console().print(escape(made["viewer_url"]), soft_wrap=True)


def save(
    sid: Sid,
    name: Annotated[str, typer.Argument(help="The new template's.")],
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Make a template of what a session is now; fenster new --template NAME starts it."""

    async def run() -> dict[str, Any]:
        async with reach(url, state_dir, config) as api:
            return await api.call("POST", f"/v1/sessions/{sid}/template", {"name": name})

    made = asyncio.run(run())
    if as_json:
        emit(made)
    else:
        console().print(f"fenster new --template {escape(made['name'])} starts it")


def rm(
    sids: Annotated[list[str], typer.Argument(help="Ids of the sessions to end.")],
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """End sessions; returns when nothing of them is left."""

    async def run() -> None:
        async with reach(url, state_dir, config) as api:
            for sid in sids:
                await api.call("DELETE", f"/v1/sessions/{sid}")
                if not as_json:
                    notes().print(f"{escape(sid)} is gone")
        if as_json:
            emit({"removed": sids})

    asyncio.run(run())


def open_session(
    sid: Sid,
    view: Annotated[bool, typer.Option("--view", help="Look only: types and clicks nothing.")] = False,
    browser: Annotated[bool, typer.Option(help="Open a browser; else only print the URL.")] = True,
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Make a viewer URL for a session and open it."""

    async def run() -> dict[str, Any]:
        async with reach(url, state_dir, config) as api:
            made = await api.call("POST", f"/v1/sessions/{sid}/tokens", {"role": "view" if view else "control"})
            return {**made, "viewer_url": api.url + made["viewer_url"]}

    made = asyncio.run(run())
    if as_json:
        emit(made)
    else:
        console().print(escape(made["viewer_url"]), soft_wrap=True)
    if browser and not as_json and not webbrowser.open(made["viewer_url"]):
        notes().print("no browser was found here; open the URL in one")
