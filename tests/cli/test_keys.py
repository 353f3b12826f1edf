import io
import json
import shutil
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.proof import names, statements
from holdfast.regions.signing import SigningKey
from holdfast.regions.trailkey import TrailKey
from tests.cli.test_documents import EXAMPLES, shape
from tests.cli.trail import write_trail

Capture = pytest.CaptureFixture[str]

TRAIL = TrailKey(b"t" * 32, "main")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "trail.key").write_text(TRAIL.text())
    return tmp_path


def node_key(trail: str = TRAIL.trail) -> SigningKey:
    public = SigningKey.generate("unnamed", b"n" * 32).public
    return SigningKey.generate(names.ledger_origin(trail, names.node_id(public)), b"n" * 32)


def test_a_node_is_admitted_by_a_certificate_that_verifies(data: Path, capsys: Capture) -> None:
    key = node_key()
    out = data / "node.cert"

    code = run(["keys", "admit", key.verifier.text, "--data", str(data), "--out", str(out)])
    printed = run(["keys", "admit", key.verifier.text, "--data", str(data)])

    assert (code, printed) == (0, 0)
    statements.verify_certificate(out.read_bytes(), TRAIL.trail, key.public)
    note = capsys.readouterr().out.partition("\n")[2].encode()
    statements.verify_certificate(note, TRAIL.trail, key.public)


def test_another_trails_node_is_refused(data: Path, capsys: Capture) -> None:
    key = node_key(trail="0" * 32)

    assert run(["keys", "admit", key.verifier.text, "--data", str(data)]) == 2
    assert "it is not for the trail" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "nonsense", "a+00000000+AAAA"])
def test_what_is_no_key_is_bad_usage(text: str, data: Path, capsys: Capture) -> None:
    assert run(["keys", "admit", text, "--data", str(data)]) == 2


def test_without_the_trails_key_it_says_where_to_run(tmp_path: Path, capsys: Capture) -> None:
    code = run(["keys", "admit", node_key().verifier.text, "--data", str(tmp_path)])

    assert code == 2
    assert "run this where the trail's key is" in capsys.readouterr().err


def test_a_key_may_lie_in_a_file(data: Path, capsys: Capture) -> None:
    key = node_key()
    (data / "request").write_text(f"{key.verifier.text}\n")

    code = run(["keys", "admit", str(data / "request"), "--data", str(data)])
    missing = run(["keys", "admit", str(data / "nothing"), "--data", str(data)])

    said = capsys.readouterr()
    assert (code, missing) == (0, 2)
    statements.verify_certificate(said.out.encode(), TRAIL.trail, key.public)
    assert "nothing cannot be read" in said.err


def test_a_node_is_retired_shown_as_such_and_refused(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    data = tmp_path / "data"
    write_trail(data, {"action": "a"}, {"action": "b"})
    show = ["keys", "show", "--data", str(data), "--json"]
    run(show)
    before = json.loads(capsys.readouterr().out)
    node = before["nodes"][0]["node"]
    retire = ["keys", "retire", node, "--data", str(data), "--why", "stolen", "--by", "me"]

    unconfirmed = run(retire)
    codes = [run([*retire, "--yes", "--json"]), run([*retire, "--yes", "--json"])]
    first, second = (json.loads(each) for each in capsys.readouterr().out.splitlines())
    run(show)
    after = json.loads(capsys.readouterr().out)
    serve = run(["serve", "--data", str(data), "--port", "0"])

    assert (unconfirmed, codes, serve) == (2, [0, 0], 3)
    assert first == second
    assert shape(first) == shape(EXAMPLES["keys retire"])
    assert (first["epoch"], first["size"], first["stored"]) == (1, 2, ["a", "b", "c"])
    held = [(each["directory"], each["node"]) for each in before["here"]["nodes"]]
    assert before["here"]["trail_key"] and held == [("nodes/0", node)]
    assert [each["state"] for each in before["nodes"]] == ["closed"]
    assert [each["state"] for each in after["nodes"]] == ["retired"]
    assert "was retired by me (stolen)" in capsys.readouterr().err
    shutil.rmtree(data / "nodes")
    write_trail(data, {"action": "c"})  # a new node writes where the old one did
    run(show)
    states = [each["state"] for each in json.loads(capsys.readouterr().out)["nodes"]]
    assert sorted(states) == ["closed", "retired"]


@pytest.mark.parametrize(("node", "said"), [("x", "32 hex digits"), ("0" * 32, "was ever born")])
def test_what_is_no_node_cannot_be_retired(
    node: str, said: str, tmp_path: Path, capsys: Capture
) -> None:
    data = tmp_path / "data"
    write_trail(data, {"action": "a"})

    code = run(["keys", "retire", node, "--data", str(data), "--why", "w", "--yes"])

    assert code == 2
    assert said in capsys.readouterr().err
