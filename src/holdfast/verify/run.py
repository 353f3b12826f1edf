"""One verification from its beginning to its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.errors import Problem, RejectedError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import ProofError, names
from holdfast.regions import Regions
from holdfast.regions.port import RegionId
from holdfast.verify.evidence import Mark, no_birth
from holdfast.verify.expect import Kept, mark_of
from holdfast.verify.findings import Depth, Finding, Findings, Report, verdict_of
from holdfast.verify.look import Look
from holdfast.verify.walk import Target, Walk


class Progress(Protocol):
    """Is told how many segments are done, and how many there seem to be."""

    def __call__(self, done: int, total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Question:
    """What to verify. regions: ids, all of the settings where empty. expected: notes that were kept
    elsewhere."""

    depth: Depth = "names"
    regions: tuple[RegionId, ...] = ()
    expected: tuple[Kept, ...] = ()


class Verification:
    """See the module. Use once."""

    def __init__(self, regions: Regions, host: Host, question: Question) -> None:
        """regions: verified, so that their trail is known.

        Raises:
            RejectedError: a region that the settings do not name.
        """
        for id in question.regions:
            if id not in regions.by_id:
                raise RejectedError("usage", Problem(0, "--region", f"no region {id} is named"))
        self._host = host
        self._question = question
        self._findings = Findings()
        asked = tuple(question.regions) or tuple(regions.by_id)
        self._look = Look(regions, asked, self._findings)
        self._walks: dict[NodeId, Walk] = {}
        self._expected: dict[NodeId, list[Mark]] = {}

    async def run(self) -> Report:
        """Look at everything, once.

        Raises:
            RejectedError: an expected note is none, is another trail's, or is not signed.
        """
        started_us = self._host.now_us()
        await self._look.read_notes()
        self._take_expected()
        for node in await self._look.nodes():
            await self._verify_node(node)
        await self._look.check_cookies_again()
        self._settle()
        return self._report(started_us)

    def _take_expected(self) -> None:
        evidence = self._look.evidence
        for kept in self._question.expected:
            try:
                node, mark = mark_of(kept, evidence.trail, evidence.node_keys)
            except ProofError as error:
                problem = Problem(0, "--expect", f"{kept.where}: {error}")
                raise RejectedError("usage", problem) from None
            self._expected.setdefault(node, []).append(mark)
            evidence.ledger(node)

    async def _verify_node(self, node: NodeId) -> None:
        ledger = self._look.evidence.ledger(node)
        if ledger.key is None:
            await self._name_uncertified(node)
            for mark in self._expected.get(node, ()):
                self._name_removed(node, mark)
            return
        walk = self._walks[node] = Walk(ledger, self._expected.get(node, ()))
        async for shard, regions in self._look.shards(node):
            await self._read(node, walk.take(shard, regions))
        walk.finish()
        if walk.unborn:
            born = await self._look.born_since(node)
            for epoch, name in sorted(walk.unborn.items()):
                if epoch not in born:
                    why = f"segment {name.index} says that it is of epoch {epoch}"
                    self._findings.add(no_birth(node, epoch, why))

    async def _read(self, node: NodeId, targets: Sequence[Target]) -> None:
        """At depth names, no segment is read."""

    async def _name_uncertified(self, node: NodeId) -> None:
        """Whatever lies under a node that the trail never admitted, object by object."""
        if await self._look.born_since(node):
            return  # it was admitted while this was running
        async for shard, _ in self._look.shards(node):
            for name, holders in sorted(shard.items(), key=lambda item: item[0].text):
                for region in holders:
                    self._findings.add(
                        Finding(
                            kind="uncertified",
                            region=region,
                            node=node,
                            start=name.index,
                            end=name.index + 1,
                            key=names.segment_key(node, name),
                            reason="no certificate of the trail for its node is in any region",
                        )
                    )

    def _name_removed(self, node: NodeId, mark: Mark) -> None:
        """A ledger that once was signed, and of whose node no region shows anything good."""
        why = f"it reached {mark.size} segments ({mark.where}; the signature cannot be checked, "
        why += "since no region shows the node's key)"
        self._findings.add(Finding(kind="cut_tail", node=node, start=0, end=mark.size, reason=why))

    def _settle(self) -> None:
        for walk in self._walks.values():
            walk.settle({})
            self._findings.add(*walk.findings)
        self._findings.add(*self._look.evidence.findings)
        named = self._question.regions
        for id, why in self._look.why_absent.items():
            kind = "unreadable" if id in named else "unused"
            self._findings.add(Finding(kind=kind, region=id, reason=why))  # type: ignore[arg-type]

    def _report(self, started_us: int) -> Report:
        walks, look = self._walks.values(), self._look
        return Report(
            trail=look.evidence.trail,
            depth=self._question.depth,
            verdict=verdict_of(self._findings.counts, enough=look.is_enough),
            started_us=started_us,
            ended_us=self._host.now_us(),
            regions=look.states(),
            nodes=len(self._walks),
            segments=sum(walk.segments for walk in walks),
            events=sum(walk.events for walk in walks),
            pending=sum(walk.pending for walk in walks),
            deep_segments=0,
            deep_events=0,
            findings=self._findings.kept(),
            left_out=self._findings.left_out(),
        )
