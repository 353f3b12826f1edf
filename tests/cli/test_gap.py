"""`holdfast gap declare` on real directories: it looks first, and states nothing that is not so."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run
from holdfast.proof import names
from tests.cli.test_documents import EXAMPLES, shape
from tests.cli.trail import write_trail

Capture = pytest.CaptureFixture[str]
REGIONS = ("a", "b", "c")


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("gap") / "data"
    events: list[dict[str, object]] = [{"id": f"e{n}", "action": "a"} for n in range(4)]
    write_trail(data, *events)
    return data


@pytest.fixture
def data(founded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(founded, tmp_path / "data"))


def segments(data: Path, index: int, regions: tuple[str, ...] = REGIONS) -> list[Path]:
    found = [path for r in regions for path in (data / "regions" / r).rglob(f"{index:010x}-*.zst")]
    assert len(found) == len(regions)
    return found


def node_of(data: Path) -> str:
    return segments(data, 0, ("a",))[0].parents[1].name


def lose(data: Path, *indexes: int, regions: tuple[str, ...] = REGIONS) -> None:
    for index in indexes:
        for path in segments(data, index, regions):
            path.unlink()


def declare(data: Path, start: int, end: int, *more: str) -> int:
    where = ("--data", str(data), "--node", node_of(data))
    range_ = ("--from", str(start), "--to", str(end))
    return run(["gap", "declare", *where, *range_, "--why", "a fire", "--yes", *more])


def notes(data: Path) -> list[str]:
    return sorted(path.parts[-5] for path in data.glob("regions/*/ev/gap/*/*.note"))


def ask(data: Path, capsys: Capture, *verb: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run([*verb, "--data", str(data), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_declared_gap_lets_the_trail_go_on_and_is_named_everywhere(
    data: Path, capsys: Capture
) -> None:
    lose(data, 1, 2)
    stuck, before = ask(data, capsys, "completeness")

    code = declare(data, 1, 3, "--json")

    said = json.loads(capsys.readouterr().out)
    assert code == 0 and said["stored"] == ["a", "b", "c"] == notes(data)
    assert shape(said) == shape(EXAMPLES["gap declare"])
    assert (said["first"], said["next"]) == (1, 3)
    assert stuck == 4 and before["holding_back"][0]["kind"] == "hole"
    found, after = ask(data, capsys, "completeness")
    assert found == 4 and after["complete_through"] and not after["holding_back"]
    assert [(gap["start"], gap["end"], gap["cause"]) for gap in after["gaps"]] == [(1, 3, "a fire")]
    _, page = ask(data, capsys, "search")
    assert [event["id"] for event in page["events"]] == ["e3", "e0"]
    assert page["gaps"] == after["gaps"]


def test_what_one_region_still_has_is_not_lost(data: Path, capsys: Capture) -> None:
    lose(data, 1, regions=("a", "b"))

    code = declare(data, 1, 2)

    assert code == 2 and notes(data) == []
    assert "region c has a good copy" in capsys.readouterr().err


def test_a_copy_that_is_corrupt_everywhere_is_lost(data: Path, capsys: Capture) -> None:
    for path in segments(data, 1):
        path.chmod(0o600)
        path.write_bytes(b"dust")

    code = declare(data, 1, 2)

    assert code == 0 and "a copy that is not good" in capsys.readouterr().err
    _, after = ask(data, capsys, "completeness")
    assert after["complete_through"] and len(after["gaps"]) == 1


def test_beyond_what_the_ledger_is_known_to_reach_nothing_is_lost(
    data: Path, capsys: Capture
) -> None:
    code = declare(data, 3, 50)

    assert code == 2 and notes(data) == []
    assert "known to reach 4 segments" in capsys.readouterr().err


def test_while_a_region_is_away_nothing_is_stated_unless_it_is_gone_for_good(
    data: Path, capsys: Capture
) -> None:
    lose(data, 1)
    (data / "regions" / "c").rename(data / "away")

    away = declare(data, 1, 2)
    told = capsys.readouterr().err
    before = notes(data)
    gone = declare(data, 1, 2, "--region-gone", "c")

    assert away == 3 and "--region-gone" in told and before == []
    assert gone == 0 and notes(data) == ["a", "b"]


def test_a_region_that_answers_is_not_gone(data: Path) -> None:
    lose(data, 1)

    assert declare(data, 1, 2, "--region-gone", "c") == 2
    assert notes(data) == []


def test_a_statement_that_reached_too_few_regions_is_finished_by_the_same_command(
    data: Path, capsys: Capture
) -> None:
    lose(data, 1)
    declare(data, 1, 2)
    for region in ("b", "c"):
        shutil.rmtree(data / "regions" / region / "ev" / "gap")
        (data / "regions" / region / "ev" / "gap").touch()  # where no folder can be made
    stated = next(data.glob("regions/a/ev/gap/*/*.note")).read_bytes()
    half = declare(data, 1, 2)
    told = capsys.readouterr().err
    for region in ("b", "c"):
        (data / "regions" / region / "ev" / "gap").unlink()

    again = declare(data, 1, 2, "--by", "somebody else")

    assert half == 3 and "it lies in a" in told and "again" in told
    assert again == 0 and notes(data) == ["a", "b", "c"]
    assert {path.read_bytes() for path in data.glob("regions/*/ev/gap/*/*.note")} == {stated}


def test_overlapping_what_is_declared_is_refused(data: Path) -> None:
    lose(data, 1, 2)
    declare(data, 1, 2)

    assert declare(data, 1, 3) == 2
    assert declare(data, 2, 3) == 0


def test_without_the_trails_key_or_a_yes_nothing_is_stated(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(data, 1)
    node = ("--data", str(data), "--node", node_of(data))
    monkeypatch.setattr("builtins.input", lambda: "y")

    unconfirmed = run(["gap", "declare", *node, "--from", "1", "--to", "2", "--why", "a fire"])
    (data / "trail.key").unlink()

    assert unconfirmed == 2
    assert declare(data, 1, 2) == 2
    assert notes(data) == []


def test_a_region_that_lacks_the_statement_is_brought_it_and_nothing_is_called_lost(
    data: Path, capsys: Capture
) -> None:
    lose(data, 1)
    declare(data, 1, 2)
    shutil.rmtree(data / "regions" / "b" / "ev" / "gap")

    code, report = ask(data, capsys, "reconcile")

    assert code == 0 and report["identical"] and report["findings"] == []
    assert notes(data) == ["a", "b", "c"]


def test_the_next_start_goes_on_behind_a_gap(data: Path, capsys: Capture) -> None:
    lose(data, 1)
    declare(data, 1, 2)

    write_trail(data, {"id": "later", "action": "a"})

    code, page = ask(data, capsys, "search")
    assert code == 0 and [event["id"] for event in page["events"]] == ["later", "e3", "e2", "e0"]
    _, said = ask(data, capsys, "completeness")
    assert len(said["gaps"]) == 1 and not said["holding_back"]


def test_a_node_that_no_region_knows_has_lost_nothing(data: Path) -> None:
    range_ = ("--from", "0", "--to", "1", "--why", "x", "--yes")
    nobody = names.node_id(b"nobody")

    assert run(["gap", "declare", "--data", str(data), "--node", nobody, *range_]) == 2
    assert run(["gap", "declare", "--data", str(data), "--node", "../x", *range_]) == 2


def test_over_regions_that_are_mixed_up_nothing_is_stated(data: Path, capsys: Capture) -> None:
    lose(data, 1)
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (data / "regions" / old).rename(data / "regions" / new)

    code = declare(data, 1, 2)

    assert code == 2 and notes(data) == []
    assert "its store is that of the region b" in capsys.readouterr().err
