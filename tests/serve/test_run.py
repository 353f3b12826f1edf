"""The process: when it starts, where it listens, how it stops."""

import asyncio
import datetime
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.errors import RejectedError, UnavailableError
from holdfast.serve.auth import bind_refusal, token_from
from holdfast.serve.run import banner, key_words, serve
from holdfast.settings import Settings, load
from holdfast.wiring import open_system
from tests.serve.running import EVENT, Running, running

TOKEN = "a-token-of-some-length"
PROGRAM = """
import sys, json
from holdfast.serve.run import serve
from holdfast.settings import load
if __name__ == "__main__":
    serve(load(None, {}, json.loads(sys.argv[1])), lambda line: print(line, flush=True))
"""


def settings(data: Path, **flags: object) -> Settings:
    return load(None, {}, {"data": str(data), **flags})


def say_nothing(_: str) -> None:
    pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Process:
    """`serve` in a process of its own."""

    def __init__(self, data: Path, **flags: object) -> None:
        self.port = free_port()
        told = json.dumps({"data": str(data), "port": self.port, **flags})
        program = data.parent / "program.py"
        program.write_text(PROGRAM)
        self.popen = subprocess.Popen(
            [sys.executable, str(program), told],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def wait_ready(self) -> None:
        patience = threading.Event()
        for _ in range(400):
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                assert self.popen.poll() is None, self.popen.communicate()
            patience.wait(0.05)
        raise AssertionError("it never came up")

    def post(self, event: object) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}/v1/events", json=event, timeout=20)

    def end(self, number: int) -> tuple[str, str]:
        self.popen.send_signal(number)
        return self.popen.communicate(timeout=30)


@pytest.mark.slow
def test_a_signal_ends_it_in_order_and_the_first_start_says_more(tmp_path: Path) -> None:
    first = Process(tmp_path / "data")
    first.wait_ready()
    trail = httpx.get(f"http://127.0.0.1:{first.port}/v1/status").json()["trail"]["id"]
    assert first.post(EVENT).status_code == 201
    told, logged = first.end(signal.SIGTERM)
    second = Process(tmp_path / "data")
    second.wait_ready()
    again, _ = second.end(signal.SIGINT)

    assert (first.popen.returncode, second.popen.returncode) == (0, 0)
    assert "Traceback" not in logged
    assert trail in told
    assert str(tmp_path / "data" / "trail.key") in told
    assert "stopping" in told
    assert "Back up" not in again
    assert f"trail main ({trail}) on " in again
    assert f"http://127.0.0.1:{second.port}/" in again
    closed = (tmp_path / "data" / "regions" / "a").rglob("closed.note")
    assert {path.parent.name for path in closed} == {"000001", "000002"}


@pytest.mark.slow
def test_a_killed_server_leaves_no_worker_and_the_next_start_has_its_events(tmp_path: Path) -> None:
    killed = Process(tmp_path / "data")
    killed.wait_ready()
    killed.post({**EVENT, "id": "kept"})
    httpx.get(f"http://127.0.0.1:{killed.port}/v1/events", timeout=20)  # a worker's job
    pid = killed.popen.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    killed.end(signal.SIGKILL)
    watch(lambda: any(Path(f"/proc/{each}").exists() for each in workers), False)
    second = Process(tmp_path / "data")
    second.wait_ready()

    found = httpx.get(f"http://127.0.0.1:{second.port}/v1/events/kept", timeout=20).json()
    second.end(signal.SIGTERM)

    assert workers
    assert [event["id"] for event in found["events"]] == ["kept"]


def test_a_request_in_flight_is_answered_before_the_end(tmp_path: Path) -> None:
    with running(tmp_path / "data", seal_interval_ms=500) as server:
        server.post(EVENT)  # the next one waits for the seal interval
        answers: list[int] = []
        sender = threading.Thread(target=lambda: answers.append(server.post(EVENT).status_code))
        sender.start()
        server.wait_until(
            lambda: (
                server.get("/v1/status").json()["node"]["waiting"]["events"] == 1 or bool(answers)
            )
        )

        server.stop()
        sender.join(20)

    assert answers == [201]


def test_a_port_that_is_taken_is_told_before_anything_is_founded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}"):
            serve(settings(tmp_path / "data", port=port), say_nothing)

    assert not (tmp_path / "data").exists()


def test_every_start_names_the_trail_by_its_id_and_the_first_its_key(tmp_path: Path) -> None:
    data = tmp_path / "data"

    first, trail = asyncio.run(said_at_start(data))
    again, _ = asyncio.run(said_at_start(data))
    (data / "regions").rename(tmp_path / "away")
    alone, _ = asyncio.run(said_at_start(data))

    assert all(
        f"trail main ({trail}) on http://127.0.0.1:8420/ " in said for said in (first, again)
    )
    assert first == f"{again}; its key: {data / 'trail.key'}"
    assert f"trail unknown ({trail}) on " in alone


async def said_at_start(data: Path) -> tuple[str, str]:
    """The banner of a start, and the trail's id."""
    async with open_system(settings(data), write=True) as system:
        return banner(system, "127.0.0.1", 8420), system.regions.trail


def test_a_start_without_the_trails_key_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with_it = asyncio.run(key_words_at_start(data))
    certificate = (data / "nodes" / "0" / "self.cert").read_bytes()
    (data / "trail.key").unlink()

    lost = asyncio.run(key_words_at_start(data))
    (data / "nodes" / "0" / "node.cert").write_bytes(certificate)
    admitted = asyncio.run(key_words_at_start(data))

    assert with_it == ()
    assert len(lost) == 1 and "WARNING" in lost[0] and "from its backup" in lost[0]
    assert str(data / "trail.key") in lost[0]
    assert len(admitted) == 1 and "WARNING" not in admitted[0] and "node.cert" in admitted[0]


async def key_words_at_start(data: Path) -> tuple[str, ...]:
    async with open_system(settings(data), write=True) as system:
        return key_words(system)


def test_two_servers_do_not_share_a_data_directory(tmp_path: Path) -> None:
    with running(tmp_path / "data"), pytest.raises(UnavailableError, match="another process"):
        serve(settings(tmp_path / "data", port=free_port()), say_nothing)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"token_file": "missing"}, "cannot be read"),
        ({"token_file": "short"}, "at least 16"),
        ({"tls_certificate": "short", "tls_key": "short"}, "cannot be used"),
        ({"tls_certificate": "missing", "tls_key": "missing"}, "cannot be used"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, flags: dict[str, str], reason: str
) -> None:
    (tmp_path / "short").write_text("short")
    paths = {name: str(tmp_path / value) for name, value in flags.items()}

    with pytest.raises(RejectedError, match=reason):
        serve(settings(tmp_path / "data", **paths), say_nothing)

    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ({}, "token_file and tls_certificate"),
        ({"token_file": "t"}, "tls_certificate"),
        ({"tls_certificate": "c", "tls_key": "k"}, "token_file"),
    ],
)
def test_without_token_and_certificate_it_stays_on_loopback_and_says_why(
    flags: dict[str, str], missing: str
) -> None:
    exposed = msgspec.convert({"host": "0.0.0.0", **flags}, Settings)

    assert missing in (bind_refusal(exposed) or "")


def test_with_both_it_goes_where_it_is_told() -> None:
    protected = Settings(host="0.0.0.0", token_file="t", tls_certificate="c", tls_key="k")

    assert bind_refusal(protected) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_loopback_needs_neither(host: str) -> None:
    assert bind_refusal(Settings(host=host)) is None


def test_a_token_is_one_line() -> None:
    assert token_from(f"  {TOKEN}\n".encode()) == TOKEN.encode()
    for bad in (b"", b"short", b"two words of enough length", b"n\xc3\xb6t-ascii-but-long-enough"):
        with pytest.raises(ValueError, match="must hold"):
            token_from(bad)


def test_over_tls_with_a_token(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    flags = {"tls_certificate": str(certificate), "tls_key": str(key)}

    with running(tmp_path / "data", TOKEN.encode(), **flags) as server:
        taken = server.post({**EVENT, "id": "secret"})
        found = server.get("/v1/events/secret").json()
        refused = httpx.get(f"{server.url}/v1/events", verify=False)
        refused_body = without_end(server)

    assert taken.status_code == 201
    assert found["events"][0]["principal"] == "token"
    assert refused.status_code == 401
    assert refused_body == 413


def without_end(server: Running) -> int:
    """Send more than is taken, over TLS, where half of a connection cannot be closed."""
    with server.client() as client:
        return client.post("/v1/events", content=b" " * 9_000_000).status_code


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "server.crt", folder / "server.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.mark.slow
def test_too_few_regions_are_said_and_searches_still_answered(tmp_path: Path) -> None:
    with running(tmp_path / "data", ack_timeout_s=1) as server:
        server.post({**EVENT, "id": "before"})
        server.wait_until(lambda: bool(server.get("/v1/completeness").json()["complete_through"]))
        for id in ("a", "b"):
            (tmp_path / "data" / "regions" / id).rename(tmp_path / f"{id}.away")
        statuses = watch(lambda: server.post(EVENT).status_code, 503)

        ready = server.get("/readyz")
        found = server.get("/v1/events/before").json()
        page = server.get("/").text

        for id in ("a", "b"):
            (tmp_path / f"{id}.away").rename(tmp_path / "data" / "regions" / id)
        server.wait_until(lambda: server.get("/readyz").status_code == 200)
        again = server.post(EVENT).status_code

    assert set(statuses) <= {504, 503}
    assert ready.status_code == 503
    assert ready.json()["reasons"]
    assert [event["id"] for event in found["events"]] == ["before"]
    assert "Complete through" in page
    assert again == 201


def watch(act: Callable[[], Any], until: object) -> list[Any]:
    """Act until the outcome is as expected; all outcomes."""
    outcomes = []
    patience = threading.Event()
    for _ in range(100):
        outcomes.append(act())
        if outcomes[-1] == until:
            return outcomes
        patience.wait(0.1)
    raise AssertionError(outcomes)
