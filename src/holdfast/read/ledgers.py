"""What a reader has seen of the nodes: verified statements, and segments that are not final yet.

Sightings are joined over all passes and regions and never forgotten; what is settled leaves memory,
since the catalog has it. `watermark` judges the views that are made here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from holdfast.model import Gap, NodeId
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Birth, Closed, Heartbeat
from holdfast.read import shown
from holdfast.read.archive import Span
from holdfast.read.catalog import Entry, Settled
from holdfast.read.watermark import Born, End, Ledger, Promise, Run, Sighting, Trouble
from holdfast.regions.layout import SHARD_SEGMENTS

PROMISES_MAX = 64
GAPS_EVERY_US = 60_000_000


@dataclass(slots=True)
class Seen:
    """A segment beyond what is settled. regions: where it was listed.

    entry: set once its bytes are verified and searches see it; held once that is matched as well.
    refused: why its bytes are no segment of this ledger, though they hash to the name.
    trouble: what came of the last try to read it, while nothing did.
    """

    name: SegmentName
    regions: set[str] = field(default_factory=set)
    entry: Entry | None = None
    refused: str = ""
    trouble: Trouble | None = None
    waited: int = 0  # passes that left it to this process's own node to enter it

    @property
    def held(self) -> bool:
        return self.entry is not None and self.entry.matched


class NodeLedger:
    """One node as it has shown itself so far."""

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.key = b""  # the node's public key, once a birth was verified
        self.settled = Settled(node, End(), 0)
        self.seen: dict[str, Seen] = {}
        self.run: Run | None = None
        self.partial = False  # more of it is there than was listed so far
        self.listed_from: int | None = None  # the index from which on a pass lists all of it
        self.tip = 0  # events before it are entered and matched, without a hole
        self._births: dict[bytes, Born] = {}
        self._born: set[int] = set()
        self._own_bases: dict[int, int] = {}  # epoch of this process's node: its first segment
        self._closes: set[tuple[int, End]] = set()
        self._promises: set[Promise] = set()
        self._unverified: dict[int, str] = {}
        self._gaps: dict[tuple[int, int], Gap] = {}
        self._found: set[int] = set()  # final, in a gap, and shown by a region since
        self._unlooked: set[tuple[int, int]] = set()  # gaps that were not listed yet
        self._looked_us = 0

    def born(self, birth: Birth, data: bytes) -> None:
        """Take a verified birth; two of one epoch are kept apart by their bytes."""
        self.key = birth.node_key
        self.run = None  # judged without it
        self._born.add(birth.epoch)
        self._unverified.pop(birth.epoch, None)
        self._births[data] = Born(
            epoch=birth.epoch,
            started_us=birth.started_us,
            base=End(birth.base.size, birth.base.first),
            needed=len(birth.regions) - birth.quorum + 1,
            stores=tuple(store for _, store in birth.regions),
        )

    def closed(self, closed: Closed) -> None:
        """Take a verified closed.note."""
        self._closes.add((closed.epoch, End(closed.end.size, closed.end.first)))

    def promised(self, beat: Heartbeat) -> None:
        """Take a verified heartbeat. Older ones may come after newer ones: all of them hold."""
        self._promises.add(Promise(beat.epoch, beat.promise_us, beat.promise_size))

    def lost(self, gap: Gap) -> bool:
        """Take a verified gap; whether it was not known. What regions showed of it before counts
        no more: only what they show from now on makes it smaller."""
        if (gap.start, gap.end) in self._gaps:
            return False
        self._gaps[gap.start, gap.end] = gap
        self._unlooked.add((gap.start, gap.end))
        for seen in self.seen.values():
            if gap.start <= seen.name.index < gap.end:
                seen.regions.clear()
        return True

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """As declared."""
        return tuple(self._gaps.values())

    @property
    def lost_ranges(self) -> shown.Ranges:
        """The indexes that gaps hold."""
        return shown.union(tuple(self._gaps), ())

    def is_lost(self, index: int) -> bool:
        """Whether a gap holds that index."""
        return any(start <= index < end for start, end in self._gaps)

    def to_look_at(self, now_us: int) -> list[int]:
        """An index of each shard with something that was passed over as lost; each at once, and
        then from time to time: somebody may have found it."""
        if now_us - self._looked_us >= GAPS_EVERY_US:
            self._looked_us = now_us
            self._unlooked.update(self._gaps)
        shards: set[int] = set()
        for start, end in self._unlooked:
            last = min(end, self.settled.end.size) - 1
            shards.update(range(start // SHARD_SEGMENTS, last // SHARD_SEGMENTS + 1))
        self._unlooked.clear()
        return [shard * SHARD_SEGMENTS for shard in sorted(shards)]

    def late(self) -> list[Seen]:
        """Segments that were passed over as lost, and then shown by a region."""
        return (
            [
                seen
                for seen in self.seen.values()
                if seen.name.index < self.settled.end.size
                and seen.entry is None
                and not seen.refused
            ]
            if self._gaps
            else []
        )

    def doubt(self, epoch: int, why: str) -> None:
        """An epoch was listed, and no birth of it could be verified so far."""
        if epoch not in self._born:
            self._unverified[epoch] = why
            self.run = None

    def sight(self, name: SegmentName, region: str = "") -> Seen:
        """Take a segment's name from a listing, or (region "") from this process's own node."""
        seen = self.seen.get(name.text)
        if seen is None:
            seen = self.seen[name.text] = Seen(name)
        if region:
            seen.regions.add(region)
        return seen

    def is_settled(self, name: SegmentName) -> bool:
        """Whether that index is final already, and not lost."""
        return name.index < self.settled.end.size and (
            name.index in self._found or not self.is_lost(name.index)
        )

    @property
    def finished(self) -> bool:
        """Whether nothing more can come: closed, whole, held and final."""
        return (
            self.run is not None
            and self.run.infinite
            and self.run.settled == self.run.sighted
            and not self.partial
            and not self._unverified
        )

    @property
    def known_size(self) -> int:
        """A size that the ledger is known to have reached."""
        ends = [end.size for _, end in self._closes] + [b.base.size for b in self._births.values()]
        return max([self.settled.end.size, *ends, *(promise.size for promise in self._promises)])

    @property
    def is_listed(self) -> bool:
        """Whether regions showed the node, and not only its own process knows of it."""
        return bool(self._births or self._unverified)

    @property
    def last(self) -> int:
        """The last epoch born."""
        return max(self._born, default=0)

    def own(self, name: SegmentName) -> tuple[Entry, ...]:
        """Note that this process's node goes on with this segment.

        Returns:
            Entries of earlier epochs at or beyond it: their positions are taken anew.
        """
        if self._own_bases.setdefault(name.epoch, name.index) != name.index:
            return ()
        return tuple(
            seen.entry
            for seen in self.seen.values()
            if seen.entry is not None and self.is_superseded(seen.name)
        )

    def is_superseded(self, name: SegmentName) -> bool:
        """Whether a later epoch of this process's node goes on from before that segment."""
        return any(
            epoch > name.epoch and base <= name.index for epoch, base in self._own_bases.items()
        )

    def view(self, most: int | None = None) -> Ledger:
        """All of it, or the first so many segments, as `watermark.judge` takes it."""
        return Ledger(
            node=self.node,
            births=tuple(self._births.values()),
            closes=tuple(self._closes),
            promises=tuple(self._promises),
            unverified=tuple(self._unverified.items()),
            gaps=self.gaps,
            found=tuple(self._found.union(seen.name.index for seen in self._refound())),
            settled=self.settled.end,
            settled_epoch=self.settled.epoch,
            partial=self.partial or (most is not None and most < len(self.seen)),
            segments=tuple(_sighting(text, s) for text, s in islice(self.seen.items(), most)),
        )

    def _refound(self) -> Iterator[Seen]:
        """Held segments of gaps, which a region shows."""
        if self._gaps:
            for seen in self.seen.values():
                if seen.held and seen.regions and self.is_lost(seen.name.index):
                    yield seen

    def advance(self, run: Run) -> bool:
        """Take over what a judgement settled; whether anything did."""
        self.run = run
        self.tip = max(self.tip, run.held.first)
        self._promises = set(_worth_keeping(self._promises, self.last, run.held.size))
        if run.settled == self.settled.end:
            return False
        final = [s for s in self.seen.values() if s.name.index < run.settled.size]
        self._found.update(seen.name.index for seen in self._refound())
        was = self.settled.end
        held = [s.name for s in final if s.held and s.name.index >= was.size]
        passed = End(
            run.settled.size - was.size - len(held),
            run.settled.first - was.first - sum(name.count for name in held),
        )
        self.settled = Settled(self.node, run.settled, run.settled_epoch, passed)
        for seen in final:
            del self.seen[seen.name.text]
        return True

    def adopt(self, span: Span) -> None:
        """All segments of a span are final, and searches see what the archive has of them. What of
        it is declared lost is looked for anew, as if no region had shown it."""
        for text, seen in [*self.seen.items()]:
            if span.start <= seen.name.index < span.end:
                del self.seen[text]
        lost = [gap for gap in self._gaps if gap[0] < span.end and span.start < gap[1]]
        self._found -= {index for index in self._found if span.start <= index < span.end}
        self._unlooked.update(lost)
        self.tip = max(self.tip, span.after)
        if self.settled.end.size < span.end:
            self.settled = Settled(self.node, End(span.end, span.after), 0)
            self.run = None

    def entered(self, seen: Seen, entry: Entry) -> None:
        """Searches see a segment now."""
        seen.entry = entry
        if entry.matched and entry.first == self.tip:
            self.tip += entry.count

    def restore(self, settled: Settled | None, entries: Iterable[Entry]) -> None:
        """Take up what the catalog holds: at the start, and after some of it was lost."""
        self.settled = settled or Settled(self.node, End(), 0)
        self.tip = self.settled.end.first
        self.run = None
        for seen in self.seen.values():
            seen.entry = None
        for entry in entries:
            self.sight(SegmentName.parse(entry.name)).entry = entry


def _sighting(text: str, seen: Seen) -> Sighting:
    name = seen.name
    trouble = None if seen.entry is not None else seen.trouble
    return Sighting(text, name.index, name.epoch, name.first, name.count, seen.held, trouble)


def _worth_keeping(promises: Iterable[Promise], last: int, held: int) -> Iterator[Promise]:
    """Of each epoch the best promise that counts already; the newest that may count later."""
    ordered = sorted(promise for promise in promises if promise.epoch >= last)
    yield from {promise.epoch: promise for promise in ordered if promise.size <= held}.values()
    yield from [promise for promise in ordered if promise.size > held][-PROMISES_MAX:]
