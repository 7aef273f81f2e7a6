"""Run one stage's program: its lines to a log and to the caller, and an end on any interruption."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from golden.errors import HostError, StageError

__all__ = ["run"]

_TAIL_LINES = 12
_GRACE_S = 20.0
"""mmdebstrap unmounts and removes its tree when it is asked to stop."""


def run(argv: Sequence[str], env: Mapping[str, str], *, log: Path, line: Callable[[str], None]) -> None:
    """Run to the end. ``line`` gets each line of output; what it raises ends the program and is passed on.

    Raises StageError when the program fails, with its last lines; HostError when it is not there.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)  # the oldest line goes
    with log.open("w", encoding="utf-8") as out:
        try:
            # A session of its own: a Ctrl-C in the terminal reaches the builder alone, which then ends the child.
            child = subprocess.Popen(
                list(argv), env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as exc:
            raise HostError(f"{argv[0]} is not installed", hint=f"apt-get install {argv[0]}") from exc
        with child:
            try:
                assert child.stdout is not None
                for text in child.stdout:
                    out.write(text)
                    out.flush()
                    tail.append(text.rstrip())
                    line(text.rstrip())
            except BaseException:
                _end(child)
                raise
    if child.returncode != 0:
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit status {child.returncode}"
        raise StageError(
            f"{Path(argv[0]).name} failed ({how})", tail=tuple(tail), hint=f"its whole output is in {log}"
        )


def _end(child: subprocess.Popen[str]) -> None:
    """Ask the whole group, then kill it."""
    for number, wait_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, None)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(wait_s)
            return
        except subprocess.TimeoutExpired:
            continue
