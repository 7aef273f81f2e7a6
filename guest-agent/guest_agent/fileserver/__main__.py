"""``python -m guest_agent.fileserver``: the desktop user's files, for the gateway."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence

from guest_agent.fileserver.operations import Home
from guest_agent.fileserver.server import MAX_CONNECTIONS, FileServer
from guest_agent.protocol.stream import FILES_PORT

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="guest_agent.fileserver", description="Fenster's file service.")
    parser.add_argument("--address", default="169.254.0.21", help="where to listen: the guest's address")
    parser.add_argument("--port", type=int, default=FILES_PORT)
    parser.add_argument("--peer", default="", help="the one address that is answered; any if not given")
    parser.add_argument("--home", default=os.path.expanduser("~"), help="what is served")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    listener = socket.create_server((args.address, args.port), backlog=MAX_CONNECTIONS)
    FileServer(Home(args.home), listener, peer=args.peer).serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
