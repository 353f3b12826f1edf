"""`holdfast verify`: exit codes, and what it prints."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run
from tests.cli.trail import write_trail

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("verify") / "data"
    events: list[dict[str, object]] = [
        {"id": f"{n}", "action": "a", "tenant": f"t{n % 2}"} for n in range(4)
    ]
    write_trail(data, *events)
    return data


@pytest.fixture
def data(founded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(founded, tmp_path / "data"))


def ask(data: Path, capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["verify", *arguments, "--data", str(data), "--json"])
    return code, json.loads(capsys.readouterr().out)


def segments(data: Path, region: str) -> list[Path]:
    return sorted((data / "regions" / region / "ev/seg").rglob("*.zst"))


def everything(data: Path) -> dict[str, bytes]:
    files = (path for path in sorted(data.rglob("*")) if path.is_file())
    return {str(path.relative_to(data)): path.read_bytes() for path in files}


def test_a_good_trail_is_0_and_nothing_is_changed(data: Path, capsys: Capture) -> None:
    before = everything(data)

    code, report = ask(data, capsys)

    assert (code, report["verdict"], report["events"]) == (0, "good", 4)
    assert everything(data) == before


def test_under_replicated_is_0_a_hole_is_4_and_a_changed_note_is_1_before_it(
    data: Path, capsys: Capture
) -> None:
    codes = []
    for region in "abc":
        segments(data, region)[1].unlink()
        codes.append(ask(data, capsys)[0])
    closed = next((data / "regions/b/ev/node").rglob("closed.note"))
    closed.write_bytes(closed.read_bytes().replace(b"why", b"WHY"))
    codes.append(ask(data, capsys)[0])

    assert codes == [0, 0, 4, 1]


def test_bytes_that_rotted_are_found_only_where_bytes_are_read(data: Path, capsys: Capture) -> None:
    rotten = segments(data, "a")[0]
    rotten.write_bytes(bytes(rotten.stat().st_size))

    found = {depth: ask(data, capsys, "--depth", depth) for depth in ("names", "bytes", "events")}
    later = ask(data, capsys, "--depth", "bytes", "--from", "2099-01-01T00:00:00Z")

    assert {depth: code for depth, (code, _) in found.items()} == {
        "names": 0,
        "bytes": 1,
        "events": 1,
    }
    assert [(f["kind"], f["region"]) for f in found["events"][1]["findings"]] == [("corrupt", "a")]
    assert (later[0], later[1]["deep_segments"]) == (0, 0)


def test_a_region_that_is_away_is_3_where_it_was_named_or_too_few_are_left(
    data: Path, capsys: Capture
) -> None:
    shutil.rmtree(data / "regions/b")

    left, named = ask(data, capsys), ask(data, capsys, "--region", "a", "--region", "b")
    shutil.rmtree(data / "regions/c")
    alone = ask(data, capsys)

    assert (left[0], named[0], alone[0]) == (0, 3, 3)
    assert [region["region"] for region in named[1]["regions"]] == ["a", "b"]


def test_a_note_that_was_kept_shows_a_tail_that_was_cut_with_all_that_spoke_of_it(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    point = next((data / "regions/a/ev/cp").rglob("*.note"))
    kept = tmp_path / "kept"
    kept.write_bytes(point.read_bytes())
    lines = tmp_path / "kept.ndjson"
    text = point.read_text("utf-8")
    lines.write_text(json.dumps({"origin": text.partition("\n")[0], "note": text}), "utf-8")
    for region in "abc":
        for folder in ("ev/seg", "ev/cp", "ctl", "ev/node"):
            shutil.rmtree(data / "regions" / region / folder)

    without = ask(data, capsys)[0]
    code, report = ask(data, capsys, "--expect", str(kept), "--expect", str(lines))

    assert (without, code) == (0, 4)
    assert {(f["kind"], f["start"], f["end"]) for f in report["findings"]} == {("cut_tail", 0, 4)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--depth", "atoms"), "--depth"),
        (("--region", "x"), "--region"),
        (("--trail", "x"), "--trail"),
        (("--from", "yesterday"), "--from"),
        (("--expect", "none"), "--expect"),
    ],
)
def test_a_mistake_in_the_call_is_2_and_named(
    founded: Path, capsys: Capture, arguments: tuple[str, ...], told: str
) -> None:
    code = run(["verify", *arguments, "--data", str(founded)])

    assert code == 2
    assert told in capsys.readouterr().err


def test_another_trail_than_was_asked_for_is_3(founded: Path, capsys: Capture) -> None:
    code, report = ask(founded, capsys, "--trail", "0" * 32)

    assert code == 3
    assert all("belongs to the trail" in region["state"] for region in report["regions"])


def test_a_person_reads_a_verdict_and_where(data: Path, capsys: Capture) -> None:
    gone = segments(data, "c")[2]
    gone.unlink()

    code = run(["verify", "--data", str(data)])

    printed = capsys.readouterr().out
    assert code == 0
    assert "under_replicated in region c" in printed and gone.name in printed
    assert printed.rstrip().splitlines()[-1].startswith("GOOD")


@pytest.mark.slow
def test_worker_processes_say_what_one_process_says_and_a_journal_goes_on(
    data: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.verify.run.FEW", 0)
    segments(data, "a")[0].write_bytes(b"")
    deep = ("--depth", "events", "--jobs")

    code, alone = ask(data, capsys, *deep, "1")
    by_two, several = ask(data, capsys, *deep, "2", "--resume", str(tmp_path / "journal"))
    resumed, again = ask(data, capsys, *deep, "2", "--resume", str(tmp_path / "journal"))

    assert code == by_two == resumed == 1
    for report in (alone, several, again):
        report.pop("started"), report.pop("ended")
    assert alone == several
    assert again.pop("resumed_segments") == several.pop("resumed_segments") + 4
    assert again == several
