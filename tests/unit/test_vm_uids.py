"""Each VM gets a uid that exists here and that no other VM has."""

from __future__ import annotations

import pytest

from gateway.vm.uids import FEWER_UIDS, NOBODY, UIDS, spare_uid

WHOLE = "         0          0 4294967295\n"
SUBORDINATE = "         0       1000          1\n         1     100000      65535\n"
CONTAINER = "         0     100000      65536\n"
FEW = "         0     100000      40001\n"
ALONE = "         0       1000          1\n"
OWN = range(5000, 5002)


@pytest.mark.parametrize(
    ("uid_map", "taken", "uids", "uid"),
    [
        (WHOLE, frozenset[int](), UIDS, UIDS[0]),
        (WHOLE, frozenset({UIDS[0], UIDS[2]}), UIDS, UIDS[1]),
        (WHOLE, frozenset({5000}), OWN, 5001),
        (WHOLE, frozenset(OWN), OWN, NOBODY),
        (SUBORDINATE, frozenset[int](), UIDS, FEWER_UIDS[0]),
        (SUBORDINATE, frozenset({FEWER_UIDS[0]}), UIDS, FEWER_UIDS[1]),
        (CONTAINER, frozenset[int](), UIDS, FEWER_UIDS[0]),
        (FEW, frozenset[int](), UIDS, None),
        (f"{FEW} 65534 7 1\n", frozenset[int](), UIDS, NOBODY),
        (ALONE, frozenset[int](), UIDS, None),
    ],
)
def test_a_vm_gets_a_uid_that_is_there_and_free(
    monkeypatch: pytest.MonkeyPatch, uid_map: str, taken: frozenset[int], uids: range, uid: int | None
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert spare_uid(taken, uids, uid_map) == uid


def test_an_ordinary_user_cannot_give_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert spare_uid(frozenset(), UIDS, WHOLE) is None
