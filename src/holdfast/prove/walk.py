"""Through all segments that may hold what was received in some time, ledger by ledger.

Planned before the first of them is read, so that what cannot be answered is said as an error; then
a batch of segments at a time, in an order that never changes.
"""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TypeVar

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.model import Basis, NodeId
from holdfast.proof import tenants
from holdfast.proof.certificate import Stretch
from holdfast.proof.left import Gone
from holdfast.proof.names import SegmentName
from holdfast.proof.records import TIME_US_MAX
from holdfast.prove.stretches import Planner, Span
from holdfast.prove.trees import Trees
from holdfast.read.compute import outcome_of
from holdfast.read.contents import Archived, Preserved
from holdfast.read.reader import Reader
from holdfast.regions.regions import Regions
from holdfast.regions.retained import Floor
from holdfast.times import format_us

BATCH_SEGMENTS = 64
BATCH_EVENTS = 20_000
BATCH_BYTES = 4 << 20  # as they are stored
ATTEMPTS_MAX = 4

Batch = Sequence[tuple[SegmentName, Preserved | None]]
"""Neighbouring segments, each with what there is of it; None for those that are not in question."""

Look = Callable[[NodeId, Batch], Awaitable[object]]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be walked. tenant: whose events are wanted; None: everybody's. through_us, basis:
    of the statement that it rests on. let_go: what rules let go of units in reach. nodes: all that
    are known, in order, each with the stretches of its ledger."""

    span: Span
    tenant: str | None
    through_us: int
    basis: tuple[Basis, ...]
    let_go: tuple[Floor, ...]
    nodes: tuple[tuple[NodeId, Sequence[Stretch]], ...]


class Walk:
    """See the module."""

    def __init__(self, reader: Reader, regions: Regions, trees: Trees, executor: Executor) -> None:
        """executor: of worker processes."""
        self._reader = reader
        self._executor, self._at_once = executor, 1
        self._planner = Planner(reader, regions, trees)

    async def plan(self, span: Span, tenant: str | None) -> Plan:
        """Where to go. tenant: as in `Plan`.

        Raises:
            RejectedError: uncertifiable: not all of that time is known yet, or names are lost.
            UnavailableError: not now.
            CorruptError: what is stored contradicts what was signed.
        """
        said = self._reader.completeness()
        through_us = _check_span(span, said.complete_through_us)
        gone = await self._reader.adopting.let_go(span.from_us, span.to_us, tenant)
        nodes = self._reader.nodes()
        planned = tuple([(node, await self._planned(node, span)) for node in nodes])
        return Plan(span, tenant, through_us, said.basis, gone, planned)

    async def _planned(self, node: NodeId, span: Span) -> Sequence[Stretch]:
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return await self._planner.stretches(node, span)
            except UnavailableError:
                await self._reader.catch_up()  # the node went on while it was looked at
        return await self._planner.stretches(node, span)

    async def gone(
        self, node: NodeId, batch: Batch, salt: bytes | None
    ) -> Mapping[int, Sequence[Gone]]:
        """What floors let go of the segments of a batch, by index; of whom a salt is, or of all."""
        tags = {
            name.index: None if salt is None else tenants.tag(salt, node, name.index)
            for name, held in batch
            if isinstance(held, Archived) and held.let_go is not None
        }
        return await self._reader.adopting.gone(node, tags) if tags else {}

    def hand_to(self, executor: Executor, at_once: int) -> None:
        """Who works on batches from now on, so many at a time."""
        self._executor, self._at_once = executor, at_once

    async def made(
        self,
        node: NodeId,
        stretch: Stretch,
        plan: Plan,
        job: Callable[..., Result],
        *of: object,
        look: Look | None = None,
    ) -> AsyncGenerator[Result]:
        """What becomes of the batches of a stretch, in their order, a few ahead of who takes it.

        job: of (batch, node, *of), in a worker. look: finds out what else it is to know of a batch:
        its last argument.
        """
        coming: deque[Future[Result]] = deque()
        try:
            async for found in self.batches(node, stretch, plan):
                known = () if look is None else (await look(node, found),)
                coming.append(self._executor.submit(job, found, node, *of, *known))
                if len(coming) > 2 * self._at_once:
                    yield await outcome_of(coming.popleft())
            while coming:
                yield await outcome_of(coming.popleft())
        finally:
            for waiting in coming:
                waiting.cancel()

    async def batches(self, node: NodeId, stretch: Stretch, plan: Plan) -> AsyncGenerator[Batch]:
        """All segments of a stretch in order: fewer at a time where they turn out to be large."""
        span = plan.span
        before: SegmentName | None = None
        at, width = stretch.start, BATCH_SEGMENTS
        while at < stretch.end:
            names = await self._names(node, at, min(at + width, stretch.end))
            asked = []
            for name in names:
                if span.holds(name, before):
                    asked.append(name.index)
                before = name
            held: dict[SegmentName, Preserved] = {}
            if asked:
                several = await self._reader.segments(node, asked[0], asked[-1] + 1, plan.tenant)
                held = {each.name: each for each in several}
            yield [(name, held.get(name)) for name in names]
            at += len(names)
            size = sum(each.size_bytes for each in held.values())
            fitting = len(names) * BATCH_BYTES // size if size else BATCH_SEGMENTS
            width = max(1, min(fitting, 2 * width, BATCH_SEGMENTS))

    async def _names(self, node: NodeId, start: int, end: int) -> list[SegmentName]:
        """Segments from `start` on, at least one, and at most so many events as fit a batch."""
        names = [SegmentName.parse(text) for text in await self._reader.names(node, start, end)]
        if [name.index for name in names] != list(range(start, end)):
            raise UnavailableError(f"segments {start} to {end} of node {node} are not held now")
        fitting, events = 1, names[0].count
        while fitting < len(names) and events + names[fitting].count <= BATCH_EVENTS:
            events += names[fitting].count
            fitting += 1
        return names[:fitting]


def _check_span(span: Span, through_us: int | None) -> int:
    if not 0 <= span.from_us < span.to_us < TIME_US_MAX:
        raise _rejected("bad-parameter", "must be later than `from`, and both after 1970")
    if through_us is None:
        raise _rejected("uncertifiable", "nothing is known to be complete yet")
    if span.to_us - 1 > through_us:
        raise _rejected(
            "uncertifiable",
            f"is too late: everything is known through {format_us(through_us)}; what was received "
            f"before {format_us(through_us + 1)} can be certified or exported",
        )
    return through_us


def _rejected(kind: str, reason: str) -> RejectedError:
    return RejectedError(kind, Problem(0, "to", reason))
