"""Those who mean ill, each a process of its own: ``python -m tests.bench.attackers flood|loris HOST PORT ...``.

Says {"event": "ready"} when it has begun, goes on until its stdin ends, and then says what it did, and which share of
a core it took itself, for a real one would be on another machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import selectors
import socket
import sys
import time

from tests.stun_messages import binding_request

TICK_S = 0.002
SOURCES = 64
"""Addresses that a flood comes from."""
DRIP_S = 1.0
"""Each slow connection sends another byte so often."""


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def junk(rng: random.Random) -> list[bytes]:
    """Datagrams that belong to nobody: noise, what looks like media, requests to peers that are not there."""
    noise = [rng.randbytes(rng.randint(1, 1200)) for _ in range(128)]
    media = [b"\x80" + rng.randbytes(rng.randint(50, 1150)) for _ in range(64)]
    requests = [binding_request(f"{rng.getrandbits(64):016x}", f"{rng.getrandbits(128):032x}") for _ in range(64)]
    return rng.sample([*noise, *media, *requests], 256)


def flood(host: str, port: int, rate_pps: int, source: str, ending: selectors.BaseSelector) -> dict[str, object]:
    """Datagrams to one UDP port, evenly, until stdin ends."""
    datagrams = junk(random.Random(20))
    sends = []
    for _ in range(SOURCES):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, 0))
        sock.connect((host, port))
        sock.setblocking(False)
        sends.append(sock.send)
    say(event="ready")
    sent = full = at = 0
    began, cpu = time.monotonic(), cpu_s()
    while not ending.select(TICK_S):
        due = int((time.monotonic() - began) * rate_pps)
        # What could not be sent in time is not made up for: a flood has a rate, not a sum.
        for number in range(max(at, due - rate_pps // 20), due):
            try:
                sends[number % SOURCES](datagrams[number & 255])
                sent += 1
            except OSError:
                full += 1
        at = due
    took_s = time.monotonic() - began
    share = round((cpu_s() - cpu) / took_s, 3)
    return {"sent": sent, "full": full, "pps": round(sent / took_s), "seconds": round(took_s, 1), "core_share": share}


class Slow:
    """A connection that sends one byte of a request after the other, and opens anew when it is closed."""

    def __init__(self, address: tuple[str, int], source: str) -> None:
        self.address = address
        self.source = source
        self.sock: socket.socket | None = None
        self.at = 0

    def drip(self) -> None:
        """Raises OSError."""
        if self.sock is None:
            self.sock, self.at = socket.create_connection(self.address, 2, (self.source, 0)), 0
            self.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            if self.sock.recv(4096) == b"":
                raise ConnectionResetError
        head = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX: "
        self.sock.send(head[self.at : self.at + 1] or b"x")
        self.at += 1

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None


def loris(host: str, port: int, count: int, source: str, ending: selectors.BaseSelector) -> dict[str, object]:
    """So many connections that never come to the end of a request, until stdin ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    slow = [Slow((host, port), source) for _ in range(count)]
    closed = most = refused = 0
    began, cpu = time.monotonic(), cpu_s()

    def turn(one: Slow) -> None:
        nonlocal closed, refused
        was_open = one.sock is not None
        try:
            one.drip()
        except OSError:
            closed += was_open
            refused += not was_open
            one.close()

    for one in slow:
        turn(one)
    say(event="ready")
    while True:
        round_began = time.monotonic()
        for number, one in enumerate(slow):
            turn(one)
            # Spread over the second, as if they were a thousand clients.
            if number % 20 == 19:
                left_s = round_began + DRIP_S * (number + 1) / count - time.monotonic()
                if ending.select(max(0.0, left_s)):
                    took_s = time.monotonic() - began
                    return {
                        "connections": count, "most_open": most, "closed_by_peer": closed, "refused": refused,
                        "seconds": round(took_s, 1), "core_share": round((cpu_s() - cpu) / took_s, 3),
                    }  # fmt: skip
        most = max(most, sum(one.sock is not None for one in slow))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attack", choices=("flood", "loris"))
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("amount", type=int, help="packets a second, or connections")
    parser.add_argument("source", nargs="?", default="", help="address that it comes from")
    options = parser.parse_args()
    with selectors.DefaultSelector() as ending:
        ending.register(sys.stdin, selectors.EVENT_READ)
        attack = flood if options.attack == "flood" else loris
        say(event="done", **attack(options.host, options.port, options.amount, options.source, ending))


if __name__ == "__main__":
    main()
