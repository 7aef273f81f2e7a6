"""100,000 requests nobody would send: no exception but the one meant for it, and nothing dangerous goes on.

FENSTER_TEST_FUZZ sets how many; they are drawn from a seed, so a failure comes again.
"""

from __future__ import annotations

import os
import random

from gateway.egress.http1 import Inbound, Outbound
from gateway.egress.policy import Policy
from gateway.errors import EgressError

REQUESTS = int(os.environ.get("FENSTER_TEST_FUZZ", "100000"))
SEED = 20
POLICY = Policy()

METHODS = [b"GET", b"POST", b"CONNECT", b"OPTIONS", b"HEAD", b"PUT", b"get", b"TRACE", b"", b"G\0T", b"PRI"]
HOSTS = [
    b"a.example", b"A.EXAMPLE.", b"1.1.1.1", b"0x01010101", b"[2606:4700::1]", b"169.254.169.254", b"2852039166",
    b"127.1", b"[::ffff:10.0.0.1]", b"[64:ff9b::a00:1]", b"localhost", b"u@a.example", b"a.example:443:80", b"[::1",
    b"\xff.example", b"%61.example", b"", b"a..b", b"a" * 70, b"metadata.google.internal",
]  # fmt: skip
PORTS = [b"", b":80", b":443", b":0", b":65536", b":+80", b":8 0", b":" + b"9" * 40]
PATHS = [b"", b"/", b"/x?y#z", b"?q", b"/%0d%0aX:y", b"/\x01", b"*", b"//b", b"/" + b"y" * 200]
VERSIONS = [b" HTTP/1.1", b" HTTP/1.0", b" HTTP/0.9", b" HTTP/2.0", b"", b"\tHTTP/1.1", b" HTTP/1.1 "]
FIELDS = [
    b"Host: a.example", b"Host: b.example", b"Content-Length: 5", b"Content-Length: 6", b"Content-Length: +5",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding\t: chunked", b"Connection: host",
    b"Connection: close, content-length", b"Proxy-Authorization: Basic x", b"Expect: 100-continue", b"Upgrade: h2c",
    b" folded: 1", b": none", b"no colon", b"X: \xff\xfe", b"X: y\nHost: c", b"X: y\rZ: 1", b"X\0: 1",
    b"TE: trailers", b"Trailer: X", b"X: " + b"y" * 300,
]  # fmt: skip
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n\r\n", b"\0"]
BODIES = [
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"ffffffffffffffffff\r\n",
    b"0\r\n\r\nGET / HTTP/1.1\r\n",
]
HOP_BY_HOP = (b"\nproxy-", b"\nupgrade:", b"\nte:", b"\ntrailer:")


def draw(rng: random.Random) -> tuple[bytes, bytes]:
    """A head and what follows it."""

    def mostly(choices: list[bytes]) -> bytes:
        return choices[0] if rng.random() < 0.6 else rng.choice(choices)

    pick = rng.choice
    method = mostly(METHODS)
    scheme = b"" if method == b"CONNECT" else mostly([b"http://", b"HTTP://", b"https://", b"//", b""])
    first = method + b" " + scheme + mostly(HOSTS) + mostly(PORTS) + (b"" if method == b"CONNECT" else mostly(PATHS))
    lines = [first + mostly(VERSIONS)]
    lines += [pick(FIELDS) for _ in range(rng.randrange(4))]
    if rng.random() < 0.8:
        lines.append(b"Host: a.example")
    head = b"".join(line + (pick(ENDS) if rng.random() < 0.03 else b"\r\n") for line in lines) + b"\r\n"
    if rng.random() < 0.2:
        # One byte is another.
        place = rng.randrange(len(head))
        head = head[:place] + bytes((rng.randrange(256),)) + head[place + 1 :]
    return head, pick(BODIES)


def test_one_hundred_thousand_requests() -> None:
    rng = random.Random(SEED)
    passed = 0
    for _ in range(REQUESTS):
        head, body = draw(rng)
        try:
            inbound = Inbound(head)
            POLICY.check(inbound.request.target)
        except EgressError:
            continue
        passed += 1
        request = inbound.request
        if request.connect:
            continue
        outbound = Outbound(request, absolute=True)
        sent = outbound.head()
        lowered = sent.lower()
        # What goes on has one reading: this many lines, one Host, one framing, nothing of the hop before.
        assert sent.endswith(b"\r\n\r\n")
        assert sent.count(b"\n") == sent.count(b"\r") == sent.count(b"\r\n")
        assert lowered.count(b"\nhost:") == 1
        assert lowered.count(b"\ncontent-length:") + lowered.count(b"\ntransfer-encoding:") <= 1
        assert not any(name in lowered for name in HOP_BY_HOP)
        wants = inbound.wants()
        if wants:
            try:
                got = inbound.receive(body[:wants])
            except EgressError:
                continue
            assert len(got) <= len(body)
            if got:
                outbound.body(got)
    # Else nothing would have been tried.
    assert passed > REQUESTS / 50
