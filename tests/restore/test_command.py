"""`holdfast rehearse` on the directories of a trail, with a real process for the work."""

import json
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.cli.exits import BAD_INPUT, GOOD, REFUTED
from tests.archive.days import FIRST, laid_out, trail_of
from tests.cli.test_documents import EXAMPLES, shape
from tests.read.trails import World


@pytest.mark.slow
def test_it_says_what_came_back_and_what_did_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    trail_of(world, 1)
    data = laid_out(world, tmp_path / "data")
    command = ["rehearse", "--data", str(data), "--region", "b", "--day", FIRST]
    segment = next((data / "regions" / "b" / "ev" / "seg").rglob("*.zst"))

    codes = [run([*command, "--json"])]
    segment.write_bytes(segment.read_bytes()[:-1] + b"x")
    codes += [run([*command, "--json"]), run(command), run([*command, "--region", "x"])]

    printed = capsys.readouterr()
    good, failed, *told = printed.out.splitlines()
    assert codes == [GOOD, REFUTED, REFUTED, BAD_INPUT]
    assert "no region x is named" in printed.err
    assert shape(json.loads(good)) == shape(EXAMPLES["rehearse"])
    assert json.loads(good)["events"] == 24
    assert segment.name in json.loads(failed)["why"]
    assert segment.name in told[-2] and told[-1].startswith("FAILED")
    assert not (data / "cache-commands" / "restore").exists()


@pytest.mark.parametrize("day", ["yesterday", "9999-12-31"])
def test_a_day_that_is_none_is_refused(
    day: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["rehearse", "--data", str(tmp_path), "--region", "b", "--day", day])

    assert code == BAD_INPUT and "--day" in capsys.readouterr().err
