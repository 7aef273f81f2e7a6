"""What an echo service's answer says, and whether the address in it is this host's."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.egress import home
from gateway.egress.echo import Echo, read_echo
from gateway.egress.home import Home, is_ours
from gateway.errors import TargetUnreachable

IPINFO = {
    "ip": "203.0.113.7", "city": "Berlin", "country": "DE", "loc": "52.5,13.4", "org": "AS1 x 10.0.0.1",
    "timezone": "Europe/Berlin",
}  # fmt: skip
IP_API = {
    "status": "success",
    "country": "Germany",
    "countryCode": "DE",
    "timezone": "Europe/Berlin",
    "query": "203.0.113.7",
}
IFCONFIG = {"ip": "2001:db8::7", "country": "Germany", "country_iso": "DE", "time_zone": "Europe/Berlin"}
IPWHO = {"ip": "203.0.113.7", "country": "Germany", "country_code": "DE", "timezone": {"id": "Europe/Berlin"}}
DECODO = {
    "browser": {"name": "", "version": "1.2.3.4"}, "isp": {"isp": "x"}, "proxy": {"ip": "203.0.113.7"},
    "city": {"name": "Berlin", "time_zone": "Europe/Berlin"}, "country": {"code": "DE", "name": "Germany"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "echo"),
    [
        ("203.0.113.7\n", Echo("203.0.113.7")),
        ("fl=1\nip=2001:DB8::7\nts=1.5\nloc=DE\n", Echo("2001:db8::7")),
        ('{"ip":"203.0.113.7","version":"1.2.3"}', Echo("203.0.113.7")),
        (json.dumps(IPINFO), Echo("203.0.113.7", "DE", "Europe/Berlin")),
        (json.dumps(IP_API), Echo("203.0.113.7", "DE", "Europe/Berlin")),
        (json.dumps(IFCONFIG), Echo("2001:db8::7", "DE", "Europe/Berlin")),
        (json.dumps(IPWHO), Echo("203.0.113.7", "DE", "Europe/Berlin")),
        (json.dumps(DECODO), Echo("203.0.113.7", "DE", "Europe/Berlin")),
        ('{"ip":"203.0.113.7","country":"D\\n","timezone":"../../etc/passwd"}', Echo("203.0.113.7")),
        ('{"ip":["203.0.113.7"],"timezone":{"id":7}}', Echo("203.0.113.7")),
    ],
)
def test_what_is_read_of_an_answer(body: str, echo: Echo) -> None:
    assert read_echo(body) == echo


@pytest.mark.parametrize("body", ["", "<html>12:30 300.1.2.3 ::::</html>", "[" * 60_000, '{"ip": null}'])
def test_an_answer_without_an_address(body: str) -> None:
    with pytest.raises(TargetUnreachable):
        read_echo(body)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)
    )
)
def test_no_answer_breaks_the_reader(told: object) -> None:
    with contextlib.suppress(TargetUnreachable):
        read_echo(json.dumps(told))


NAT = ["127.0.0.1", "192.168.1.5", "::1", "fe80::1%eth0", "fd00::5"]


@pytest.mark.parametrize(
    ("address", "own", "public", "ours"),
    [
        ("8.8.8.8", ["127.0.0.1", "8.8.8.8"], [], True),
        ("8.8.8.8", ["127.0.0.1", "8.8.4.4"], [], False),
        ("8.8.8.8", NAT, [], None),
        ("8.8.8.8", NAT, ["8.8.8.0/28"], True),
        ("8.8.8.8", NAT, ["8.8.4.4"], False),
        ("2606:4700::1", NAT, ["8.8.4.4"], None),
        ("2606:4700::1", [*NAT, "2606:4700::2"], [], False),
        ("2606:4700:0::1", [], ["2606:4700::/64"], True),
    ],
)
def test_whose_address_it_is(address: str, own: list[str], public: list[str], ours: bool | None) -> None:
    assert is_ours(address, own, public) is ours


async def test_the_hosts_own_address_is_asked_for_once_and_again_when_it_was_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, looks = [""], 0

    async def look() -> str:
        nonlocal looks
        looks += 1
        return told[0]

    here = Home(lambda: NAT, look=look)
    assert await here.is_ours("8.8.8.8") is None
    told[0] = "8.8.4.4"
    assert await asyncio.gather(*(here.is_ours(one) for one in ("8.8.8.8", "8.8.4.4"))) == [False, True]
    assert looks == 2
    monkeypatch.setattr(home, "KNOWN_FOR_S", -1.0)
    told[0] = "8.8.8.8"
    assert await here.is_ours("8.8.8.8")
    # What the operator knows is not asked for.
    assert await Home(lambda: NAT, ["8.8.4.4"], look).is_ours("8.8.8.8") is False
    assert looks == 3
