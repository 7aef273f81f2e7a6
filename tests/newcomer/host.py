"""A fresh Debian 13 and a person on it, who may use sudo and has a clone of this project; what that person runs."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.clean_debian import Booted, booted, clean_root

__all__ = ["Person", "newcomer"]

ROOT = Path(__file__).resolve().parents[2]
NAME = "newcomer"
END_S = 60.0


class Person:
    """An ordinary user in a shell whose current folder is the clone."""

    def __init__(self, host: Booted, port: int) -> None:
        self.host = host
        self.home = host.root / "home" / NAME
        self.url = f"http://127.0.0.1:{port}"

    @property
    def api_key(self) -> str:
        return (self.home / ".local/state/fenster/api-key").read_text().strip()

    def types(self, line: str, *, stdin: str = "", timeout_s: float = 300.0) -> str:
        """What a line says that must succeed, errors too."""
        began = time.monotonic()
        said = self.host.says("sh", "-c", f"cd fenster && {line}", user=NAME, stdin=stdin, timeout_s=timeout_s)
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)
        return said

    @contextmanager
    def leaves_running(self, line: str, until: str, timeout_s: float) -> Iterator[re.Match[str]]:
        """Type it in another terminal, and go on when it says this; in the end it gets a Ctrl-C.

        Everything that it said is in test-results/.
        """
        (ROOT / "test-results").mkdir(exist_ok=True)
        log = ROOT / "test-results" / "newcomer.log"
        began = time.monotonic()
        argv = self.host.command("sh", "-c", f"cd fenster && exec {line}", user=NAME)
        with log.open("w+") as file, subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:  # fmt: skip
            assert process.stdout is not None
            late = threading.Timer(timeout_s, process.kill)
            late.start()
            found = None
            try:
                for said in process.stdout:
                    file.write(f"{time.monotonic() - began:7.1f}  {said}")
                    file.flush()
                    if found := re.search(until, said):
                        break
                assert found, f"{line}: it ended after {time.monotonic() - began:.0f} s; see {log}"
                late.cancel()
                print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)
                drain = threading.Thread(target=lambda: [file.write(said) for said in process.stdout or ()])
                drain.start()
                try:
                    yield found
                finally:
                    self.host.run("pkill", "-INT", "-u", NAME, "-f", "bin/fenster serve")
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(END_S)
                    process.kill()
                    drain.join()
                assert process.returncode == 0, f"{line}: {process.returncode} after Ctrl-C; see {log}"
            finally:
                late.cancel()
                process.kill()


@contextmanager
def newcomer(port: int) -> Iterator[Person]:
    """On a host without anything that an earlier run has left; the gateway is to use this port, since the host's
    network is this one's."""
    with clean_root("trixie", ["sudo"]) as root:
        clone = root / "home" / NAME / "fenster"
        subprocess.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", NAME], check=True)
        (root / "etc/sudoers.d" / NAME).write_text(f"{NAME} ALL=(ALL) NOPASSWD: ALL\n")
        with (root / "etc/environment").open("a") as file:
            file.write(f"FENSTER_PORT={port}\n")
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, clone], check=True)
        subprocess.run(["chroot", root, "chown", "-R", f"{NAME}:", f"/home/{NAME}/fenster"], check=True)
        with booted(root, network=True) as host:
            yield Person(host, port)
