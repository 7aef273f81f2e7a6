"""HTTP/1.1 as a forward proxy needs it (RFC 9110, 9112): sans-IO, framing by h11, and stricter than h11. Pure.

Two parsers that read one message differently are what request smuggling lives on. So a head that has any second
reading (folded lines, bare CR or LF, control characters, two framings) is refused and never mended, and what is
passed on is written anew from what was understood: its own Host, its own framing, none of the hop-by-hop headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import h11

from gateway.egress.policy import Target, parse_target
from gateway.errors import ProxyRequestError, UpstreamCut

__all__ = ["MAX_HEAD_BYTES", "Answer", "Inbound", "Outbound", "Request", "connect_head", "connect_status"]

MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_ANSWER_HEAD_BYTES = 64 * 1024
READ_BYTES = 64 * 1024
END_OF_HEAD = b"\r\n\r\n"

Headers = list[tuple[bytes, bytes]]

_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ABSOLUTE = re.compile(r"http://([^/?#]*)([/?][^#]*)?", re.IGNORECASE)
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings"}
)
"""RFC 9110 7.6.1. And everything that begins with "Proxy-": it is meant for us, and would tell the next of it."""
_OURS = frozenset({b"host", b"content-length"})
"""Written anew."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: Target
    path: str
    """With its query; "" of CONNECT."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Those that go all the way; not Host, nor what frames the body."""
    length: int | None
    """Of the body in bytes; None: it is chunked."""

    @property
    def connect(self) -> bool:
        return self.method == "CONNECT"


class Inbound:
    """One request of the guest and its answer.

    Args:
        head: all up to and with the empty line.

    Raises:
        ProxyRequestError: it has no single meaning, or none that a proxy serves.
    """

    def __init__(self, head: bytes) -> None:
        _check_head(head)
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        try:
            self._h11.receive_data(head)
            event = self._h11.next_event()
        except h11.RemoteProtocolError as exc:
            raise ProxyRequestError(_plain(exc)) from None
        if not isinstance(event, h11.Request):
            raise ProxyRequestError("the request's head is incomplete")
        self.request = _understand(event)
        self._left = self.request.length
        self._complete = self._left == 0
        self.http10 = event.http_version == b"1.0"

    def wants(self) -> int:
        """How many bytes of the body may be read now; 0: it is complete."""
        if self._complete:
            return 0
        return READ_BYTES if self._left is None else min(READ_BYTES, self._left)

    def receive(self, data: bytes) -> bytes:
        """Bytes of the guest, at most wants(), to those of the body in them.

        Raises:
            ProxyRequestError: the body is not framed as the head said, or ended early (no data).
        """
        if self._left is not None:
            self._left -= len(data)
        body = bytearray()
        try:
            self._h11.receive_data(data)
            while not self._complete:
                event = self._h11.next_event()
                if isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    # A trailer is meant for whoever knows of it; RFC 9110 6.5.1 lets a proxy drop it.
                    self._complete = True
                else:
                    break
        except h11.RemoteProtocolError as exc:
            raise ProxyRequestError(_plain(exc)) from None
        return bytes(body)

    def answer(self, answer: Answer) -> bytes:
        """The head for the guest; nothing when the guest would not understand it."""
        self._settle()
        headers = _end_to_end(answer.headers)
        if answer.informational and self.http10:
            # RFC 9110 15.2
            return b""
        if answer.informational:
            return self._send(h11.InformationalResponse(status_code=answer.status, headers=headers))
        return self._send(h11.Response(status_code=answer.status, headers=headers, reason=answer.reason))

    def body(self, data: bytes) -> bytes:
        return self._send(h11.Data(data=data))

    def end(self) -> bytes:
        return self._send(h11.EndOfMessage())

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: both sides are done with this one, and agree on where it ended."""
        done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        return done and self._complete and self._h11.trailing_data == (b"", False)

    def _settle(self) -> None:
        if self._complete and self._h11.their_state is h11.SEND_BODY:
            self._h11.next_event()

    def _send(self, event: h11.Event) -> bytes:
        try:
            return self._h11.send(event) or b""
        except h11.LocalProtocolError as exc:
            # An upstream that sends more or less than it said.
            raise UpstreamCut(f"the answer is malformed: {_plain(exc)}") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an upstream's answer."""

    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    @property
    def informational(self) -> bool:
        return self.status < 200


class Outbound:
    """The same request on its way on, and what comes back.

    Args:
        request: no CONNECT.
        absolute: for a proxy: the whole URL, and ``authorization``.
        authorization: value of Proxy-Authorization; "" for none.
    """

    def __init__(self, request: Request, *, absolute: bool, authorization: str = "") -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_HEAD_BYTES)
        host = _host_field(request.target)
        headers: Headers = [(b"Host", host.encode()), *request.headers]
        if request.length is None:
            headers.append((b"Transfer-Encoding", b"chunked"))
        elif request.length or request.method in ("POST", "PUT", "PATCH"):
            headers.append((b"Content-Length", str(request.length).encode()))
        if authorization:
            headers.append((b"Proxy-Authorization", authorization.encode()))
        headers.append((b"Connection", b"close"))
        path = "" if absolute and request.path == "*" else request.path
        target = f"http://{host}{path}" if absolute else path
        self._head = self._h11.send(h11.Request(method=request.method, target=target, headers=headers)) or b""

    def head(self) -> bytes:
        return self._head

    def body(self, data: bytes) -> bytes:
        return self._h11.send(h11.Data(data=data)) or b""

    def end(self) -> bytes:
        return self._h11.send(h11.EndOfMessage()) or b""

    def receive(self, data: bytes) -> Iterable[Answer | bytes | None]:
        """Heads, bytes of the body, and None for its end; no data: the upstream has ended the connection.

        Raises:
            UpstreamCut: what came is malformed, or ended early.
        """
        try:
            self._h11.receive_data(data)
            while True:
                event = self._h11.next_event()
                if isinstance(event, h11.Response | h11.InformationalResponse):
                    yield Answer(event.status_code, bytes(event.reason), tuple(event.headers.raw_items()))
                elif isinstance(event, h11.Data):
                    yield bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    yield None
                    return
                else:
                    return
        except h11.RemoteProtocolError as exc:
            raise UpstreamCut(f"the answer ended early, or is malformed: {_plain(exc)}") from None


def connect_head(target: Target, authorization: str = "") -> bytes:
    """A CONNECT request to a proxy."""
    headers: Headers = [(b"Host", str(target).encode())]
    if authorization:
        headers.append((b"Proxy-Authorization", authorization.encode()))
    request = h11.Request(method="CONNECT", target=str(target), headers=headers)
    return h11.Connection(h11.CLIENT).send(request) or b""


def connect_status(head: bytes) -> int:
    """The status of a proxy's answer to CONNECT; below 200 another follows. Raises UpstreamCut when it is none."""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_HEAD_BYTES)
    reader.send(h11.Request(method="CONNECT", target="a:1", headers=[("Host", "a:1")]))
    try:
        reader.receive_data(head)
        event = reader.next_event()
    except h11.RemoteProtocolError as exc:
        raise UpstreamCut(f"the upstream's answer to CONNECT is malformed: {_plain(exc)}") from None
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        raise UpstreamCut("the upstream's answer to CONNECT is incomplete")
    return event.status_code


def _check_head(head: bytes) -> None:
    if len(head) > MAX_HEAD_BYTES:
        raise ProxyRequestError(f"the request's head is longer than {MAX_HEAD_BYTES} bytes")
    if not head.endswith(END_OF_HEAD):
        raise ProxyRequestError("the request's head is incomplete")
    lines = head.removesuffix(END_OF_HEAD).split(b"\r\n")
    if len(lines) > MAX_HEADERS + 1:
        raise ProxyRequestError(f"the request has more than {MAX_HEADERS} headers")
    for line in lines:
        if _CONTROLS.search(line):
            raise ProxyRequestError("the request's head has control characters, or lines that end in CR or LF alone")
        if not line:
            raise ProxyRequestError("the request's head begins with an empty line")
        if line[:1] in (b" ", b"\t"):
            raise ProxyRequestError("the request's head has a folded line")


def _understand(event: h11.Request) -> Request:
    if event.http_version not in (b"1.0", b"1.1"):
        raise ProxyRequestError("this proxy speaks HTTP 1.0 and 1.1")
    method = event.method.decode("ascii")
    target = event.target.decode("ascii")
    length = _length(event)
    headers = tuple((name, value) for name, value in _end_to_end(event.headers.raw_items(), _OURS))
    if method == "CONNECT":
        if length != 0:
            raise ProxyRequestError("CONNECT has no body")
        return Request(method, parse_target(target), "", headers, 0)
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        if target.lower().startswith("https://"):
            raise ProxyRequestError("https is reached by CONNECT")
        raise ProxyRequestError("this is a forward proxy: it takes http:// URLs and CONNECT")
    authority, path = found[1], found[2] or ""
    if "@" in authority:
        raise ProxyRequestError("the URL has a user name in it")
    if not path.startswith("/"):
        # RFC 9112 3.2.1 and 3.2.4
        path = "*" if method == "OPTIONS" and not path else f"/{path}"
    return Request(method, parse_target(authority, default_port=80), path, headers, length)


def _length(event: h11.Request) -> int | None:
    lengths = [value for name, value in event.headers.raw_items() if name.lower() == b"content-length"]
    chunked = any(name == b"transfer-encoding" for name, _ in event.headers)
    if chunked and (lengths or event.http_version < b"1.1"):
        # RFC 9112 6.1: the mark of request smuggling.
        raise ProxyRequestError("the request's body is framed in two ways")
    return None if chunked else int(lengths[0]) if lengths else 0


def _end_to_end(headers: Iterable[tuple[bytes, bytes]], besides: frozenset[bytes] = frozenset()) -> Headers:
    """Without what is meant for the next hop alone, and without a length beside chunks."""
    given = list(headers)
    named = {
        word.strip().lower() for name, value in given if name.lower() == b"connection" for word in value.split(b",")
    }
    chunked = any(name.lower() == b"transfer-encoding" for name, _ in given)
    gone = _HOP_BY_HOP | besides | (named - _OURS) | ({b"content-length"} if chunked else set())
    return [
        (name, value)
        for name, value in given
        if name.lower() not in gone and not name.lower().startswith(b"proxy-")
    ]  # fmt: skip


def _host_field(target: Target) -> str:
    text = str(target)
    return text.removesuffix(":80") if target.port == 80 else text


def _plain(exc: Exception) -> str:
    """h11's words without what it quotes of the message."""
    return str(exc).partition(":")[0].partition(" {")[0][:120]
