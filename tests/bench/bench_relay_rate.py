"""How many datagrams a second the relay forwards per core, and how much later they come for it.

Run: ``PYTHONPATH=.:guest-agent python tests/bench/bench_relay_rate.py [--rounds 3]``. Judges nothing.

The forwarder has a process and a core to itself, viewers and guests have the other. In turn: the data plane with its
relay, a bare loop of recvfrom_into and send, asyncio's datagram protocol; each is kept as busy as it can be, and what
it forwards is divided by the processor time that it took (``per_core``) and by the time on the wall. Then the relay
alone at half of TARGET_PER_S: how old a datagram is at the other end, less how old it is without a relay.
``no_core_share`` is the time that the relay could have run and others of this host had its core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from tests.bench.forwarder import Figures, Forwarder, own_core
from tests.bench.relay_load import End, Ends, paced, percentile, saturate

SIZE_BYTES = 1000
TARGET_PER_S = 80_000
BURST, WINDOW = 16, 160
SPREAD_BURST, SPREAD_WINDOW = 8, 16
SESSIONS = 200
WARM_S, MEASURE_S = 0.2, 1.2


def between(before: Figures, after: Figures, lost: int) -> dict[str, float]:
    packets, wall_s, cpu_s = after.packets - before.packets, after.at_s - before.at_s, after.cpu_s - before.cpu_s
    return {
        "per_core": packets / cpu_s,
        "wall_per_s": packets / wall_s,
        "core_share": cpu_s / wall_s,
        "lost": lost,
        "dropped": after.dropped - before.dropped,
    }


def rate(kind: str, sessions: int, core: int) -> dict[str, dict[str, float]]:
    """By way: to the guests, and for the relay to the viewers."""
    with Ends(sessions) as ends, Forwarder(kind, core) as forwarder:
        forwarder.add([guest.port for guest in ends.guests])
        ends.join(forwarder.address, check=kind == "relay")
        ways = {"to guest": list(zip(ends.viewers, ends.guests, strict=True))}
        if kind == "relay":
            ways["to viewer"] = list(zip(ends.guests, ends.viewers, strict=True))
        burst, window = (BURST, WINDOW) if sessions == 1 else (SPREAD_BURST, SPREAD_WINDOW)
        found = {}
        for way, pairs in ways.items():
            saturate(ends, pairs, SIZE_BYTES, WARM_S, burst=burst, window=window)
            before = forwarder.figures()
            lost = saturate(ends, pairs, SIZE_BYTES, MEASURE_S, burst=burst, window=window)
            found[way] = between(before, forwarder.figures(), lost)
        return found


def latency(core: int, burst: int) -> dict[str, dict[str, float]]:
    """In µs by way, at half the target, ``burst`` datagrams at a time."""
    with Ends(1) as ends, Forwarder("relay", core) as forwarder:
        forwarder.add([guest.port for guest in ends.guests])
        ends.join(forwarder.address)
        found = {}
        ways = {
            "to guest": (ends.viewers[0], ends.at_guests),
            "to viewer": (ends.guests[0], ends.at_viewers),
        }
        before = forwarder.figures()
        through = {way: aged(ends, sender, heard.ages_ns, burst) for way, (sender, heard) in ways.items()}
        after = forwarder.figures()
        ends.direct()
        for way, (sender, heard) in ways.items():
            without = aged(ends, sender, heard.ages_ns, burst)
            found[way] = {
                **{f"added_{name}_us": through[way][name] - without[name] for name in ("p50", "p99")},
                "with_p99_us": through[way]["p99"],
                "without_p99_us": without["p99"],
                "lost": through[way]["lost"],
                "load_late_us": through[way]["late"],
                "core_share": (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s),
                "no_core_share": (after.ready_s - before.ready_s) / (after.at_s - before.at_s),
            }
        return found


def aged(ends: Ends, sender: End, ages_ns: list[int], burst: int) -> dict[str, float]:
    packet = bytearray(SIZE_BYTES)

    def send(_: int) -> None:
        for _ in range(burst):
            sender.send(packet)

    ages_ns.clear()
    calls, late_s = paced(ends, send, TARGET_PER_S / 2 / burst, MEASURE_S)
    return {
        "p50": percentile(ages_ns, 0.5) / 1e3,
        "p99": percentile(ages_ns, 0.99) / 1e3,
        "lost": calls * burst - len(ages_ns),
        "late": late_s * 1e6,
    }


def print_medians(name: str, rounds: list[dict[str, dict[str, float]]]) -> None:
    for way in rounds[0]:
        figures = {what: statistics.median(found[way][what] for found in rounds) for what in rounds[0][way]}
        rounded = {
            what: round(value, 3) if what.endswith("share") else round(value) for what, value in figures.items()
        }
        print(json.dumps({"what": name, "way": way, **rounded}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    core = own_core()
    measures: dict[str, Callable[[], dict[str, dict[str, float]]]] = {
        "relay": lambda: rate("relay", 1, core),
        "bare loop": lambda: rate("bare", 1, core),
        "asyncio": lambda: rate("stock", 1, core),
        f"relay, {SESSIONS} sessions": lambda: rate("relay", SESSIONS, core),
        "relay at half the target": lambda: latency(core, 1),
        "the same, 16 at a time": lambda: latency(core, 16),
    }
    found: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
            time.sleep(0.1)
    for name, results in found.items():
        print_medians(name, results)


if __name__ == "__main__":
    main()
