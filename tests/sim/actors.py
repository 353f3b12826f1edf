"""Who lives in the simulated world: machines with a node and a keeper, their clients, readers."""

import asyncio
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from holdfast.archive.archivist import Archivist, Workshop
from holdfast.archive.sweep import Sweeper
from holdfast.errors import HoldfastError, OutcomeUnknownError, RejectedError, UnavailableError
from holdfast.keep.keeper import Closer, Keeper
from holdfast.keep.survey import Survey
from holdfast.model import Contents, Record
from holdfast.ports import Host
from holdfast.proof import ProofError, names
from holdfast.proof.names import SegmentName
from holdfast.read.archive import Adopted
from holdfast.read.catalog import Entry
from holdfast.read.follow import Follow, FollowLimits
from holdfast.read.watermark import Judgement, judge
from holdfast.regions import layout, segment
from holdfast.regions.port import Present
from holdfast.regions.retaining import Out
from holdfast.regions.signing import SigningKey
from holdfast.write.admit import admit
from holdfast.write.batch import Acknowledgement, Taken
from holdfast.write.closing import Undecided, close_epoch
from holdfast.write.epoch import WriteLimits
from holdfast.write.identity import Identity
from holdfast.write.node import Node
from tests.sim.archives import Known, SimArchivist, adopt
from tests.sim.checker import Said
from tests.sim.processes import Process
from tests.sim.retained import DELETER, GONE, LONGER, RULES, SimRetention
from tests.sim.world import DELTA_US, ROLE, TRAIL, World
from tests.write.world import Keys

LIMITS = WriteLimits(
    heartbeat_seconds=2.5,
    checkpoint_seconds=6.0,
    ack_timeout_seconds=8.0,
    drain_seconds=4.0,
    clock_error_us=DELTA_US,
)
ANSWER_SECONDS = LIMITS.ack_timeout_seconds + 3.0


@dataclass(eq=False)
class Request:
    """What a client sent and was told. outcome: "waiting", "acked", "unknown" or "refused"."""

    body: bytes
    process: Process
    sent_at: float
    outcome: str = "waiting"
    ids: tuple[str, ...] = ()
    records: Sequence[Record] = ()
    received_us: int = 0
    ack: Acknowledgement | None = None


class SimCloser(Closer):
    """A keeper's closer: it copies its run before votes decide, which is no repair."""

    async def close_lost(self, survey: Survey) -> bool:
        role = ROLE.set("")
        try:
            return await super().close_lost(survey)
        finally:
            ROLE.reset(role)


class Machine:
    """A machine with a data directory: one node's process after the other."""

    def __init__(self, world: World, name: str, keys: Keys | None = None) -> None:
        self.world = world
        self.name = name
        self.keys = keys or Keys()
        self.skew_us = world.draw.randint(-900_000, 900_000)
        self.lives = 0
        self.mistaken = False  # it runs with settings that take one bucket for two regions
        self.process: Process | None = None
        self.node: Node | None = None
        self.keeper: Keeper | None = None
        self.archivist: Archivist | None = None
        self.sweeper: Sweeper | None = None
        self.retention: SimRetention | None = None
        self.rules = RULES if world.has_rules else ()
        if world.has_rules and name != "m0" and world.draw.random() < 0.6:
            self.rules = LONGER
        world.watch.rules[name] = self.rules
        self.requests: list[Request] = []
        self.acks: list[tuple[Process, Acknowledgement]] = []

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def open(self) -> bool:
        return self.alive and self.node is not None and self.node.report().state == "open"

    @property
    def nodes(self) -> dict[str, bytes]:
        """Every node that it ever was -> the seed of its key."""
        seeds = [seed for seed in (*self.keys.old, self.keys.now[0]) if seed]
        return {names.node_id(SigningKey.generate("", seed).public): seed for seed in seeds}

    @property
    def is_ending(self) -> bool:
        return self.node is not None and self.node.report().state in ("stopping", "stopped")

    def start(self) -> None:
        """A new process, as `holdfast serve` begins one; the lock on its directory lets no second
        one live beside it."""
        if self.alive:
            return
        self.lives += 1
        self.mistaken = bool(self.world.alias)
        self.node = self.keeper = self.archivist = self.sweeper = self.retention = None
        self.process = Process(f"{self.name}.{self.lives}", self.world.loop)
        self.world.say(f"{self.process.name} starts")
        self.process.spawn(self._live(self.process))

    async def _live(self, process: Process) -> None:
        regions = self.world.regions(f"{self.name}-{self.lives}")
        host = self.world.host(lambda: self.skew_us)
        try:
            await regions.verify()
            regions.refuse_mix_ups()
        except RejectedError as error:
            self.world.say(f"{process.name} refuses to start: {error}")
            process.kill()
            return
        node = Node(regions, self.keys, TRAIL.signing, host, LIMITS, self._enter)

        def identity() -> Identity | None:
            return node.identity if self.open else None

        if self.world.has_archive:
            await self._open_archive(host, identity)
        closer = SimCloser(regions, host, identity, 15.0)
        self.keeper = Keeper(regions, host, closer, identity=identity)
        self._regions, self._host = regions, host
        await node.start()
        self.node = node

    async def _open_archive(self, host: Host, identity: Callable[[], Identity | None]) -> None:
        """What archives and sweeps for it; what is known is known by some reader."""
        folder = self.world.scratch / f"{self.name}-{self.lives}"
        patient = self.world.regions(f"{self.name}-{self.lives}-patient")
        known: Any = Known(self.world.draw.choice(self.world.readers))
        workshop = Workshop(folder / "archive", self.rules)
        self.archivist = SimArchivist(patient, known, host, identity, workshop)
        self.sweeper = Sweeper(patient, host, self.archivist.key_of, folder / "sweep")
        self.retention = SimRetention(patient, known, host, identity, workshop)

    async def _enter(self, node: str, name: SegmentName, data: bytes, contents: Contents) -> None:
        """No catalog: the reader finds it in the regions."""

    def kill(self) -> None:
        if self.process is not None:
            self.world.say(f"{self.process.name} is killed")
            self.process.kill()

    def stop(self) -> None:
        """Stop it as a service manager does."""
        process, node = self.process, self.node
        if process is None or node is None:
            return
        self.world.say(f"{process.name} is asked to stop")

        async def end() -> None:
            await node.stop()
            self.world.say(f"{process.name} has stopped")
            process.kill()

        process.spawn(end())

    # -- its client ----------------------------------------------------------------------------

    def send(self, number: int, again: Request | None = None) -> None:
        """A client sends a request: a new one, or one again whose outcome is unknown."""
        if not self.alive or self.process is None or self.node is None:
            return
        draw = self.world.draw
        body = again.body if again else _body(draw.randint(1, 3), number, draw.random() < 0.8)
        request = Request(body, self.process, self.world.loop.now)
        self.requests.append(request)
        self.process.spawn(self._request(self.node, request))

    async def _request(self, node: Node, request: Request) -> None:
        world = self.world
        try:
            taken = node.take(admit(request.body, "application/x-ndjson"), "client")
        except UnavailableError:
            request.outcome = "refused"
            return
        request.ids, request.records = taken.ids, taken.records
        request.received_us = taken.received_us
        taken.outcome.add_done_callback(lambda _: self._told(request, taken))
        await asyncio.wait([taken.outcome], timeout=ANSWER_SECONDS)
        if not taken.outcome.done() and not request.process.was_paused:
            world.problem(f"I22: a request to {request.process.name} was not answered in time")

    def _told(self, request: Request, taken: Taken) -> None:
        error = taken.outcome.exception()
        if error is not None:
            request.outcome = "unknown"
            if not isinstance(error, OutcomeUnknownError) or error.ids != taken.ids:
                self.world.problem(f"a request failed with {error!r}")
            return
        request.outcome, request.ack = "acked", taken.outcome.result()
        self.acks.append((request.process, request.ack))
        self._check(request.ack)

    def _check(self, ack: Acknowledgement) -> None:
        """What must hold in the very moment of an acknowledgement."""
        world, name = self.world, SegmentName.parse(ack.segment)
        where = f"segment {name.index} of epoch {name.epoch}, node {ack.node[:6]}"
        world.say(f"acknowledged {where}")
        if len(set(ack.regions)) < world.quorum:
            world.problem(f"I2: {where} was acknowledged with {ack.regions}")
        held = world.holders(layout.segment_key(ack.node, name))
        gone = world.counted_and_gone(ack.node, name.epoch, ack.regions)
        if len(held) + gone < world.quorum:
            world.problem(f"I1: {where} was acknowledged, and lies durably in {held} only")
        born = world.holders(layout.birth_key(ack.node, name.epoch))
        if len(born) + world.counted_and_gone(ack.node, name.epoch) < world.quorum:
            world.problem(f"I7: {where} was acknowledged, its birth lies in {born} only")

    # -- what it does when told to -------------------------------------------------------------

    def keep(self, whole: bool) -> None:
        """A pass of its keeper."""
        if self.alive and self.process is not None and self.keeper is not None:
            self.process.spawn(self._keep(self.keeper, whole))

    async def _keep(self, keeper: Keeper, whole: bool) -> None:
        ROLE.set(self.name)
        if self.world.has_archive:
            self.world.covered[self.name] = self.world.archives()
            GONE.set(frozenset(self.world.watch.out()))
        try:
            await keeper.reconcile(whole=whole)
        except (HoldfastError, ProofError) as error:
            self.world.problem(f"a reconciliation raised {error!r}")

    def archive(self) -> None:
        """A run of its archivist."""
        if self.open and self.process is not None and self.archivist is not None:
            self.process.spawn(self._archive(self.archivist))

    async def _archive(self, archivist: Archivist) -> None:
        GONE.set(frozenset(self.world.watch.out()))
        try:
            report = await archivist.archive(0)
        except UnavailableError as error:
            self.world.say(f"{self.name} does not archive: {error}")
            return
        told = [f"{each.unit} in {','.join(each.regions)}" for each in report.units]
        self.world.say(f"{self.name} archived {told}; {report.trouble or report.waiting}")

    def sweep(self) -> None:
        """A run of its sweeper."""
        if self.alive and self.process is not None and self.sweeper is not None:
            self.process.spawn(self._sweep(self.sweeper))

    async def _sweep(self, sweeper: Sweeper) -> None:
        report = await sweeper.sweep(0)
        for each in report.swept:
            why = f", {each.left} stay: {each.why}" if each.left else ""
            what = f"{each.segments} of {each.unit} in {each.region}"
            self.world.say(f"{self.name} swept {what}{why}")
        if any(each.segments for each in report.swept):
            self.world.fault("sweep", self.name)

    def expire(self, writes: int | None = None) -> None:
        """A run of its expiry. writes: it dies before the next write or delete after so many."""
        if self.open and self.process is not None and self.retention is not None:
            self.process.writes = writes
            self.process.spawn(self._expire(self.retention))

    async def _expire(self, retention: SimRetention) -> None:
        DELETER.set(self.name)
        try:
            report = await retention.expire()
        except UnavailableError as error:
            self.world.say(f"{self.name} lets nothing go: {error}")
            return
        for each in report.expiring:
            gone = ",".join(id for id, *_ in each.removed)
            what = f"{each.retention} of {each.unit}: deleted in {gone or 'none'}"
            self.world.say(f"{self.name}: {what} {each.why} {each.left}")
            if each.removed:
                self.world.fault("expiry", self.name)

    def close_other(self, node: str, epoch: int, birth: bytes) -> None:
        """Close somebody's epoch, lost or not, in the name of this node."""
        if self.open and self.process is not None:
            self.process.spawn(self._close(node, epoch, birth))

    async def _close(self, node: str, epoch: int, birth: bytes) -> None:
        assert self.node is not None
        self.world.say(f"{self.name} closes epoch {epoch} of {node[:6]}")
        try:
            end = await close_epoch(self._regions, birth, self.node.identity, self._host, "lost")
        except ProofError as error:
            self.world.say(f"the birth does not verify: {error}")
            return
        told = end.reason if isinstance(end, Undecided) else f"closed at {end.size}"
        self.world.say(f"{self.name}: epoch {epoch} of {node[:6]}: {told}")


def _body(events: int, number: int, named: bool) -> bytes:
    lines = []
    for each in range(events):
        id = f'"id":"r{number}-{each}",' if named else ""
        tenant = ("", '"tenant":"t",', '"tenant":"u",')[(number + each) % 3]
        lines.append(f'{{{id}{tenant}"action":"act.{number}","reason":"{each}"}}')
    return "\n".join(lines).encode()


@dataclass(eq=False)
class LightReader:
    """A reader that keeps no catalog: the shipped pass and judgement over segments in memory."""

    world: World
    name: str
    skew_us: int
    said: list[Said] = field(default_factory=list)
    settled: dict[str, str] = field(default_factory=dict)  # final segments -> their nodes
    adopted: Adopted = field(default_factory=Adopted)
    busy: bool = False

    def start(self) -> None:
        """A new process, that remembers nothing."""
        self.process = Process(self.name, self.world.loop)
        self.regions = self.world.regions(self.name)
        host = self.world.host(lambda: self.skew_us)
        self.follow = Follow(self.regions, host, FollowLimits(DELTA_US, suspect_s=5.0), None)
        self.judgement = Judgement()
        self.settled.clear()
        self.adopted = Adopted()
        self.busy = False

    def look(self) -> None:
        if not self.busy and self.process.alive:
            self.busy = True
            self.process.spawn(self._pass())

    async def _pass(self) -> None:
        out = self.world.watch.out().keys()
        if self.world.has_archive:
            await adopt(self, self.adopted)
        view = await self.follow.look()
        first = judge(view, self.judgement)
        if self.world.has_archive and any(h.kind == "hole" for h in first.holding_back):
            await adopt(self, self.adopted)
            first = judge(self.follow.again(view), self.judgement)
        orphans = {orphan.name for orphan in first.orphans}
        for ledger in tuple(self.follow.ledgers.values()):
            for text, seen in tuple(ledger.seen.items()):
                if text in orphans:
                    seen.entry = None
                elif seen.entry is None and ledger.key and seen.name.epoch <= ledger.last:
                    seen.entry = await self._fetch(ledger.node, ledger.key, seen.name)
        before = self.judgement.complete_through_us
        self.judgement = judge(self.follow.again(view), self.judgement)
        late = {orphan.name for orphan in self.judgement.orphans}
        for ledger in self.follow.ledgers.values():
            for text, seen in ledger.seen.items():
                if text in late:
                    seen.entry = None
        for run in self.judgement.runs:
            ledger = self.follow.ledgers[run.node]
            self._keep_settled(ledger.node, run.settled.size)
            ledger.advance(run)
        self._report(before, out)
        self.busy = False

    def _report(self, before: int | None, out: Set[Out]) -> None:
        """Say through when all is known. before: as it was last. out: what was let go when the pass
        began."""
        through = self.judgement.complete_through_us
        if through is not None and through > (before or 0) and not self.follow.floors.keys() >= out:
            self.world.problem(f"{self.name} shows what was let go before it looked")
        if before is not None and (through is None or through < before):
            self.world.problem(f"I11: {self.name} went back from {before} to {through}")
        if through is not None:
            gaps = tuple((gap.node, gap.start, gap.end) for gap in self.judgement.gaps)
            self.said.append(Said(self.name, through, self._shown(), gaps))
            self.world.say(f"{self.name} reports {(through - 1_800_000_000_000_000) / 1e6:.4f}")

    def _keep_settled(self, node: str, size: int) -> None:
        for text, seen in self.follow.ledgers[node].seen.items():
            if seen.name.index < size and seen.entry is not None:
                self.settled[text] = node

    def _shown(self) -> frozenset[str]:
        hot = {
            text
            for ledger in self.follow.ledgers.values()
            for text, seen in ledger.seen.items()
            if seen.entry is not None
        }
        return frozenset(hot | self.settled.keys())

    async def _fetch(self, node: str, key: bytes, name: SegmentName) -> Entry | None:
        origin = names.ledger_origin(TRAIL.trail, node)
        for region in self.regions:
            found = await region.read(layout.segment_key(node, name))
            if isinstance(found, Present):
                try:
                    segment.verify(found.data, name, key, origin)
                except ProofError:
                    continue
                at = name.sealed_us
                return Entry(
                    node,
                    name.index,
                    name.epoch,
                    name.first,
                    name.count,
                    name.text,
                    len(found.data),
                    at,
                    at,
                    at,
                    at,
                    {},
                )
        return None
