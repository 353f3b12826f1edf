"""`holdfast hold` and `holdfast retention` on the directories of a trail, with real processes."""

import json
from pathlib import Path

import pytest
from pyiceberg.table import StaticTable

from holdfast.archive.lake import METADATA_PREFIX
from holdfast.cli.app import run
from holdfast.cli.exits import BAD_INPUT, GOOD
from tests.archive.days import laid_out
from tests.archive.test_archivist import DAYS
from tests.cli.test_documents import EXAMPLES, shape
from tests.retention.years import Years, years

RULES = '[[retention]]\nclass = "short"\ntenants = ["acme"]\nmin = 1\nmax = 3\n'


def place(folder: Path, *, swept: bool = True) -> list[str]:
    """An archived day as directories, and settings with a rule."""
    made: list[Path] = []

    async def story(found: Years) -> None:
        made.append(laid_out(found.world, folder / "data"))

    years(folder, story, swept=swept)
    regions = made[0] / "regions"
    tables = [f'[regions.{id}]\nurl = "{(regions / id).as_uri()}"\n' for id in "abc"]
    settings = folder / "holdfast.toml"
    settings.write_text("".join(tables) + RULES)
    return ["--data", str(made[0]), "--config", str(settings)]


def test_holds_are_placed_listed_and_released(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = place(tmp_path)

    codes = [run(["hold", "add", *where, "--tenant", "acme", "--reason", "a case", "--json"])]
    added = json.loads(capsys.readouterr().out)
    codes += [run(["hold", "release", added["id"], *where, "--reason", "over"])]
    codes += [run(["hold", "release", "0" * 32, *where, "--reason", "over"])]
    codes += [run(["hold", "add", *where, "--tenant", "", "--reason", "r", "--from", "soon"])]
    codes += [run(["hold", "list", *where])]

    out, err = capsys.readouterr()
    assert codes == [GOOD, GOOD, BAD_INPUT, BAD_INPUT, GOOD]
    assert shape(added) == shape(EXAMPLES["hold add"])
    assert f"released: {added['id']} (over)" in out and "holds that stand: 0" in out
    assert f"there is no hold {'0' * 32}" in err and "from: " in err


@pytest.mark.slow
def test_a_plan_says_what_is_in_the_way_and_what_is_held_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = place(tmp_path, swept=False)
    named = ["--unit", DAYS[0], "--class", "short"]

    codes = [run(["retention", "plan", *where, "--json"]), run(["retention", "run", *where])]
    told = capsys.readouterr().out
    run(["hold", "add", *where, "--tenant", "acme", "--reason", "a case"])
    codes += [run(["retention", "run", *where, *named])]
    codes += [run(["retention", "run", *where, "--unit", "yesterday", "--class", "short"])]

    planned = json.loads(told.splitlines()[0])
    assert codes == [GOOD, GOOD, BAD_INPUT, BAD_INPUT]
    assert planned.keys() == EXAMPLES["retention plan"].keys()
    assert planned["rules"][0].keys() == EXAMPLES["retention plan"]["rules"][0].keys()
    [short] = planned["expiring"]
    assert short.keys() == EXAMPLES["retention plan"]["expiring"][0].keys()
    assert "segments are still there in region a" in short["why"][0]
    assert "kept at least 1 days, at most 3 days" in told and "parts removed: 0" in told
    assert "held by" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_rule_lets_go_is_gone_for_searches_verify_and_the_lake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = place(tmp_path)

    codes = [run(["retention", "run", *where, "--json"])]
    ran = json.loads(capsys.readouterr().out)
    codes += [run(["search", *where, "--count", "--by", "tenant", "--json"])]
    counted = json.loads(capsys.readouterr().out)
    codes += [run(["verify", *where, "--depth", "events"])]
    codes += [run(["retention", "run", *where])]

    said = capsys.readouterr().out
    assert codes == [GOOD] * 4
    assert [each["parts"] for each in ran["expiring"][0]["removed"]] == [1, 1, 1]
    assert {each["tenant"]: each["count"] for each in counted["groups"]} == {"": 4, "blå": 4}
    assert [(each["class"], each["events"]) for each in counted["retained_out"]] == [("short", 16)]
    assert "16 records of 2026-03-01 are retained out since" in said
    assert "classes of days or hours that have expired: 1" in said and "parts removed: 0" in said
    for id in "abc":
        metadata = (tmp_path / "data" / "regions" / id / METADATA_PREFIX).glob("v*.json")
        table = StaticTable.from_metadata(str(max(metadata)))
        assert table.scan().to_arrow().num_rows == 8
