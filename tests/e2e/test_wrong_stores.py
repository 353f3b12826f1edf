"""Stores that are not the right ones any more, under a server that runs and before one starts."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import Server, holdfast, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

AT_ONCE_SECONDS = 2.0
Spoil = Callable[[Path], None]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data")
    yield made
    made.close()


def swap(regions: Path) -> None:
    """The folders of a and b change places; again, and they are back."""
    (regions / "a").rename(regions / "x")
    (regions / "b").rename(regions / "a")
    (regions / "x").rename(regions / "b")


def take_cookies(regions: Path) -> None:
    for id in ("a", "b"):
        (regions / id / "ev/region.note").rename(regions / f"{id}.note")


def give_cookies(regions: Path) -> None:
    for id in ("a", "b"):
        (regions / f"{id}.note").rename(regions / id / "ev/region.note")


def text(server: Server, path: str) -> str:
    with urllib.request.urlopen(server.url + path, timeout=30) as answer:
        found: bytes = answer.read()
        return found.decode()


def refusal(server: Server) -> tuple[int, str, float]:
    """The status and body of an attempt to send, and how long it took."""
    begun = time.monotonic()
    with pytest.raises(urllib.error.HTTPError) as caught:
        server.send("refused")
    with caught.value:
        return caught.value.code, caught.value.read().decode(), time.monotonic() - begun


@pytest.mark.parametrize(
    ("spoil", "mend", "why"),
    [
        (take_cookies, give_cookies, "its cookie is gone"),
        (swap, swap, "its store is that of the region"),
    ],
    ids=["cookies lost", "folders swapped"],
)
def test_wrong_stores_are_refused_at_once_named_everywhere_and_taken_again_by_themselves(
    server: Server, spoil: Spoil, mend: Spoil, why: str
) -> None:
    server.start()
    regions = server.data / "regions"
    ids = server.send("before")["ids"]

    spoil(regions)
    wait_until(lambda: not server.is_ready())
    wait_until(lambda: [why in region["why"] for region in _regions(server)] == [True, True, False])
    code, problem, seconds = refusal(server)
    status, metrics, page = (
        server.get("/v1/status"),
        text(server, "/metrics"),
        text(server, "/regions"),
    )
    mend(regions)
    wait_until(server.is_ready, server.log.read_text)
    ids += server.send("after")["ids"]

    assert code == 503 and seconds < AT_ONCE_SECONDS
    assert f"a ({why}" in problem and f"b ({why}" in problem
    assert f"a ({why}" in status["reasons"][0] and not status["ready"]
    assert [region["state"] for region in status["regions"]] == ["unverified", "unverified", "ok"]
    assert 'holdfast_region_reachable{region="a"} 0.0' in metrics
    assert why in page
    assert {event["id"] for event in server.events()} == set(ids)
    assert server.get("/v1/status")["node"]["epoch"] == 1


def test_swapped_before_a_start_only_the_start_is_refused(server: Server) -> None:
    server.start()
    ids = [server.send(f"n{number}")["ids"][0] for number in range(3)]
    wait_until(lambda: all(not region["lag"]["segments"] for region in _regions(server)))
    assert server.stop() == 0
    swap(server.data / "regions")

    refused = server.start(ready=False).wait()
    page = json.loads(holdfast("search", "--data", str(server.data), "--json"))
    swap(server.data / "regions")
    server.start()

    assert refused == 2
    assert "regions.a: its store is that of the region b" in server.log.read_text()
    assert {event["id"] for event in page["events"]} == set(ids)
    assert {event["id"] for event in server.events()} == set(ids)


def _regions(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/v1/status")["regions"]
    return found
