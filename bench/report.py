"""What was measured, against what was to be reached: as a table and as JSON."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.plan import Plan


@dataclass(frozen=True)
class Sample:
    """One run of one side.

    cpu_us: an event, until it can be searched (PostgreSQL: until it is committed).
    settled_us: an event, until nothing is left to do (PostgreSQL: until after a CHECKPOINT).
    stored_bytes: an event: evidence of one region (PostgreSQL: table and indexes).
    ack_ms: median while the side is saturated. resident_bytes: of all its processes, at most; 0
    where that says nothing, since they share most of it.
    """

    rate: float
    cpu_us: float
    settled_us: float
    stored_bytes: float
    ack_ms: float
    resident_bytes: int


@dataclass(frozen=True)
class Finding:
    """A figure that was to be reached.

    value: None where it could not be measured; the note says why. limit: the most it may be, or the
    least where `is_least`. samples: what the value is the median or the ratio of. why: what is in
    the way, said where it is missed.
    """

    name: str
    value: float | None
    limit: float
    unit: str
    is_least: bool = False
    note: str = ""
    samples: tuple[float, ...] = ()
    why: str = ""

    @property
    def is_reached(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    @property
    def verdict(self) -> str:
        """In words; how far away it is, as a part of the limit."""
        if self.value is None:
            return "not measured"
        if self.is_reached:
            return "reached"
        return f"**missed by {abs(self.value - self.limit) / self.limit:.0%}**"


@dataclass(frozen=True)
class Table:
    """Measured cells, as they are shown. title: a line above it, or none."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Part:
    """What one part measured.

    versions: of the programs that it measured, beside ours. data: every sample, as JSON.
    """

    name: str
    tables: tuple[Table, ...]
    findings: tuple[Finding, ...] = ()
    data: Any = None
    versions: Mapping[str, str] = field(default_factory=dict)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median and range."""
    if not values:
        return "-"
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:,.{digits}f} [{low:,.{digits}f}-{high:,.{digits}f}]"


def arms_table(arms: Mapping[str, Sequence[Sample]]) -> str:
    """A row for each side and way, medians and ranges over the rounds."""
    head = (
        "| | events/s | CPU µs/event until found | until idle, or a CHECKPOINT "
        "| bytes/event and copy | ack p50 ms, saturated | memory MiB, at most |"
    )
    lines = [head, "| --- | --- | --- | --- | --- | --- | --- |"]
    for name, samples in arms.items():
        if not samples:
            continue
        resident_mib = max(sample.resident_bytes for sample in samples) / 2**20
        cells = (
            spread([sample.rate for sample in samples], 0),
            spread([sample.cpu_us for sample in samples]),
            spread([sample.settled_us for sample in samples]),
            f"{median([sample.stored_bytes for sample in samples]):,.0f}",
            spread([sample.ack_ms for sample in samples]),
            f"{resident_mib:,.0f}" if resident_mib else "-",
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def findings_table(findings: Sequence[Finding]) -> str:
    """A row for each figure that was to be reached."""
    lines = ["| to reach | measured | required | |", "| --- | --- | --- | --- |"]
    for finding in findings:
        digits = 2 if finding.limit < 10 else 1
        sign = ">=" if finding.is_least else "<="
        value = "-" if finding.value is None else f"{finding.value:,.{digits}f} {finding.unit}"
        if len(finding.samples) > 1:
            low, high = min(finding.samples), max(finding.samples)
            value += f" [{low:,.{digits}f}-{high:,.{digits}f}]"
        required = f"{sign} {finding.limit:g} {finding.unit}"
        lines.append(f"| {finding.name} | {value} | {required} | {finding.verdict} |")
    notes = [f"- {finding.name}: {said}" for finding in findings if (said := _notes(finding))]
    return "\n".join(lines) + ("\n\n" + "\n".join(notes) if notes else "")


def _notes(finding: Finding) -> str:
    missed_because = finding.why if finding.is_reached is False else ""
    return "; ".join(filter(None, (finding.note, missed_because)))


def surroundings(directory: Path, postgres: str) -> dict[str, str]:
    """What the figures depend on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _commit(),
        "cpu": f"{os.cpu_count()} x {model}",
        "memory": f"{memory_bytes / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": postgres,
        "file system": _file_system(directory),
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and changes" if changed else "")


def _file_system(directory: Path) -> str:
    """The kind of the mount that the directory lies in."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        if directory.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def as_json(
    plan: Plan,
    around: Mapping[str, str],
    arms: Mapping[str, Sequence[Sample]],
    findings: Sequence[Finding],
    more: Mapping[str, Any],
) -> str:
    """Everything, every sample included."""
    whole = {
        "surroundings": dict(around),
        "plan": asdict(plan),
        "sides": {name: [asdict(sample) for sample in samples] for name, samples in arms.items()},
        "findings": [{**asdict(finding), "is_reached": finding.is_reached} for finding in findings],
        "more": dict(more),
    }
    return json.dumps(whole, indent=1) + "\n"
