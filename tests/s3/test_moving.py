"""Three directories become three buckets, one after the other, while events arrive: the way of
docs/REGIONS.md."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.proof.__main__ import main as check
from tests.e2e.server import holdfast, wait_until
from tests.nemesis.cluster import REGIONS, SETTINGS, Cluster
from tests.nemesis.judge import judge_found, settle
from tests.s3.ceph import CephRegion
from tests.s3.cluster import INTERVALS, BucketCluster

pytestmark = [pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(400)]

BUCKETS = ("d", "e", "f")


class Directories(Cluster):
    settings = SETTINGS + INTERVALS

    def make_regions(self) -> None:
        for region in REGIONS:
            (self.regions / region).mkdir(parents=True)

    def tables_by_region(self) -> dict[str, str]:
        return {id: f'[regions.{id}]\nurl = "{(self.regions / id).as_uri()}"\n' for id in REGIONS}

    def restart(self) -> None:
        """One after the other: there is always one that takes events."""
        for server in self.living:
            assert server.stop() == 0
            server.start()
        self.wait_for_acknowledgements()


def test_three_directories_become_three_buckets(
    cephs: Mapping[str, CephRegion], tmp_path: Path
) -> None:
    cluster = Directories(tmp_path, seed=1)
    buckets = BucketCluster(tmp_path, dict(zip(BUCKETS, cephs.values(), strict=True)), "moved")
    where = ("--config", str(cluster.config), "--data", str(tmp_path / "one"))
    kept, proof = tmp_path / "kept", tmp_path / "event.proof"
    try:
        cluster.found()
        cluster.wait_for_acknowledgements()
        cluster.wait_until_caught_up()
        early = cluster.clients[0].requests[0].ids[0]
        kept.write_text(holdfast("checkpoint", *where))
        proof.write_text(holdfast("proof", early, *where))

        buckets.make_regions()
        tables = cluster.tables_by_region() | buckets.tables_by_region()
        members, text = list(REGIONS), ""
        for old, new in zip(REGIONS, BUCKETS, strict=True):
            before, members = members, [new if id == old else id for id in members]
            text = cluster.settings + "".join(tables[id] for id in members)
            earlier = f"[[earlier]]\nquorum = 2\nregions = {json.dumps(before)}\n"
            cluster.config.write_text(f"{text}{tables[old]}leaving = true\n{earlier}")
            holdfast("region", "add", new, *where)
            cluster.restart()
            wait_until(lambda: _states(where) == {"ok"}, cluster.tell)
            wait_until(lambda: bool(_reconciled(where)["identical"]), cluster.tell)
        cluster.config.write_text(text)
        cluster.restart()
        for id in REGIONS:
            (cluster.regions / id).rename(tmp_path / f"{id}-not-needed")
        settle(cluster)
        found = {name: list(server.events()) for name, server in cluster.servers.items()}
        trail = json.loads(holdfast("region", "list", *where, "--json"))["trail"]
        cluster.remove("one", kill=False)
        cluster.remove("two", kill=False)
    finally:
        cluster.end()

    requests = [request for client in cluster.clients for request in client.requests]
    for who, events in found.items():
        sent = [e for e in events if not str(e["action"]).startswith("holdfast.")]
        judge_found(cluster, requests, who, Counter(str(event["id"]) for event in sent))
    assert cluster.problems == []
    assert check(["check", str(proof), "--trail", trail]) == 0
    holdfast("checkpoint", "--expect", str(kept), *where)
    proof.write_text(holdfast("proof", early, *where))
    assert check(["check", str(proof), "--trail", trail]) == 0
    assert "GOOD" in holdfast("verify", "--depth", "events", "--expect", str(kept), *where)


def _states(where: tuple[str, ...]) -> set[str]:
    listed = json.loads(holdfast("region", "list", *where, "--json", ok=(0, 3)))
    return {each["state"] for each in listed["regions"]}


def _reconciled(where: tuple[str, ...]) -> dict[str, object]:
    found: dict[str, object] = json.loads(holdfast("reconcile", *where, "--json", ok=(0, 3)))
    return found
