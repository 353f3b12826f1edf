"""`holdfast certify`, with a server and without, and what the tenant makes of the file."""

import json
import os
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.proof.__main__ import main as check
from holdfast.times import format_us, parse_time
from tests.cli.trail import write_trail
from tests.client.scripted import Reply, problem, serving
from tests.prove.certificates import records_in

Capture = pytest.CaptureFixture[str]
EVENTS: tuple[dict[str, object], ...] = (
    {"id": "1", "action": "user.login", "tenant": "acme"},
    {"id": "2", "action": "user.login", "tenant": "other"},
    {"id": "3", "action": "user.logout", "tenant": "acme"},
)
LINE = (
    b'{"format":"holdfast-completeness/1","tenant":"a","salt":"' + b"A" * 43 + b'=","from_us":1,'
    b'"to_us":2,"complete_through_us":3,"basis":[],"nodes":[]}\n'
)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    data = tmp_path_factory.mktemp("certify") / "data"
    trail = write_trail(data, *EVENTS)
    for beat in data.glob("regions/*/ctl/hb/*.note"):  # by it reading tells the regions' time
        later = beat.stat().st_mtime + 60
        os.utime(beat, (later, later))
    return data, trail


@pytest.fixture
def clocks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or what was just written would be known to be complete in two seconds only."""
    monkeypatch.setenv("HOLDFAST_CLOCK_ERROR_MS", "1")


def through(data: Path, capsys: Capture) -> str:
    run(["completeness", "--data", str(data), "--json"])
    return str(json.loads(capsys.readouterr().out)["complete_through"])


@pytest.mark.usefixtures("clocks_agree")
def test_a_certificate_straight_from_the_regions_convinces_its_tenant(
    founded: tuple[Path, str], tmp_path: Path, capsys: Capture
) -> None:
    data, trail = founded
    where = ["--data", str(data)]
    until = through(data, capsys)
    since = format_us(parse_time(until) - 3_600_000_000)

    code = run(["certify", "--tenant", "acme", "--from", since, "--to", until, *where])

    printed = capsys.readouterr()
    file = tmp_path / "acme.certificate"
    file.write_text(printed.out, "utf-8")
    assert run(["tenant", "salt-id", "--tenant", "acme", *where]) == 0
    salt_id = capsys.readouterr().out.strip()
    assert code == 0
    assert printed.err.strip().endswith(salt_id)
    assert records_in(file.read_bytes()) == ["1", "3"]
    checking = ["check", str(file), "--trail", trail]
    assert check([*checking, "--salt-id", salt_id, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["proven"]["events"]) == ("proven", 2)
    assert check([*checking, "--salt-id", salt_id]) == 0
    words = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("   only stated: ") for line in words) == 3
    assert check(checking) == 3
    assert check([*checking, "--salt-id", "0" * 64]) == 1
    assert "salt" in capsys.readouterr().out


def test_a_time_that_is_not_known_whole_is_2_and_says_through_when_it_is(
    founded: tuple[Path, str], capsys: Capture
) -> None:
    where = ["--data", str(founded[0])]

    code = run(["certify", "--tenant", "a", "--from", "2026-01-01T00:00:00Z", *_to_ever(), *where])

    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert "everything is known through" in told.err


def _to_ever() -> list[str]:
    return ["--to", "2999-01-01T00:00:00Z"]


def test_a_servers_file_is_passed_on_byte_for_byte(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    body = LINE + b"{} \r\n" * 100_000
    with serving(then=lambda _: Reply(200, body)) as server:
        asked = ["--tenant", "a b", "--from", "2026-01-01T00:00:00Z", *_to_ever(), "--no-records"]
        code = run(["certify", "--server", server.url, *asked])

    (request,) = server.requests
    assert (code, capsysbinary.readouterr().out) == (0, body)
    assert request.path == (
        "/v1/certificate?tenant=a%20b&from=2026-01-01T00%3A00%3A00Z"
        "&to=2999-01-01T00%3A00%3A00Z&records=hashes"
    )


def test_a_file_that_breaks_off_is_3(capsys: Capture) -> None:
    short = Reply(200, LINE, {"Content-Length": str(len(LINE) + 10), "Connection": "close"})
    chunked = Reply(200, b"%x\r\n%b\r\n" % (len(LINE), LINE), {"Transfer-Encoding": "chunked"})
    cut = {"Connection": "close", "Content-Length": "", **chunked.headers}
    for reply in (short, Reply(200, chunked.body, cut)):
        with serving(then=lambda _, reply=reply: reply) as server:  # type: ignore[misc]
            asked = ["--tenant", "a", "--from", "2026-01-01T00:00:00Z", *_to_ever()]
            assert run(["certify", "--server", server.url, *asked]) == 3

    capsys.readouterr()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (503, "unavailable", 3),
        (409, "uncertifiable", 2),
        (400, "bad-parameter", 2),
        (500, "corrupt", 1),
    ],
)
def test_what_a_server_refuses_has_its_own_code(
    status: int, kind: str, code: int, capsys: Capture
) -> None:
    with serving(then=lambda _: problem(kind, status)) as server:
        asked = ["--tenant", "a", "--from", "2026-01-01T00:00:00Z", *_to_ever()]
        assert run(["certify", "--server", server.url, *asked]) == code

    assert capsys.readouterr().out == ""


def test_a_salt_id_for_programs_is_an_object(founded: tuple[Path, str], capsys: Capture) -> None:
    assert run(["tenant", "salt-id", "--tenant", "", "--data", str(founded[0]), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["tenant"] == "" and len(told["salt_id"]) == 64
