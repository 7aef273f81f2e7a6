"""Runs inside the guest, as root: do what the plan on standard input says, and print what came of it.

Before each attempt and after the last a frame goes out that says which comes next, so that whoever watches the tap
knows what belongs to what. Standard library only.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import Any

DEVICE = "eth0"
PROXY = ("169.254.0.22", 3128)
TIMEOUT_S = 0.3


def tcp(attempt: dict[str, Any]) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect((attempt["address"], attempt["port"]))
        return "connected"


def udp(attempt: dict[str, Any]) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.settimeout(TIMEOUT_S)
        sock.connect((attempt["address"], attempt["port"]))
        sock.send(bytes.fromhex(attempt["data"]))
        return f"answered: {sock.recv(100)!r}"


def proxy(attempt: dict[str, Any]) -> str:
    target = f"{attempt['address']}:{attempt['port']}"
    with socket.create_connection(PROXY, 10) as sock:
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        return sock.recv(200).split(b"\r\n")[0].decode()


def frame(attempt: dict[str, Any]) -> str:
    return "sent"


def main() -> None:
    plan = json.load(sys.stdin)
    # The most that root can do: every address is behind the tap.
    subprocess.run(["ip", "route", "replace", "default", "via", PROXY[0], "dev", DEVICE], check=True)
    # One queue: fq_codel, which systemd chooses, would let frames of different kinds overtake each other.
    subprocess.run(["tc", "qdisc", "replace", "dev", DEVICE, "root", "pfifo"], check=True)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind((DEVICE, 0))

        def say(number: int) -> None:
            raw.send(bytes.fromhex(plan["divider"]) + number.to_bytes(2, "big") + bytes(40))

        came = []
        for number, attempt in enumerate(plan["attempts"]):
            say(number)
            for data in attempt["frames"]:
                raw.send(bytes.fromhex(data).ljust(60, b"\0"))
            try:
                came.append({"tcp": tcp, "udp": udp, "proxy": proxy, "frame": frame}[attempt["how"]](attempt))
            except OSError as exc:
                came.append(exc.strerror or str(exc))
        say(len(came))
    print(json.dumps(came))


if __name__ == "__main__":
    main()
