"""`holdfast report`: one file, straight from the regions."""

from pathlib import Path

import pytest

from holdfast.cli.app import run
from tests.cli.trail import write_trail
from tests.serve.test_html import read

DAY = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z")
EVENTS: tuple[dict[str, object], ...] = (
    {"action": "door.open", "actor": {"id": "alice"}, "time": "2026-01-01T10:00:00Z"},
    {"action": "door.open", "actor": {"id": "bob"}, "time": "2026-01-03T10:00:00Z"},
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "data"
    write_trail(path, *EVENTS)
    return path


def test_a_file_says_how_much_and_that_it_is_what_was_written(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"

    code = run(["report", *DAY, "--data", str(data), "--jobs", "1", "-o", str(out)])

    text = read(out.read_text("utf-8")).text
    assert code == 0
    assert "The trail began later" in text
    assert "What is there is what was written" in text
    assert "How many events?1their own times" in text
    assert "the bytes of 1, received" in text
    assert f"--data {data}" in text


def test_a_corrupt_copy_of_the_period_is_exit_1(data: Path, tmp_path: Path) -> None:
    copies = sorted(p for p in (data / "regions/b/ev/seg").rglob("*") if p.is_file())
    kept = copies[0].read_bytes()
    copies[0].chmod(0o600)
    copies[0].write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    out = tmp_path / "report.html"

    code = run(["report", *DAY, "--data", str(data), "--jobs", "1", "-o", str(out)])

    copies[0].write_bytes(kept)
    assert code == 1
    assert "Refuted: something was changed" in read(out.read_text("utf-8")).text


def test_a_period_that_is_not_over_is_exit_4(
    data: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    ends = ("--from", "2026-01-01", "--to", "9000-01-01")

    code = run(["report", *ends, "--data", str(data), "--depth", "names", "--jobs", "1"])

    out, err = capfdbinary.readouterr()
    assert code == 4
    assert out.startswith(b"<!doctype html>")
    assert b"Complete through" in err


@pytest.mark.parametrize(
    "asked", [("--from", "x", "--to", "y"), (*DAY[2:], "--from", "2026-01-03T00:00:00Z")]
)
def test_a_period_that_is_none_is_exit_2(data: Path, asked: tuple[str, ...]) -> None:
    assert run(["report", *asked, "--data", str(data)]) == 2


def test_a_file_that_cannot_be_written_is_named(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ["-o", str(data / "none" / "report.html"), "--jobs", "1", "--depth", "names"]

    assert run(["report", *DAY, "--data", str(data), *there]) == 2
    assert "cannot be written" in capsys.readouterr().err
