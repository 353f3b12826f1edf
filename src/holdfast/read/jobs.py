"""What a reader has done in worker processes, beside searching and folding.

Each job takes several segments, since a job costs more than a small segment does. One that cannot
be read answers with the reason, so that it takes none of the others with it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from msgspec import Struct

from holdfast.errors import CorruptError
from holdfast.model import NodeId, Place
from holdfast.proof import ProofError
from holdfast.proof.names import SegmentName
from holdfast.read.decode import Int64s, SegmentFacts, facts, keys_of, times_us
from holdfast.read.packs import Spot
from holdfast.read.repeats import Copy, digests
from holdfast.read.runs import UInt64s
from holdfast.read.search import lines_within
from holdfast.read.segments import SourceError, check_fold, read_lines
from holdfast.read.sources import FoldSource, SegmentSource, Stretch
from holdfast.regions import segment


class Fetched(Struct, frozen=True):
    """A segment's bytes in the cache, and who must have signed it. key: the node's public key."""

    path: str
    spot: Spot
    name: str
    origin: str
    key: bytes


class Refused(Struct, frozen=True):
    """Bytes that hash to their name, and are no segment of that node all the same.

    lasting: reading the file again will not help.
    """

    reason: str
    lasting: bool


class Wanted(Struct, frozen=True):
    """Records to compare: those at some positions of a segment."""

    source: SegmentSource
    positions: tuple[int, ...]


def inspect(fetched: Sequence[Fetched]) -> tuple[SegmentFacts | Refused, ...]:
    """Verify segments by themselves, and find what the catalog keeps of each."""
    return tuple(_inspect(one) for one in fetched)


def copies_in(wanted: Sequence[Wanted]) -> tuple[tuple[Copy, ...] | Refused, ...]:
    """Digest records that may be copies of others."""
    return tuple(_copies_in(one) for one in wanted)


def facts_of(sources: Sequence[SegmentSource]) -> tuple[SegmentFacts | Refused, ...]:
    """The same facts again, of segments that were verified before."""
    return tuple(_facts_of(one) for one in sources)


def keys_of_fold(one: FoldSource) -> tuple[tuple[Stretch, bytes], ...]:
    """The keys of every event in a fold, by stretches of positions, as the id index takes them.

    Raises:
        SourceError: it does not hold what was written, or cannot be read.
    """
    check_fold(one)
    table = pq.read_table(one.path, columns=["node", "position", "tenant", "id"])
    nodes = np.array(table["node"].to_pylist(), dtype=object)
    positions = table["position"].to_numpy()
    tenants, ids = table["tenant"].to_pylist(), table["id"].to_pylist()
    found = []
    for node in sorted(set(nodes.tolist())):
        rows = np.flatnonzero(nodes == node)
        rows = rows[np.argsort(positions[rows], kind="stable")]
        breaks = np.flatnonzero(np.diff(positions[rows]) != 1) + 1
        for part in np.split(rows, breaks):
            some = part.tolist()
            start = int(positions[some[0]])
            keys = keys_of([tenants[row] for row in some], [ids[row] for row in some])
            found.append((Stretch(node, start, start + len(some)), keys))
    return tuple(found)


def keys_of_parts(
    parts: Sequence[FoldSource], stretches: Sequence[Stretch]
) -> tuple[tuple[Stretch, bytes], ...]:
    """The same of all parts of a unit together, whose events lie in these stretches, one a node. A
    place that no event is in (it is lost, or was let go) has a key that no event has.

    Raises:
        SourceError: as `keys_of_fold`.
    """
    keys = {each.node: _Keys(each) for each in stretches}
    for part in parts:
        check_fold(part)
        with pq.ParquetFile(part.path, pre_buffer=False) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(
                    number, columns=["node", "position", "tenant", "id"], use_threads=False
                )
                nodes = np.array(table["node"].to_pylist(), dtype=object)
                positions = table["position"].to_numpy()
                every = keys_of(table["tenant"].to_pylist(), table["id"].to_pylist())
                for node in set(nodes.tolist()):
                    own = nodes == node
                    keys[node].put(positions[own], np.frombuffer(every, "<u8")[own])
    return tuple((each, keys[each.node].whole()) for each in stretches)


class _Keys:
    """The keys of a stretch, as they come."""

    def __init__(self, stretch: Stretch) -> None:
        self._stretch = stretch
        self._keys = np.zeros(stretch.end - stretch.start, "<u8")
        self._seen = np.zeros(stretch.end - stretch.start, np.bool_)

    def put(self, positions: Int64s, keys: UInt64s) -> None:
        self._keys[positions - self._stretch.start] = keys
        self._seen[positions - self._stretch.start] = True

    def whole(self) -> bytes:
        empty = np.flatnonzero(~self._seen)
        names = [f"\n{self._stretch.node} {at}" for at in (empty + self._stretch.start).tolist()]
        self._keys[empty] = np.frombuffer(keys_of(names, names), "<u8")
        return self._keys.tobytes()


def copies_at(
    parts: Sequence[FoldSource], node: NodeId, positions: Sequence[int]
) -> tuple[Copy, ...]:
    """Digest records of a unit that may be copies of others; those that are there.

    Raises:
        SourceError: a part or its index must be fetched or made again.
    """
    found = []
    for position in positions:
        for lines in lines_within(parts, Stretch(node, position, position + 1)):
            record = lines.data[:-1]
            (received_us,) = times_us([_received(record)]).tolist()
            found.append(_copy(node, position, record, received_us))
    return tuple(found)


def _inspect(one: Fetched) -> SegmentFacts | Refused:
    try:
        with Path(one.path).open("rb") as file:
            file.seek(one.spot.offset)
            data = file.read(one.spot.size_bytes)
    except OSError as error:
        return Refused(str(error), lasting=False)
    try:
        opened = segment.verify(data, SegmentName.parse(one.name), one.key, one.origin)
        return facts(opened.records)
    except (ProofError, CorruptError) as error:
        return Refused(str(error), lasting=True)


def _facts_of(source: SegmentSource) -> SegmentFacts | Refused:
    try:
        return facts(read_lines(source).data.split(b"\n")[:-1])
    except (SourceError, CorruptError) as error:
        return Refused(str(error), lasting=False)


def _copies_in(wanted: Wanted) -> tuple[Copy, ...] | Refused:
    try:
        lines = read_lines(wanted.source).data.split(b"\n")
        records = [lines[position - wanted.source.first] for position in wanted.positions]
        received = times_us([_received(record) for record in records])
        return tuple(
            _copy(wanted.source.node, position, record, int(received_us))
            for position, record, received_us in zip(
                wanted.positions, records, received, strict=True
            )
        )
    except (SourceError, CorruptError, IndexError) as error:
        return Refused(str(error), lasting=False)


def _copy(node: NodeId, position: int, record: bytes, received_us: int) -> Copy:
    name, content = digests(record)
    return Copy(Place(node, position), name, received_us, content)


def _received(record: bytes) -> str:
    """The server's own field, which stands behind the event's."""
    start = record.rfind(b',"received":"') + len(b',"received":"')
    return record[start : record.index(b'"', start)].decode()


def by_place(copies: Iterable[Copy]) -> dict[Place, Copy]:
    """Copies by where they lie."""
    return {copy.place: copy for copy in copies}
