"""``python -m golden.build``: a build with progress on a terminal or in a log."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from golden.build import Progress, build, default_cache
from golden.errors import GoldenError, StageError

__all__ = ["Reporter", "main"]


class Reporter:
    """Shows progress: one line per finished stage, and on a terminal the running one with its latest line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    def __call__(self, event: Progress) -> None:
        head = f"[{event.index}/{event.total}] {event.title}"
        if event.state == "running":
            self._running(head, event)
            return
        self.close()
        tail = "already built" if event.state == "cached" else f"{event.elapsed_s:.0f} s"
        self._console.print(escape(f"{head}: {tail}"), highlight=False)

    def _running(self, head: str, event: Progress) -> None:
        if not self._console.is_terminal:
            if not event.detail:
                self._console.print(escape(f"{head} ..."), highlight=False)
            return
        room = max(20, self._console.width - len(head) - 14)
        text = escape(f"{head}  {event.elapsed_s:3.0f} s  {event.detail[:room]}")
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m golden.build", description="Build the golden image.")
    parser.add_argument("--profile", default="xfce", help="xfce (default) or openbox")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="default: %(default)s")
    options = parser.parse_args(argv)
    console = Console(stderr=True)
    reporter = Reporter(console)
    try:
        image = build(options.profile, cache=options.cache, progress=reporter)
    except GoldenError as exc:
        reporter.close()
        if isinstance(exc, StageError):
            for line in exc.tail:
                console.print(escape(f"  {line}"), highlight=False)
        console.print(f"[red]error:[/red] {escape(exc.message)}", highlight=False)
        if exc.hint:
            console.print(f"hint: {escape(exc.hint)}", highlight=False)
        return 1
    except KeyboardInterrupt:
        reporter.close()
        console.print("interrupted; run it again to go on")
        return 130
    sys.stdout.write(f"{image.path}\n")
    return 0
