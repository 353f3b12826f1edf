"""`holdfast witness` as a process: its key, its logs, its state."""

import json
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
from holdfast.errors import RejectedError
from holdfast.proof import note
from holdfast.regions.cosignature import WitnessKey, cosigned_at
from holdfast.settings import load
from tests.serve.running import EVENT, running
from tests.witness.test_witness import LOG, checkpoint, request

KEY = WitnessKey("w.example/3", bytes(range(32))).text


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


def test_a_trail_is_cosigned_and_an_outsider_asks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way, over loopback: two witnesses, one of which is away for good."""
    data, logs = tmp_path / "data", tmp_path / "logs"
    logs.write_text("")
    with witness(tmp_path, "--name", "w.example/1") as (url, key):
        gone = WitnessKey("w.example/2", bytes(32)).text
        witnesses = {
            "near": {"url": url, "key": key.text},
            "gone": {"url": "http://127.0.0.1:9", "key": gone},
        }
        with running(
            data, checkpoint_interval_s=1, witnesses=witnesses, witness_quorum=1
        ) as server:
            assert server.system.node is not None
            logs.write_text(f"{server.system.node.identity.key.verifier.text}\n")
            server.post(EVENT)
            server.wait_until(lambda: server.get("/v1/status").json()["witnesses"]["cosigned"] == 1)
            status = server.get("/v1/status").json()["witnesses"]
            figures = server.get("/metrics").text
            asked = ["checkpoint", "--server", server.url, "--witness", key.text]
            codes = [run(asked), run([*asked, "--witness", gone])]
            printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    straight = run(["checkpoint", "--data", str(data), "--witness", key.text])
    verified = run(["verify", "--data", str(data)])

    assert (codes, straight, verified) == ([0, 4], 0, 0)
    signed = note.verify(printed[0]["note"].encode(), [key])
    assert len(printed) == 1 and cosigned_at(signed.signatures[0].signature) > 0
    told = {each["witness"]: each["failed"] for each in status["witnesses"]}
    assert told["near"] == "" and "connection refused" in told["gone"]
    assert status["lacking_seconds"] == 0
    assert 'holdfast_witness_lag_seconds{worker="0"} 0.0' in figures


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "ftp://x", "key": KEY}, "must be http"),
        ({"url": "http://x", "key": LOG.verifier.text}, "key: the verifier key is not"),
    ],
)
def test_a_witness_that_cannot_be_asked_is_named(settings: dict[str, str], said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        load(None, {}, {"witnesses": {"w": settings}})
    with pytest.raises(RejectedError, match="witness_quorum: must be 0 to 1"):
        load(None, {}, {"witnesses": {"w": {"url": "http://x", "key": KEY}}, "witness_quorum": 2})
    twice = {name: {"url": f"http://{name}", "key": KEY} for name in ("a", "b")}
    with pytest.raises(RejectedError, match="they are one witness"):
        load(None, {}, {"witnesses": twice})
