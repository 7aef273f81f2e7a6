"""A real zygote whose forked agent is a few lines: ``zygote_child.py SOCKET ETC``.

The agent answers an offer with its own facts, and dies of the peers named in :func:`agent`.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from guest_agent.nest import Options
from guest_agent.port import open_port
from guest_agent.protocol.rpc import LineDecoder, Notification, Request, Result, encode
from guest_agent.zygote import Zygote


def facts() -> dict[str, object]:
    return {
        "ufrag": str(os.getpid()),
        "pwd": os.environ["DISPLAY"],
        "port": os.getppid(),
        "sdp": " ".join(
            sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _open(fd))
        ),
    }


def _open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def agent(sock: socket.socket, display: str) -> int:
    sock.setblocking(True)
    decoder = LineDecoder()
    sock.sendall(encode(Notification("ready", {})))
    while data := sock.recv(65536):
        for message in decoder.feed(data):
            if not isinstance(message, Request):
                sock.sendall(encode(Notification("peer", {"peer": "display", "state": str(message)})))
                continue
            match message.params["peer"]:
                case "exit":
                    return 3
                case "crash":
                    raise RuntimeError("as told")
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "hang up":
                    sock.close()
                    time.sleep(3600)
                case "rubbish":
                    sock.sendall(b"{rubbish\n" + encode(Result(99999, {})))
                case _:
                    pass
            sock.sendall(encode(Result(message.id, facts())))
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG)
    raise SystemExit(
        Zygote(open_port(f"unix:{sys.argv[1]}"), Options(":7", None, Path(sys.argv[2]), preload=()), agent).run()
    )
