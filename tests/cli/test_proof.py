"""`holdfast proof`, with a server and without, and what an outsider makes of the file."""

import json
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.proof.__main__ import main as check
from tests.cli.trail import write_trail
from tests.client.scripted import Reply, problem, serving

Capture = pytest.CaptureFixture[str]
EVENTS: tuple[dict[str, object], ...] = (
    {"id": "1", "action": "user.login", "tenant": "acme"},
    {"id": "1", "action": "user.login", "tenant": "other"},
    {"id": "2", "action": "user.logout"},
)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    data = tmp_path_factory.mktemp("proof") / "data"
    return data, write_trail(data, *EVENTS)


def test_a_proof_straight_from_the_regions_convinces_an_outsider(
    founded: tuple[Path, str], tmp_path: Path, capsys: Capture
) -> None:
    data, trail = founded

    code = run(["proof", "1", "--tenant", "acme", "--data", str(data)])

    file = tmp_path / "event.proof"
    file.write_text(capsys.readouterr().out, "utf-8")
    assert code == 0
    assert check(["check", str(file), "--trail", trail, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads(told["proven"]["record"])["tenant"] == "acme"


def test_an_id_of_several_events_and_one_of_none_are_2(
    founded: tuple[Path, str], capsys: Capture
) -> None:
    where = ["--data", str(founded[0])]

    codes = [run(["proof", id, *where]) for id in ("1", "3", "")]

    told = capsys.readouterr()
    assert codes == [2, 2, 2]
    assert told.out == ""
    assert "2 events have it" in told.err and "no event '3'" in told.err


def test_a_servers_file_is_passed_on_byte_for_byte(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    with serving(then=lambda _: Reply(200, b'{"format":"x"}\n')) as server:
        options = ["--tenant", "", "--node", "f" * 32, "--position", "7"]
        code = run(["proof", "a/b", "--server", server.url, *options])

    path = f"/v1/events/a%2Fb/proof?tenant=&node={'f' * 32}&position=7"
    assert (code, capsysbinary.readouterr().out) == (0, b'{"format":"x"}\n')
    assert [request.path for request in server.requests] == [path]


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(503, "unavailable", 3), (409, "ambiguous", 2), (404, "not-found", 2), (500, "corrupt", 1)],
)
def test_what_a_server_refuses_has_its_own_code(
    status: int, kind: str, code: int, capsys: Capture
) -> None:
    with serving(then=lambda _: problem(kind, status)) as server:
        assert run(["proof", "x", "--server", server.url]) == code

    assert capsys.readouterr().out == ""
