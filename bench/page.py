"""docs/BENCH.md: what the kept results say, and nothing else. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bench.report import Finding, Table
from bench.results import Result

HEAD: Final = """\
# What it costs, measured

`python -m bench` (or `make bench`) writes this page from the files in `bench/results`, which hold
every sample; `python -m bench PART ...` measures parts of it anew. Parts may come from different
days and machines: each says its own. Read ratios within a part, and CPU an event: rates depend on
the machine, and on what else it does. A range beside a figure, [least-most], is that of the rounds,
and the figure their median.
"""


def page(results: Mapping[str, Result], order: Iterable[str]) -> str:
    """The whole page: all that was to be reached, then a section a part."""
    known = [results[name] for name in order if name in results]
    parts = [HEAD, _parts(known), _findings(known), *map(section, known)]
    return "\n".join(parts)


def section(result: Result) -> str:
    """What one part measured."""
    around = ", ".join(f"{key} {value}" for key, value in result.surroundings.items() if value)
    texts = [f"## {result.part.name}", result.about, f"*Measured: {around}.*"]
    for table in result.part.tables:
        texts += [table.title, markdown(table)] if table.title else [markdown(table)]
    remarks = _remarks(result.part.findings)
    texts += [remarks] if remarks else []
    return "\n\n".join(texts) + "\n"


def findings_table(named: Iterable[tuple[str, Finding]]) -> Table:
    """A row for each figure that was to be reached, with the part that measured it."""
    rows = (
        (name, finding.name, finding.measured, finding.required, finding.verdict)
        for name, finding in named
    )
    return Table("", ("part", "to reach", "measured", "required", ""), tuple(rows))


def _remarks(findings: Iterable[Finding]) -> str:
    """What is to be known beside the figures, each said once."""
    named: dict[str, list[str]] = {}
    for finding in findings:
        if finding.remark:
            named.setdefault(finding.remark, []).append(finding.name)
    return "\n".join(f"- *{'*; *'.join(names)}*: {remark}." for remark, names in named.items())


def markdown(table: Table) -> str:
    lines = [_row(table.head), _row(["---"] * len(table.head)), *map(_row, table.rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _parts(results: Sequence[Result]) -> str:
    rows = tuple(
        (
            result.part.name,
            result.surroundings["when"][:10],
            result.surroundings["commit"],
            result.surroundings["cpu"],
            f"{result.took_s / 60:.1f} min" if result.took_s else "-",
        )
        for result in results
    )
    return markdown(Table("", ("part", "measured", "commit", "cpu", "takes"), rows)) + "\n"


def _findings(results: Sequence[Result]) -> str:
    named = ((result.part.name, finding) for result in results for finding in result.part.findings)
    return f"## What was to be reached\n\n{markdown(findings_table(named))}\n"
