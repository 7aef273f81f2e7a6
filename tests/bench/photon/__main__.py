"""``python -m tests.bench.photon``: see --help."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.bench.photon.products import fenster
from tests.bench.photon.report import as_html, print_tables
from tests.bench.photon.rivals import novnc, selkies_webrtc, selkies_websocket
from tests.bench.photon.run import MOTIONS, PRESSES, Plan, run

STARTERS = {
    "fenster": fenster,
    "selkies-webrtc": selkies_webrtc,
    "selkies-websocket": selkies_websocket,
    "novnc": novnc,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Press to photon, in turn on one X server and in one browser.")
    parser.add_argument("--products", nargs="+", choices=STARTERS, default=list(STARTERS))
    parser.add_argument("--sizes", nargs="+", default=["1280x720", "1920x1080"], metavar="WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=5)
    # The 95 % interval of a p95's ratio is about 0.2 wide with 200 and 0.14 with 300; it falls with their root.
    parser.add_argument("--presses", type=int, default=600, help="of each kind and product, in all rounds together")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each motion and product, likewise")
    parser.add_argument("--kinds", nargs="*", choices=PRESSES, default=PRESSES)
    parser.add_argument("--motions", nargs="*", choices=MOTIONS, default=MOTIONS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--html", type=Path, metavar="FILE")
    parser.add_argument("--strict", action="store_true", help="fail when a bound does not hold")
    options = parser.parse_args()
    console = Console(width=max(140, Console().width))
    found = []
    for size in options.sizes:
        width, height = (int(side) for side in size.split("x"))
        plan = Plan(
            (width, height), options.rounds, options.presses, options.seconds, options.seed, options.kinds,
            options.motions,
        )  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="photon-") as folder:
            starters = [STARTERS[name] for name in options.products]
            results = asyncio.run(run(plan, starters, Path(folder), lambda said: print(said, file=sys.stderr)))
        print_tables(results, console)
        found.append(results)
    if options.json:
        options.json.write_text(json.dumps([results.as_json() for results in found], indent=1))
    if options.html:
        options.html.write_text(as_html(found))
    missed = [v for results in found for v in results.verdicts() if not v.holds]
    worked = [v for results in found for v in results.work_verdicts() if not v.holds]
    return 1 if options.strict and (missed or worked) else 0


if __name__ == "__main__":
    sys.exit(main())
