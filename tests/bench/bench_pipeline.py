"""What a frame costs: medians of each stage, and from a drawing request to the encoded frame; and what full chroma
(4:4:4) costs compared with that, in turn in the same run.

Run: ``PYTHONPATH=.:guest-agent python tests/bench/bench_pipeline.py [--display :1] [--samples 200]``. Without
``--display`` it starts an Xorg of its own. Prints JSON lines; judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guest_agent.h264 import EncodedFrame
from guest_agent.pump import Pump
from guest_agent.videocodec import Codec
from tests.x11.conftest import start_xorg
from tests.x11.painter import Painter

SIZES = ((1280, 720), (1024, 768))
IDLE_S = 6.0


class Meter:
    """A Broadcast of one: takes each frame at once and remembers when it came."""

    def __init__(self) -> None:
        self.pump: Pump
        self.arrived = asyncio.Event()
        self.frames: list[EncodedFrame] = []

    def deliver(self, frame: EncodedFrame) -> None:
        self.frames.append(frame)
        self.arrived.set()
        self.pump.taken()

    async def next(self) -> EncodedFrame:
        self.arrived.clear()
        await asyncio.wait_for(self.arrived.wait(), 10)
        return self.frames[-1]


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def full_chroma(meter: Meter, painter: Painter, samples: int) -> None:
    """The medians of 4:4:4 as multiples of 4:2:0's: a typed character, and text scrolled by an even and an odd number
    of rows. Four rounds each, in turn."""
    steps = {"key": None, "scroll 14": 14, "scroll 17": 17}
    kinds = (Codec.H264, Codec.H264_444)
    stages: tuple[str, ...] = ("convert_us", "encode_us")
    figures = {
        (name, codec): {stage: list[int]() for stage in (*stages, "bytes")} for name in steps for codec in kinds
    }
    for _ in range(4):
        for codec in kinds:
            meter.pump.set_codec(codec)
            painter.page(0)
            for name, step in steps.items():
                for i in range(samples // 4):
                    await asyncio.sleep(0.03)
                    captures = meter.pump.counters.captures
                    if step is None:
                        painter.fill(100 + i % 80 * 8, 300, 7, 13, 0xFF4040 if i % 2 else 0x40A040)
                    else:
                        painter.scroll(step)
                    while meter.pump.counters.captures == captures:
                        await meter.next()
                    taken = figures[name, codec]
                    for stage in stages:
                        taken[stage].append(getattr(meter.pump.counters, stage))
                    taken["bytes"].append(meter.frames[-1].size_bytes)
    meter.pump.set_codec(Codec.H264)
    for name in steps:
        plain, full = (figures[name, codec] for codec in kinds)
        ratios = {f: round(statistics.median(full[f]) / statistics.median(plain[f]), 2) for f in plain}
        print(
            json.dumps(
                {"what": f"4:4:4 to 4:2:0, {name}", "size": f"{painter.width_px}x{painter.height_px}", **ratios}
            )
        )


async def measure(display: str, samples: int) -> None:
    painter = Painter(display)
    meter = Meter()
    meter.pump = Pump(display, meter.deliver, lambda *_: None)
    meter.pump.start()
    meter.pump.watch(True)
    await meter.next()
    for name in ("key", "page"):
        totals: list[float] = []
        stages: dict[str, list[int]] = {"capture_us": [], "convert_us": [], "encode_us": [], "packetize_us": []}
        sizes: list[int] = []
        for i in range(samples):
            await asyncio.sleep(0.05)
            captures = meter.pump.counters.captures
            started = time.perf_counter()
            if name == "key":
                painter.fill(100 + i % 80 * 8, 300, 7, 13, 0xFFFFFF if i % 2 else 0x40A040)
            else:
                painter.page(i)
            while meter.pump.counters.captures == captures:
                await meter.next()
            totals.append((time.perf_counter() - started) * 1000)
            for stage, values in stages.items():
                values.append(getattr(meter.pump.counters, stage))
            sizes.append(meter.frames[-1].size_bytes)
        totals.sort()
        print(json.dumps({
            "what": name, "size": f"{painter.width_px}x{painter.height_px}",
            "drawn_to_loop_ms": round(statistics.median(totals), 2),
            "p95_ms": round(totals[int(len(totals) * 0.95)], 2),
            **{stage: int(statistics.median(values)) for stage, values in stages.items()},
            "frame_bytes": int(statistics.median(sizes)),
        }))  # fmt: skip
    await full_chroma(meter, painter, samples)
    await asyncio.sleep(1.0)
    for watched in (True, False):
        meter.pump.watch(watched)
        frames, cpu, started = len(meter.frames), cpu_s(), time.perf_counter()
        await asyncio.sleep(IDLE_S)
        elapsed = time.perf_counter() - started
        print(json.dumps({
            "what": "idle, watched" if watched else "idle, nobody watches",
            "cpu_percent": round((cpu_s() - cpu) / elapsed * 100, 2),
            "frames_per_s": round((len(meter.frames) - frames) / elapsed, 2),
        }))  # fmt: skip
    await meter.pump.close()
    print(
        json.dumps(
            {"what": "threads left", "count": len(os.listdir("/proc/self/task")), "python": threading.active_count()}
        )
    )


@contextmanager
def display_of(wanted: str | None, size: tuple[int, int]) -> Iterator[str]:
    if wanted:
        yield wanted
        return
    with tempfile.TemporaryDirectory() as folder:
        server = start_xorg(Path(folder), size)
        try:
            yield next(server).display
        finally:
            server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--display", help="an X display that is already there")
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    for size in SIZES[:1] if options.display else SIZES:
        with display_of(options.display, size) as display:
            asyncio.run(measure(display, options.samples))


if __name__ == "__main__":
    main()
