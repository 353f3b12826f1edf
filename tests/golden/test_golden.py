"""The golden trail says the same to this version as to the one that wrote it down."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run
from holdfast.regions.trailkey import TrailKey
from tests.golden.answers import ANSWERS, GOLDEN, QUESTIONS, REGIONS, answers_of, ask

pytestmark = pytest.mark.slow
EXPECTED: dict[str, Any] = json.loads(ANSWERS.read_text("utf-8"))
BYTES_MAX = 300_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    shutil.copytree(REGIONS, tmp_path / "data" / "regions")
    return tmp_path / "data"


def test_every_question_has_the_answer_that_was_frozen(data: Path) -> None:
    answers = answers_of(data)

    assert set(answers) == set(EXPECTED) == {"objects", *QUESTIONS}
    for title, expected in EXPECTED.items():
        assert _common(answers[title], expected) == expected, title


@pytest.mark.parametrize("away", ["a", "b", "c"])
def test_without_any_one_region_the_same_events_are_found(data: Path, away: str) -> None:
    shutil.rmtree(data / "regions" / away)

    code, found = ask(data, "everything")

    expected = EXPECTED["everything"]["answer"]
    assert code == 0
    assert found["events"] == expected["events"]
    assert found["complete_through"] == expected["complete_through"]


def test_the_trail_holds_what_is_hard_to_read() -> None:
    objects = EXPECTED["objects"].values()
    closers = {o["says"]["by"] for o in objects if "closed_us" in (o["says"] or {})}

    assert EXPECTED["status"]["answer"] == {"repeats": 2, "conflicts": 2}
    assert [f["kind"] for f in EXPECTED["reconcile"]["answer"]["findings"]] == ["orphan"]
    assert EXPECTED["what was never acknowledged"]["answer"]["events"] == []
    assert len(closers) == 2  # one node closed an epoch of the other
    assert [o["regions"] for o in objects if not o["is_intact"]] == [["b"]]
    replaced = [o["says"] for o in objects if (o["says"] or {}).get("replaces")]
    whole = [o for name, o in EXPECTED["objects"].items() if name.startswith("ev/whole.note")]
    assert [cookie["region"] for cookie in replaced] == ["b"]
    assert [o["says"]["store"] for o in whole] == [cookie["store"] for cookie in replaced]
    assert EXPECTED["completeness"]["answer"]["holding_back"][0]["kind"] == "silent"


def test_a_gap_can_be_declared_in_it_and_the_rest_stays_as_it_was(data: Path) -> None:
    (data / "trail.key").write_bytes(TrailKey(bytes(range(32)), "golden").text().encode())
    node = EXPECTED["completeness"]["answer"]["holding_back"][0]["node"]
    for path in (data / "regions").glob(f"*/ev/seg/{node}/*/0000000001-*"):
        path.unlink()
    shown = {event["id"] for event in EXPECTED["everything"]["answer"]["events"]}

    range_ = ("--node", node, "--from", "1", "--to", "2", "--why", "a fire", "--yes")
    declared = run(["gap", "declare", "--data", str(data), *range_])
    code, found = ask(data, "everything")

    assert (declared, code) == (0, 0)
    assert [(gap["start"], gap["end"], gap["cause"]) for gap in found["gaps"]] == [(1, 2, "a fire")]
    assert found["complete_through"] == EXPECTED["everything"]["answer"]["complete_through"]
    assert {event["id"] for event in found["events"]} < shown


def test_it_stays_small() -> None:
    assert sum(p.stat().st_size for p in GOLDEN.rglob("*") if p.is_file()) < BYTES_MAX


def _common(answer: Any, expected: Any) -> Any:
    """The answer without keys that were added since; none may go, or change its meaning."""
    if isinstance(answer, dict) and isinstance(expected, dict):
        return {n: _common(each, expected[n]) for n, each in answer.items() if n in expected}
    if isinstance(answer, list) and isinstance(expected, list) and len(answer) == len(expected):
        return [_common(one, other) for one, other in zip(answer, expected, strict=True)]
    return answer
