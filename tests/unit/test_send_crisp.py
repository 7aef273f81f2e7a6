"""When the leaders' encode has full chroma, and that nobody is given what it cannot decode."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guest_agent.rate import MAX_BPS
from guest_agent.rungs import LAG, MAIN, Rungs
from guest_agent.videocodec import Codec

BOTH = (Codec.H264, Codec.H264_444)
PLAIN = (Codec.H264,)
VP8 = (Codec.VP8,)


def carried(*viewers: str) -> dict[str, float]:
    return dict.fromkeys(viewers, float(MAX_BPS))


def chosen(rungs: Rungs[str], *viewers: str) -> tuple[Codec, Codec]:
    """MAIN's codec and LAG's, once it is settled for all of ``viewers``."""
    rungs.update(carried(*viewers), 0.0)
    return rungs.codec(MAIN), rungs.codec(LAG)


def test_who_leads_gets_it_when_it_asks_and_not_before() -> None:
    rungs: Rungs[str] = Rungs()
    rungs.leader = "leader"
    rungs.add("leader", codecs=BOTH)
    assert chosen(rungs, "leader")[MAIN] is Codec.H264
    rungs.ask("leader", crisp=True)
    assert chosen(rungs, "leader")[MAIN] is Codec.H264_444
    rungs.ask("leader", crisp=False)
    assert chosen(rungs, "leader")[MAIN] is Codec.H264


def test_who_only_looks_asks_in_vain_while_another_leads() -> None:
    rungs: Rungs[str] = Rungs()
    rungs.add("watcher", codecs=BOTH, crisp=True)
    assert chosen(rungs, "watcher")[MAIN] is Codec.H264_444
    rungs.leader = "leader"
    rungs.add("leader", codecs=BOTH)
    assert chosen(rungs, "watcher", "leader")[MAIN] is Codec.H264
    rungs.ask("leader", crisp=True)
    assert chosen(rungs, "watcher", "leader")[MAIN] is Codec.H264_444
    assert rungs.on(MAIN) == ["watcher", "leader"], "it shares what it can decode"


def test_a_leader_who_cannot_decode_it_is_not_sent_to_the_second_encode() -> None:
    rungs: Rungs[str] = Rungs()
    rungs.add("asks", codecs=BOTH, crisp=True)
    assert chosen(rungs, "asks")[MAIN] is Codec.H264_444
    rungs.add("other", codecs=PLAIN)
    assert chosen(rungs, "asks", "other")[MAIN] is Codec.H264
    rungs.remove("other")
    assert chosen(rungs, "asks")[MAIN] is Codec.H264_444


def test_a_watcher_who_cannot_decode_it_has_the_second_encode_as_long_as_it_lasts() -> None:
    rungs: Rungs[str] = Rungs()
    rungs.leader = "leader"
    rungs.add("leader", codecs=BOTH)
    rungs.add("watcher", codecs=PLAIN)
    both = carried("leader", "watcher")
    assert rungs.update(both, 0.0) == []
    rungs.ask("leader", crisp=True)
    assert rungs.update(both, 1.0) == ["watcher"]
    assert (rungs.codec(MAIN), rungs.codec(LAG)) == (Codec.H264_444, Codec.H264)
    rungs.remove("leader")
    assert rungs.update(carried("watcher"), 2.0) == ["watcher"]
    assert (rungs.codec(MAIN), rungs.on(MAIN)) == (Codec.H264, ["watcher"])


def test_three_formats_are_one_too_many() -> None:
    rungs: Rungs[str] = Rungs()
    rungs.leader = "leader"
    rungs.add("leader", codecs=BOTH, crisp=True)
    rungs.add("old", codecs=VP8)
    assert chosen(rungs, "leader", "old") == (Codec.H264_444, Codec.VP8)
    rungs.add("plain", codecs=PLAIN)
    assert chosen(rungs, "leader", "old", "plain") == (Codec.H264, Codec.VP8)


def test_who_lags_behind_a_crisp_picture_gets_a_plain_one() -> None:
    rungs: Rungs[str] = Rungs()
    rungs.leader = "leader"
    rungs.add("leader", codecs=BOTH, crisp=True)
    rungs.add("watcher", codecs=BOTH)
    assert rungs.update({"leader": MAX_BPS, "watcher": 1e6}, 0.0) == ["watcher"]
    assert rungs.codec(LAG) is Codec.H264


Viewer = tuple[bool, tuple[Codec, ...], bool, float]


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([BOTH, PLAIN, VP8]), st.booleans(), st.floats(3e5, 2e7)),
        min_size=1,
        max_size=6,
    ),
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=6),
)
def test_everybody_can_decode_its_own_rung(viewers: list[Viewer], wishes: list[tuple[int, bool]]) -> None:
    rungs: Rungs[int] = Rungs()
    for i, (leads, codecs, crisp, _) in enumerate(viewers):
        rungs.leader = i if leads else rungs.leader
        rungs.add(i, codecs=codecs, crisp=crisp)
    targets = {i: bps for i, (*_, bps) in enumerate(viewers)}
    for step, (who, crisp) in enumerate([(0, viewers[0][2]), *wishes]):
        if who in targets:
            rungs.ask(who, crisp=crisp)
        rungs.update(targets, float(step))
        assert rungs.waits_for(MAIN)
        assert not rungs.codec(LAG).full_chroma
        for i, (_, codecs, *_) in enumerate(viewers):
            assert rungs.codec(rungs.rung(i)) in codecs
