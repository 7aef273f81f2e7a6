"""Requests to a forward proxy: what is understood, what is passed on, and all that is refused."""

from __future__ import annotations

import pytest

from gateway.egress.http1 import MAX_HEAD_BYTES, Answer, Inbound, Outbound, connect_head, connect_status
from gateway.egress.policy import Target
from gateway.errors import EgressError, ProxyRequestError, UpstreamCut


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, *headers, "", ""]).encode("latin-1")


def test_connect() -> None:
    request = Inbound(head("CONNECT A.Example:443 HTTP/1.1", "Host: a.example:443")).request
    assert (request.connect, request.target) == (True, Target("a.example", 443))
    assert Inbound(head("CONNECT a.example:443 HTTP/1.0")).request.connect


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://a.example/x?y=1", "/x?y=1"),
        ("http://a.example", "/"),
        ("HTTP://a.example:80?q", "/?q"),
        ("http://a.example//b", "//b"),
    ],
)
def test_a_plain_request_goes_on_as_what_was_understood(url: str, path: str) -> None:
    inbound = Inbound(head(f"GET {url} HTTP/1.1", "Host: other.example", "Accept: */*", "X-Y: z"))
    assert inbound.request.target == Target("a.example", 80)
    plain = Outbound(inbound.request, absolute=False).head()
    assert plain == head(f"GET {path} HTTP/1.1", "Host: a.example", "Accept: */*", "X-Y: z", "Connection: close")
    proxied = Outbound(inbound.request, absolute=True, authorization="Basic eHk=").head()
    assert proxied.startswith(f"GET http://a.example{path} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic eHk=\r\n" in proxied


def test_what_is_meant_for_the_next_hop_alone_does_not_go_on() -> None:
    inbound = Inbound(
        head(
            "GET http://a.example/ HTTP/1.1", "Host: a.example", "Connection: keep-alive, X-Secret", "X-Secret: 1",
            "Proxy-Authorization: Basic Z3Vlc3Q=", "proxy-connection: keep-alive", "Proxy-Any: 2", "TE: trailers",
            "Upgrade: h2c", "HTTP2-Settings: AAM", "Keep-Alive: timeout=5", "Trailer: X", "Cookie: a=b",
        )
    )  # fmt: skip
    sent = Outbound(inbound.request, absolute=False).head()
    assert sent == head("GET / HTTP/1.1", "Host: a.example", "Cookie: a=b", "Connection: close")


def test_connection_cannot_name_the_host_or_the_framing_away() -> None:
    inbound = Inbound(
        head(
            "POST http://a.example/ HTTP/1.1", "Host: a.example", "Connection: host, content-length",
            "Content-Length: 3",
        )
    )  # fmt: skip
    sent = Outbound(inbound.request, absolute=False).head()
    assert b"Host: a.example\r\n" in sent
    assert b"Content-Length: 3\r\n" in sent


A = "Host: a.example"

SMUGGLING = {
    "two lengths": ("POST http://a.example/ HTTP/1.1", A, "Content-Length: 3", "Content-Length: 4"),
    "two lengths in one": ("POST http://a.example/ HTTP/1.1", A, "Content-Length: 3, 4"),
    "length and chunks": ("POST http://a.example/ HTTP/1.1", A, "Content-Length: 3", "Transfer-Encoding: chunked"),
    "chunks and length": ("POST http://a.example/ HTTP/1.1", A, "Transfer-Encoding: chunked", "Content-Length: 3"),
    "two encodings": ("POST http://a.example/ HTTP/1.1", A, "Transfer-Encoding: chunked", "Transfer-Encoding: x"),
    "a list of encodings": ("POST http://a.example/ HTTP/1.1", A, "Transfer-Encoding: identity, chunked"),
    "a hidden encoding": ("POST http://a.example/ HTTP/1.1", A, "Transfer-Encoding: xchunked"),
    "a space before the colon": ("POST http://a.example/ HTTP/1.1", A, "Transfer-Encoding : chunked"),
    "a folded encoding": ("POST http://a.example/ HTTP/1.1", A, "Transfer-Encoding:", " chunked"),
    "a folded first line": ("GET http://a.example/ HTTP/1.1", " X: y", A),
    "a tab fold": ("GET http://a.example/ HTTP/1.1", A, "X: y", "\tz"),
    "chunks of 1.0": ("POST http://a.example/ HTTP/1.0", A, "Transfer-Encoding: chunked"),
    "a signed length": ("POST http://a.example/ HTTP/1.1", A, "Content-Length: +3"),
    "a hexadecimal length": ("POST http://a.example/ HTTP/1.1", A, "Content-Length: 0x3"),
    "a negative length": ("POST http://a.example/ HTTP/1.1", A, "Content-Length: -1"),
    "a huge length": ("POST http://a.example/ HTTP/1.1", A, "Content-Length: " + "9" * 30),
    "an empty length": ("POST http://a.example/ HTTP/1.1", A, "Content-Length:"),
    "two hosts": ("GET http://a.example/ HTTP/1.1", A, "Host: b.example"),
    "no host": ("GET http://a.example/ HTTP/1.1",),
    "a body of CONNECT": ("CONNECT a.example:443 HTTP/1.1", A, "Content-Length: 3"),
    "chunks of CONNECT": ("CONNECT a.example:443 HTTP/1.1", A, "Transfer-Encoding: chunked"),
    "a bare LF": ("GET http://a.example/ HTTP/1.1", A, "X: y\nTransfer-Encoding: chunked"),
    "a bare CR": ("GET http://a.example/ HTTP/1.1", A, "X: y\rTransfer-Encoding: chunked"),
    "a NUL": ("GET http://a.example/ HTTP/1.1", A, "X: y\0z"),
    "a control character": ("GET http://a.example/ HTTP/1.1", A, "X: y\x0bz"),
    "a NUL in the name": ("GET http://a.example/ HTTP/1.1", A, "X\0: y"),
    "no name": ("GET http://a.example/ HTTP/1.1", A, ": y"),
    "no colon": ("GET http://a.example/ HTTP/1.1", A, "X"),
    "spaces in the target": ("GET http://a.example/ x HTTP/1.1", A),
    "a tab in the first line": ("GET\thttp://a.example/ HTTP/1.1", A),
    "two spaces": ("GET  http://a.example/ HTTP/1.1", A),
    "no version": ("GET http://a.example/", A),
    "another version": ("GET http://a.example/ HTTP/2.0", A),
    "a lower-case version": ("GET http://a.example/ http/1.1", A),
    "an empty first line": ("", "GET http://a.example/ HTTP/1.1", A),
    "a user in the URL": ("GET http://u:p@a.example/ HTTP/1.1", A),
    "a host in the user": ("GET http://a.example@10.0.0.1/ HTTP/1.1", A),
    "a fragment": ("GET http://a.example/#x HTTP/1.1", A),
    "a backslash": ("GET http://a.example\\@10.0.0.1/ HTTP/1.1", A),
    "https": ("GET https://a.example/ HTTP/1.1", A),
    "another scheme": ("GET ftp://a.example/ HTTP/1.1", A),
    "a path": ("GET / HTTP/1.1", A),
    "an asterisk": ("OPTIONS * HTTP/1.1", A),
    "an authority": ("GET a.example:80 HTTP/1.1", A),
    "CONNECT to a URL": ("CONNECT http://a.example/ HTTP/1.1", A),
    "CONNECT without a port": ("CONNECT a.example HTTP/1.1", A),
    "CONNECT with a path": ("CONNECT a.example:443/x HTTP/1.1", A),
    "no host in the URL": ("GET http:/// HTTP/1.1", A),
    "other characters": ("GET http://\xe4.example/ HTTP/1.1", A),
}


@pytest.mark.parametrize("lines", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_a_second_reading_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(ProxyRequestError):
        Inbound(head(*lines))


def test_bounds() -> None:
    first, filler = "GET http://a.example/ HTTP/1.1", "X: " + "y" * 1000
    assert Inbound(head(first, A, *[filler] * 30)).request.path == "/"
    for lines in ([first, A, *[filler] * 33], [first, A, *["X: y"] * 100]):
        with pytest.raises(ProxyRequestError):
            Inbound(head(*lines))
    with pytest.raises(ProxyRequestError):
        Inbound(head(first, A)[:-2])
    assert len(head(first, A, *[filler] * 33)) > MAX_HEAD_BYTES


def test_a_body_of_known_length_reads_no_byte_too_many() -> None:
    inbound = Inbound(head("POST http://a.example/ HTTP/1.1", A, "Content-Length: 5"))
    assert inbound.wants() == 5
    assert inbound.receive(b"hel") == b"hel"
    assert inbound.wants() == 2
    assert inbound.receive(b"lo") == b"lo"
    assert inbound.wants() == 0


def test_chunks_are_read_and_written_anew() -> None:
    inbound = Inbound(head("POST http://a.example/ HTTP/1.1", A, "Transfer-Encoding: chunked"))
    outbound = Outbound(inbound.request, absolute=False)
    assert b"Transfer-Encoding: chunked\r\n" in outbound.head()
    assert b"Content-Length" not in outbound.head()
    body = inbound.receive(b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: no\r\n\r\n")
    assert (body, inbound.wants()) == (b"abcde", 0)
    assert outbound.body(body) + outbound.end() == b"5\r\nabcde\r\n0\r\n\r\n"


@pytest.mark.parametrize("data", [b"zz\r\n", b"3\nabc\n\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"", b"0x3\r\nabc\r\n"])
def test_malformed_chunks(data: bytes) -> None:
    inbound = Inbound(head("POST http://a.example/ HTTP/1.1", A, "Transfer-Encoding: chunked"))
    with pytest.raises(ProxyRequestError):
        inbound.receive(data)


def test_a_body_that_ends_early() -> None:
    inbound = Inbound(head("POST http://a.example/ HTTP/1.1", A, "Content-Length: 5"))
    inbound.receive(b"abc")
    with pytest.raises(ProxyRequestError):
        inbound.receive(b"")


def through(request: bytes, answer: bytes, *, ended: bool = False) -> tuple[bytes, bool]:
    """What the guest gets of an upstream's answer, and whether it may ask again."""
    inbound = Inbound(request)
    outbound = Outbound(inbound.request, absolute=False)
    outbound.end()
    got = b""
    for data in [answer, *([b""] if ended else [])]:
        for part in outbound.receive(data):
            if part is None:
                return got + inbound.end(), inbound.reusable
            got += inbound.answer(part) if isinstance(part, Answer) else inbound.body(part)
    return got, False


GET = head("GET http://a.example/ HTTP/1.1", A)


def test_an_answer_comes_back_without_what_was_between_us_and_the_upstream() -> None:
    got, again = through(
        GET,
        b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\n"
        b"Proxy-Authenticate: Basic\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhi",
    )
    assert got == b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhi"
    assert again


def test_an_answer_of_unknown_length_is_chunked_for_the_guest() -> None:
    got, again = through(GET, b"HTTP/1.0 200 OK\r\n\r\nhello", ended=True)
    assert got == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert again
    old = head("GET http://a.example/ HTTP/1.0", A)
    got, again = through(old, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    assert got.endswith(b"\r\n\r\nhi")
    assert b"chunked" not in got
    assert not again


def test_an_answer_framed_in_two_ways_has_one_for_the_guest() -> None:
    got, _ = through(
        GET, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    )
    assert b"Content-Length" not in got
    assert got.endswith(b"2\r\nhi\r\n0\r\n\r\n")


def test_no_body_where_there_is_none() -> None:
    for request, answer in (
        (head("HEAD http://a.example/ HTTP/1.1", A), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
    ):
        got, again = through(request, answer)
        assert got.endswith(b"\r\n\r\n")
        assert again


def test_continue_is_passed_on() -> None:
    got, _ = through(GET, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 103 ")
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in got
    old = head("GET http://a.example/ HTTP/1.0", A)
    got, _ = through(old, b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Le", True),
        (b"", True),
        (b"nonsense\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, False),
    ],
)
def test_an_answer_that_is_cut_or_malformed(answer: bytes, ended: bool) -> None:
    with pytest.raises(UpstreamCut):
        through(GET, answer, ended=ended)


def test_a_connection_is_not_used_again_when_the_two_could_disagree() -> None:
    inbound = Inbound(head("POST http://a.example/ HTTP/1.1", A, "Content-Length: 5"))
    outbound = Outbound(inbound.request, absolute=False)
    for part in outbound.receive(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"):
        _ = inbound.answer(part) if isinstance(part, Answer) else inbound.end()
    assert not inbound.reusable
    closing = head("GET http://a.example/ HTTP/1.1", A, "Connection: close")
    assert not through(closing, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")[1]


def test_connect_to_an_upstream() -> None:
    assert connect_head(Target("a.example", 443), "Basic eHk=") == head(
        "CONNECT a.example:443 HTTP/1.1", "Host: a.example:443", "Proxy-Authorization: Basic eHk="
    )
    assert connect_status(b"HTTP/1.0 200 Connection established\r\n\r\n") == 200
    assert connect_status(b"HTTP/1.1 407 No\r\nContent-Length: 999\r\n\r\n") == 407
    for answer in (b"", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n"):
        with pytest.raises(UpstreamCut):
            connect_status(answer)


def test_no_error_repeats_what_it_was_given() -> None:
    for lines in SMUGGLING.values():
        with pytest.raises(EgressError) as caught:
            Inbound(head(*lines))
        assert "\r" not in caught.value.message
        assert "\n" not in caught.value.message
        assert "chunked" not in caught.value.message.replace("chunked is supported", "")
