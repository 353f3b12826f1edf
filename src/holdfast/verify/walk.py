"""One node's ledger by its names alone: dense, continuous, and of the roots that were signed. Pure.

A shard of names comes in after the other, each name with the regions that list it; memory holds one
shard, and 32 bytes a segment for the root before it. While every name is there the ledger is known
in full (*strict*). Behind a missing or contradictory name no root can be computed; the walk goes on
*loosely* (order and numbers only) until an epoch's decided end says where the ledger stands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct, structs

from holdfast.proof import ProofError, ledger
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.merkle import HASH_BYTES
from holdfast.proof.names import SegmentName
from holdfast.read.shown import Ranges
from holdfast.regions import layout
from holdfast.regions.port import RegionId
from holdfast.verify.evidence import Ledger, Mark, Said
from holdfast.verify.findings import Finding, FindingKind

_UNKNOWN = bytes(HASH_BYTES)

Names = Mapping[SegmentName, tuple[RegionId, ...]]


class Target(Struct, frozen=True, array_like=True):
    """A segment to read. holders: the regions that list it. root_before, after_us: of the ledger
    before it, None where that is not known. is_lost: a declared gap holds it."""

    name: str
    holders: tuple[RegionId, ...]
    root_before: bytes | None
    after_us: int
    is_lost: bool


class Walk:
    """See the module. segments, events: in the ledger, below what is known for sure; pending: in it
    and above. findings: in the ledger's order."""

    def __init__(self, seen: Ledger, more: Iterable[Mark] = ()) -> None:
        """more: what else was signed of this ledger, and kept elsewhere."""
        self.node = seen.node
        self.segments = self.events = self.pending = 0
        self.findings: list[Finding] = []
        self._seen = seen
        more = tuple(more)
        self.owed = max([seen.known_size, *(mark.size for mark in more)])
        self._marks: dict[int, list[Mark]] = {}
        for mark in (*seen.marks, *more):
            self._marks.setdefault(mark.size, []).append(mark)
        ends = [(epoch, seen.end_of(epoch)) for epoch in sorted(seen.ends)]
        self._ends = {epoch: end for epoch, end in ends if end is not None}
        self._known = {end.size: end for end in self._ends.values()}
        self._said: dict[int, list[tuple[int, Said]]] = {}
        for epoch, said in sorted(seen.ends.items()):
            for each in said:
                self._said.setdefault(each.end.size, []).append((epoch, each))
        self._gaps = sorted(seen.gaps, key=lambda gap: gap.start)
        self._open: dict[tuple[FindingKind, RegionId, str], int] = {}  # ranges that may go on
        self._blind: list[Mark] = []  # signed roots that the names cannot tell
        self.unborn: dict[int, SegmentName] = {}  # epochs that began since the births were read
        self._agreed = 0  # the largest size whose root was signed and recomputed
        self._end: LedgerEnd | None = EMPTY_END  # None: loose
        self._at, self._first, self._sealed_us = 0, 0, 0
        self._roots = bytearray()
        self._pass()

    @property
    def size(self) -> int:
        """How far the walk came: the segments that are there, or that are known to be missing."""
        return self._at

    def take(
        self, shard: Names, regions: Sequence[RegionId], archived: Mapping[RegionId, Ranges]
    ) -> list[Target]:
        """Go on with the next shard of names; returns what is to be read of it, in order.

        regions: those that were listed. archived: the indexes that each region's archive has, which
        need not lie there as well.
        """
        ordered = sorted(shard, key=lambda name: name.text)
        targets: list[Target] = []
        for name in ordered:
            if name.epoch > self._seen.last_epoch:
                self.unborn.setdefault(name.epoch, name)
                self.pending += 1
                targets.append(Target(name.text, shard[name], None, 0, False))
        ordered = [name for name in ordered if name.epoch <= self._seen.last_epoch]
        for index, group in groupby(ordered, key=lambda name: name.index):
            here = list(group)
            inside = [name for name in here if self.is_inside(name)]
            for name in here:
                if name not in inside:
                    targets.append(self._outside(name, shard[name]))
            if inside:
                self._miss(index, is_tail=False)
                targets += self._step(inside, shard)
                name = inside[0]
                held = [id for id in regions if _holds(archived.get(id, ()), name.index)]
                self._count_copies(name, (*shard[name], *held), regions)
        return targets

    def finish(self) -> None:
        """No more names: what must exist beyond the last one is missing."""
        blind = list(self._blind)
        self._miss(self.owed, is_tail=True)
        self._blind = blind  # that the tail is cut says it for all of its roots
        retired = self._seen.retirement
        if retired is not None and retired.end.size < self._at:
            why = f"retired by {retired.by} ({retired.why}), with {retired.end.size} segments"
            self._add_range("retired", retired.end.size, self._at, why)

    def check(self, mark: Mark) -> None:
        """Compare one more signed root, at most at `size`, after `finish`."""
        root = self.root_at(mark.size)
        if root is None:
            self._blind.append(mark)
        elif root != mark.root:
            self.findings.append(self._rewritten(mark, root))

    def settle(self, told: Mapping[int, bytes]) -> None:
        """Judge the signed roots that names alone cannot tell.

        told: index -> the root before that segment, as its node signed it; where it was read.
        """
        unproven = []
        for mark in self._blind:
            root = told.get(mark.size)
            if root is None:
                unproven.append(mark)
            elif root != mark.root:
                self.findings.append(self._rewritten(mark, root))
        if unproven:
            sizes = [mark.size for mark in unproven]
            why = f"{len(sizes)} signed roots need names that are missing; the first: "
            why += unproven[0].where
            self._add_range("unproven", min(sizes), max(sizes), why)

    # -- names ---------------------------------------------------------------------------------

    def is_inside(self, name: SegmentName) -> bool:
        """Whether a segment lies in [base, end) of its own epoch, as far as these are known."""
        base, end = self._ends.get(name.epoch - 1), self._ends.get(name.epoch)
        return (base is None or name.index >= base.size) and (end is None or name.index < end.size)

    def _outside(self, name: SegmentName, holders: tuple[RegionId, ...]) -> Target:
        self.findings.append(
            Finding(
                kind="orphan",
                region=holders[0] if len(holders) == 1 else "",
                node=self.node,
                start=name.index,
                end=name.index + 1,
                key=layout.segment_key(self.node, name),
                reason=f"outside of epoch {name.epoch}: never acknowledged, not in the trail",
            )
        )
        return Target(name.text, holders, None, 0, self._is_lost(name.index))

    def _step(self, inside: Sequence[SegmentName], shard: Names) -> Iterator[Target]:
        """One index of the ledger, with the segment, or segments, that claim it."""
        name = inside[0]
        root, after_us = self._end.root if self._end else None, self._sealed_us
        if len(inside) > 1:
            self._conflict(name, f"{len(inside)} segments claim index {name.index}")
        elif self._end is not None:
            try:
                self._end = ledger.extend(self._end, name)
            except ProofError as error:
                self._conflict(name, str(error))
        elif name.first < self._first or name.sealed_us <= after_us:
            self._conflict(name, "it does not continue the segments before it")
        for each in inside:
            yield Target(each.text, shard[each], root, after_us, self._is_lost(each.index))
        if name.index < self.owed:
            self.segments += 1
            self.events += name.count
        else:
            self.pending += 1
        self._roots += root or _UNKNOWN
        self._at, self._first = name.index + 1, max(self._first, name.first + name.count)
        self._sealed_us = max(self._sealed_us, name.sealed_us)
        self._pass()

    def _miss(self, index: int, *, is_tail: bool) -> None:
        """All between where the walk is and this index is missing."""
        while self._at < index:
            end = self._next_known(index)
            for start, stop, gap in self._split(self._at, end):
                if gap:
                    self._add_range("gap", start, stop, f"declared lost: {gap}")
                elif start < self.owed:
                    where = next((mark.where for mark in self._marks.get(self.owed, ())), "")
                    why = f"the ledger is known to reach {self.owed} segments"
                    why += f" (by {where})" if where else ""
                    kind: FindingKind = "cut_tail" if is_tail else "hole"
                    self._add_range(kind, start, min(stop, self.owed), why)
            self._first += end - self._at
            self._roots += _UNKNOWN * (end - self._at)
            self._at, self._end = end, None
            self._pass()

    def _next_known(self, index: int) -> int:
        """The next place at which an end is known, at most `index`."""
        sizes = [size for size in self._known if self._at < size <= index]
        sizes += [size for size in self._marks if self._at < size <= index]
        return min([index, *sizes])

    def _split(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """A missing range by the gaps that hold parts of it, and their causes."""
        for gap in self._gaps:
            if gap.end <= start or gap.start >= end:
                continue
            if gap.start > start:
                yield start, gap.start, ""
            yield max(start, gap.start), min(end, gap.end), gap.cause or "no cause was given"
            start = min(end, gap.end)
        if start < end:
            yield start, end, ""

    def _pass(self) -> None:
        """The walk stands at a size: take up what was decided, compare what was signed of it."""
        known = self._known.get(self._at)
        if known is not None and self._end is None:
            if known.first < self._first:
                why = f"it ends after {known.first} events, and the segments hold {self._first}"
                self._add_range("conflict", self._at, self._at, why)
            self._end, self._first = known, known.first
            self._sealed_us = max(self._sealed_us, known.sealed_us)
        if self._end is None:
            self._blind += self._marks.get(self._at, ())
            return
        marks = [*self._decided(self._end), *self._marks.get(self._at, ())]
        root = self._end.root if marks else b""
        for mark in marks:
            if mark.root == root:
                self._agreed = self._at
            else:
                self.findings.append(self._rewritten(mark, root))

    def _decided(self, end: LedgerEnd) -> Iterator[Mark]:
        """What bases and closes say of this size, each statement by itself."""
        for epoch, said in self._said.get(end.size, ()):
            where = f"{said.key} in region {said.region}"
            yield Mark(end.size, said.end.root, where, said.region, said.key)
            if (said.end.first, said.end.sealed_us) != (end.first, end.sealed_us):
                why = f"epoch {epoch} ends with event {said.end.first} and time "
                why += f"{said.end.sealed_us} by {where}, its segments with {end.first} and "
                self._add_range("conflict", end.size, end.size, f"{why}{end.sealed_us}")

    # -- findings ------------------------------------------------------------------------------

    def _add_range(self, kind: FindingKind, start: int, end: int, why: str) -> None:
        """A finding over segments; one that goes on where the last such one ended becomes one."""
        key = layout.segments_after(self.node, start)
        found = Finding(kind=kind, node=self.node, start=start, end=end, key=key, reason=why)
        self._add_or_go_on(found)

    def _add_or_go_on(self, found: Finding) -> None:
        like = (found.kind, found.region, found.reason)
        at = self._open.get(like)
        if at is not None and self.findings[at].end == found.start:
            self.findings[at] = structs.replace(self.findings[at], end=found.end)
        else:
            self._open[like] = len(self.findings)
            self.findings.append(found)

    def _count_copies(
        self, name: SegmentName, holders: tuple[RegionId, ...], regions: Sequence[RegionId]
    ) -> None:
        if set(holders) >= set(regions) or name.index >= self.owed or self._is_lost(name.index):
            return
        for region in regions:
            if region not in holders:
                self._add_or_go_on(
                    Finding(
                        kind="under_replicated",
                        region=region,
                        node=self.node,
                        start=name.index,
                        end=name.index + 1,
                        key=layout.segment_key(self.node, name),
                        reason="others hold it",
                    )
                )

    def _conflict(self, name: SegmentName, why: str) -> None:
        self._end = None
        self.findings.append(
            Finding(
                kind="conflict",
                node=self.node,
                start=name.index,
                end=name.index + 1,
                key=layout.segment_key(self.node, name),
                reason=why,
            )
        )

    def _rewritten(self, mark: Mark, root: bytes) -> Finding:
        why = (
            f"at size {mark.size} the names have the root {root.hex()}, and {mark.root.hex()} was "
        )
        why += f"signed ({mark.where}); they agree up to size {self._agreed}"
        return Finding(
            kind="rewritten",
            region=mark.region,
            node=self.node,
            start=self._agreed,
            end=mark.size,
            key=mark.key,
            reason=why,
        )

    def _is_lost(self, index: int) -> bool:
        return any(gap.start <= index < gap.end for gap in self._gaps)

    def root_at(self, size: int) -> bytes | None:
        """The ledger's root at a size that the walk passed; None: not known."""
        if size == self._at:
            return self._end.root if self._end else None
        root = bytes(self._roots[size * HASH_BYTES : (size + 1) * HASH_BYTES])
        return None if root == _UNKNOWN else root


def _holds(ranges: Ranges, index: int) -> bool:
    return any(start <= index < end for start, end in ranges)
