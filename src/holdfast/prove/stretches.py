"""Which segments of a ledger a certificate of completeness must show, and what they rest on.

A segment's events were received after the `sealed_us` of the one before it, so the names alone say
which segments are in question. What follows them is bounded by a later segment, or where the node
has none, by what it or its closer signed last. Across a declared gap no tree leads: there the
ledger is shown in several stretches, each of which begins where its tree is known without the lost.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from holdfast.errors import CorruptError, Problem, RejectedError, UnavailableError
from holdfast.model import NodeId
from holdfast.proof import ProofError, merkle, statements
from holdfast.proof.certificate import Stretch
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.merkle import CompactRange
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Birth, Closed, Gap, Heartbeat
from holdfast.prove import paths
from holdfast.prove.heads import Certified, Signed, certified, heads
from holdfast.prove.trees import Trees
from holdfast.read.reader import Reader
from holdfast.regions import layout
from holdfast.regions.port import Present
from holdfast.regions.regions import Regions

Kept = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is asked for: [from_us, to_us)."""

    from_us: int
    to_us: int

    def is_before(self, name: SegmentName) -> bool:
        """Whether nothing up to that segment was received in it."""
        return name.sealed_us < self.from_us

    def is_bounded_by(self, name: SegmentName) -> bool:
        """Whether nothing behind that segment was."""
        return name.sealed_us >= self.to_us - 1

    def holds(self, name: SegmentName, before: SegmentName | None) -> bool:
        """Whether any event of a segment may have been. before: the one before it, if shown."""
        return not self.is_before(name) and (before is None or not self.is_bounded_by(before))


class Planner:
    """See the module."""

    def __init__(self, reader: Reader, regions: Regions, trees: Trees) -> None:
        self._reader = reader
        self._regions = regions
        self._trees = trees

    async def stretches(self, node: NodeId, span: Span) -> tuple[Stretch, ...]:
        """What is to be shown of a node.

        Raises:
            RejectedError: uncertifiable: names are lost, and no gap says so.
            UnavailableError: not yet.
            CorruptError: what is held contradicts what was signed.
        """
        kept = await self._reader.notes(node)
        of = certified(node, self._regions.trail, kept)
        if of is None:
            raise UnavailableError(f"no birth of node {node} was read yet")
        signed = await heads(self._regions, of, kept, 0)
        size = signed[0].head.size if signed else 0
        gaps = _gaps(kept, of, self._regions.trail)
        if gaps:
            held = await self._reader.names(node, 0, size)
            if len(held) < size or gaps[-1][1].end > size:
                return await self._around_gaps(of, span, kept, gaps, held)
        return (await self._whole(of, span, kept, size),)

    async def _whole(self, of: Certified, span: Span, kept: Kept, size: int) -> Stretch:
        """Of a ledger all of whose names below `size`, up to which it is signed, are held."""
        first = await self._bisect(of.node.node, size, span.from_us)
        last = await self._bisect(of.node.node, size, span.to_us - 1)
        start, end = max(first - 1, 0), min(last + 1, size)
        until = "" if last < size else await self._until(of, span, kept, size)
        if not size:
            return Stretch((), of.note.decode(), "", 0, 0, (), (), until)
        head = (await self._above(of, kept, end - 1))[-1]
        around = await self._trees.around(of.node.node, start, end, head.head.size, head.head.root)
        note = head.note.decode()
        return Stretch((), of.note.decode(), note, start, end, *around, until)

    async def _bisect(self, node: NodeId, size: int, us: int) -> int:
        """The first of so many segments with a `sealed_us` of at least that; `size`: none."""
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            found = await self._reader.names(node, middle, middle + 1)
            if len(found) != 1:
                raise UnavailableError(f"segment {middle} of node {node} is not held yet")
            if SegmentName.parse(found[0]).sealed_us >= us:
                high = middle
            else:
                low = middle + 1
        return low

    async def _above(self, of: Certified, kept: Kept, size: int) -> tuple[Signed, ...]:
        found = await heads(self._regions, of, kept, size)
        if not found:
            raise UnavailableError(
                f"segment {size} of node {of.node.node} is in nothing signed yet"
            )
        return found

    # -- what bounds a node that has nothing later ---------------------------------------------

    async def _until(self, of: Certified, span: Span, kept: Kept, size: int) -> str:
        """What says that a ledger went no further than `size` when the time was over."""
        births, closes = [], []
        for key, data in kept:
            try:
                if key.endswith("/birth.note"):
                    births.append((statements.verify_birth(data, self._regions.trail), data))
                elif key.endswith("/closed.note"):
                    note = statements.verify_by_certificate(data, Closed, self._regions.trail)
                    closes.append((note, data))
            except ProofError:
                continue  # a survey names it
        epoch = max(birth.statement.epoch for birth, _ in births)
        async for beat, data in self._beats(of):
            if (beat.epoch, beat.promise_size) == (epoch, size) and (
                beat.promise_us >= span.to_us - 1
            ):
                return data.decode()
        for birth, data in births:
            said = birth.statement
            if (said.epoch, said.base.size) == (epoch, size) and said.started_us >= span.to_us - 1:
                return data.decode()
        for closed, data in closes:
            if (closed.statement.epoch, closed.statement.end.size) == (epoch, size):
                return data.decode()
        raise UnavailableError(
            f"what node {of.node.node} signed last does not say yet how far its ledger reached then"
        )

    async def _beats(self, of: Certified) -> AsyncIterator[tuple[Heartbeat, bytes]]:
        key = layout.heartbeat_key(of.node.node)
        for found in await asyncio.gather(*(region.read(key) for region in self._regions)):
            if isinstance(found, Present):
                try:
                    yield statements.verify(found.data, Heartbeat, of.key).statement, found.data
                except ProofError:
                    continue

    # -- where names are lost ------------------------------------------------------------------

    async def _around_gaps(
        self,
        of: Certified,
        span: Span,
        kept: Kept,
        gaps: Sequence[tuple[bytes, Gap]],
        held: Sequence[str],
    ) -> tuple[Stretch, ...]:
        """The same where names below the newest head are lost: those stretches that can be shown.

        held: all names of the ledger that are held, up to there.
        """
        found: list[Stretch] = []
        is_over, end = False, 0
        runs = _runs([SegmentName.parse(text) for text in held])
        for number, run in enumerate(runs):
            later = number + 1 < len(runs)
            shown = None
            if not (later and span.is_before(run[-1])):
                shown = await self._of_run(of, span, kept, run)
            if shown is None:
                end = end if found else run[-1].index + 1
                continue
            if found or (shown.start and not span.is_before(run[shown.start - run[0].index])):
                shown = _explained(shown, gaps, end, shown.start)
            found.append(shown)
            end = shown.end
            is_over = bool(shown.until) or span.is_bounded_by(run[end - 1 - run[0].index])
            if is_over:
                break
        if not is_over:
            found.append(_explained(Stretch((), "", "", 0, 0, (), (), ""), gaps, end, 0))
        return tuple(found)

    async def _of_run(
        self, of: Certified, span: Span, kept: Kept, run: Sequence[SegmentName]
    ) -> Stretch | None:
        """What can be shown of neighbouring segments; None: nothing."""
        offset, size = run[0].index, run[-1].index + 1
        first = next((name.index for name in run if not span.is_before(name)), size)
        last = next((name.index for name in run if span.is_bounded_by(name)), size)
        begin = await self._begin(of, kept, run, max(first - 1, offset))
        if begin is None:
            return None
        beyond = await heads(self._regions, of, kept, min(last, size), size)
        below = beyond or await heads(self._regions, of, kept, begin.size, size)
        if not below:
            return None
        head = beyond[-1] if beyond else below[0]
        start = max(first - 1, begin.size)
        end = min(last + 1, head.head.size)
        if start >= end:
            return None
        before = begin.range
        leaves = merkle.leaf_hashes([name.text.encode() for name in run])
        for leaf in leaves[begin.size - offset : start - offset]:
            before = before.append(leaf)
        after = paths.after(leaves[: head.head.size - offset], end - offset, offset)
        whole = before
        for leaf in leaves[start - offset : end - offset]:
            whole = whole.append(leaf)
        if whole.root_within(head.head.size, after) != head.head.root:
            raise CorruptError(f"segments {start} to {end} of {of.node.node} have another root")
        until = ""
        if last == size and end == head.head.size:
            try:
                until = await self._until(of, span, kept, end)
            except UnavailableError:
                until = ""  # something follows behind the next gap
        note = head.note.decode()
        return Stretch((), of.note.decode(), note, start, end, before.hashes, after, until)

    async def _begin(
        self, of: Certified, kept: Kept, run: Sequence[SegmentName], wanted: int
    ) -> LedgerEnd | None:
        """Where the ledger's tree is known within a run: at or before `wanted`, else soon behind.

        By what births and decided closes state, and at powers of two, where the tree is one
        perfect one, by the root that the next segment has of what is before it.
        """
        offset, size = run[0].index, run[-1].index + 1
        if not offset:
            return EMPTY_END
        known: list[LedgerEnd] = []
        for key, data in kept:
            try:
                if key.endswith("/birth.note"):
                    known.append(statements.read(data, Birth).statement.base)
                elif key.endswith("/closed.note"):
                    known.append(statements.read(data, Closed).statement.end)
            except ProofError:
                continue
        power = 1 << (offset - 1).bit_length()
        while power < size:
            held = await self._reader.segment(of.node.node, power)
            name, before = held.name, held.trailer().root_before
            known.append(
                LedgerEnd(power, name.first, name.sealed_us - 1, CompactRange(power, (before,)))
            )
            power *= 2
        sizes = {end.size: end for end in known if offset <= end.size < size}
        early = [at for at in sizes if at <= wanted]
        if not sizes:
            return None
        return sizes[max(early)] if early else sizes[min(sizes)]


def _gaps(kept: Kept, of: Certified, trail: str) -> tuple[tuple[bytes, Gap], ...]:
    found = {}
    for key, data in kept:
        if key.startswith(layout.gaps_prefix(of.node.node)):
            try:
                signed = statements.verify_gap(data, trail)
            except ProofError:
                continue
            if signed.origin == of.key.name:
                found[signed.statement.start, signed.statement.end] = (data, signed.statement)
    return tuple(found[place] for place in sorted(found))


def _explained(shown: Stretch, gaps: Sequence[tuple[bytes, Gap]], start: int, end: int) -> Stretch:
    """A stretch with the gaps that lie in [start, end) before it; end 0: behind all."""
    notes = [data for data, gap in gaps if gap.end > start and (not end or gap.start < end)]
    if not notes:
        reason = f"segments from {start} on can no longer be shown, and no declared gap says so"
        raise RejectedError("uncertifiable", Problem(0, "", reason))
    return Stretch(
        tuple(note.decode() for note in notes),
        *(shown.certificate, shown.head, shown.start, shown.end),
        *(shown.before, shown.after, shown.until),
    )


def _runs(found: Sequence[SegmentName]) -> list[list[SegmentName]]:
    """Names in order, cut where an index is missing."""
    cuts = [
        n for n, (left, right) in enumerate(pairwise(found), 1) if right.index != left.index + 1
    ]
    return [list(found[i:j]) for i, j in pairwise([0, *cuts, len(found)])]
