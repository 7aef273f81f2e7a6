"""Whether a viewer sees a session: a real peer (aiortc), in whose process the first picture is decoded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["first_frame_s"]


def first_frame_s(url: str, api_key: str, sid: str, *, enter: Sequence[str] = ()) -> float:
    """How long it waited for the picture, and after it a click was seen to change it.

    Args:
        url: the gateway's.
        enter: a command that runs another one where the gateway can be reached.
    """
    argv = [*enter, sys.executable, "-m", "gateway.cli", "probe", sid, "--headless-peer", "--presses", "1"]
    argv += ["--rounds", "1", "--motion-s", "0", "--require", "peer.missed<=0", "--json", "--url", url]
    env = {**os.environ, "FENSTER_API_KEY": api_key, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return float(json.loads(done.stdout)["legs"]["peer"]["metrics"]["first_frame.p50"]) / 1000
