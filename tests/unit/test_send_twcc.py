"""Transport-wide feedback: parsed as the draft says, whoever wrote it, and joined with what was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.twcc import MalformedFeedback, SendHistory, parse
from tests.twcc_feedback import FeedbackGenerator


def test_a_message_as_a_browser_sends_it() -> None:
    """Run length chunk, one-bit and two-bit vectors, small, large and negative deltas (draft 3.1)."""
    fci = bytes.fromhex(
        "fffe 0014 00002a 07"  # from 65534, 20 packets, reference 42
        "2003"  # run: 3 arrived with small deltas
        "a000"  # one bit each: arrived, then 13 that did not... the first of 14 is set
        "d280"  # two bits each: 1 0 2 2 0 0 0, of which 3 count
        "04 08 00"  # 1 ms, 2 ms, 0 ms
        "ff"  # 63.75 ms
        "01 fffc 0400"  # 0.25 ms, minus 1 ms, 256 ms
        "0000"
    )
    feedback = parse(fci)
    assert feedback.reference == 42
    assert [seq for seq, _ in feedback.arrivals] == [(65534 + i) & 0xFFFF for i in range(20)]
    came = {i: at for i, (_, at) in enumerate(feedback.arrivals) if at is not None}
    assert came == pytest.approx({0: 0.001, 1: 0.003, 2: 0.003, 3: 0.06675, 17: 0.067, 19: 0.066})


@pytest.mark.parametrize(
    "fci",
    [
        b"",
        bytes(7),
        bytes.fromhex("0000 0001 000000 00"),  # no chunk
        bytes.fromhex("0000 0001 000000 00 2001"),  # no delta
        bytes.fromhex("0000 0001 000000 00 4001 00"),  # half a delta
        bytes.fromhex("0000 0001 000000 00 6001 0000"),  # the reserved symbol
        bytes.fromhex("0000 0001 000000 00 2000 0000"),  # an empty run
        bytes.fromhex("0000 ffff 000000 00 1fff 1fff"),  # more than is ever sent
    ],
)
def test_what_is_no_message(fci: bytes) -> None:
    with pytest.raises(MalformedFeedback):
        parse(fci)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(fci: bytes) -> None:
    history = SendHistory()
    for _ in range(50):
        history.sent(100, 1.0)
    try:
        feedback = parse(fci)
    except MalformedFeedback:
        return
    assert len(history.take(feedback)) <= 50


@given(
    st.integers(0, 0xFFFF),
    st.lists(st.tuples(st.integers(1, 5), st.floats(0, 0.2)), min_size=1, max_size=60),
    st.floats(0, 1e6),
)
def test_what_a_receiver_tells_is_what_is_understood(
    first: int, steps: list[tuple[int, float]], origin: float
) -> None:
    generator = FeedbackGenerator()
    number, now, told = first, origin + 10, {}
    for ahead, wait_s in steps:
        number, now = number + ahead, now + wait_s
        generator.arrived(number & 0xFFFF, now)
        told[number & 0xFFFF] = now
    message = generator.message()
    assert message is not None
    assert len(message) % 4 == 0
    feedback = parse(message)
    base = feedback.reference * 0.064
    seen = {seq: at for seq, at in feedback.arrivals if at is not None}
    assert set(seen) == set(told)
    wrap = (1 << 24) * 0.064
    for seq, at in seen.items():
        assert (told[seq] - base - at + wrap / 2) % wrap - wrap / 2 == pytest.approx(0, abs=0.0003)
    assert generator.message() is None


def test_the_history_joins_numbers_with_what_was_sent() -> None:
    history, generator = SendHistory(), FeedbackGenerator()
    sent = [history.sent(100 + i, i * 0.01) for i in range(5)]
    assert sent == [0, 1, 2, 3, 4]
    assert history.unacknowledged_bytes == 510
    for seq in (0, 1, 3):
        generator.arrived(seq, 50 + seq * 0.01)
    message = generator.message()
    assert message is not None
    arrivals = history.take(parse(message))
    assert [(a.size_bytes, a.arrived_s is None, a.late) for a in arrivals] == [
        (100, False, False),
        (101, False, False),
        (102, True, False),
        (103, False, False),
    ]
    came = [a.arrived_s for a in arrivals if a.arrived_s is not None]
    assert [at - came[0] for at in came] == pytest.approx([0, 0.01, 0.03])
    assert history.unacknowledged_bytes == 104
    assert history.take(parse(message)) == [], "a repeated message tells nothing new"


def test_a_packet_that_was_missing_and_comes_late_says_so() -> None:
    history = SendHistory()
    history.sent(100, 0.0)
    history.sent(100, 0.0)
    missing = parse(bytes.fromhex("0000 0002 000001 00 a000 00 00"))
    assert [a.arrived_s is None for a in history.take(missing)] == [False, True]
    late = parse(bytes.fromhex("0001 0001 000001 01 2001 08 00"))
    (arrival,) = history.take(late)
    assert arrival.late
    assert arrival.arrived_s == pytest.approx(0.002)


def test_numbers_and_the_receivers_clock_wrap() -> None:
    history = SendHistory()
    seq = [history.sent(10, 1.0) for _ in range(70_000)][-1]
    assert seq == 70_000 - 65_536 - 1
    last = (seq & 0xFFFF).to_bytes(2, "big")
    before = (seq - 1 & 0xFFFF).to_bytes(2, "big")
    (one,) = history.take(parse(before + bytes.fromhex("0001 ffffff 00 2001 00 00")))
    (two,) = history.take(parse(last + bytes.fromhex("0001 000000 01 2001 00 00")))
    assert one.arrived_s is not None
    assert two.arrived_s is not None
    assert two.arrived_s - one.arrived_s == pytest.approx(0.064)
    assert len(history._sent) == 8192
