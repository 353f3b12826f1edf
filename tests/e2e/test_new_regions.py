"""A region's disk is lost for good and replaced, and a region is added, while events arrive."""

import json
import shutil
import threading
import urllib.error
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.server import Server, holdfast, wait_until
from tests.e2e.test_processes import _evidence

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def _settings(folder: Path, regions: str, quorum: int, earlier: str = "") -> str:
    """The path of a settings file over these regions, and with an earlier set."""
    tables = [f'[regions.{r}]\nurl = "file://{folder}/regions/{r}"\n' for r in regions]
    if earlier:
        tables.append(f"[[earlier]]\nquorum = 2\nregions = {json.dumps(list(earlier))}\n")
    path = folder / "holdfast.toml"
    path.write_text(f"quorum = {quorum}\n" + "".join(tables))
    return str(path)


@contextmanager
def _load(server: Server, acknowledged: list[str]) -> Iterator[None]:
    """Events that are sent one after the other, and again later where the node takes none."""
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            try:
                acknowledged.extend(server.send("under.load")["ids"])
            except urllib.error.HTTPError:  # between two epochs
                stop.wait(0.05)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _lose(folder: Path, region: str) -> None:
    """Moved away first: what is being written to cannot be deleted at once."""
    (folder / "regions" / region).rename(folder / "lost")
    shutil.rmtree(folder / "lost")


def _grown(acknowledged: list[str], by: int) -> None:
    aim = len(acknowledged) + by
    wait_until(lambda: len(acknowledged) >= aim)


def _region(config: str, data: Path, *, ok: tuple[int, ...] = (0, 3)) -> dict[str, str]:
    listed = json.loads(
        holdfast("region", "list", "--config", config, "--data", str(data), "--json", ok=ok)
    )
    return {each["region"]: each["state"] for each in listed["regions"]}


def _identical(server: Server, config: str, folder: Path, regions: str) -> bool:
    """Byte for byte, after whatever the last moment left to be copied."""
    where = ("--config", config, "--data", str(server.data))
    report = json.loads(holdfast("reconcile", *where, "--json"))
    held = [_evidence(folder / "regions" / region) for region in regions]
    return report["identical"] and all(each == held[0] for each in held)


def test_a_lost_region_is_replaced_and_another_added_under_load(tmp_path: Path) -> None:
    config = _settings(tmp_path, "abc", 2)
    server = Server(tmp_path / "data", Path(config), RECONCILE_INTERVAL_S="1")
    where = ("--config", config, "--data", str(server.data), "--json")
    acknowledged: list[str] = []
    server.start()
    try:
        with _load(server, acknowledged):
            _grown(acknowledged, 50)
            _lose(tmp_path, "b")
            _grown(acknowledged, 50)
            lost = _region(config, server.data)
            joined = json.loads(holdfast("region", "replace", "b", *where))
            wait_until(lambda: server.get("/v1/status")["node"]["epoch"] == 2)
            wait_until(lambda: set(_region(config, server.data).values()) == {"ok"})
            _grown(acknowledged, 50)
        again = json.loads(holdfast("region", "replace", "b", *where))
        server.caught_up(max(event["received"] for event in server.events()))
        basis = [each["region"] for each in server.get("/v1/completeness")["basis"]]
        assert server.stop() == 0

        assert lost["b"] == "unverified"
        assert again == {**joined, "is_new": False}
        assert basis == ["a", "b", "c"]
        assert _identical(server, config, tmp_path, "abc")

        _settings(tmp_path, "abcd", 3, earlier="abc")
        server.start()
        with _load(server, acknowledged):
            _grown(acknowledged, 20)
            holdfast("region", "add", "d", *where)
            wait_until(lambda: set(_region(config, server.data).values()) == {"ok"})
            _grown(acknowledged, 50)
        server.caught_up(max(event["received"] for event in server.events()))
        assert server.stop() == 0
        _settings(tmp_path, "abcd", 3)
        server.start()
        _lose(tmp_path, "a")  # three of four go on
        acknowledged += server.send("after")["ids"]
        found = Counter(event["id"] for event in server.events())
        assert server.stop() == 0
    finally:
        server.close()

    assert {id: found[id] for id in acknowledged} == dict.fromkeys(acknowledged, 1)
    holdfast("region", "replace", "a", *where)
    assert _identical(server, config, tmp_path, "abcd")
    assert set(_region(config, server.data, ok=(0,)).values()) == {"ok"}


def test_two_of_three_regions_are_lost_for_good_and_a_person_brings_the_trail_back(
    tmp_path: Path,
) -> None:
    config = _settings(tmp_path, "abc", 2)
    server = Server(tmp_path / "data", Path(config), RECONCILE_INTERVAL_S="1")
    where = ("--config", config, "--data", str(server.data))
    try:
        acknowledged = server.start().send("before", "before")["ids"]
        node = server.get("/v1/status")["node"]["node"]
        wait_until(lambda: json.loads(holdfast("reconcile", *where, "--json"))["identical"])
        server.kill()
        for region in "bc":
            _lose(tmp_path, region)
            holdfast("region", "replace", region, *where)
        server.start(ready=False)
        wait_until(lambda: "too few regions could be listed" in server.log.read_text())
        refused = holdfast("region", "accept", "b", *where, ok=(2,))

        holdfast("region", "accept", "b", *where, "--yes")
        wait_until(server.is_ready, server.log.read_text)
        why = ("--why", "a fire", "--yes")
        holdfast("close", "declare", *where, "--node", node, "--epoch", "1", *why)

        acknowledged += server.send("after")["ids"]
        server.caught_up(max(event["received"] for event in server.events()))
        wait_until(lambda: set(_region(config, server.data).values()) == {"ok"})
        found = Counter(event["id"] for event in server.events())
        assert server.stop() == 0
    finally:
        server.close()

    assert refused == "" and {id: found[id] for id in acknowledged} == dict.fromkeys(
        acknowledged, 1
    )
    assert (
        json.loads(holdfast("verify", *where, "--depth", "events", "--json"))["verdict"] == "good"
    )


def test_what_is_mixed_up_is_refused_and_named(tmp_path: Path) -> None:
    config = _settings(tmp_path, "abc", 2)
    server = Server(tmp_path / "data", Path(config))
    server.start()
    where = ("--config", config, "--data", str(server.data))
    try:
        holdfast("region", "replace", "b", *where, ok=(2,))
        holdfast("region", "replace", "b", *where, "--store", "no", ok=(2,))
        holdfast("region", "add", "x", *where, ok=(2,))
        without_key = ("--config", config, "--data", str(tmp_path / "elsewhere"))
        holdfast("region", "replace", "b", *without_key, ok=(2,))
        _lose(tmp_path, "b")
        holdfast("region", "add", "b", *where, ok=(2,))
        (tmp_path / "regions/b").symlink_to(tmp_path / "regions/a")
        holdfast("region", "replace", "b", *where, ok=(2,))
    finally:
        server.close()
