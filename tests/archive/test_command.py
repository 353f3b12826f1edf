"""`holdfast archive` on the directories of a trail, with real processes for the work."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from holdfast.archive.lake import HINT, METADATA_PREFIX
from holdfast.archive.sweep import ACTION
from holdfast.cli.app import run
from holdfast.cli.doctor import _data
from holdfast.cli.exits import GOOD, UNREACHED
from tests.archive.days import laid_out, trail_of
from tests.archive.swept import swept_trail
from tests.cli.test_documents import EXAMPLES, shape
from tests.read.trails import World
from tests.serve.running import running


@pytest.mark.slow
@pytest.mark.timeout(180)  # its worker yields to all others of the machine
def test_it_prints_what_it_did_and_a_region_that_is_away_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    trail_of(world, 1)
    data = laid_out(world, tmp_path / "data")
    where = ["--data", str(data), "--json"]

    codes = [run(["archive", *where, "--dry-run"]), run(["archive", *where])]
    (data / "regions" / "b").rename(tmp_path / "away")
    codes += [run(["archive", *where])]

    dry, done, again = map(json.loads, capsys.readouterr().out.splitlines())
    assert codes == [GOOD, GOOD, UNREACHED]
    assert done.keys() == EXAMPLES["archive"].keys()
    assert shape({**done, "units": []}) == shape({**EXAMPLES["archive"], "units": []})
    assert done["units"][0].keys() == EXAMPLES["archive"]["units"][0].keys()
    assert (dry["units"][0]["regions"], sorted(dry["units"][0]["lacking"])) == ([], list("abc"))
    assert (done["units"][0]["regions"], done["archived"]) == (list("abc"), 1)
    assert {id: hint_of(data, id) for id in "ac"} == {"a": "1", "c": "1"}
    assert (again["units"], list(again["away"])) == ([], ["b"])


def test_without_the_trail_s_key_nobody_signs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    trail_of(world, 1)
    data = laid_out(world, tmp_path / "data")
    (data / "trail.key").unlink()

    code = run(["archive", "--data", str(data)])

    assert code == UNREACHED
    assert "no trail's key is here to sign manifests" in capsys.readouterr().err


@pytest.mark.slow
def test_sweep_prints_what_it_removed_and_reconcile_brings_an_archive_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    trail_of(world, 1)
    data = laid_out(world, tmp_path / "data")
    where = ["--data", str(data), "--json"]

    codes = [run(["archive", *where]), run(["sweep", *where])]
    codes += [run(["sweep", *where, "--kept", "0", "--dry-run"]), run(["sweep", *where[:2]])]
    codes += [run(["sweep", *where, "--kept", "0"])]
    shutil.rmtree(data / "regions" / "c" / "ev" / "arc")
    codes += [run(["reconcile", *where])]

    _, young, dry, told, done, mended = capsys.readouterr().out.splitlines()
    assert codes == [GOOD] * 6
    assert json.loads(mended)["archives"]["units"][0]["regions"] == list("abc")
    (kept,) = (data / "outbox").iterdir()  # until a server of this directory stores it
    assert json.loads(kept.read_bytes())["action"] == ACTION
    checks = {each.check: each for each in _data(data)}
    assert checks["outbox"].detail.endswith("wait for one: 1")
    assert json.loads(young)["swept"] == []
    assert json.loads(dry)["swept"] == json.loads(done)["swept"]
    assert shape(json.loads(done)["swept"][0]) == shape(EXAMPLES["sweep"]["swept"][0])
    assert json.loads(done).keys() == EXAMPLES["sweep"].keys()
    assert told == "segments removed: 0"
    assert not list(data.glob("regions/*/ev/seg/**/*.zst"))


def hint_of(data: Path, region: str) -> str:
    """The number of its table's newest version."""
    return (data / "regions" / region / f"{METADATA_PREFIX}{HINT}").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_server_that_archives_nothing_brings_an_archive_back(tmp_path: Path) -> None:
    world = World()
    asyncio.run(swept_trail(world, tmp_path / "cache"))
    data = laid_out(world, tmp_path / "data")
    lost = data / "regions" / "c" / "ev" / "arc"
    before = {path.name for path in lost.rglob("*.note")}
    shutil.rmtree(lost)

    with running(data) as server:
        server.inside(lambda: server.system.keeper.reconcile(whole=True))
        server.wait_until(lambda: {path.name for path in lost.rglob("*.note")} == before)

    assert before
