"""``fenster-zygote``: the guest's root process (zygote.py)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from guest_agent.account import find_account
from guest_agent.nest import Options
from guest_agent.port import DEFAULT_LINK, open_port
from guest_agent.zygote import Zygote

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    # Numpy's BLAS would start a thread for each core, and only the forking thread lives on in a child.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    parser = argparse.ArgumentParser(prog="fenster-zygote", description="Fenster's guest agent.")
    parser.add_argument("--link", default=DEFAULT_LINK, help="virtio:name, a device's path, or unix:/path")
    parser.add_argument("--display", default=os.environ.get("DISPLAY", ":1"), help="X display to stream")
    parser.add_argument("--user", default="user", help="whom the agent runs as; '' for whoever runs this")
    parser.add_argument("--etc", type=Path, default=Path("/etc"), help="where a session's files are written")
    parser.add_argument("--verbose", action="store_true", help="log every step")
    args = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO,
        format="%(asctime)s %(process)d %(name)s %(message)s",
        stream=sys.stderr,
    )
    try:
        account = find_account(args.user) if args.user else None
    except KeyError:
        parser.error(f"there is no user {args.user!r}; --user '' keeps the present one")
    return Zygote(open_port(args.link), Options(args.display, account, args.etc)).run()


if __name__ == "__main__":
    raise SystemExit(main())
