"""Access units from packets that come in any order, twice, or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.probe.assemble import MAX_WAITING, Assembler, Unit

KEY = b"\0\0\0\1\x67"
DELTA = b"\0\0\0\1\x41"

Packet = tuple[int, int, bool, bytes]


def packets(start: int, frames: list[int], first: bytes = KEY) -> list[Packet]:
    """Frames of so many packets each."""
    made: list[Packet] = []
    for number, count in enumerate(frames):
        for part in range(count):
            head = (first if number == 0 else DELTA) if part == 0 else b""
            data = head + bytes([number % 256, part])
            made.append(((start + len(made)) % 65536, number, part == count - 1, data))
    return made


def units(of: list[Packet]) -> list[Unit]:
    found: dict[int, bytes] = {}
    for _, timestamp, _, data in of:
        found[timestamp] = found.get(timestamp, b"") + data
    return [Unit(timestamp, data) for timestamp, data in found.items()]


@given(st.integers(0, 65535), st.lists(st.integers(1, 4), min_size=1, max_size=12), st.randoms())
def test_order_and_doubles_change_nothing(start: int, frames: list[int], dice: st.DataObject) -> None:
    sent = packets(start, frames)
    later = [*sent[1:], *sent[:3]]
    dice.shuffle(later)  # type: ignore[attr-defined]
    assembler, found = Assembler(), []
    for packet in [sent[0], *later]:
        found += assembler.add(*packet)
    assert found == units(sent)
    assert assembler.gave_up == 0


def test_a_unit_is_out_with_its_last_packet() -> None:
    assembler = Assembler()
    first, last = packets(7, [2])
    assert assembler.add(*first) == []
    assert assembler.add(*last) == units([first, last])


def test_nothing_builds_on_what_was_lost() -> None:
    assembler = Assembler()
    sent = packets(0, [1] * (MAX_WAITING + 3))
    assert len(assembler.add(*sent[0])) == 1
    for packet in sent[2:]:
        assert assembler.add(*packet) == []
    assert assembler.gave_up == 1
    after = packets(2000, [1, 1], first=DELTA)
    assert [unit for packet in after for unit in assembler.add(*packet)] == []
    key = packets(2002, [1, 1])
    assert [unit for packet in key for unit in assembler.add(*packet)] == units(key)


def test_a_stream_begins_with_a_keyframe() -> None:
    assembler = Assembler()
    assert [assembler.add(*packet) for packet in packets(5, [1, 2], first=DELTA)] == [[], [], []]
