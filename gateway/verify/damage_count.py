"""Run inside the guest: count XDamage events on the root window for so many seconds. Prints a line when it
begins, and then the count.

    python damage_count.py SECONDS
"""

from __future__ import annotations

import select
import sys
import time
from typing import Any

import xcffib
import xcffib.damage
import xcffib.xproto

__all__: list[str] = []


def main() -> None:
    duration_s = float(sys.argv[1])
    connect: Any = xcffib.connect
    conn = connect()
    damage = conn(xcffib.damage.key)
    damage.QueryVersion(1, 1).reply()
    ident = conn.generate_id()
    # NonEmpty with a subtract after each: one event for all that changed since the last one was handled,
    # which is what wakes the agent's capture.
    damage.Create(ident, conn.get_setup().roots[0].root, xcffib.damage.ReportLevel.NonEmpty)
    damage.Subtract(ident, 0, 0)
    conn.core.GetInputFocus().reply()
    while conn.poll_for_event() is not None:
        pass  # Says only that the screen is not empty.
    print("counting", flush=True)
    events = 0
    end = time.monotonic() + duration_s
    while True:
        # Asked before each select: xcb may have read events while it wrote.
        if conn.poll_for_event() is not None:
            events += 1
            damage.Subtract(ident, 0, 0)
            conn.flush()
        elif (left := end - time.monotonic()) > 0:
            select.select([conn.get_file_descriptor()], [], [], left)
        else:
            break
    print(events)


if __name__ == "__main__":
    main()
