"""Runs inside a guest, as root: types a line into the shell of the terminal that is open on its desktop.

Shipped by stdin (``python3 - LINE``), so it needs nothing but the standard library. The kernel puts the line into the
terminal's input queue (TIOCSTI, ioctl_tty(2)), where it puts keys too. Prints the shell's environment at its start.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import termios
from pathlib import Path

TERMINAL, SHELL = "xfce4-terminal", "bash"


def name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def parent(pid: int) -> int:
    # Of "pid (name) state ppid ..." (proc_pid_stat(5)).
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def find_shell() -> int:
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        try:
            if name(pid) == SHELL and name(parent(pid)) == TERMINAL:
                return pid
        except OSError:
            pass  # It has ended.
    sys.exit("no terminal with a shell is open")


def main(line: str) -> None:
    shell = find_shell()
    environment = Path(f"/proc/{shell}/environ").read_text().rstrip("\0")
    terminal = os.open(f"/proc/{shell}/fd/0", os.O_RDWR | os.O_NOCTTY)
    for byte in f"{line}\n".encode():
        fcntl.ioctl(terminal, termios.TIOCSTI, bytes([byte]))
    print(json.dumps(dict(entry.split("=", 1) for entry in environment.split("\0"))))


if __name__ == "__main__":
    main(sys.argv[1])
