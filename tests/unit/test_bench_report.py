"""The create benchmark's page: whole, true to the figures, and in need of nothing else."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.bench.create import MODES, CreateReport
from gateway.bench.facts import Host
from gateway.bench.plots import ticks
from gateway.bench.report import render, stage_order
from gateway.cli.bench import bench
from gateway.cli.progress import STAGES
from gateway.errors import ConfigError
from tests.logs import log_kept_apart

VOID = {"meta", "br", "hr", "img", "link", "input"}
REFERENCES = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background"}


class Checker(HTMLParser):
    """Raises where elements do not nest; keeps what the tests ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.points = 0
        self.figures: list[str] = []
        self.tables: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in REFERENCES]
        self.points += tag == "circle"
        if tag == "figure":
            self.figures.append("")
        if tag == "table":
            self.tables.append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        for kind, texts in (("figure", self.figures), ("table", self.tables)):
            if kind in self.stack:
                texts[-1] += data


def report(**more: Any) -> CreateReport:
    made = CreateReport(
        {"qemu": "10.0.2 (Debian 1:10.0.2)", "image": "xfce-5aa8"},
        "tcg",
        why="there is no /dev/kvm <here>",
        host=Host(cores=2, memory_mib=24576, cpu="A CPU", kernel="6.1"),
        machine={"profile": "xfce", "vcpus": 2, "memory_mib": 2048},
        began=datetime(2026, 2, 3, 4, 5, tzinfo=UTC),
        **more,
    )
    made.runs["pool"] = [{"resume": 0.0, "ready": 0.17}, {"resume": 0.02, "ready": 0.19}]
    made.runs["clone"] = [{"disk": 0.9, "spawn": 1.0, "ready": 2.0}, {"disk": 0.9, "spawn": 1.1, "ready": 2.2}]
    made.runs["cold"] = [{"disk": 1.5, "hello": 8.0, "ready": 18.0}, {"disk": 1.5, "hello": 9.0, "ready": 19.25}]
    return made


def painted() -> CreateReport:
    made = report(browser="Chromium 150.0")
    for mode in MODES:
        for run in made.runs[mode]:
            run["painted"] = run["ready"] + 1.0
        made.transports[mode] = ["webrtc", "novnc"]
    return made


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.stack == []
    return checker


def test_it_is_one_well_formed_page_that_loads_nothing() -> None:
    page = render(painted(), STAGES)
    checker = check(page)
    assert page.startswith("<!doctype html>")
    assert checker.references == []
    assert {"script", "link", "iframe", "img"} & set(checker.tags) == set()
    assert not re.search(r"@import|url\(", page)
    assert set(re.findall(r"https?://[^\s\"'<>]+", page)) == {"http://www.w3.org/2000/svg"}


def test_qemu_and_the_accelerator_stand_beside_every_table_and_plot() -> None:
    checker = check(render(painted(), STAGES))
    assert len(checker.figures) == 3
    assert len(checker.tables) == 3
    for text in (*checker.figures, *checker.tables):
        assert "QEMU 10.0.2, accelerator tcg" in text


def test_it_says_when_and_where_it_was_measured() -> None:
    page = render(report(), STAGES)
    for fact in (
        "10.0.2 (Debian 1:10.0.2)",
        "2026-02-03 04:05 UTC",
        "there is no /dev/kvm &lt;here&gt;",
        "2 of A CPU",
        "24.0 GiB",
        "xfce-5aa8",
    ):
        assert fact in page
    assert "2 vCPUs, 2048 MiB" in page
    assert "Chromium" not in page.replace(STAGES["complete"], "")


def test_medians_spreads_counts_and_ratios_are_there() -> None:
    made = report()
    made.runs["pool"][0]["assign"] = 0.05
    ratios, medians, runs = check(render(made, STAGES)).tables
    for figure in ("18.62", "18.00–19.25", "2.10", "0.18", "n=2", "n=1", "17.12"):
        assert figure in medians
    assert "ready, disk copy left out" in medians
    for ratio in ("8.9", "103.5", "cold / clone", "cold / pool"):
        assert ratio in ratios
    assert "19.250" in runs


def test_every_run_is_a_point() -> None:
    # Six runs to ready, and the medians: two stages from the pool, three each cloned and cold.
    assert check(render(report(), STAGES)).points == 6 + 2 + 3 + 3


def test_every_round_figure_of_the_axis_is_labelled() -> None:
    (plot, _) = check(render(report(), STAGES)).figures
    assert [figure for figure in ("0.1 s", "0.2 s", "1 s", "10 s", "20 s") if figure not in plot] == []


def test_with_a_browser_painted_is_in_tables_and_plots() -> None:
    page = render(painted(), STAGES)
    checker = check(page)
    assert "first frame painted" in checker.tables[0]
    assert "first frame painted" in checker.figures[1]
    assert "webrtc (3 of 6), novnc (3 of 6)" in page
    assert "Chromium 150.0" in page


def test_a_report_without_runs_is_still_a_page() -> None:
    checker = check(render(CreateReport({}, "tcg"), STAGES))
    assert checker.figures == []
    assert "QEMU unknown" in checker.tables[0]


def test_stages_stand_in_the_order_in_which_they_are_reached() -> None:
    made = report()
    made.runs["cold"][0]["odd"] = 3.0
    assert stage_order(made, STAGES) == ["disk", "spawn", "resume", "hello", "ready", "odd"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.17, 0.19], [0.1, 0.2]),
        ([0.3, 18.0], [0.2, 0.5, 1, 2, 5, 10, 20]),
        ([2.0], [2, 5]),
        ([0.0, 0.004], [0.001, 0.002, 0.005]),
    ],
)
def test_ticks_are_round_and_hold_all_values(values: list[float], wanted: list[float]) -> None:
    assert ticks(values) == wanted


def run(*argv: str) -> ConfigError:
    """The error with which ``fenster bench create`` ends before it measures anything."""
    with log_kept_apart():
        error = CliRunner().invoke(bench, ["create", *argv]).exception
    assert isinstance(error, ConfigError), error
    return error


@pytest.mark.parametrize("package", ["pygal", "jinja2"])
def test_html_without_its_packages_says_how_to_get_them(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gateway.bench.report", "gateway.bench.plots", "gateway.bench.charts"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    error = run("--html", str(tmp_path / "page.html"))
    assert package in error.message
    assert f"{sys.executable} -m pip install -e '.[bench]'" in error.hint


def test_a_browser_without_playwright_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.bench.browser", raising=False)
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    error = run("--browser", "/bin/true")
    assert "playwright" in error.message
    assert "pip install -e '.[dev]'" in error.hint


def test_what_cannot_be_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    assert "cannot write" in run("--html", str(tmp_path / "missing" / "page.html")).message
    assert "is no program" in run("--browser", str(tmp_path / "chromium")).message
