"""A segment that comes in, and what becomes of it in the catalog. Pure."""

from msgspec import Struct

from holdfast.model import Contents, NodeId
from holdfast.proof.names import SegmentName
from holdfast.read.catalog import Entry
from holdfast.read.decode import SegmentFacts
from holdfast.read.packs import Spot


class Arrival(Struct, frozen=True):
    """A verified segment to enter. Either its bytes are in the cache, at `spot`, and its facts are
    known, or it is an own one, in `data`, with its facts, or the contents that tell them."""

    node: NodeId
    name: SegmentName
    facts: SegmentFacts | None = None
    spot: Spot | None = None
    data: bytes = b""
    contents: Contents | None = None


def entry_of(one: Arrival, spot: Spot, known: SegmentFacts, *, matched: bool) -> Entry:
    """What the catalog keeps of it. spot: where its bytes lie in the cache."""
    return Entry(
        node=one.node,
        index=one.name.index,
        epoch=one.name.epoch,
        first=one.name.first,
        count=one.name.count,
        name=one.name.text,
        size_bytes=spot.size_bytes,
        time_min_us=known.time_min_us,
        time_max_us=known.time_max_us,
        received_min_us=known.received_min_us,
        received_max_us=known.received_max_us,
        tenants=known.tenants,
        fold=None,
        matched=matched,
        pack=spot.pack,
        offset=spot.offset,
    )
