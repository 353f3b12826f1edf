import gzip
import io
import json
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.cli.import_events import FormatName
from holdfast.receivers.formats import FORMATS
from tests.client.scripted import Reply, Request, problem, serving, stored

Capture = pytest.CaptureFixture[str]


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(line + "\n" for line in lines))
    return str(path)


def strict(request: Request) -> Reply:
    """Refuses every event whose action is "bad", by line."""
    lines = enumerate(request.lines, 1)
    bad = [(n, "action", "is bad") for n, line in lines if json.loads(line)["action"] == "bad"]
    return problem("malformed", 400, *bad) if bad else stored(request)


def event(id: str, action: str = "good") -> str:
    return json.dumps({"id": id, "action": action})


def test_every_format_that_receivers_know_can_be_named() -> None:
    assert {name.value for name in FormatName} == set(FORMATS)


def test_the_last_line_is_the_tally(tmp_path: Path, capsys: Capture) -> None:
    plain = write(tmp_path / "a.ndjson", event("1"), event("2"))
    packed = tmp_path / "b.gz"
    packed.write_bytes(gzip.compress(event("3").encode()))

    with serving() as server:
        code = run(
            ["import", "--format", "holdfast", "--server", server.url, "--json", plain, str(packed)]
        )

    last = capsys.readouterr().out.splitlines()[-1]
    assert code == 0
    assert json.loads(last) == {"read": 3, "acknowledged": 3, "refused": 0}
    assert [id for request in server.requests for id in request.ids] == ["1", "2", "3"]


def test_refused_events_are_named_by_file_and_line_and_the_rest_goes_in(
    tmp_path: Path, capsys: Capture
) -> None:
    lines = [event("1"), "", event("2", "bad"), "no json", event("3"), event("4", "bad")]
    path = write(tmp_path / "mixed.ndjson", *lines)

    with serving(then=strict) as server:
        code = run(["import", "--format", "holdfast", "--server", server.url, "--json", path])

    printed = capsys.readouterr()
    assert code == 2
    assert json.loads(printed.out) == {"read": 5, "acknowledged": 2, "refused": 3}
    assert f"{path}:3: refused: action: is bad" in printed.err
    assert f"{path}:4: refused: not a JSON object" in printed.err
    assert f"{path}:6: refused: action: is bad" in printed.err


def test_a_record_inside_an_envelope_is_named_by_its_place(tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path / "log.json", '{"Records":[{"eventID":"1","eventName":"A"},3]}')

    with serving() as server:
        code = run(["import", "--format", "cloudtrail", "--server", server.url, path])

    printed = capsys.readouterr()
    assert code == 2
    assert f"{path}:1[1]: refused: not a JSON object" in printed.err
    assert printed.out == "2 read, 1 acknowledged, 1 refused\n"


def test_standard_input_is_read_where_no_file_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(event("1").encode())))

    with serving() as server:
        code = run(["import", "--format", "holdfast", "--server", server.url])

    assert code == 0
    assert server.requests[0].ids == ("1",)


def test_a_server_that_goes_away_for_good_is_3_and_the_tally_says_what_it_has(
    tmp_path: Path, capsys: Capture
) -> None:
    path = write(tmp_path / "a.ndjson", *(event(str(i)) for i in range(10)))
    how = ["--batch", "2", "--parallel", "1", "--retry-for", "0", "--json"]

    with serving(stored, stored, then=lambda _: problem("unavailable", 503)) as server:
        code = run(["import", "--format", "holdfast", "--server", server.url, *how, path])

    printed = capsys.readouterr()
    assert code == 3
    assert json.loads(printed.out)["acknowledged"] == 4
    assert f"stopped at {path}:5" in printed.err


def test_a_file_that_is_not_there_is_2_before_anything_is_sent(
    tmp_path: Path, capsys: Capture
) -> None:
    there = write(tmp_path / "a.ndjson", event("1"))
    gone = str(tmp_path / "gone.ndjson")

    with serving() as server:
        code = run(["import", "--format", "holdfast", "--server", server.url, there, gone])

    assert code == 2
    assert server.requests == []
    assert gone in capsys.readouterr().err


@pytest.mark.parametrize("how", [["--format", "csv"], [], ["--format", "k8s", "--batch", "0"]])
def test_bad_usage_is_2(how: list[str], capsys: Capture) -> None:
    assert run(["import", "--server", "http://127.0.0.1:1", *how, "file"]) == 2
