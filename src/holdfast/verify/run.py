"""One verification from its beginning to its report."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.errors import Problem, RejectedError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import ProofError
from holdfast.proof.names import SegmentName
from holdfast.regions import Regions, layout
from holdfast.regions.port import RegionId
from holdfast.verify.archives import Archives
from holdfast.verify.batch import Batch, Done, batches, check_batch
from holdfast.verify.evidence import Mark, no_birth
from holdfast.verify.expect import Kept, mark_of
from holdfast.verify.findings import (
    INCOMPLETE,
    REFUTED,
    Depth,
    Finding,
    Findings,
    Report,
    verdict_of,
)
from holdfast.verify.journal import Journal
from holdfast.verify.look import Look
from holdfast.verify.walk import Target, Walk

FEW = 256  # segments that are not worth starting workers for


class Crew(Protocol):
    """Who reads and judges segments. at_once: how many batches it works on at a time."""

    @property
    def at_once(self) -> int: ...

    async def do(self, batch: Batch) -> Done: ...


class Alone:
    """A crew of one: this process itself."""

    at_once = 1

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    async def do(self, batch: Batch) -> Done:
        return await check_batch(self._regions, batch)


class Progress(Protocol):
    """Is told how many segments are done, and how many there are at least."""

    def __call__(self, done: int, total: int) -> None: ...


def silent(done: int, total: int) -> None:
    """No progress to show."""


@dataclass(frozen=True, slots=True)
class Means:
    """How to go about it. crew: who reads segments; None: this process. journal: what an earlier
    run had read, and what this one does. progress: is told."""

    crew: Crew | None = None
    journal: Journal | None = None
    progress: Progress = silent


ALONE = Means()


@dataclass(frozen=True, slots=True)
class Question:
    """What to verify. regions: ids, all of the settings where empty. expected: notes that were kept
    elsewhere. from_us, to_us: which segments to read, by when they were sealed; all where None."""

    depth: Depth = "names"
    regions: tuple[RegionId, ...] = ()
    expected: tuple[Kept, ...] = ()
    from_us: int | None = None
    to_us: int | None = None

    def wants(self, target: Target) -> bool:
        """Whether a segment may hold what was received in [from_us, to_us)."""
        if self.from_us is not None and SegmentName.parse(target.name).sealed_us < self.from_us:
            return False
        return self.to_us is None or target.after_us + 1 < self.to_us


class Verification:
    """See the module. Use once."""

    def __init__(
        self,
        regions: Regions,
        host: Host,
        question: Question,
        means: Means = ALONE,
    ) -> None:
        """regions: verified, so that their trail is known.

        Raises:
            RejectedError: a region that the settings do not name.
        """
        for id in question.regions:
            if id not in regions.by_id:
                raise RejectedError("usage", Problem(0, "--region", f"no region {id} is named"))
        self._regions = regions
        self._host = host
        self._question = question
        self._findings = Findings()
        asked = tuple(question.regions) or tuple(regions.by_id)
        self._look = Look(regions, asked, self._findings)
        self._walks: dict[NodeId, Walk] = {}
        self._expected: dict[NodeId, list[Mark]] = {}
        self._alone: Crew = Alone(regions)
        self._means = means
        self._crew: Crew = means.crew or self._alone
        self._told: dict[NodeId, dict[int, bytes]] = {}
        self._seen: dict[Kept, str] = {}
        self._turn = asyncio.Semaphore(1)
        self._total = self._walked = self._segments = self._events = self._resumed = 0
        self._archived = 0

    async def run(self) -> Report:
        """Look at everything, once.

        Raises:
            RejectedError: an expected note is none, is another trail's, or is not signed.
        """
        started_us = self._host.now_us()
        await self._look.read_notes()
        self._take_expected()
        self._total = sum(each.known_size for each in self._look.evidence.ledgers.values())
        if self._total <= FEW:
            self._crew = self._alone
        self._turn = asyncio.Semaphore(2 * self._crew.at_once)
        archives = Archives(self._look, self._regions, self._host, self._findings)
        self._swept = await archives.look()
        for node in await self._look.nodes():
            await self._verify_node(node)
        await self._take_seen()
        wanted = (self._question.from_us, self._question.to_us)
        self._archived = await archives.verify(self._question.depth, wanted, self._walks)
        self._segments += archives.deep_segments
        self._events += archives.deep_events
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
        try:
            async with asyncio.TaskGroup() as reading:
                await self._walk(reading, node, walk)
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        walk.finish()
        if walk.unborn:
            born = await self._look.born_since(node)
            for epoch, name in sorted(walk.unborn.items()):
                if epoch not in born:
                    why = f"segment {name.index} says that it is of epoch {epoch}"
                    self._findings.add(no_birth(node, epoch, why))

    async def _walk(self, reading: asyncio.TaskGroup, node: NodeId, walk: Walk) -> None:
        spans = self._swept.spans(node)
        async for shard, regions in self._swept.shards(self._look, walk, self._host):
            targets = walk.take(shard, regions, spans)
            if self._question.depth == "names":
                self._tell_progress(len(targets))
            else:
                await self._give(reading, node, targets)

    async def _give(
        self, reading: asyncio.TaskGroup, node: NodeId, targets: Sequence[Target]
    ) -> None:
        """Have segments read, so many at a time that what waits for it stays small."""
        key = self._look.evidence.node_keys[node].public
        trail, tag_key = self._look.evidence.trail, self._look.tag_key
        base = Batch(node, key, trail, tag_key, self._question.depth, ())
        wanted = [each for each in targets if each.holders and self._question.wants(each)]
        for batch in batches(base, wanted):
            await self._turn.acquire()
            reading.create_task(self._have_read(batch))

    async def _have_read(self, batch: Batch) -> None:
        journal = self._means.journal
        try:
            done = journal.find(batch) if journal else None
            if done is not None:
                self._resumed += done.segments
            else:
                done = await self._crew.do(batch)
                if journal:
                    journal.keep(batch, done)
        finally:
            self._turn.release()
        self._segments += done.segments
        self._events += done.events
        self._findings.add(*done.findings)
        self._told.setdefault(batch.node, {}).update(done.roots)
        for key, kept in done.seen:
            self._seen.setdefault(kept, key)
        self._tell_progress(len(batch.targets))

    def _tell_progress(self, more: int) -> None:
        self._walked += more
        self._means.progress(self._walked, max(self._total, self._walked))

    async def _take_seen(self) -> None:
        """What nodes wrote down of each other holds for every ledger.

        A ledger may have grown between its listing and the writing of such a note: one that seems
        to lack something is listed once more.
        """
        evidence = self._look.evidence
        again: dict[NodeId, list[Mark]] = {}
        for kept, key in self._seen.items():
            try:
                node, mark = mark_of(kept, evidence.trail, evidence.node_keys)
            except ProofError as error:
                writer = key.split("/")[2]
                why = f"a checkpoint that it holds of another ledger: {error}"
                self._findings.add(Finding(kind="false", node=writer, key=key, reason=why))
                continue
            walk = self._walks.get(node)
            if walk is not None and mark.size <= walk.size:
                walk.check(mark)
            else:
                again.setdefault(node, []).append(mark)
        if again:
            await self._look_again(again)

    async def _look_again(self, seen: dict[NodeId, list[Mark]]) -> None:
        """Walk some ledgers once more, as they are now; only what is new is of interest."""
        findings = Findings()
        look = Look(self._regions, self._look.present, findings)
        await look.read_notes()
        self._look.why_absent.update(look.why_absent)
        for node, marks in sorted(seen.items()):
            ledger = look.evidence.ledger(node)
            if ledger.key is None:
                for mark in marks:
                    self._name_removed(node, mark)
                continue
            walk = Walk(ledger, marks)
            async for shard, regions in self._swept.shards(look, walk, self._host):
                walk.take(shard, regions, self._swept.spans(node))
            walk.finish()
            grave = REFUTED | INCOMPLETE
            self._findings.add(*(each for each in walk.findings if each.kind in grave))

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
                            key=layout.segment_key(node, name),
                            reason="no certificate of the trail for its node is in any region",
                        )
                    )

    def _name_removed(self, node: NodeId, mark: Mark) -> None:
        """A ledger that once was signed, and of whose node no region shows anything good."""
        why = f"it reached {mark.size} segments ({mark.where}; the signature cannot be checked, "
        why += "since no region shows the node's key)"
        self._findings.add(Finding(kind="cut_tail", node=node, start=0, end=mark.size, reason=why))

    def _settle(self) -> None:
        for node, walk in self._walks.items():
            walk.settle(self._told.get(node, {}))
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
            deep_segments=self._segments,
            deep_events=self._events if self._question.depth == "events" else 0,
            resumed_segments=self._resumed,
            archived_units=self._archived,
            findings=self._findings.kept(),
            left_out=self._findings.left_out(),
        )
