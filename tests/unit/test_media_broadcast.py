"""One encode for many viewers: the frame slot of each, the gate, and who watches."""

from __future__ import annotations

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from guest_agent.broadcast import Broadcast
from guest_agent.h264 import EncodedFrame
from guest_agent.rate import RUNGS_BPS
from guest_agent.track import ScreenTrack


class Source:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def watch(self, on: bool) -> None:
        self.calls.append("watch" if on else "leave")

    def want_key(self) -> None:
        self.calls.append("key")

    def taken(self) -> None:
        self.calls.append("taken")

    def set_rate(self, max_bps: int) -> None:
        self.calls.append(f"rate {max_bps}")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def frame(number: int, *, key: bool = False, size: int = 100) -> EncodedFrame:
    return EncodedFrame([bytes(4)], number * 1500, key, size)


async def pulling(track: ScreenTrack) -> asyncio.Task[EncodedFrame]:
    """A sender in recv()."""
    task = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    return task


def make() -> tuple[Broadcast, Source, Clock]:
    source, clock = Source(), Clock()
    return Broadcast(source, clock), source, clock


async def test_watching_starts_with_the_first_pull() -> None:
    broadcast, source, _ = make()
    track = broadcast.track()
    assert source.calls == []
    pull = await pulling(track)
    assert source.calls == ["watch"]
    first = frame(0, key=True)
    broadcast.deliver(first)
    assert await pull is first
    track.stop()
    assert source.calls[-2:] == ["leave", "taken"]


async def test_the_next_frame_waits_until_every_sender_is_back() -> None:
    broadcast, source, _ = make()
    one, two = broadcast.track(), broadcast.track()
    pulls = [await pulling(one), await pulling(two)]
    source.calls.clear()
    broadcast.deliver(frame(0, key=True))
    await asyncio.gather(*pulls)
    assert source.calls == []
    again = await pulling(one)
    assert source.calls == []
    other = await pulling(two)
    assert source.calls == ["taken"]
    one.stop()
    two.stop()
    for task in (again, other):
        with pytest.raises(MediaStreamError):
            await task


async def test_a_frame_without_its_predecessors_is_not_sent() -> None:
    broadcast, source, _ = make()
    track = broadcast.track()
    pull = await pulling(track)
    source.calls.clear()
    broadcast.deliver(frame(0))
    assert not pull.done()
    assert source.calls == ["key", "taken"]
    keyframe = frame(1, key=True)
    broadcast.deliver(keyframe)
    assert await pull is keyframe
    assert (broadcast.frames, broadcast.keyframes, broadcast.dropped) == (2, 1, 1)
    track.stop()


async def test_a_stuck_viewer_loses_frames_until_a_keyframe_and_no_one_else_does() -> None:
    broadcast, _, _ = make()
    stuck, well = broadcast.track(), broadcast.track()
    pulls = [await pulling(stuck), await pulling(well)]
    broadcast.deliver(frame(0, key=True))
    await asyncio.gather(*pulls)
    got = []
    for number, key in ((1, False), (2, False), (3, True), (4, False)):
        pull = await pulling(well)
        broadcast.deliver(frame(number, key=key))
        got.append((await pull).pts_90k // 1500)
    assert got == [1, 2, 3, 4]
    # The slot was overwritten twice, and the last, no keyframe, went with what it overwrote.
    assert stuck.needs_key
    late = await pulling(stuck)
    broadcast.deliver(frame(5, key=True))
    assert (await late).pts_90k // 1500 == 5
    stuck.stop()
    well.stop()


async def test_recv_raises_nothing_but_the_end() -> None:
    broadcast, _, _ = make()
    track = broadcast.track()
    pull = await pulling(track)
    track.stop()
    track.stop()
    with pytest.raises(MediaStreamError):
        await pull
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_a_cancelled_pull_can_be_repeated() -> None:
    broadcast, _, _ = make()
    track = broadcast.track()
    pull = await pulling(track)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    again = await pulling(track)
    broadcast.deliver(frame(0, key=True))
    assert (await again).key
    track.stop()


async def test_the_rate_follows_the_slowest_and_is_forgotten_with_the_last() -> None:
    broadcast, source, clock = make()
    track = broadcast.track()
    pull = await pulling(track)
    broadcast.deliver(frame(0, key=True, size=1_000_000))
    await pull
    broadcast.on_loss(track, 0.25)
    assert source.calls[-1] == f"rate {RUNGS_BPS[2]}"
    assert broadcast.rung_bps == RUNGS_BPS[2]
    clock.now += 2
    assert track.sent_bps(clock.now) == 0
    track.stop()
    assert broadcast.rung_bps == RUNGS_BPS[0]
    broadcast.on_estimate(track, 1)
    broadcast.on_loss(track, 1.0)
    assert broadcast.rung_bps == RUNGS_BPS[0]
