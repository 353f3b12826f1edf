"""Which listings of segments a pass makes, so that no call and no pass lists too much."""

from collections.abc import Iterator, Mapping

from holdfast.model import NodeId
from holdfast.read import shown
from holdfast.read.catalog import RegionFacts
from holdfast.read.ledgers import NodeLedger
from holdfast.regions import layout

BEYOND_MAX = 2 * layout.SHARD_SEGMENTS  # segments past the settled ones that one call may list
SHARDS_MAX = 8  # listed in one pass, of all nodes
BACK = 64  # a hole that stays: list again from so many before the region's newest

Calls = list[tuple[str, str]]  # (prefix, after)
Plan = dict[NodeId, Calls]


def plan_listings(
    ledgers: Mapping[NodeId, NodeLedger], regions: Mapping[str, RegionFacts], now_us: int
) -> Plan:
    """Which listings show what is new, by node. Tells each ledger whether that is only a part, and
    from which index on all of it is listed.

    Long stretches are listed by shard, since one call has one time-out, and so many a pass, since
    what is listed lies in memory until it is read: the next pass goes on from there.
    """
    plan: Plan = {}
    shards = SHARDS_MAX
    for node, ledger in ledgers.items():
        # Whether what was passed over as lost is there again.
        again = ledger.to_look_at(now_us)[:SHARDS_MAX]
        ledger.listed_from = None
        plan[node] = calls = [(layout.shard_prefix(node, index), "") for index in again]
        if ledger.finished:
            continue
        ends = [end for facts in regions.values() for _, end in facts.shown.get(node, ())]
        newest = max([ledger.known_size, *ends])
        start = ledger.settled.end.size
        if len(ledger.seen) > BEYOND_MAX and ledger.run is not None and ledger.run.alarm:
            # A hole that does not fill: look into it, and where the ledger grows.
            calls.append((layout.shard_prefix(node, ledger.run.sighted.size), ""))
            start = max(start, newest - BACK)
        while newest - start > BEYOND_MAX and shards:
            after = layout.segments_after(node, start)
            calls.append((layout.shard_prefix(node, start), after))
            start = (start // layout.SHARD_SEGMENTS + 1) * layout.SHARD_SEGMENTS
            shards -= 1
        ledger.partial = newest - start > BEYOND_MAX
        if not ledger.partial:
            # The last settled one again: `with_newest` needs no listing more where all is well.
            ledger.listed_from = max(start - 1, 0)
            after = layout.segments_after(node, ledger.listed_from)
            calls.append((layout.segments_prefix(node), after))
    return plan


def with_newest(node: NodeId, calls: Calls, listed_from: int | None, newest: shown.Ranges) -> Calls:
    """The same listings, with one that shows the newest segment a region has shown, if none does: a
    region that is as it was some time ago lacks that."""
    for index, _ in newest:
        if listed_from is None or index < listed_from:
            first = (layout.shard_prefix(node, index), layout.segments_after(node, index))
            return [first, *calls]
    return calls


def shards_of(node: NodeId, size: int) -> Iterator[str]:
    """Prefixes that show the first so many segments of a ledger, one call each."""
    for start in range(0, size, layout.SHARD_SEGMENTS):
        yield layout.shard_prefix(node, start)


def whole_listings(node: NodeId, size: int, start: int = 0) -> Iterator[tuple[str, str]]:
    """Listings that show a ledger that has reached some size, from an index on to its end."""
    while size - start > BEYOND_MAX:
        yield layout.shard_prefix(node, start), layout.segments_after(node, start)
        start = (start // layout.SHARD_SEGMENTS + 1) * layout.SHARD_SEGMENTS
    yield layout.segments_prefix(node), layout.segments_after(node, start)
