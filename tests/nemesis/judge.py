"""What is asked of the servers in the end, and the judgement on everything that they ever said."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.proof import ProofError, statements
from holdfast.regions import layout, segment
from holdfast.regions.kinds import Cookie
from tests.e2e.server import Server, holdfast, wait_until
from tests.nemesis.cluster import QUORUM, REGIONS, Cluster
from tests.nemesis.history import Request, Shown
from tests.sim.checker import Checker, NodeTruth, Said

PLACED = frozenset({"node", "segment", "position"})  # where an event lies; no part of its record
EVERYTHING = "1000000"
Event = tuple[str, str]  # id, received


@dataclass(frozen=True)
class Held:
    """What lies in a region."""

    objects: Mapping[str, bytes]

    def content(self) -> Mapping[str, bytes]:
        return self.objects


class Remains:
    """What a play left: see `sim.checker.Scene`."""

    quorum = QUORUM
    repairs: Sequence[tuple[str, str, bytes]] = ()  # from outside nobody sees who put an object

    def __init__(self, cluster: Cluster) -> None:
        self.stores = {id: Held(cluster.content(id)) for id in REGIONS}
        self.beats = dict(cluster.listener.beats)
        self.destroyed: Mapping[str, bytes] = {}  # no play loses more than the trail survives
        self.swept: Mapping[str, bytes] = {}  # and none archives
        self.problem = cluster.problem

    def holders(self, key: str) -> list[str]:
        return [id for id, store in self.stores.items() if key in store.objects]


def settle(cluster: Cluster) -> None:
    """Loads end; every node acknowledges once more, all catch up, and nobody holds T back."""
    cluster.hush()
    for client in cluster.clients:
        if client.server in cluster.living:
            wait_until(lambda: client.send().is_acknowledged, cluster.tell)  # noqa: B023
    cluster.wait_until_caught_up()
    wait_until(lambda: not any(map(_holding_back, cluster.living)), cluster.tell)


def _holding_back(server: Server) -> list[Any]:
    held: list[Any] = server.get("/v1/completeness")["holding_back"]
    return held


def answers(cluster: Cluster) -> dict[str, list[dict[str, Any]]]:
    """What clients sent and is found, by each server and, after their end, in the regions."""
    found = {name: [_record(e) for e in s.events()] for name, s in cluster.servers.items()}
    for name in tuple(cluster.servers):
        cluster.remove(name, kill=False)
    cluster.listener.end()
    where = ("--config", str(cluster.config), "--data", str(cluster.place / "reader"))
    lines = holdfast("search", *where, "--ndjson", "--limit", EVERYTHING).splitlines()
    found["the command line"] = [json.loads(line) for line in lines]
    wait_until(lambda: bool(_reconciled(where)["identical"]))
    return {who: [e for e in events if not _is_own(e)] for who, events in found.items()}


def _is_own(event: Mapping[str, Any]) -> bool:
    """Whether the trail itself wrote it: nobody sent that, and nodes write it when they see fit."""
    return str(event["action"]).startswith("holdfast.")


def _record(element: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in element.items() if name not in PLACED}


def _reconciled(where: Iterable[str]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(holdfast("reconcile", *where, "--json", ok=(0, 3)))
    return report


def judge(cluster: Cluster, found: Mapping[str, list[dict[str, Any]]]) -> str:
    """Every breach becomes a problem of the cluster; returns what was judged, for a person."""
    begun = time.monotonic()
    requests = [request for client in cluster.clients for request in client.requests]
    for who, events in found.items():
        judge_found(cluster, requests, who, Counter(str(event["id"]) for event in events))
    whole = found["the command line"]
    for who, events in found.items():
        if events != whole:
            cluster.problem(f"{who} does not answer as the command line does")
    remains = Remains(cluster)
    cookie = statements.read(remains.stores["a"].objects[layout.REGION_KEY], Cookie).statement
    shown = [each for reader in cluster.readers for each in reader.shown]
    judgement = Judgement(remains, cookie, cluster.clients, ())
    judgement.run()
    judgement.check_shown(shown)
    judgement.check_content(requests)
    acknowledged = sum(len(r.ids) for r in requests if r.is_acknowledged)
    return (
        f"{acknowledged} events acknowledged, {len(whole)} found, {len(shown)} statements, "
        f"{len(remains.beats)} heartbeats, {len(judgement.nodes)} nodes, "
        f"{sum(len(truth.births) for truth in judgement.nodes.values())} epochs, "
        f"{len(judgement.opened)} segments; judged in {time.monotonic() - begun:.1f} s"
    )


def judge_found(
    cluster: Cluster, requests: Iterable[Request], who: str, counts: Counter[str]
) -> None:
    """An acknowledged event is found exactly once, an unknown one at most once, others never."""
    sent = set()
    for request in requests:
        times = {counts[id] for id in request.ids}
        sent |= set(request.ids)
        if request.is_acknowledged and times != {1}:
            cluster.problem(f"LOST or doubled: {who} finds {request.ids} {sorted(times)} times")
        if request.is_refused and times != {0}:
            cluster.problem(f"{who} finds {request.ids}, which were refused")
        if times not in ({0}, {1}):
            cluster.problem(f"{who} finds a part of {request.ids}")
    if strangers := set(counts) - sent:
        cluster.problem(f"{who} finds what nobody sent: {sorted(strangers)[:3]}")


class Judgement(Checker):
    """The simulation's checker; statements are judged by the events that were shown."""

    def check_shown(self, shown: Iterable[Shown]) -> None:
        """I10, by events: a repeat is shown under another segment's `received`."""
        events = {
            name.text: self._events(truth, name.text)
            for truth in self.nodes.values()
            for name, _ in truth.segments.values()
        }
        final = {name.text for truth in self.nodes.values() for name in truth.chain}
        for each in shown:
            ids = {id for id, _ in each.events}
            names_shown = frozenset(
                text
                for text, held in events.items()
                if (ids.issuperset(id for id, _ in held) if text in final else held & each.events)
            )
            self._check_said(Said(each.reader, each.through_us, names_shown))

    def check_content(self, requests: Iterable[Request]) -> None:
        """An acknowledgement names the segment in which the events lie."""
        for request in requests:
            if request.ack is not None and request.ack.segment in self.opened:
                records = self.opened[request.ack.segment].records
                if not set(request.ids) <= {json.loads(record)["id"] for record in records}:
                    self.wrong(f"{request.ids} are not in the segment that was acknowledged")

    def _events(self, truth: NodeTruth, text: str) -> frozenset[Event]:
        opened = self.opened.get(text)
        if opened is None:
            name, data = truth.segments[text]
            try:
                opened = segment.verify(data, name, truth.key.public, truth.key.name)
            except ProofError:
                return frozenset()
        records = map(json.loads, opened.records)
        return frozenset((str(each["id"]), str(each["received"])) for each in records)
