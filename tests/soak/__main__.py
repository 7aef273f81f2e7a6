"""``python -m tests.soak --minutes 30``: see --help, and tests/README.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.soak.judge import judge
from tests.soak.report import as_html, as_markdown, print_report
from tests.soak.run import Plan, soak

REPORTS = Path(__file__).resolve().parents[2] / "test-results" / "soak"

KEPT_MINUTES = 30.0
"""What is shorter is a look, not a proof."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Three desktops with viewers that type, scroll and browse, and sessions that come and go beside "
        "them, through a gateway with its data plane apart. Exits with 1 when a bound is broken."
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="3 is the least that says anything")
    parser.add_argument("--seed", type=int, default=1, help="of what the viewers leave to chance")
    parser.add_argument(
        "--keep", type=Path, help="folder of dated reports: a run of half an hour or more is put there"
    )
    parser.add_argument("--out", type=Path, default=REPORTS, help="folder of soak.json, soak.html, soak.md and logs")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {what}", file=sys.stderr, flush=True)

    # Short, since sockets are below it.
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as folder:
        try:
            record = asyncio.run(soak(Plan(options.minutes, options.seed), Path(folder), say))
        finally:
            _keep_logs(Path(folder), options.out)
    verdicts = judge(record)
    print_report(record, verdicts, Console(width=max(150, Console().width)))
    (options.out / "soak.json").write_text(json.dumps(record.as_json(), indent=1))
    (options.out / "soak.html").write_text(as_html(record, verdicts))
    (options.out / "soak.md").write_text(as_markdown(record, verdicts))
    print(f"Report: {options.out / 'soak.html'}")
    if options.keep is not None and options.minutes >= KEPT_MINUTES:
        kept = options.keep / f"{record.began[:10]}-soak.md"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(as_markdown(record, verdicts))
        print(f"Kept: {kept}")
    broken = [verdict for verdict in verdicts if not verdict.holds]
    for verdict in broken:
        print(f"BROKEN: {verdict.what}: {verdict.figure} (bound: {verdict.bound})")
    return 1 if broken else 0


def _keep_logs(folder: Path, out: Path) -> None:
    for path in folder.rglob("*.log"):
        (out / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
