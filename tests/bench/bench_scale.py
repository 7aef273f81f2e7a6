"""Two hundred sessions in one data plane: what each costs, and whether anything of what they send is lost or late.

Run: ``PYTHONPATH=.:guest-agent python tests/bench/bench_scale.py [--sessions 200] [--seconds 20]``. Judges nothing.

Each session has a viewer and a guest: a picture of FRAME_PACKETS datagrams FPS times a second to the viewer, feedback
or input as often to the guest, and a binding request every CHECK_S with its response. The data plane has a process
and a core to itself. ``lost`` is what did not arrive, ``kernel_lost`` what this host's sockets had no room for.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from pathlib import Path

from tests.bench.forwarder import PWD, Figures, Forwarder, own_core, ufrag
from tests.bench.relay_load import HEADER_BYTES, Ends, Heard, paced, percentile
from tests.stun_messages import binding_request

FPS = 30
FRAME_PACKETS = 4
PACKET_BYTES = 1000
FEEDBACK_BYTES = 100
CHECK_S = 2.5
IDLE_S = 2.0


def kernel_lost() -> int:
    """Datagrams that found a full socket since the host began."""
    rows = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Udp:")]
    return int(dict(zip(rows[0], rows[1], strict=True))["RcvbufErrors"])


class Traffic:
    """One frame's worth of a session each time, all sessions in turn, so that they are evenly spread in time."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._count = len(ends.guests)
        self._picture, self._feedback = bytearray(PACKET_BYTES), bytearray(max(HEADER_BYTES, FEEDBACK_BYTES))
        self._checks = [binding_request(ufrag(number), PWD) for number in range(self._count)]
        self._check_every = round(CHECK_S * FPS)
        self.to_viewers = self.to_guests = self.checks = 0

    def send(self, call: int) -> None:
        frame, number = divmod(call, self._count)
        guest, viewer = self._ends.guests[number], self._ends.viewers[number]
        for _ in range(FRAME_PACKETS):
            guest.send(self._picture)
        viewer.send(self._feedback)
        self.to_viewers += FRAME_PACKETS
        self.to_guests += 1
        if (frame + number) % self._check_every == 0:
            viewer.sock.sendto(self._checks[number], viewer.to)
            self.checks += 1


def ages(heard: Heard, sent: int) -> dict[str, float]:
    return {
        "sent": sent,
        "lost": sent - heard.packets,
        "strays": heard.strays,
        **{f"p{share * 100:g}_us": round(percentile(heard.ages_ns, share) / 1e3) for share in (0.5, 0.99, 0.999)},
    }


def run(ends: Ends, seconds: float) -> tuple[Traffic, float]:
    """The traffic of so long, and how late (s) the load itself was at most."""
    for heard in (ends.at_viewers, ends.at_guests):
        heard.packets = heard.strays = 0
        heard.ages_ns.clear()
    for end in (*ends.viewers, *ends.guests):
        end.stun = 0
    traffic = Traffic(ends)
    gc.collect()
    gc.freeze()
    _, late_s = paced(ends, traffic.send, FPS * len(ends.guests), seconds)
    return traffic, late_s


def print_ways(name: str, ends: Ends, traffic: Traffic, late_s: float) -> None:
    for way, heard, sent in (
        ("to viewers", ends.at_viewers, traffic.to_viewers),
        ("to guests", ends.at_guests, traffic.to_guests),
    ):
        print(json.dumps({"what": name, "way": way, **ages(heard, sent)}))
    print(json.dumps({"what": name, "load_late_ms": round(late_s * 1e3, 1)}), flush=True)


def print_costs(sessions: int, empty: Figures, idle: Figures, before: Figures, after: Figures) -> None:
    packets, cpu_s, wall_s = after.packets - before.packets, after.cpu_s - before.cpu_s, after.at_s - before.at_s
    print(json.dumps({
        "what": "the data plane",
        "sessions": sessions,
        "memory_kib_per_session": round((after.memory_bytes - empty.memory_bytes) / sessions / 1024, 1),
        "files_per_session": round((after.files - empty.files) / sessions, 2),
        "idle_core_share": round((before.cpu_s - idle.cpu_s) / (before.at_s - idle.at_s), 4),
        "core_share": round(cpu_s / wall_s, 3),
        "no_core_share": round((after.ready_s - before.ready_s) / wall_s, 3),
        "packets_per_s": round(packets / wall_s),
        "packets_per_core": round(packets / cpu_s),
        "dropped": after.dropped - before.dropped,
    }), flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    core = own_core()
    with Ends(options.sessions) as ends, Forwarder("relay", core) as plane:
        empty = plane.figures()
        plane.add([guest.port for guest in ends.guests])
        began = time.monotonic()
        ends.join(plane.address)
        print(json.dumps({"what": "all viewers admitted", "after_ms": round((time.monotonic() - began) * 1e3)}))
        idle = plane.figures()
        time.sleep(IDLE_S)
        before, lost = plane.figures(), kernel_lost()
        traffic, late_s = run(ends, options.seconds)
        after, lost = plane.figures(), kernel_lost() - lost
        print_ways(f"{options.sessions} sessions", ends, traffic, late_s)
        answered = {"checks": traffic.checks, "at_guests": sum(end.stun for end in ends.guests)}
        answered["answers"] = sum(end.stun for end in ends.viewers)
        print(json.dumps({"what": "binding requests", **answered, "kernel_lost": lost}))
        print_costs(options.sessions, empty, idle, before, after)
        ends.direct()
        print_ways("without a relay", ends, *run(ends, options.seconds / 4))


if __name__ == "__main__":
    main()
