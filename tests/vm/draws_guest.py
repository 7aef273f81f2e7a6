"""Runs inside a guest, as its user: what this guest's Chromium draws, as one JSON object on stdout.

Shipped by stdin (``python3 -``), so it needs nothing but the standard library. It serves a page to two tabs, one
opened as soon as Chromium takes URLs and one after that has drawn, takes the ClientHello of a third, and reads the
ids that Chromium keeps. Ends with code 1 and the names of what is missing when not all came in time.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATIENCE_S = 300.0
PROFILE = Path.home() / ".config/chromium"
KEPT = (
    ("Local State", "user_experience_metrics.limited_entropy_randomization_source"),
    ("Local State", "autofill.ablation_seed"),
    ("Default/Preferences", "enterprise_profile_guid"),
    ("Default/Preferences", "google.services.signin_scoped_device_id"),
    ("Default/Preferences", "media_router.receiver_id_hash_token"),
)
"""File of the profile, and where in it: the random numbers of 64 bits and more. As metrics are not reported there is
no client id, and variations' two other sources have 13 bits each, in which clones meet by chance."""
TABS = ("old", "new", "old again")
SOURCES = ("crypto", "math")
DRAWS = frozenset(
    [f"{tab} {source}" for tab in TABS for source in SOURCES]
    + [f"{file} {where}" for file, where in KEPT]
    + ["tls random", "tls session id", "crashpad client"]
)
"""What is printed."""
CRASH_SETTINGS = PROFILE / "Crash Reports/settings.dat"
"""Crashpad's: magic number, version, options, padding, time of the last upload, then the UUID of the client."""
CRASH_UUID = slice(24, 40)
HELLO_RANDOM, HELLO_SESSION_ID = slice(11, 43), slice(44, 76)
"""Of the first record: 5 bytes of record header, 4 of handshake header, 2 of version (RFC 8446 4.1.2, 5.1)."""

PAGE = b"""<!doctype html><meta charset="utf-8"><title>draws</title><script>
const tell = async (name) => {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const drawn = {
    crypto: [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    math: [0, 1, 2, 3].map(() => Math.random()).join(' '),
  };
  await fetch('/' + name, {method: 'POST', body: JSON.stringify(drawn)});
};
const tab = location.pathname.slice(1);
tell(tab).then(async () => {
  if (tab !== 'old') return;
  await fetch('/after-new');
  await tell('old again');
});
</script>"""


class Draws:
    """What has come so far; set by many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._values: dict[str, str] = {}
        self._end = time.monotonic() + PATIENCE_S

    def put(self, name: str, value: str) -> None:
        with self._changed:
            self._values.setdefault(name, value)
            self._changed.notify_all()

    def wait(self, *names: str) -> None:
        """Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._values.keys() >= set(names), self.left_s):
                raise TimeoutError(f"no {', '.join(sorted(set(names) - self._values.keys()))}")

    def find(self, name: str, look: Callable[[], str | None]) -> str:
        """Look into the file system, which does not tell of its changes, until it is there. Raises TimeoutError."""
        while (found := look()) is None:
            if not self.left_s:
                raise TimeoutError(f"no {name}")
            time.sleep(0.2)
        return found

    @property
    def left_s(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def text(self) -> str:
        with self._changed:
            return json.dumps(self._values)


def serve_pages(draws: Draws) -> int:
    """Gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/after-new":
                draws.wait("new crypto")
                self._answer(b"")
            elif self.path in ("/old", "/new"):
                self._answer(PAGE)
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = self.path[1:].replace("%20", " ")
            for source in SOURCES:
                draws.put(f"{name} {source}", told[source])
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def serve_tls(draws: Draws) -> int:
    """Takes ClientHellos and hangs up. Gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                # Chromium opens a connection that it says nothing on when it believes that it will need one.
                connection.settimeout(10)
                hello = read_hello(connection)
            if len(hello) == HELLO_SESSION_ID.stop and hello[0] == 22 and hello[5] == 1 and hello[43] == 32:
                draws.put("tls random", hello[HELLO_RANDOM].hex())
                draws.put("tls session id", hello[HELLO_SESSION_ID].hex())

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def read_hello(connection: socket.socket) -> bytes:
    hello = b""
    try:
        while len(hello) < HELLO_SESSION_ID.stop and (more := connection.recv(HELLO_SESSION_ID.stop - len(hello))):
            hello += more
    except OSError:
        pass
    return hello


def kept(file: str, where: str) -> str | None:
    """A string in one of Chromium's JSON files, None until it is there. It replaces them, so they are whole."""
    try:
        value: Any = json.loads((PROFILE / file).read_text())
        for key in where.split("."):
            value = value[key]
    except (OSError, KeyError):
        return None
    return str(value)


def crash_uuid() -> str | None:
    try:
        drawn = CRASH_SETTINGS.read_bytes()[CRASH_UUID]
    except OSError:
        return None
    return drawn.hex() if any(drawn) else None


def lock_holder() -> str | None:
    """The Chromium that takes the URLs of those who are started after it."""
    try:
        return os.readlink(PROFILE / "SingletonLock")
    except OSError:
        return None


def open_tabs(*urls: str) -> None:
    quiet = subprocess.DEVNULL
    subprocess.run(["chromium", *urls], stdin=quiet, stdout=quiet, stderr=quiet, timeout=PATIENCE_S, check=True)


def main() -> None:
    draws = Draws()
    pages, tls = serve_pages(draws), serve_tls(draws)
    # Whoever came before it would be the desktop's Chromium itself.
    draws.find("Chromium", lock_holder)
    open_tabs(f"http://127.0.0.1:{pages}/old")
    draws.wait("old crypto", "old math")
    open_tabs(f"https://127.0.0.1:{tls}/", f"http://127.0.0.1:{pages}/new")
    for file, where in KEPT:
        draws.put(f"{file} {where}", draws.find(f"{where} in {file}", partial(kept, file, where)))
    draws.put("crashpad client", draws.find("id of crashpad's client", crash_uuid))
    draws.wait(*DRAWS)
    print(draws.text())


if __name__ == "__main__":
    try:
        main()
    except (TimeoutError, subprocess.SubprocessError) as error:
        sys.exit(str(error))
