"""What a container's health check says of a real server; the trail's key as the chart links it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.regions.trailkey import KEY_FILE, TrailKey
from tests.regions.test_founding import home_in
from tests.serve.running import Running, running
from tests.serve.test_run import TOKEN, certified

SCRIPT = Path(__file__).parents[2] / "deploy" / "healthy.py"


@pytest.mark.slow
def test_a_server_lives_also_while_it_cannot_acknowledge(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    tls = {"tls_certificate": str(certificate), "tls_key": str(key)}
    regions, away = tmp_path / "data" / "regions", tmp_path / "away"
    away.mkdir()

    with running(tmp_path / "data", TOKEN.encode(), **tls) as server:
        before = [ask("/healthz", server).returncode, ask("/readyz", server).returncode]
        for id in "bc":
            (regions / id).rename(away / id)
        server.wait_until(lambda: server.get("/readyz").status_code == 503)
        alive, ready = ask("/healthz", server), ask("/readyz", server)
        for id in "bc":
            (away / id).rename(regions / id)
    gone = ask("/healthz", server)

    assert before == [0, 0]
    assert alive.returncode == 0
    assert ready.returncode == 1 and "/readyz: 503" in ready.stdout
    assert gone.returncode == 1 and "no answer" in gone.stdout


def test_a_link_to_the_trails_key_is_the_key_while_it_leads_somewhere(tmp_path: Path) -> None:
    secret, data = tmp_path / "secret", tmp_path / "data"
    data.mkdir()
    (data / KEY_FILE).symlink_to(secret)
    key = TrailKey(b"\x07" * 32, "main")

    absent = asyncio.run(home_in(data).read())
    secret.write_text(key.text())
    present = asyncio.run(home_in(data).read())

    assert absent is None
    assert present == key


def ask(page: str, server: Running) -> subprocess.CompletedProcess[str]:
    environment = {
        "HOLDFAST_PORT": str(server.port),
        "HOLDFAST_TLS_CERTIFICATE": server.settings.tls_certificate,
        "HOLDFAST_TLS_KEY": server.settings.tls_key,
    }
    return subprocess.run(
        [sys.executable, str(SCRIPT), page],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | environment,
    )
