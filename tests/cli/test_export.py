"""`holdfast export`, from a server and straight from the regions, and what anyone makes of it."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from holdfast.cli.app import run
from holdfast.proof.__main__ import main as check
from holdfast.times import format_us
from tests.client.scripted import Reply, serving
from tests.serve.running import Running, running

Capture = pytest.CaptureFixture[str]
EVENTS = Path(__file__).parents[1] / "data" / "events" / "kubernetes"
SINCE = "2020-01-01T00:00:00Z"


@dataclass(frozen=True)
class Exporting:
    """A server with real events, and a time until which they are all known."""

    server: Running
    until: str
    trail: str

    def command(self, out: Path, *more: str, since: str = SINCE) -> list[str]:
        asked = ["--from", since, "--to", self.until, "--out", str(out), *more]
        return ["export", "--server", self.server.url, *asked]

    def checking(self, out: Path, *more: str) -> list[str]:
        return ["check", f"{out}.receipt", "--trail", self.trail, *more]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporting]:
    with running(tmp_path_factory.mktemp("export") / "data", clock_error_ms=100) as server:
        files = [str(path) for path in sorted(EVENTS.glob("*.gz"))]
        assert run(["import", "--format", "k8s", "--server", server.url, *files]) == 0
        until = format_us(server.system.host.now_us())
        server.wait_until(lambda: _through(server) > until)
        yield Exporting(server, until, server.system.regions.trail)


def _through(server: Running) -> str:
    return str(server.get("/v1/completeness").json()["complete_through"] or "")


def _told(capsys: Capture, arguments: list[str]) -> tuple[int, str]:
    code = check(arguments)
    return code, capsys.readouterr().out


def test_a_file_and_its_receipt_convince_whoever_checks_them(
    there: Exporting, tmp_path: Path, capsys: Capture
) -> None:
    out, proof = tmp_path / "all.ndjson", tmp_path / "all.certificate"

    assert run(there.command(out, "--sign")) == 0
    asked = ["--from", SINCE, "--to", there.until, "--server", there.server.url]
    capsys.readouterr()
    assert run(["certify", "--all-tenants", "--no-records", *asked]) == 0
    proof.write_text(capsys.readouterr().out, "utf-8")

    lines = [gzip.decompress(path.read_bytes()).splitlines() for path in EVENTS.glob("*.gz")]
    sent = [json.loads(line) for some in lines for line in some]
    records = [json.loads(line) for line in out.read_bytes().splitlines()]
    payloads = [each["payload"] for each in records if not each["action"].startswith("holdfast.")]
    assert sorted(map(json.dumps, payloads)) == sorted(map(json.dumps, sent))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "all.certificate",
        "all.ndjson",
        "all.ndjson.receipt",
    ]
    assert _told(capsys, there.checking(out))[0] == 0
    code, told = _told(capsys, there.checking(out, "--certificate", str(proof)))
    assert (code, "that these are all: proven by the certificate" in told) == (0, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[data.index(b"\n") + 1 :],
        lambda data: data + data[: data.index(b"\n") + 1],
        lambda data: data.replace(b'"outcome":"success"', b'"outcome":"failure"', 1),
        lambda data: data[:-1] + b" ",
    ],
)
def test_a_file_that_was_changed_is_refuted(
    there: Exporting, tmp_path: Path, capsys: Capture, change: Callable[[bytes], bytes]
) -> None:
    out = tmp_path / "all.ndjson"
    run(there.command(out, "--sign"))
    changed = change(out.read_bytes())
    assert changed != out.read_bytes()

    out.write_bytes(changed)

    code, told = _told(capsys, there.checking(out))
    assert (code, told.splitlines()[-1].partition(":")[0]) == (1, "REFUTED")


def test_filters_leave_out_what_only_the_signer_vouches_for(
    there: Exporting, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "get.ndjson"

    assert run(there.command(out, "--sign", "--outcome", "denied")) == 0

    records = [json.loads(line) for line in out.read_bytes().splitlines()]
    count = there.server.get("/v1/events/count?outcome=denied").json()["count"]
    assert 0 < len(records) == count
    code, told = _told(capsys, there.checking(out))
    assert (code, "the signer's word alone: no certificate proves" in told) == (0, True)


def test_a_parquet_file_has_its_receipt_too(
    there: Exporting, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "all.parquet"

    assert run(there.command(out, "--sign", "--format", "parquet")) == 0

    assert pq.read_table(out).num_rows > 100
    assert _told(capsys, there.checking(out))[0] == 0
    out.write_bytes(out.read_bytes()[:-1] + b"2")
    assert _told(capsys, there.checking(out))[0] == 1


def test_what_was_cut_off_goes_on_with_the_same_command(
    there: Exporting, tmp_path: Path, capsys: Capture
) -> None:
    whole, out = tmp_path / "whole.ndjson", tmp_path / "cut.ndjson"
    assert run(there.command(whole)) == 0
    data = whole.read_bytes()
    half = Reply(
        200, data[: len(data) // 2], {"Content-Length": str(len(data)), "Connection": "close"}
    )
    with serving(then=lambda _: half) as broken:
        command = there.command(out, "--sign")
        command[command.index("--server") + 1] = broken.url
        assert run(command) == 3
    (part,) = tmp_path.glob("cut.ndjson.*")
    assert (part.suffix, out.exists()) == (".part", False)
    assert 0 < part.stat().st_size < len(data)

    assert run(there.command(out, "--sign")) == 0

    assert out.read_bytes() == data
    assert "going on behind" in capsys.readouterr().err
    assert not [*tmp_path.glob("*.part")]
    assert check(there.checking(out)) == 0


def test_a_part_of_another_file_is_never_made_whole(
    there: Exporting, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "cut.ndjson"
    cut = Reply(200, b"x", {"Content-Length": "9", "Connection": "close"})
    with serving(then=lambda _: cut) as broken:
        command = there.command(out, "--sign")
        command[command.index("--server") + 1] = broken.url
        run(command)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(b"rotten")

    assert run(there.command(out, "--sign")) == 3

    assert not out.exists()


@pytest.mark.slow
def test_straight_from_the_regions_it_is_the_same_file(
    there: Exporting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CLOCK_ERROR_MS", "100")  # as the server has it
    one, other = tmp_path / "one", tmp_path / "other"
    run(there.command(one))
    straight = ["export", "--data", str(there.server.data), "--from", SINCE, "--to", there.until]

    assert run([*straight, "--out", str(other), "--sign"]) == 0

    assert one.read_bytes() == other.read_bytes()
    assert check(there.checking(other)) == 0


def test_what_makes_no_sense_is_2_and_writes_nothing(
    there: Exporting, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "a"
    out.touch()
    late = ["--from", SINCE, "--to", "2999-01-01T00:00:00Z", "--out", str(tmp_path / "b")]

    assert run(there.command(out)) == 2
    assert "is there already" in capsys.readouterr().err
    assert run(["export", "--server", there.server.url, *late]) == 2
    assert "everything is known through" in capsys.readouterr().err
    assert run(["export", "--server", there.server.url, *late[:2]]) == 2
    assert run(["export", "--server", there.server.url, *late[:4], "--sign"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
