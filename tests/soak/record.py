"""What a run has seen, as plain data. Instants are seconds since the run began; MB are 10^6 bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Cores", "Create", "Gap", "Log", "Record", "Sample", "Series", "Trouble", "ViewerRecord", "parse_samples"]

KIB_MB = 1024 / 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one process (proc_pid_smaps(5)): ``smaps_rollup``, and how much is in ``fd`` and ``task``."""

    at_s: float
    pid: int
    rss_mb: float
    pss_mb: float
    fds: int
    threads: int
    busy: bool = False
    """A session was being created, or removed: it holds descriptors meanwhile."""


@dataclass(slots=True)
class Series:
    name: str
    samples: list[Sample] = field(default_factory=list)

    def rss(self) -> list[tuple[float, float]]:
        """(seconds, MB)."""
        return [(sample.at_s, sample.rss_mb) for sample in self.samples]

    def pss(self) -> list[tuple[float, float]]:
        """(seconds, MB)."""
        return [(sample.at_s, sample.pss_mb) for sample in self.samples]


@dataclass(frozen=True, slots=True)
class Cores:
    """Of the host's processor, from one look to the next, on average."""

    at_s: float
    ours: float
    """Machines, gateway, browser and site."""
    others: float
    """Whatever else ran on the host."""
    stolen: float
    """Given to other guests by a hypervisor above."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two of the same kind."""

    at_s: float
    """When it was over."""
    length_s: float


@dataclass(frozen=True, slots=True)
class Trouble:
    at_s: float
    what: str


@dataclass(slots=True)
class ViewerRecord:
    """What one viewer page saw of one desktop."""

    name: str
    transport: str
    frames: int = 0
    """Painted."""
    answers: int = 0
    """Times that the marker was seen to have changed, as it does with each press on it."""
    presses: int = 0
    """On the marker."""
    frame_gaps: list[Gap] = field(default_factory=list)
    answer_gaps: list[Gap] = field(default_factory=list)
    """The longest of each look, so one every few seconds."""
    frozen: int = 0
    """Times that the page called its picture frozen, and it went on by the same way within MAX_GAP_S."""
    troubles: list[Trouble] = field(default_factory=list)
    """What may not happen: a peer that failed, a picture that went, an error of the page."""
    did: dict[str, int] = field(default_factory=dict)
    """Characters typed, notches scrolled, pages asked for and shown."""
    shown_s: list[float] = field(default_factory=list)
    """From a page's request by the guest's browser until its first picture there."""
    heap_mb: list[tuple[float, float]] = field(default_factory=list)
    """The page's JavaScript heap in use."""

    def count(self, what: str, more: int = 1) -> None:
        """Add to what was done."""
        self.did[what] = self.did.get(what, 0) + more


@dataclass(frozen=True, slots=True)
class Create:
    """A session beside the three."""

    at_s: float
    ready_s: float | None
    """From the request; None when it did not become ready."""
    removed_s: float | None
    """From the request to its removal's answer; None when it was not removed."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """Lines of a process's log that are more than news."""

    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    """Tracebacks too."""


@dataclass(slots=True)
class Record:
    began: str
    """UTC, ISO 8601."""
    elapsed_s: float = 0.0
    facts: dict[str, str] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    """By process: gateway, data plane, and each desktop's agent."""
    viewers: list[ViewerRecord] = field(default_factory=list)
    creates: list[Create] = field(default_factory=list)
    cores: list[Cores] = field(default_factory=list)
    machines: dict[str, int] = field(default_factory=dict)
    """How they were started: ``clones``, ``boots`` (without a snapshot that fits), ``clone_failures``."""
    troubles: list[Trouble] = field(default_factory=list)
    """Of sessions and processes."""
    logs: dict[str, Log] = field(default_factory=dict)
    """By process."""
    left: list[str] = field(default_factory=list)
    """What was there after the gateway's end: processes, files."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_samples(text: str, began_epoch_s: float) -> list[Sample]:
    """Lines of inside.sh; one that is not finished is left out. Pure.

    Args:
        began_epoch_s: of the run, by the same clock as the lines'.
    """
    return [_sample(line.split(), began_epoch_s) for line in _whole_lines(text)]


def _whole_lines(text: str) -> Iterable[str]:
    return text[: text.rfind("\n") + 1].splitlines()


def _sample(words: list[str], began_epoch_s: float) -> Sample:
    at, pid, rss_kib, pss_kib, fds, threads = words
    return Sample(
        round(float(at) - began_epoch_s, 3), int(pid), int(rss_kib) * KIB_MB, int(pss_kib) * KIB_MB, int(fds),
        int(threads),
    )  # fmt: skip
