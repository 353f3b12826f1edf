"""A verification that a page asked for: one at a time, and gone with its reader."""

import asyncio
import errno
import multiprocessing
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.serve.console.verifying import Verifier
from holdfast.settings import load
from holdfast.verify.run import Question
from tests.serve.running import EVENT, Running, running
from tests.serve.test_html import read

pytestmark = pytest.mark.slow
PATH = "/integrity/verify?depth=events&from=&to="


@pytest.fixture(scope="module")
def verifying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("verifying") / "data") as server:
        server.post(EVENT)
        yield server


def test_without_a_script_the_page_ends_with_the_verdict(verifying: Running) -> None:
    answer = verifying.get(PATH)

    page = read(answer.text)
    assert answer.status_code == 200
    assert "What is there is what was written" in page.text
    assert "leave the page to stop" in page.text
    assert answer.text.endswith("</html>\n")


def test_messages_tell_progress_and_then_the_verdict(verifying: Running) -> None:
    with verifying.client() as client:
        said = client.get(PATH, headers={"accept": "text/event-stream"}).text

    assert said.startswith("retry: 86400000\n\nevent: progress\n")
    assert "event: done\ndata: " in said
    assert "What is there is what was written" in said


def test_a_corrupt_copy_is_refuted_and_stays_on_the_page(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        server.post(EVENT)
        (copy,) = [p for p in (server.data / "regions/b/ev/seg").rglob("*") if p.is_file()]
        data = bytearray(copy.read_bytes())
        data[10] ^= 1
        copy.chmod(0o600)
        copy.write_bytes(data)

        page = read(server.get(PATH).text).text

        assert "Refuted" in page
        assert "region b" in page
        assert "Refuted" in read(server.get("/integrity").text).text


def test_one_runs_at_a_time_and_is_ended_when_its_reader_leaves(verifying: Running) -> None:
    verifier = verifying.server.front.rest.app.state.verifier  # type: ignore[attr-defined]
    with verifying.connect() as first:
        _ask(first)
        verifying.wait_until(lambda: verifier.is_busy)

        second = read(verifying.get(PATH).text).text

        assert "No verdict. A verification is running already." in second
    verifying.wait_until(lambda: not verifier.is_busy)
    assert "What is there is what was written" in read(verifying.get(PATH).text).text


def test_a_depth_that_is_none_is_refused(verifying: Running) -> None:
    assert verifying.get("/integrity/verify?depth=deep").status_code == 400


def _ask(connection: socket.socket) -> None:
    connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_a_process_that_cannot_be_made_keeps_no_later_verification_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_files(duplex: bool = True) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    async def ask(verifier: Verifier) -> bool:
        with pytest.raises(OSError, match="too many"):
            await anext(verifier.run(Question(depth="names")))
        return verifier.is_busy

    spawn = multiprocessing.get_context("spawn")
    monkeypatch.setattr(spawn, "Pipe", no_files)

    assert asyncio.run(ask(Verifier(load(None, {}, {}), ""))) is False
