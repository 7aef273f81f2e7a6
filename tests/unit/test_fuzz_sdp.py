"""Offers of browsers and answers of agents that are nearly SDP: refused in words, or edited and nothing else."""

from __future__ import annotations

import random

import pytest

from gateway.errors import BadRequest, TooLarge
from gateway.signaling.candidates import Endpoint
from gateway.signaling.sdp import MAX_LINE_BYTES, MAX_LINES, MAX_SDP_BYTES, rewrite_answer, strip_offer
from tests.fuzzing import drawn, steady, volumes
from tests.unit.test_signaling_sdp import media, sdp

REACH = [Endpoint("udp", "192.0.2.1", 3478), Endpoint("tcp", "2001:db8::1", 443)]
OURS = (" 192.0.2.1 3478 typ host", " 2001:db8::1 443 typ host")
LINES = [line.encode() + b"\r\n" for line in (*media("video"), *media("application", 0), *media("audio", ice=False))]


def texts() -> list[bytes]:
    whole = sdp(media("video"), media("audio"), media("application", ice=False))
    return [whole.encode(), whole.replace("\r\n", "\n").encode(), sdp(media("video")).encode()]


def candidates(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("a=candidate:")]


@volumes(8_000)
def test_offers_and_answers(count: int, seed: int) -> None:
    rng = random.Random(seed)
    refused = edited = 0
    with steady(count) as step:
        for number, data in enumerate(drawn(rng, texts(), count)):
            if rng.random() < 0.3:
                lines = data.split(b"\n")
                lines.insert(rng.randrange(len(lines)), rng.choice(LINES).rstrip(b"\n"))
                data = b"\n".join(lines)
            text = data.decode("utf-8", rng.choice(("replace", "surrogateescape")))
            with step(number):
                try:
                    offer, answer = strip_offer(text), rewrite_answer(text, REACH)
                except (BadRequest, TooLarge):
                    refused += 1
                    continue
            edited += 1
            assert candidates(offer) == []
            kept = iter(text.splitlines(keepends=True))
            assert all(line in kept for line in offer.splitlines(keepends=True)), "nothing added, nothing changed"
            assert all(any(ours in line for ours in OURS) for line in candidates(answer)), "and nobody else's address"
            assert strip_offer(offer) == offer
    assert min(refused, edited) > count / 10

    assert candidates(rewrite_answer(sdp(media("video")), REACH)), "and an answer still gets its candidates"


@pytest.mark.parametrize(
    "text",
    [
        "v=0\r\n" + "a=x\r\n" * (MAX_SDP_BYTES // 5 - 1),
        "v=0\r\n" + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * (MAX_LINES - 1),
        "v=0\r\n" + ("a=" + "x" * (MAX_LINE_BYTES - 3) + "\n") * 15,
        "v=0\r\n" + "a=end-of-candidates" + " \t" * 2000 + "x\r\n",
        "m" * MAX_SDP_BYTES,
        "\n" * MAX_SDP_BYTES,
        "🦀" * (MAX_SDP_BYTES // 4),
    ],
)
def test_what_is_as_large_as_may_be_is_refused_as_fast(text: str) -> None:
    with steady(2) as step:
        for number in range(2):
            with step(number), pytest.raises((BadRequest, TooLarge)):
                strip_offer(text)
