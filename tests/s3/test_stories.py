"""What may happen to real S3 regions while two servers write and are read. Every story ends with
everyone caught up, and with the nemesis' judgement on all that was ever said: each acknowledged
event is found exactly once, by each server and straight from the buckets, whose content is one."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.proof.__main__ import main as check
from tests.e2e.server import CLOUDTRAIL, cloudtrail_records, holdfast, payloads, wait_until
from tests.machine import no_namespaces
from tests.nemesis.history import Request
from tests.s3.ceph import up
from tests.s3.cluster import BucketCluster, finish
from tests.s3.network import Wire

pytestmark = [pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_whole_thread_from_an_import_to_a_proof(cluster: BucketCluster, tmp_path: Path) -> None:
    one, two = cluster.living
    where = ("--config", str(cluster.config), "--data", str(tmp_path / "outside"))
    file = tmp_path / "event.proof"

    holdfast("import", "--server", one.url, "--format", "cloudtrail", str(CLOUDTRAIL))
    cluster.wait_until_caught_up()
    found = [event for event in two.events() if "payload" in event]
    file.write_text(holdfast("proof", found[0]["id"], *where))

    assert payloads(found) == cloudtrail_records()
    trail = json.loads(holdfast("region", "list", *where, "--json"))["trail"]
    assert check(["check", str(file), "--trail", trail]) == 0
    imported = Request(b"", tuple(event["id"] for event in found), ["acknowledged"])
    cluster.clients[0].requests.append(imported)
    finish(cluster)


def test_a_short_command_ends_with_its_own_exit_code(cluster: BucketCluster) -> None:
    """A thread of obstore's, still on its way when the interpreter ended, once aborted a third."""
    where = ("--config", str(cluster.config), "--data", str(cluster.place / "reader"))

    for _ in range(12):
        holdfast("region", "list", *where)


def test_a_gateway_is_killed(cluster: BucketCluster) -> None:
    cluster.cephs["a"].kill("rgw")
    cluster.wait_for_acknowledgements()
    cluster.cephs["a"].up()

    finish(cluster)


def test_a_storage_daemon_hangs_and_goes_on(cluster: BucketCluster) -> None:
    cluster.cephs["b"].hang("osd")
    cluster.wait_for_acknowledgements()
    wait_until(lambda: _state(cluster, "b") == "open", cluster.tell)
    cluster.wait_for_acknowledgements()
    cluster.cephs["b"].resume("osd")

    finish(cluster)


def test_a_whole_region_goes_away_and_comes_back(cluster: BucketCluster) -> None:
    cluster.cephs["c"].kill()
    cluster.wait_for_acknowledgements()
    cluster.wait_until_caught_up()  # two of three are enough to say so
    cluster.cephs["c"].up()

    finish(cluster)


def test_a_lost_region_is_replaced_by_an_empty_one(cluster: BucketCluster) -> None:
    lost = cluster.cephs["b"]
    where = ("--config", str(cluster.config), "--data", str(cluster.place / "one"))

    lost.destroy()
    cluster.wait_for_acknowledgements()
    lost.up()
    cluster.make_buckets("b")
    wait_until(lambda: _state(cluster, "b") == "unverified", cluster.tell)
    holdfast("region", "replace", "b", *where)
    wait_until(lambda: set(_listed(where).values()) == {"ok"}, cluster.tell)

    finish(cluster)


def test_everything_is_killed_at_once(cluster: BucketCluster) -> None:
    for ceph in cluster.cephs.values():
        ceph.kill()
    for server in cluster.living:
        server.kill()

    up(cluster.cephs)
    for server in cluster.living:
        server.start()
    cluster.wait_for_acknowledgements()

    finish(cluster)


def test_a_link_goes_down(cluster: BucketCluster) -> None:
    link = cluster.cephs["c"].link
    if link is None:
        no_namespaces()

    link.cut()
    cluster.wait_for_acknowledgements()
    wait_until(lambda: _state(cluster, "c") == "open", cluster.tell)
    cluster.wait_until_caught_up()
    link.mend()

    finish(cluster)


def test_regions_are_far_away(far: BucketCluster, wires: Mapping[str, Wire]) -> None:
    for wire, seconds in zip(wires.values(), (0.01, 0.05, 0.2), strict=True):
        wire.delay_seconds = seconds
    far.wait_for_acknowledgements()
    far.wait_until_caught_up()

    finish(far)


def test_connections_are_reset_at_random(far: BucketCluster, wires: Mapping[str, Wire]) -> None:
    for wire in wires.values():
        wire.resets = 0.03
    for _ in range(10):
        far.wait_for_acknowledgements()
    for wire in wires.values():
        wire.resets = 0.0

    finish(far)


def test_connections_are_half_open(far: BucketCluster, wires: Mapping[str, Wire]) -> None:
    wires["a"].silent = True
    far.wait_for_acknowledgements()
    wait_until(lambda: _state(far, "a") == "open", far.tell)
    far.wait_until_caught_up()
    wires["a"].silent = False

    finish(far)


def _state(cluster: BucketCluster, id: str) -> str:
    """Of a region, as server one sees it."""
    regions = cluster.servers["one"].get("/v1/status")["regions"]
    found: str = next(each["state"] for each in regions if each["region"] == id)
    return found


def _listed(where: tuple[str, ...]) -> dict[str, str]:
    seen = json.loads(holdfast("region", "list", *where, "--json", ok=(0, 3)))
    return {each["region"]: each["state"] for each in seen["regions"]}
