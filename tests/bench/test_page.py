"""docs/BENCH.md and the README say what was measured, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import page, results, scale
from bench.parts import PARTS
from bench.report import Finding, Part, Table
from bench.results import Result

ROOT = Path(__file__).parents[2]
BENCH = (ROOT / "docs" / "BENCH.md").read_text("utf-8")
WHERE = {"when": "2026-11-24T19:33:01Z", "commit": "f9aaf2a", "cpu": "2 x AMD EPYC"}


def result(name: str, *findings: Finding) -> Result:
    table = Table("Tables turned:", ("side", "µs"), (("ours", "1.5"), ("theirs", "3.0")))
    part = Part(name, (table,), findings, {"samples": [1.5, 3.0]}, {"other": "1.2"})
    return Result("What it is.\n\nHow it is done.", WHERE, {"rounds": 2}, 90, part)


def test_the_page_is_what_the_committed_results_say() -> None:
    kept = results.read(results.RESULTS)

    assert page.page(kept, PARTS) == BENCH
    assert set(kept) <= {*PARTS, scale.NAME}


def test_a_measured_result_comes_from_a_commit_and_says_what_it_ran_on() -> None:
    for kept in results.read(results.RESULTS).values():
        told = kept.surroundings

        assert {"when", "cpu", "memory", "kernel", "python"} <= set(told)
        assert re.fullmatch(r"[0-9a-f]{7,}", told["commit"]), kept.part.name


def test_every_figure_that_the_readme_tells_stands_in_the_page() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    costs = readme.partition("## What it costs")[2].partition("\n## ")[0]
    rows = [line for line in costs.splitlines() if line.startswith("| ")][2:]

    cells = [row.split(" | ")[-1] for row in rows]
    told = [figure for cell in cells for figure in re.findall(r"\d[\d.,]*\d", cell)]

    assert len(rows) == 7 and len(told) > 8
    assert [figure for figure in told if figure not in BENCH] == []


def test_every_figure_that_operators_are_told_of_years_stands_in_the_page() -> None:
    operations = " ".join((ROOT / "docs" / "OPERATIONS.md").read_text("utf-8").split())
    told = operations.partition("on 365 archived days is ready")[2].partition("([")[0]

    figures = re.findall(r"([\d,.]+) (?:ms|s)\b", told)

    years = results.read(results.RESULTS)["years"].part.tables[0].rows
    assert len(figures) == 3
    assert set(figures) <= {row[-1].partition(" ")[0] for row in years}


def test_what_is_kept_reads_back_the_same(tmp_path: Path) -> None:
    whole = result("alpha", Finding("CPU", 1.5, 2.0, "µs", samples=(1.0, 1.5, 2.5)))

    results.keep(whole, tmp_path)

    assert results.read(tmp_path) == {"alpha": whole}


def test_a_kept_file_with_a_field_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    results.keep(result("alpha"), tmp_path)
    path = tmp_path / "alpha.json"
    path.write_text(path.read_text().replace('"took_s": 90', '"took_s": "long"'))

    with pytest.raises(msgspec.ValidationError, match="took_s"):
        results.read(tmp_path)


def test_a_page_has_all_that_was_to_be_reached_first_then_the_parts_in_their_order() -> None:
    missed = Finding("CPU", 3.0, 2.0, "µs", samples=(2.5, 3.0, 4.0), why="it is slow")
    other = Finding("rate", None, 9_000, "/s", is_least=True, note="no such program")

    text = page.page(
        {"alpha": result("alpha", missed), "beta": result("beta", other)}, ("beta", "alpha")
    )

    assert text.index("| beta | rate") < text.index("| alpha | CPU") < text.index("## beta")
    assert text.index("## beta") < text.index("## alpha")
    assert "| alpha | CPU | 3.00 µs [2.50-4.00] | <= 2 µs | **missed by 50%** |" in text
    assert "| beta | rate | - | >= 9,000 /s | not measured |" in text
    assert "- *CPU*: it is slow." in text and "- *rate*: no such program." in text
    assert "Tables turned:\n\n| side | µs |\n| --- | --- |\n| ours | 1.5 |" in text


def test_what_two_figures_have_in_the_way_is_said_once() -> None:
    findings = [Finding(name, 3.0, 2.0, "µs", why="it is slow") for name in ("CPU", "rest")]

    text = page.section(result("alpha", *findings))

    assert text.count("it is slow") == 1 and "*CPU*; *rest*: it is slow" in text


def test_a_part_that_is_not_there_is_refused_with_those_that_are() -> None:
    command = [sys.executable, "-m", "bench", "ingest", "digest"]

    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    assert run.returncode == 2
    assert "no such part: digest; there are ingest, " in run.stderr
