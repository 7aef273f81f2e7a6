"""One encode for many viewers: the frame slot of each, the gate, and who watches."""

from __future__ import annotations

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from guest_agent.broadcast import Broadcast
from guest_agent.h264 import EncodedFrame
from guest_agent.rate import MAX_BPS
from guest_agent.rungs import LAG, MAIN
from guest_agent.track import ScreenTrack
from guest_agent.videocodec import Codec


class Source:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def watch(self, on: bool, rung: int = MAIN) -> None:
        self._note("watch" if on else "leave", rung)

    def want_key(self, rung: int = MAIN) -> None:
        self._note("key", rung)

    def want_repeat(self, rung: int = MAIN) -> None:
        self._note("repeat", rung)

    def taken(self, rung: int = MAIN) -> None:
        self._note("taken", rung)

    def set_rate(self, max_bps: int, rung: int = MAIN) -> None:
        self._note(f"rate {max_bps}", rung)

    def set_codec(self, codec: Codec, rung: int = MAIN) -> None:
        self._note(codec.name.lower(), rung)

    def _note(self, call: str, rung: int) -> None:
        self.calls.append(f"{call} lag" if rung == LAG else call)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def frame(
    number: int, *, key: bool = False, size: int = 100, rung: int = MAIN, codec: Codec = Codec.H264
) -> EncodedFrame:
    return EncodedFrame([bytes(4)], number * 1500, key, size, rung=rung, codec=codec)


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
    track = broadcast.stream().track
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
    one, two = broadcast.stream().track, broadcast.stream().track
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
    track = broadcast.stream().track
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
    stuck, well = broadcast.stream().track, broadcast.stream().track
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
    track = broadcast.stream().track
    pull = await pulling(track)
    track.stop()
    track.stop()
    with pytest.raises(MediaStreamError):
        await pull
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_a_cancelled_pull_can_be_repeated() -> None:
    broadcast, _, _ = make()
    track = broadcast.stream().track
    pull = await pulling(track)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    again = await pulling(track)
    broadcast.deliver(frame(0, key=True))
    assert (await again).key
    track.stop()


class Watching:
    """A viewer whose sender takes frames when it is told to."""

    def __init__(
        self, broadcast: Broadcast, *, leads: bool = False, codecs: tuple[Codec, ...] = (Codec.H264,)
    ) -> None:
        self.stream = broadcast.stream()
        self.stream.track.codecs = codecs
        if leads:
            broadcast.lead(self.stream)
        self._pull: asyncio.Task[EncodedFrame] | None = None

    async def ready(self) -> None:
        """Wait for the next frame."""
        self._pull = await pulling(self.stream.track)

    async def take(self) -> EncodedFrame:
        assert self._pull is not None
        return await self._pull

    def full(self, bps: int) -> None:
        """Receiver reports that lead to about this rate."""
        for _ in range(bps // 8 // 1000):
            self.stream.path.sent(1000)
        self.stream.path.on_loss(0.1)

    async def leave(self) -> None:
        self.stream.track.stop()
        if self._pull is not None:
            await asyncio.gather(self._pull, return_exceptions=True)


async def test_the_rate_follows_the_leader_and_is_forgotten_with_the_last() -> None:
    broadcast, source, _ = make()
    viewer = Watching(broadcast, leads=True)
    await viewer.ready()
    viewer.full(4_000_000)
    assert source.calls[-1] == f"rate {broadcast.rung_bps}"
    assert 3_400_000 < broadcast.rung_bps < 3_800_000
    await viewer.leave()
    assert broadcast.rung_bps == MAX_BPS
    viewer.stream.path.on_loss(1.0)
    assert broadcast.rung_bps == MAX_BPS


async def test_a_watcher_with_less_gets_the_second_encode_and_the_leader_notices_nothing() -> None:
    broadcast, source, _ = make()
    leader, watcher = Watching(broadcast, leads=True), Watching(broadcast, leads=False)
    await leader.ready()
    await watcher.ready()
    source.calls.clear()
    watcher.full(1_000_000)
    assert [call for call in source.calls if not call.endswith("lag")] == []
    assert {"key lag", "watch lag"} < set(source.calls)
    assert broadcast.rung_bps == MAX_BPS
    assert broadcast.counters()["lag_viewers"] == 1
    assert 800_000 < broadcast.counters()["lag_bps"] < 1_000_000
    first = frame(0, key=True)
    broadcast.deliver(first)
    assert await leader.take() is first
    source.calls.clear()
    await leader.ready()
    assert source.calls == ["taken"], "it waits for nobody who lags"
    second = frame(1, key=True, rung=LAG)
    broadcast.deliver(second)
    assert await watcher.take() is second
    await watcher.leave()
    assert "leave lag" in source.calls
    await leader.leave()


async def test_who_may_control_and_does_not_is_a_watcher_until_control_is_handed_over() -> None:
    broadcast, source, _ = make()
    one, other = Watching(broadcast), Watching(broadcast)
    await one.ready()
    await other.ready()
    other.full(1_000_000)
    broadcast.lead(one.stream)
    assert broadcast.rung_bps == MAX_BPS, "the other's path is no affair of who controls"
    assert broadcast.counters()["lag_viewers"] == 1
    assert broadcast.counters()["path_target_bps"] == MAX_BPS
    for number in (0, 1):
        broadcast.deliver(frame(number, key=number == 0))
        await one.take()
        await one.ready()
    assert source.calls.count("taken") == 2, "it waits for who controls"
    source.calls.clear()
    broadcast.lead(other.stream)
    assert {f"rate {broadcast.rung_bps}", "key", "leave lag"} <= set(source.calls)
    assert 800_000 < broadcast.rung_bps < 1_000_000
    broadcast.deliver(frame(2, key=True))
    source.calls.clear()
    await one.take()
    await one.ready()
    assert source.calls == [], "and now for the other"
    await other.take()
    await other.ready()
    assert source.calls == ["taken"]
    broadcast.lead(one.stream)
    assert broadcast.rung_bps == MAX_BPS
    assert broadcast.counters()["lag_viewers"] == 1
    await one.leave()
    await other.leave()


async def test_a_frame_that_waits_for_who_controls_no_more_waits_no_longer() -> None:
    broadcast, source, _ = make()
    one, other = Watching(broadcast, leads=True), Watching(broadcast)
    await one.ready()
    await other.ready()
    broadcast.deliver(frame(0, key=True))
    await other.take()
    await other.ready()
    assert "taken" not in source.calls, "who controls has not sent it yet"
    broadcast.lead(other.stream)
    assert source.calls[-1] == "taken"
    await one.leave()
    await other.leave()


async def test_a_watcher_that_takes_no_frame_is_not_waited_for() -> None:
    broadcast, source, _ = make()
    leader, watcher = Watching(broadcast, leads=True), Watching(broadcast, leads=False)
    await leader.ready()
    await watcher.ready()
    broadcast.deliver(frame(0, key=True))
    await leader.take()
    await leader.ready()
    broadcast.deliver(frame(1))
    await leader.take()
    await leader.ready()
    source.calls.clear()
    # The watcher took none of them: its sender is still at the first.
    broadcast.deliver(frame(2))
    assert (await leader.take()).pts_90k == 3000
    assert "key" not in source.calls
    assert "watch lag" in source.calls
    await leader.leave()
    await watcher.leave()


async def test_a_request_on_a_still_screen_gets_a_plain_frame_once() -> None:
    broadcast, source, clock = make()
    viewer = Watching(broadcast, leads=True)
    await viewer.ready()
    broadcast.deliver(frame(0, key=True))
    await viewer.take()
    await viewer.ready()
    source.calls.clear()
    broadcast.want_key(viewer.stream)
    assert source.calls == ["key"], "right after the keyframe: that one may be what it misses"
    clock.now += 3.0
    broadcast.want_key(viewer.stream)
    assert source.calls == ["key", "repeat"]
    clock.now += 0.6
    broadcast.want_key(viewer.stream)
    assert source.calls == ["key", "repeat", "key"], "it asks again: it has lost the picture"
    clock.now += 3.0
    viewer.stream.path.on_loss(0.01)
    broadcast.want_key(viewer.stream)
    assert source.calls[-1] == "key", "something was lost"
    assert (broadcast.key_requests, broadcast.still_requests) == (4, 1)
    await viewer.leave()


async def test_full_chroma_is_asked_of_the_source_and_kept_from_who_cannot_decode_it() -> None:
    broadcast, source, _ = make()
    leader = Watching(broadcast, leads=True, codecs=(Codec.H264, Codec.H264_444))
    watcher = Watching(broadcast, leads=False)
    broadcast.want_crisp(leader.stream, True)
    assert source.calls == [], "it does not watch yet"
    await leader.ready()
    assert source.calls == ["h264_444", "watch"]
    assert broadcast.counters()["crisp"] == 1
    await watcher.ready()
    assert {"watch lag", "key lag"} < set(source.calls)
    source.calls.clear()
    broadcast.want_crisp(leader.stream, True)
    assert source.calls == []
    await leader.leave()
    assert "h264" in source.calls
    # One that was made before goes to nobody; the watcher is back in the leaders' place.
    broadcast.deliver(frame(0, key=True, codec=Codec.H264_444))
    plain = frame(1, key=True)
    broadcast.deliver(plain)
    assert await watcher.take() is plain
    await watcher.leave()
