"""The host's time-stamp counter."""

from __future__ import annotations

import pytest

from gateway.vm.tsc import host_tsc_khz, tsc_cmdline


def test_two_measurements_agree() -> None:
    first, second = host_tsc_khz(), host_tsc_khz()
    assert first is not None
    assert second is not None
    assert 100_000 < first < 10_000_000
    # A guest's clock runs wrong by as much as this is wrong.
    assert abs(first - second) <= first * 1e-4


def test_another_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert host_tsc_khz() is None


def test_a_kernel_that_forbids_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr("mmap.mmap", refuse)
    assert host_tsc_khz() is None


def test_words_for_the_kernel() -> None:
    assert tsc_cmdline(2_596_144) == "tsc_early_khz=2596144 tsc=reliable"
    assert tsc_cmdline(None) == ""
