"""Offers lose their candidates and nothing else; answers get the gateway's."""

from __future__ import annotations

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, TooLarge
from gateway.signaling.candidates import Endpoint
from gateway.signaling.sdp import MAX_LINE_BYTES, MAX_SDP_BYTES, rewrite_answer, strip_offer

FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
CANDIDATES = [
    "a=candidate:1 1 udp 2113937151 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 typ host generation 0",
    "a=candidate:2 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active",
    "a=end-of-candidates",
]


def sdp(*sections: list[str], newline: str = "\r\n", session: tuple[str, ...] = ()) -> str:
    head = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", *session]
    return "".join(line + newline for line in [*head, *(line for section in sections for line in section)])


def media(kind: str, port: int = 9, *, ice: bool = True, candidates: bool = True) -> list[str]:
    transport = ["a=ice-ufrag:abcdefgh", "a=ice-pwd:" + "p" * 24, FINGERPRINT, "a=setup:actpass"] if ice else []
    return [
        f"m={kind} {port} UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        *(CANDIDATES if candidates else []),
        *transport,
        "a=mid:0",
        "a=x-candidate:stays",
        "a=rtpmap:96 H264/90000",
    ]


def udp(*addresses: str) -> list[Endpoint]:
    return [Endpoint("udp", address, 3478) for address in addresses]


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_strip_takes_candidates_and_keeps_the_rest_byte_for_byte(newline: str) -> None:
    offer = sdp(media("video"), media("application"), newline=newline, session=("a=candidate:0 session level",))
    expected = sdp(media("video", candidates=False), media("application", candidates=False), newline=newline)
    assert strip_offer(offer) == expected
    assert strip_offer(expected) == expected


def test_strip_keeps_a_last_line_without_its_end() -> None:
    offer = sdp(media("video"))[:-2]
    assert strip_offer(offer) == sdp(media("video", candidates=False))[:-2]
    assert strip_offer(offer + "\r\na=end-of-candidates") == sdp(media("video", candidates=False))


def test_credentials_may_stand_on_the_session_or_on_one_bundled_section() -> None:
    on_session = ("a=ice-ufrag:abcdefgh", "a=ice-pwd:" + "p" * 24, FINGERPRINT)
    assert strip_offer(sdp(media("video", ice=False), session=on_session))
    bundled = [*media("audio", 0, ice=False, candidates=False), "a=bundle-only"]
    assert strip_offer(sdp(media("video"), bundled))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=0",
        "{}",
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
        sdp(),
        sdp(media("video", ice=False)),
        sdp(media("video", 0)),
        *(sdp([line for line in media("video") if name not in line]) for name in ("ufrag", "ice-pwd", "fingerprint")),
        sdp(["m=video nine UDP/TLS/RTP/SAVPF 96", *media("video")[1:]]),
        sdp(media("video")).replace("s=-", "hello"),
        sdp(media("video")).replace("s=-", "s=\x00"),
        sdp(media("video")).replace("s=-", "s=x\ra=candidate:hidden"),
        sdp(media("video")).replace("s=-", "s=x\u2028a=candidate:hidden"),
        sdp(media("video")).replace("s=-", "s=x\x85a=candidate:hidden"),
        sdp(media("video")).replace("s=-", "s=x\x0ba=candidate:hidden"),
        "\r\n" + sdp(media("video")),
    ],
)
def test_nonsense_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        strip_offer(text)


@pytest.mark.parametrize(
    "added",
    ["a=" + "x" * MAX_LINE_BYTES, "\r\n".join(["a=x"] * 3000), "\r\n".join(["a=" + "\u3042" * 500] * 44)],
)
def test_too_much_is_too_large(added: str) -> None:
    text = sdp([*media("video"), added])
    with pytest.raises(TooLarge):
        strip_offer(text)
    with pytest.raises(TooLarge):
        strip_offer("v" * (MAX_SDP_BYTES + 1))


def test_the_answer_names_the_gateway_only() -> None:
    answer = sdp(media("video", 41234), media("application", 41234))
    rewritten = rewrite_answer(answer, udp("203.0.113.7", "2001:db8::7"))
    parsed = SessionDescription.parse(rewritten)
    assert len(parsed.media) == 2
    for section in parsed.media:
        assert section.port == 3478
        assert section.host == "203.0.113.7"
        assert section.ice_candidates_complete
        found = [(c.ip, c.port, c.protocol, c.type, c.component) for c in section.ice_candidates]
        assert found == [("203.0.113.7", 3478, "udp", "host", 1), ("2001:db8::7", 3478, "udp", "host", 1)]
        first, second = section.ice_candidates
        assert first.priority > second.priority > 0
        assert first.foundation != second.foundation
        assert section.ice is not None
        assert section.ice.usernameFragment == "abcdefgh"
    assert "192.0.2.9" not in rewritten
    untouched = [line for line in answer.split("\r\n") if not line.startswith(("m=", "c=", "a=candidate", "a=end"))]
    assert [line for line in rewritten.split("\r\n") if line in untouched] == untouched


def test_an_answer_over_v6_first() -> None:
    rewritten = rewrite_answer(sdp(media("video", 41234)), udp("2001:db8::7"))
    assert "c=IN IP6 2001:db8::7\r\n" in rewritten
    assert "0.0.0.0" not in rewritten.replace("a=rtcp:9 IN IP4 0.0.0.0", "")


def test_rejected_and_bundled_sections_get_no_candidates() -> None:
    rejected = media("audio", 0)
    bundled = media("application", 41234, ice=False)
    rewritten = rewrite_answer(sdp(media("video", 41234), rejected, bundled), udp("203.0.113.7"))
    parsed = SessionDescription.parse(rewritten)
    assert [section.port for section in parsed.media] == [3478, 0, 3478]
    assert [len(section.ice_candidates) for section in parsed.media] == [1, 0, 0]


def test_an_answer_whose_last_line_has_no_end() -> None:
    rewritten = rewrite_answer(sdp(media("video", 41234), newline="\n")[:-1], udp("203.0.113.7"))
    assert rewritten.endswith("a=rtpmap:96 H264/90000\n" + rewritten[rewritten.index("a=candidate") :])


ANY_LINE = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(ANY_LINE, max_size=20))
def test_any_text_gives_an_sdp_or_a_request_error(lines: list[str]) -> None:
    text = "\r\n".join([*sdp(media("video")).split("\r\n")[:-1], *lines])
    try:
        stripped = strip_offer(text)
    except (BadRequest, TooLarge):
        return
    assert "a=candidate:" not in stripped.split("\n")
    assert all(line in text for line in stripped.split("\n"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_noise_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        strip_offer(text)
