"""x11vnc's input, typed as exactly as WebRTC's: ``x11vnc -pipeinput 'reopen:python -m guest_agent.input.vncpipe'``.

x11vnc by itself binds missing keysyms until no keycode is left and then drops characters, and waits for no program
to see a binding. So it hands its viewers' input to this, which uses the agent's own injector but neither its process
nor its fate: noVNC goes on typing while the agent is down.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

from guest_agent.errors import DisplayError
from guest_agent.input.vnc import VncInput
from guest_agent.input.worker import InputWorker

__all__ = ["main"]

logger = logging.getLogger(__name__)


def main() -> int:
    """Serve standard input until it ends, or until the X server is gone."""
    logging.basicConfig(level=logging.INFO, format="fenster-vnc-input: %(message)s", stream=sys.stderr)
    lost = threading.Event()
    try:
        worker = InputWorker(os.environ.get("DISPLAY", ":1"), on_lost=lost.set)
    except DisplayError as exc:
        logger.error("%s", exc)
        return 1
    worker.start()
    vnc = VncInput()
    try:
        for line in sys.stdin:
            ops = vnc.line(line, worker.size_px)
            if ops:
                worker.push(ops)
            if lost.is_set():
                return 1
        return 0
    finally:
        worker.close()


if __name__ == "__main__":
    raise SystemExit(main())
