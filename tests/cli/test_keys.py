from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.proof import names, statements
from holdfast.regions.signing import SigningKey
from holdfast.regions.trailkey import TrailKey

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
