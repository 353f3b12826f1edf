"""What a part of the bench says: tables, and figures beside what was to be reached."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Measured cells, as they are shown. title: a line above it, or none."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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
        if not self.limit:
            return "**missed**"
        return f"**missed by {abs(self.value - self.limit) / self.limit:.0%}**"

    @property
    def measured(self) -> str:
        """The value, and the range of its samples."""
        if self.value is None:
            return "-"
        digits = 2 if self.limit < 10 else 1
        text = f"{self.value:,.{digits}f} {self.unit}"
        if len(self.samples) > 1:
            low, high = min(self.samples), max(self.samples)
            text += f" [{low:,.{digits}f}-{high:,.{digits}f}]"
        return text

    @property
    def required(self) -> str:
        return f"{'>=' if self.is_least else '<='} {self.limit:,g} {self.unit}"

    @property
    def remark(self) -> str:
        """What a reader should know beside the figure; "" where there is nothing."""
        missed_because = self.why if self.is_reached is False else ""
        return "; ".join(filter(None, (self.note, missed_because)))


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
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:,.{digits}f} [{low:,.{digits}f}-{high:,.{digits}f}]"
