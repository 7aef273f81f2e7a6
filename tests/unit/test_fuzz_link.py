"""What a guest says: lines of the agent link, heads of its services. What is broken is counted, the rest is text."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from typing import Any

import pytest

from gateway.errors import GuestError
from gateway.signaling.whep import _read_result
from gateway.vm.link import StreamLink
from guest_agent.protocol.link import MAX_LINE_BYTES
from guest_agent.protocol.rpc import BadLine, Failure, LineDecoder, Notification, Request, Result, encode
from guest_agent.protocol.stream import BadHead, decode_head, encode_head, parts_of
from tests.fuzzing import drawn, nearly_json, pieces, steady, volumes

HELLO = {
    "protocol": 1, "version": "1", "boot_id": "0" * 36, "uptime_s": 1.5, "state": "running",
    "agent": {"state": "up", "pid": 42}, "control": {"peer": "p1", "viewer": "0" * 32},
    "peers": [
        {"peer": "p1", "role": "control", "viewer": "0" * 32, "connected": True, "ufrag": "u" * 8, "pwd": "p" * 22,
         "port": 4},
    ],
}  # fmt: skip
MESSAGES: list[Request | Notification | Result | Failure] = [
    Result(0, HELLO),
    Notification("hello", HELLO),
    Notification("desktop", {"windows": ["Xfce4-panel", "ß🦀", 'a"\\']}),
    Notification("peer", {"peer": "p1", "state": "connected", "reason": ""}),
    Failure(3, -32001, "not yet\n"),
    Request(9, "exec", {"argv": ["ls"]}),
]
HEADS: list[dict[str, Any]] = [
    {"size": 9, "start": 0, "length": 9, "mtime_ns": 1_700_000_000 * 10**9, "kind": "file"},
    {"error": "not-found", "message": "there is no such file"},
    {"digest": "0" * 32, "kind": "png", "length": 100, "copied": True},
    {"op": "read", "path": "Downloads/ß", "start": -3, "stop": None},
]


def lines(rng: random.Random, valid: list[bytes], count: int) -> list[bytes]:
    """Half of them changed as bytes, half as JSON."""
    documents = [json.loads(line) for line in valid]
    made = [json.dumps(nearly_json(rng, rng.choice(documents))).encode() + b"\n" for _ in range(count // 2)]
    return [*drawn(rng, valid, count - len(made)), *made]


@volumes(12_000)
def test_lines(count: int, seed: int) -> None:
    rng = random.Random(seed)
    inputs = lines(rng, [encode(message) for message in MESSAGES], count)
    bad = good = 0
    with steady(count) as step:
        for number, data in enumerate(inputs):
            at_once, by_piece = LineDecoder(), LineDecoder()
            with step(number):
                found = at_once.feed(data + b"\n")
                later = [message for piece in pieces(rng, data + b"\n") for message in by_piece.feed(piece)]
            assert found == later
            for message in found:
                bad += isinstance(message, BadLine)
                if not isinstance(message, BadLine):
                    good += 1
                    # All of it can be written: into a view, the store, the log.
                    json.dumps(vars_of(message), ensure_ascii=False, allow_nan=False).encode()
            assert len(by_piece._buffer) <= MAX_LINE_BYTES
    assert min(bad, good) > count / 10
    assert LineDecoder().feed(encode(MESSAGES[0])) == [MESSAGES[0]]


def test_lines_cut_at_every_place() -> None:
    whole = b"".join(encode(message) for message in MESSAGES)
    for at in range(len(whole) + 1):
        decoder = LineDecoder()
        assert [*decoder.feed(whole[:at]), *decoder.feed(whole[at:])] == MESSAGES


def vars_of(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__slots__}


@pytest.mark.parametrize("text", [b"\\ud800", b"\\uDfff", b"\\udead\\ud83e", b"x\\\\\\ud83e!"])
@pytest.mark.parametrize(
    "where", [b'"method":"%s"', b'"method":"x","params":{"%s":1}', b'"method":"x","params":{"a":["%s"]}']
)
def test_half_a_pair_is_no_text(text: bytes, where: bytes) -> None:
    line = b'{"jsonrpc":"2.0",' + where % text + b"}\n"
    assert LineDecoder().feed(line) == [BadLine("not JSON")]
    assert isinstance(LineDecoder().feed(line.replace(text, b"\\ud83e\\udd80"))[0], Notification)


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999", b"-1e999"])
def test_what_is_no_number_is_none(number: bytes) -> None:
    line = b'{"jsonrpc":"2.0","method":"x","params":{"a":[%s]}}\n'
    assert LineDecoder().feed(line % number) == [BadLine("not JSON")]
    with pytest.raises(BadHead):
        decode_head(b'{"a":%s}\n' % number)


@volumes(6_000)
def test_heads_and_paths(count: int, seed: int) -> None:
    rng = random.Random(seed)
    bad = good = 0
    with steady(count) as step:
        for number, data in enumerate(lines(rng, [encode_head(head) for head in HEADS], count)):
            with step(number):
                try:
                    head = decode_head(data)
                    parts = parts_of(head.get("path", ""))
                except BadHead:
                    bad += 1
                    continue
            good += 1
            assert encode_head(head)
            assert not {"", ".", ".."} & set(parts)
            assert not any("/" in part or "\0" in part for part in parts)
    assert min(bad, good) > count / 10


@volumes(4_000)
def test_answers_to_offers(count: int, seed: int) -> None:
    """A guest's credentials either are of the shape that the relay takes, or are refused."""
    rng = random.Random(seed)
    valid = {"sdp": "v=0\r\n", "ufrag": "abcdEFGH", "pwd": "p" * 22, "port": 40_000}
    refused = 0
    with steady(count) as step:
        for number in range(count):
            result = nearly_json(rng, valid)
            with step(number):
                try:
                    ice, sdp = _read_result(result if isinstance(result, dict) else {})
                except GuestError:
                    refused += 1
                    continue
            assert isinstance(sdp, str)
            assert ice.ufrag.isascii()
            assert len(ice.ufrag) >= 8
            assert len(ice.pwd) >= 22
            assert 0 < ice.guest_port < 65536
    assert count / 4 < refused < count


async def test_a_link_that_was_fed_all_of_it_still_carries_a_call() -> None:
    rng = random.Random(20)
    ours, theirs = socket.socketpair()
    link = StreamLink(*await asyncio.open_connection(sock=ours), name="k3x9a2bq", max_events=4)
    reader, writer = await asyncio.open_connection(sock=theirs)
    link.start()
    fed = lines(rng, [encode(message) for message in MESSAGES], 2_000)
    for data in fed:
        for piece in pieces(rng, data):
            writer.write(piece)
        await writer.drain()
    # What came last may be half a line.
    writer.write(b"\n")
    calling = asyncio.create_task(link.call("exec", {}))
    request = LineDecoder().feed(await reader.readline())[0]
    assert isinstance(request, Request)
    writer.write(encode(Result(request.id, {"code": 0})))
    assert await calling == {"code": 0}
    assert link.events.qsize() <= 4
    assert link.counters.bad_lines > len(fed) / 10
    assert link.counters.stale_answers > len(fed) / 50
    await link.close()
    writer.close()
