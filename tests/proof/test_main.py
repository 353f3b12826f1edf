"""`python -m holdfast.proof`, in a place where nothing else of ours is installed."""

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

import holdfast.proof
from holdfast.proof.__main__ import main
from tests.proof.proofs import genuine, written
from tests.proof.samples import TRAIL, VECTORS

ROOM = Path(holdfast.proof.__file__).parent
LIBRARIES = ("cryptography", "cffi", "_cffi_backend", "pycparser")
# Nothing of site-packages but what the room needs; neither the environment nor this folder.
START = (
    "import runpy, sys; sys.path[:0] = sys.argv[1:3]; sys.argv[1:3] = []; "
    "runpy.run_module('holdfast.proof', run_name='__main__', alter_sys=True)"
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A folder with the proof room alone, and one with its libraries alone."""
    ours, theirs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("theirs")
    shutil.copytree(ROOM, ours / "holdfast" / "proof", ignore=shutil.ignore_patterns("__pycache__"))
    (ours / "holdfast" / "__init__.py").touch()
    for name in LIBRARIES:
        spec = importlib.util.find_spec(name)
        if spec is not None:
            found = (
                Path(spec.origin)
                if spec.origin and not spec.submodule_search_locations
                else Path(next(iter(spec.submodule_search_locations or ())))
            )
            (theirs / found.name).symlink_to(found)
    return str(ours), str(theirs)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str = ""


def run_alone(alone: tuple[str, str], *arguments: str, given: bytes = b"") -> Done:
    command = [sys.executable, "-I", "-S", "-c", START, *alone, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, input=given, timeout=60)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


class Run(Protocol):
    def __call__(self, *arguments: str) -> Done: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The same in this process, which is quicker."""

    def running(*arguments: str) -> Done:
        try:
            code = main(arguments)
        except SystemExit as exit:
            code = int(exit.code or 0)
        return Done(code, *capsys.readouterr())

    return running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "event.proof"
    path.write_bytes(written(genuine()))
    return path


def test_a_proof_is_checked_step_by_step_in_plain_words(alone: tuple[str, str], file: Path) -> None:
    done = run_alone(alone, "check", str(file), "--trail", TRAIL)

    told = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert [line[:7] for line in told[:6]] == [f"{n}. yes " for n in range(1, 7)]
    assert any(genuine().record in line for line in told)
    assert told[-1] == "PROVEN"


def test_a_proof_may_come_through_a_pipe(alone: tuple[str, str], file: Path) -> None:
    done = run_alone(alone, "check", "-", "--trail", TRAIL, "--json", given=file.read_bytes())

    told = json.loads(done.out)
    assert done.code == 0
    assert list(told) == ["verdict", "reason", "steps", "trail", "proven"]
    assert (told["verdict"], told["reason"]) == ("proven", "")
    assert [step["holds"] for step in told["steps"]] == [True] * 6
    assert told["proven"]["record"] == genuine().record


def test_a_refuted_proof_names_the_step_and_why(run: Run, file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"user.login", b"user.logon", 1))

    person = run("check", str(file), "--trail", TRAIL)
    machine = run("check", str(file), "--trail", TRAIL, "--json")

    told = person.out.splitlines()
    assert (person.code, machine.code) == (1, 1)
    assert told[5].startswith("6. NO ")
    assert told[-1].startswith("REFUTED: ")
    assert json.loads(machine.out)["verdict"] == "refuted"
    assert [step["holds"] for step in json.loads(machine.out)["steps"]] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "it is empty"),
        (b'{"format":"holdfast-proof/2","record":"x"}\n', "'holdfast-proof/2'"),
        (b"\xff\x00" * 1000, "does not begin with its format"),
        (b'{"format":"holdfast-proof/1"}\n', "does not have the fields"),
        (written(genuine())[:-2], "not JSON"),
        (written(genuine()) * 2, "not JSON"),
    ],
)
def test_what_is_no_proof_could_not_be_checked(
    run: Run, tmp_path: Path, data: bytes, named: str
) -> None:
    (tmp_path / "f").write_bytes(data)

    done = run("check", str(tmp_path / "f"), "--trail", TRAIL)

    told = done.out.splitlines()
    assert (done.code, done.err) == (3, "")
    assert told[0].startswith("1. NO ")
    assert told[-1].startswith("COULD NOT BE CHECKED: ") and named in told[-1]


def test_a_mistake_of_the_checker_is_no_verdict(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.proof.anchor.verify_leaf", None)

    done = run("check", str(file), "--trail", TRAIL)

    assert done.code == 3
    assert "5. NO " in done.out and "mistake of the checker" in done.out


def test_a_file_that_is_not_there_could_not_be_checked(run: Run) -> None:
    done = run("check", "/nowhere", "--trail", TRAIL)

    assert done.code == 3
    assert done.out == "COULD NOT BE CHECKED: /nowhere cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "FILE"),
        ("check", "FILE", "--trail", "ABC"),
        ("check", "--trail", TRAIL),
        ("vectors",),
        ("prove",),
        (),
    ],
)
def test_bad_usage_is_none_of_the_verdicts(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "usage" in done.err


def test_what_a_record_holds_cannot_move_the_cursor(run: Run, file: Path) -> None:
    hostile = written(genuine()).replace(b"user.login", "\u202euser\u009b2J".encode(), 1)
    file.write_bytes(hostile.replace(b"-proof/1", "-proof/\u009b".encode()))

    done = run("check", str(file), "--trail", TRAIL)

    assert "\u009b" not in done.out


def test_the_published_vectors_come_out_as_published(alone: tuple[str, str]) -> None:
    done = run_alone(alone, "vectors", str(VECTORS))

    assert (done.code, done.err) == (0, "")
    assert done.out == "137 passed, 0 failed\n"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("merkle/inclusion.json", '"wantErr": true', '"wantErr": false'),
        ("merkle/inclusion.json", '"wantErr": false', '"wantErr": true'),
        ("merkle/consistency.json", '"wantErr": true', '"wantErr": false'),
        ("merkle/rfc6962_reference_tree.json", "e3b0c442", "e3b0c443"),
        ("note/note_open.json", '"want": "malformed"', '"want": "ok"'),
        ("note/note_open.json", '"want": "unverified"', '"want": "malformed"'),
        ("note/vkeys.json", '"want": "error"', '"want": "ok"'),
        ("checkpoints/sigstore_rekor.json", '_valid": false', '_valid": true'),
        ("checkpoints/sigstore_rekor.json", '_proof_root": false', '_proof_root": true'),
        ("note/vkeys.json", "[", "{"),
    ],
)
def test_a_vector_that_does_not_come_out_is_named(
    run: Run, tmp_path: Path, file: str, old: str, new: str
) -> None:
    (tmp_path / file).parent.mkdir()
    text = (VECTORS / file).read_text("utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1), "utf-8")

    done = run("vectors", str(tmp_path))

    assert done.code == 1
    assert "failed: " in done.out
    assert done.out.endswith(" 1 failed\n")


def test_no_vectors_at_all_is_no_success(run: Run, tmp_path: Path) -> None:
    done = run("vectors", str(tmp_path))

    assert (done.code, done.out) == (1, "0 passed, 0 failed\n")
