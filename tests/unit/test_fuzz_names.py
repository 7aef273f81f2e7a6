"""Hosts, origins and forwarded addresses as strangers write them, and plain HTTP on a port of TLS."""

from __future__ import annotations

import ipaddress
import random

from gateway.edge.addresses import bucket_of, client_address, parse_network
from gateway.edge.hosts import HostNames, host_of
from gateway.edge.redirect import redirection
from gateway.origins import is_own, parse_origin
from tests.fuzzing import drawn, steady, volumes

NAMES = HostNames("192.0.2.7", "https://desk.example:8443", ["fenster.test"], ["myhost"])
HOSTS = [
    b"desk.example", b"desk.example:8443", b"DESK.example.", b"192.0.2.7:80", b"[2001:db8::1]:443", b"localhost",
    b"evil.example", b"desk.example@evil.example", b"desk.example, evil.example", b"[::1", b"a:b:c",
    b"\xc3\xa9.example",
]  # fmt: skip
FORWARDED = [
    b"198.51.100.9", b"198.51.100.9, 10.0.0.2", b"[2001:db8::9]:4711", b"::ffff:198.51.100.9", b"fe80::1%eth0",
    b"unknown", b"_hidden", b"198.51.100.9:99999", b",,,", b"10.0.0.2" * 20,
]  # fmt: skip
TRUSTED = [parse_network("10.0.0.0/8")]


@volumes(6_000)
def test_hosts_and_origins(count: int, seed: int) -> None:
    rng = random.Random(seed)
    known = foreign = 0
    with steady(count) as step:
        for number, data in enumerate(drawn(rng, HOSTS, count, most_random=40)):
            text = data.decode("utf-8", "surrogateescape")
            with step(number):
                ours = NAMES.knows(text)
                name = host_of(text)
                is_own(f"https://{text}", text)
                try:
                    origin = parse_origin(f"https://{text}")
                except ValueError:
                    origin = ""
            # One of ours is a name without anything before or behind it but its port.
            if ours:
                assert name is not None
                assert name in {"desk.example", "fenster.test", "myhost", "localhost"} or _is_address(name)
            # What goes into a Content-Security-Policy holds nothing that means something there.
            assert not set(origin) & set(" ;,'\"\r\n\0*")
            assert origin.isascii()
            known += ours
            foreign += not ours
    assert min(known, foreign) > count / 20


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return False


@volumes(4_000)
def test_forwarded_addresses(count: int, seed: int) -> None:
    rng = random.Random(seed)
    with steady(count) as step:
        for number, data in enumerate(drawn(rng, FORWARDED, count, most_random=40)):
            text = data.decode("utf-8", "surrogateescape")
            with step(number):
                direct = client_address("203.0.113.5", [text], TRUSTED)
                through = client_address("10.0.0.1", [text], TRUSTED)
                bucket = bucket_of(through)
            assert direct == "203.0.113.5", "who is no proxy of ours speaks for nobody"
            assert _is_address(through)
            assert bucket.partition("/")[0]
    assert client_address("10.0.0.1", ["198.51.100.9"], TRUSTED) == "198.51.100.9"


@volumes(4_000)
def test_plain_http_where_tls_is_spoken(count: int, seed: int) -> None:
    rng = random.Random(seed)
    heads = [
        b"GET /s/x?y HTTP/1.1\r\nHost: desk.example",
        b"GET //evil.example HTTP/1.1\r\nHost: desk.example:8443\r\nX: y",
        b"GET / HTTP/1.1\r\nHost: evil.example",
        b"GET / HTTP/1.1\r\nHost: desk.example\r\nHost: evil.example",
        b"POST /a\nb HTTP/1.1\nHost: desk.example",
    ]
    sent_on = 0
    with steady(count) as step:
        for number, data in enumerate(drawn(rng, heads, count)):
            with step(number):
                answer = redirection(data, NAMES.knows)
            head, _, _ = answer.partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            # One answer, whatever was asked: no line of it is the asker's.
            assert b"\n" not in head.replace(b"\r\n", b"")
            assert lines[0] in (b"HTTP/1.1 308 Permanent Redirect", b"HTTP/1.1 400 Bad Request")
            for line in lines:
                if line.startswith(b"Location: "):
                    sent_on += 1
                    host = line.removeprefix(b"Location: https://").partition(b"/")[0]
                    assert NAMES.knows(host.decode("latin-1"))
    assert sent_on > count / 20
