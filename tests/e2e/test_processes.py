"""Server processes that are killed, regions that go away, and what is found afterwards."""

import json
import shutil
import subprocess
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.e2e.server import (
    CLOUDTRAIL,
    HOLDFAST,
    Server,
    cloudtrail_records,
    holdfast,
    payloads,
    wait_until,
)
from tests.machine import program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
REGIONS = ("a", "b", "c")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two nodes, each with a directory of its own, on the same regions of one trail."""
    config = tmp_path / "holdfast.toml"
    tables = [f'[regions.{r}]\nurl = "file://{tmp_path}/regions/{r}"\n' for r in REGIONS]
    config.write_text("quorum = 2\n" + "".join(tables))
    one, two = Server(tmp_path / "one", config), Server(tmp_path / "two", config)
    one.start()
    two.data.mkdir()
    shutil.copy(one.data / "trail.key", two.data / "trail.key")
    two.start()
    yield one, two
    one.close()
    two.close()


def test_an_import_through_kills_and_a_lost_region_is_found_exactly_once(server: Server) -> None:
    server.start()
    regions, away = server.data / "regions", server.data / "b-away"
    importing = subprocess.Popen(
        [
            *(HOLDFAST, "import", "--format", "cloudtrail", "--server", server.url, "--json"),
            *("--batch", "20", "--parallel", "2", "--retry-for", "120", str(CLOUDTRAIL)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    kills = 0
    for life in range(4):
        aim = 500 * (life + 1)
        wait_until(lambda: _count(server) >= aim or importing.poll() is not None)  # noqa: B023
        kills += importing.poll() is None
        server.kill()
        if life == 1:
            (regions / "b").rename(away)
        if life == 2:
            away.rename(regions / "b")
        server.start()
    output, _ = importing.communicate(timeout=180)
    told = json.loads(output.splitlines()[-1])
    truth = cloudtrail_records()

    found = payloads(server.events())

    assert kills >= 3
    assert told == {"read": truth.total(), "acknowledged": truth.total(), "refused": 0}
    assert found == dict.fromkeys(truth, 1)
    server.caught_up(max(event["received"] for event in server.events()))
    holdfast("reconcile", "--data", str(server.data), "--json")
    assert server.stop() == 0
    holdfast("reconcile", "--data", str(server.data), "--json")
    held = [_evidence(regions / region) for region in REGIONS]
    assert held[0] == held[1] == held[2]


def test_a_killed_node_leaves_another_that_answers_for_all_and_says_what_holds_it_back(
    pair: tuple[Server, Server],
) -> None:
    one, two = pair
    acknowledged: dict[str, list[str]] = {"one": [], "two": []}
    stop = threading.Event()

    def load(server: Server, name: str) -> None:
        while not stop.is_set():
            try:
                acknowledged[name] += server.send(f"{name}.event")["ids"]
            except OSError:
                return

    threads = [
        threading.Thread(target=load, args=(server, name))
        for server, name in zip(pair, acknowledged, strict=True)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(map(len, acknowledged.values())) > 30)
    node = one.get("/v1/status")["node"]["node"]
    one.kill()
    wait_until(lambda: not threads[0].is_alive())
    stop.set()
    threads[1].join()

    wait_until(lambda: set(acknowledged["one"]) <= {e["id"] for e in two.events()})

    assert set(acknowledged["two"]) <= {event["id"] for event in two.events()}
    wait_until(lambda: bool(two.get("/v1/completeness")["holding_back"]))
    told = two.get("/v1/completeness")
    assert [holding["node"] for holding in told["holding_back"]] == [node]
    one.start()
    one.caught_up(told["holding_back"][0]["since"])
    wait_until(lambda: not two.get("/v1/completeness")["holding_back"])


def test_a_second_server_on_one_data_directory_refuses(server: Server) -> None:
    server.start()
    second = Server(server.data)
    second.log = server.data.with_name("second.log")

    code = second.start(ready=False).wait()

    assert code == 3
    assert "another process serves from" in second.log.read_text()
    assert server.send("still.here")["ids"]


def test_what_one_region_holds_is_searched_with_no_server_alive(server: Server) -> None:
    server.start()
    for number in range(3):
        server.send(f"n{number}")
    server.kill()
    for region in ("a", "b"):
        shutil.rmtree(server.data / "regions" / region)
    shutil.rmtree(server.data / "cache")

    found = json.loads(holdfast("search", "--data", str(server.data), "--json"))

    assert len(found["events"]) >= 1
    assert found["complete_through"] is None
    assert "regions" in json.dumps(found["holding_back"])


def test_a_cache_deleted_while_the_server_runs_is_made_anew_and_answers_go_on(
    server: Server,
) -> None:
    server.start()
    ids = [server.send(f"n{number}")["ids"][0] for number in range(5)]

    shutil.rmtree(server.data / "cache")
    ids.append(server.send("after")["ids"][0])

    wait_until(lambda: _ids(server) == set(ids))


def test_a_kill_right_after_an_acknowledgement_loses_nothing_time_and_again(server: Server) -> None:
    ids = set()
    for number in range(8):
        server.start()
        ids.add(server.send(f"n{number}")["ids"][0])
        server.kill()

    server.start()

    assert _ids(server) == ids
    server.caught_up(max(event["received"] for event in server.events()))
    assert server.get("/v1/completeness")["gaps"] == []


def test_zstdcat_and_duckdb_alone_read_what_a_region_holds(server: Server) -> None:
    server.start()
    for number in range(4):
        server.send(f"n{number}", f"m{number}")
    server.stop()
    region = server.data / "regions" / "c"
    segments = sorted(region.glob("ev/seg/*/*/*.ndjson.zst"))

    lines = subprocess.run(
        [program("zstdcat"), *map(str, segments)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    counted = duckdb.execute(
        f"select count(*) from read_json('{region}/ev/seg/*/*/*.ndjson.zst', format='nd')"
    ).fetchall()

    assert sorted(json.loads(line)["action"] for line in lines) == sorted(
        f"{letter}{number}" for letter in "nm" for number in range(4)
    )
    assert counted == [(8,)]


def _evidence(region: Path) -> dict[str, bytes]:
    """What must be the same in all regions: segments, checkpoints, births."""
    paths = [path for kind in ("seg", "cp", "node") for path in region.glob(f"ev/{kind}/**/*")]
    return {
        str(path.relative_to(region)): path.read_bytes()
        for path in paths
        if path.is_file() and path.name not in ("fence.note", "close.note", "closed.note")
    }


def _ids(server: Server) -> set[str]:
    try:
        return {event["id"] for event in server.events()}
    except urllib.error.HTTPError:
        return set()


def _count(server: Server) -> int:
    try:
        return int(server.get("/v1/events/count")["count"])
    except OSError:
        return 0
