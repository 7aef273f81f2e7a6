"""``python -m guest_agent.health``: the guest's health service, as root."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from guest_agent.health.watch import Watch


def main() -> int:
    parser = argparse.ArgumentParser(prog="guest_agent.health", description=sys.modules["guest_agent.health"].__doc__)
    parser.add_argument("--display", default=":1", help="X display to look at")
    parser.add_argument("--run", type=Path, default=Path("/run/fenster"), help="where the report is written")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    Watch(args.display, args.run).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
