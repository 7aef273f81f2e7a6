"""The two edits the gateway makes to SDP (RFC 8866): candidates, and nothing else. Pure.

From the offer every candidate of the browser goes: the guest can reach none of them, and an mDNS name costs
its ICE agent a second of waiting. In the answer the agent's private candidates become the gateway's public
ones. Everything else keeps its bytes, line ends included.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from gateway.errors import BadRequest, TooLarge
from gateway.signaling.candidates import Endpoint, candidate_lines

__all__ = ["MAX_LINES", "MAX_LINE_BYTES", "MAX_SDP_BYTES", "rewrite_answer", "strip_offer"]

MAX_SDP_BYTES = 64 * 1024
MAX_LINE_BYTES = 4096
MAX_LINES = 2000
"""A browser that offers every codec it knows sends about 300."""

# RFC 8866 9 allows no control character; a lone CR, VT, FF, NEL or LS would be a line end to some parsers only.
_FOREIGN = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f\x85\u2028\u2029]|\r(?!\n)")
_LINE = re.compile(r"[a-z]=.*\r?\n?")
_CANDIDATE = re.compile(r"a=(candidate:|end-of-candidates[ \t]*\r?\n?\Z)")
_MEDIA = re.compile(r"(m=\S+ )(\d{1,5})((?:/\d+)? \S.*)", re.DOTALL)
_HINT = "Send the SDP of RTCPeerConnection.createOffer() as it is."


def strip_offer(sdp: str) -> str:
    """The offer without a=candidate and a=end-of-candidates.

    Raises TooLarge, or BadRequest for what is not a WebRTC offer: no v=0, no m= line, no ice-ufrag, no
    ice-pwd, no fingerprint.
    """
    return "".join(line for section in _sections(sdp) for line in section if not _CANDIDATE.match(line))


def rewrite_answer(sdp: str, reach: Sequence[Endpoint]) -> str:
    """The answer with the gateway's candidates for the agent's.

    Every m= section in use that has its own ice-ufrag gets them (sections of one BUNDLE share a transport, and
    an agent repeats its candidates on each); its m= port and its c= line become those of the first.

    Args:
        reach: best first; at least one.

    Raises TooLarge and BadRequest as :func:`strip_offer`.
    """
    session, *media = _sections(sdp)
    newline = "\r\n" if session[0].endswith("\r\n") else "\n"
    added = [line + newline for line in candidate_lines(reach)]
    connection = f"c={_connection(reach[0].address)}{newline}"
    # A session-level c= stands for every section without its own.
    out = _without_candidates(session, connection)
    has_session_ufrag = _has(session, "a=ice-ufrag:")
    for section in media:
        out += _rewrite_section(section, added, connection, reach[0].port, newline, has_session_ufrag)
    return "".join(out)


def _rewrite_section(
    section: list[str], added: list[str], connection: str, port: int, newline: str, has_session_ufrag: bool
) -> list[str]:
    match = _MEDIA.fullmatch(section[0])
    if match is None or int(match[2]) == 0:
        return [section[0], *_without_candidates(section[1:], None)]
    lines = [f"{match[1]}{port}{match[3]}", *_without_candidates(section[1:], connection)]
    if has_session_ufrag or _has(section, "a=ice-ufrag:"):
        if not lines[-1].endswith("\n"):
            lines[-1] += newline
        lines += added
    return lines


def _without_candidates(lines: list[str], connection: str | None) -> list[str]:
    """The lines but for candidates; ``connection``, when given, in place of each c= line."""
    kept = (line for line in lines if not _CANDIDATE.match(line))
    return [connection if connection and line.startswith("c=") else line for line in kept]


def _connection(address: str) -> str:
    return f"IN IP{ipaddress.ip_address(address).version} {address}"


def _sections(sdp: str) -> list[list[str]]:
    """Lines with their ends, the session's first and then each m= section's; what is not WebRTC is refused."""
    if len(sdp) > MAX_SDP_BYTES or len(sdp.encode("utf-8", "surrogatepass")) > MAX_SDP_BYTES:
        raise TooLarge(f"The SDP is longer than {MAX_SDP_BYTES} bytes.")
    if _FOREIGN.search(sdp):
        raise BadRequest("The SDP holds control characters.", hint=_HINT)
    lines = sdp.split("\n")
    lines = [line + "\n" for line in lines[:-1]] + lines[-1:] if lines[-1] else [line + "\n" for line in lines[:-1]]
    if not lines or lines[0].rstrip("\r\n") != "v=0":
        raise BadRequest("This is not SDP: it does not start with v=0.", hint=_HINT)
    if len(lines) > MAX_LINES:
        raise TooLarge(f"The SDP has more than {MAX_LINES} lines.")
    sections: list[list[str]] = [[]]
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_BYTES:
            raise TooLarge(f"Line {number} of the SDP is longer than {MAX_LINE_BYTES} characters.")
        if not _LINE.fullmatch(line):
            raise BadRequest(f"Line {number} is not SDP.", hint=_HINT)
        if line.startswith("m="):
            if not _MEDIA.fullmatch(line):
                raise BadRequest(f"Line {number} is not an m= line.", hint=_HINT)
            sections.append([])
        sections[-1].append(line)
    _check_webrtc(sections)
    return sections


def _check_webrtc(sections: list[list[str]]) -> None:
    """One section in use that can carry a DTLS transport; those bundled with it need nothing (RFC 9429 5.2.1)."""
    session, *media = sections
    if not media:
        raise BadRequest("The SDP has no m= line.", hint=_HINT)
    used = [section for section in media if _in_use(section)]
    if not used:
        raise BadRequest("Every m= line of the SDP is rejected.", hint=_HINT)
    for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
        if not any(_has(section, f"a={name}:") for section in (session, *used)):
            raise BadRequest(f"The SDP has no {name}.", hint=_HINT)


def _in_use(section: list[str]) -> bool:
    """A section with port 0 is rejected, unless it rides on another's transport (RFC 8843 6)."""
    match = _MEDIA.fullmatch(section[0])
    return match is not None and (int(match[2]) != 0 or _has(section, "a=bundle-only"))


def _has(section: list[str], prefix: str) -> bool:
    return any(line.startswith(prefix) for line in section)
