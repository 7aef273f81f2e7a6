"""The command tree, and how it ends: an error is a line and a hint, never a traceback."""

from __future__ import annotations

import asyncio
import sys

import typer

from gateway import __version__
from gateway.cli import bench, build, copy, dataplane, doctor, keys, probe, serve, sessions, verify, vms
from gateway.cli.output import console, fail
from gateway.errors import GatewayError
from golden.errors import GoldenError

__all__ = ["app", "main"]

app = typer.Typer(
    name="fenster",
    help="Linux desktops in microVMs, shown in a browser tab.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(build.build)
app.command()(sessions.new)
app.command()(sessions.ls)
app.command()(sessions.show)
app.command()(sessions.suspend)
app.command()(sessions.resume)
app.command()(sessions.fork)
app.command()(sessions.save)
app.command()(copy.cp)
app.command()(sessions.rm)
app.command("open")(sessions.open_session)
app.command()(doctor.doctor)
app.command()(verify.verify)
app.command()(probe.probe)
app.command()(dataplane.dataplane)
app.command()(vms.vms)
app.add_typer(keys.keys, name="keys")
app.add_typer(bench.bench, name="bench")


def _version(given: bool) -> None:
    if given:
        console().print(f"fenster {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    as_json = "--json" in sys.argv
    try:
        app()
    except GatewayError as exc:
        fail(exc.kind, exc.message, exc.hint, as_json=as_json)
        sys.exit(1)
    except GoldenError as exc:
        fail("golden", exc.message, exc.hint, as_json=as_json)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
