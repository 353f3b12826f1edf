"""`holdfast witness` as a process: its key, its logs, its state."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from holdfast.cli.app import run
from holdfast.proof import note
from holdfast.proof.note import WitnessKey
from tests.witness.test_witness import LOG, checkpoint, request


@contextmanager
def witness(directory: Path, *more: str) -> Iterator[tuple[str, WitnessKey]]:
    """A witness on a free port: its address and its key."""
    command = [sys.executable, "-m", "holdfast", "witness", "--listen", "127.0.0.1:0", *more]
    command += ["--state", str(directory / "state"), "--key", str(directory / "key")]
    command += ["--logs", str(directory / "logs")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = re.fullmatch(r"witness (\S+) on (http://\S+)/\n", process.stdout.readline())
        assert said is not None
        yield said[2], WitnessKey.parse(said[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


def test_it_makes_a_key_learns_of_a_log_while_it_runs_and_remembers(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("# none yet\n")
    with witness(tmp_path, "--name", "w.example/1") as (url, key):
        unknown = httpx.post(f"{url}/add-checkpoint", content=request(0, 4))
        (tmp_path / "logs").write_text(f"{LOG.verifier.text}\n")
        cosigned = httpx.post(f"{url}/add-checkpoint", content=request(0, 4))
    with witness(tmp_path) as (url, again):
        stale = httpx.post(f"{url}/add-checkpoint", content=request(0, 6))

    assert (unknown.status_code, cosigned.status_code, stale.status_code) == (404, 200, 409)
    assert note.verify(checkpoint(4) + cosigned.content, [key]).signatures
    assert again == key and key.name == "w.example/1"
    assert stale.text == "4\n" and stale.headers["content-type"] == "text/x.tlog.size"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--listen", "nonsense"], "must be HOST:PORT"),
        ([], "--name: is missing"),
        (["--name", "white space"], "is not a key name"),
    ],
)
def test_what_cannot_be_run_is_named(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("")
    where = ["--state", str(tmp_path / "s"), "--key", str(tmp_path / "k")]

    code = run(["witness", *where, "--logs", str(tmp_path / "logs"), *more])

    assert code == 2
    assert said in capsys.readouterr().err


def test_a_file_of_logs_that_holds_no_keys_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("nonsense\n")
    where = ["--state", str(tmp_path / "s"), "--key", str(tmp_path / "k"), "--name", "w"]

    code = run(["witness", *where, "--logs", str(tmp_path / "logs")])

    assert code == 2
    assert "logs: cannot be used" in capsys.readouterr().err
