"""Parsers of what /proc says of the host."""

from __future__ import annotations

from pathlib import Path

from gateway.host import addresses, available_memory_mib, free_disk_mib, outer_uid, parse_fib_trie, parse_if_inet6

FIB = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
     +-- 127.0.0.0/31 1 0 0
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 192.0.2.2
           /32 host LOCAL
"""

INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000007 02 40 00 80     eth0
"""


def test_ipv4_addresses_once_each_without_networks_and_broadcasts() -> None:
    assert parse_fib_trie(FIB) == ["192.0.2.2", "127.0.0.1"]


def test_ipv6_addresses() -> None:
    assert parse_if_inet6(INET6) == ["::1", "2001:db8::7"]


def test_nonsense_gives_nothing() -> None:
    assert parse_fib_trie("/32 host\n|--\n") == []
    assert parse_if_inet6("\nzz\n") == []


def test_uids_through_a_user_namespace() -> None:
    assert outer_uid(0, "         0          0 4294967295\n") == 0
    assert outer_uid(0, "0 1000 1\n") == 1000
    assert outer_uid(5, "0 1000 1\n1 100000 65536\n") == 100004
    assert outer_uid(70000, "0 1000 1\n") == 70000


def test_this_host_has_memory_disk_and_a_loopback_address(tmp_path: Path) -> None:
    assert available_memory_mib() > 0
    assert free_disk_mib(tmp_path / "not" / "there") > 0
    assert "127.0.0.1" in addresses()
