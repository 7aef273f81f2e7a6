"""How late a sound is: from the moment a program begins to play until a viewer has it.

Run: ``PYTHONPATH=.:guest-agent python tests/bench/bench_sound.py [--onsets 20]``. Real PipeWire and parec, real
aiortc at both ends, one process and one clock. Each onset follows a second of silence, in which nothing was sent.
Prints JSON lines; judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import aiortc.rtp
import av
import numpy as np

from guest_agent.audio.capture import Capture
from guest_agent.protocol.messages import Audio, Channel
from tests.loopback.media_viewer import Agent, Viewer
from tests.tones import TONE_HZ, tone_pcm
from tests.x11.sound_server import running_sound_server

PLAYER_LATENCY_MS = 20
"""What the program asks of the sound server. Chromium's own output asks for about as much."""
PERIOD_S = 0.010
LOUD = 1000
F_SETPIPE_SZ = 1031


class Program(threading.Thread):
    """Plays silence, and a tone while ``loud``; ``began_s`` is when the tone's first sample was on its way."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(name="program")
        self._pipe = pipe
        # A page, 21 ms, is the least a pipe can be; it is always full, so it counts as the program's own buffer.
        fcntl.fcntl(pipe, F_SETPIPE_SZ, 4096)
        self.loud = self.ending = False
        self.began_s = 0.0

    def run(self) -> None:
        tone = tone_pcm(TONE_HZ, PERIOD_S)
        was_loud = False
        while not self.ending:
            loud = self.loud
            if loud and not was_loud:
                self.began_s = time.monotonic()
            was_loud = loud
            self._pipe.write(tone if loud else bytes(len(tone)))


class Ear:
    """Notes when packets and decoded frames become loud."""

    def __init__(self, viewer: Viewer) -> None:
        self.heard: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        self._loud = {"arrived": False, "decoded": False}
        self._viewer = viewer
        self._codec = av.CodecContext.create("libopus", "r")
        self._codec.format, self._codec.layout, self._codec.sample_rate = "s16", "stereo", 48_000
        (section,) = [m for m in viewer.description.media if m.kind == "audio"]
        self._payload_type = section.rtp.codecs[0].payloadType
        transport = viewer.transceiver.receiver.transport
        self._stock = transport._handle_rtp_data
        transport._handle_rtp_data = self._tap  # type: ignore[method-assign]

    async def _tap(self, data: bytes, arrival_time_ms: int) -> None:
        packet = aiortc.rtp.RtpPacket.parse(data)
        if packet.payload_type == self._payload_type:
            self._note("arrived", any(map(_is_loud, self._codec.decode(av.Packet(packet.payload)))))
        await self._stock(data, arrival_time_ms=arrival_time_ms)

    async def decode(self) -> None:
        assert self._viewer.sound is not None
        while True:
            self._note("decoded", _is_loud(await self._viewer.sound.recv()))

    def _note(self, kind: str, loud: bool) -> None:
        if loud and not self._loud[kind]:
            self.heard.put_nowait((kind, time.monotonic()))
        self._loud[kind] = loud


def _is_loud(frame: Any) -> bool:
    """Of signed 16-bit samples."""
    return bool(np.abs(frame.to_ndarray().astype(int)).max() > LOUD)


async def measure(program: Program, ear: Ear, onsets: int) -> dict[str, list[float]]:
    """Milliseconds from each onset to its packet's arrival, and to what aiortc's jitter buffer and decoder give."""
    found: dict[str, list[float]] = {"arrived": [], "decoded": []}
    for _ in range(onsets):
        await asyncio.sleep(1.0)
        program.loud = True
        for _ in found:
            kind, at_s = await asyncio.wait_for(ear.heard.get(), 10)
            found[kind].append((at_s - program.began_s) * 1000)
        program.loud = False
    return found


async def main(onsets: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_sound_server(Path(folder)) as server:
            os.environ["XDG_RUNTIME_DIR"] = server.env["XDG_RUNTIME_DIR"]
            player = server.play(f"--latency-msec={PLAYER_LATENCY_MS}")
            assert player.stdin is not None
            program = Program(player.stdin)
            program.start()
            try:
                async with Agent(sound=Capture) as agent, Viewer(sound=True) as viewer:
                    await viewer.join(agent)
                    ear = Ear(viewer)
                    viewer.send(Channel.CONTROL, Audio(True))
                    decoding = asyncio.create_task(ear.decode())
                    found = await measure(program, ear, onsets)
                    decoding.cancel()
                    for name, values in found.items():
                        low, *_, high = sorted(values)
                        figures = {"median_ms": statistics.median(values), "min_ms": low, "max_ms": high}
                        print(json.dumps({"onset_to": name, **{k: round(v, 1) for k, v in figures.items()}}))
                    print(json.dumps({k: v for k, v in agent.hub.counters().items() if "sound" in k}))
            finally:
                program.ending = True
                program.join()
                player.kill()
                player.communicate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onsets", type=int, default=20)
    asyncio.run(main(parser.parse_args().onsets))
