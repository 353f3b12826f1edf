"""Going over all that a region has ever shown, to see what of it is gone. Pure.

A round takes as many passes as the ledgers are long: one pass that listed everything would keep
the watermark waiting for minutes. What is missed is what the region had shown before the round
began; what came since may lie in shards that the round had passed already.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from holdfast.model import NodeId
from holdfast.read import shown
from holdfast.read.catalog import RegionFacts
from holdfast.read.ledgers import NodeLedger
from holdfast.read.listings import shards_of

Explained = Callable[[NodeId], shown.Ranges]
"""What of a ledger need not be in the region: it is declared lost, or in the region's archive."""


@dataclass(slots=True)
class Round:
    """One region's. before: what it had shown, by node; now: what it was seen to hold since.

    left: prefixes that are still to be listed. begun_us: at the start of the pass that began it.
    """

    begun_us: int
    before: Mapping[NodeId, shown.Ranges]
    left: deque[tuple[NodeId, str]]
    now: dict[NodeId, shown.Ranges] = field(default_factory=dict)

    def saw(self, node: NodeId, found: shown.Ranges) -> None:
        """The prefix that is next was listed."""
        self.left.popleft()
        self.now[node] = shown.union(self.now.get(node, ()), found)

    def gone(self, explained: Explained) -> int:
        """Once nothing is left: how many segments it showed and does not; but for what is
        explained, which nobody misses."""
        missed = {
            node: shown.minus(ranges, self.now.get(node, ()))
            for node, ranges in self.before.items()
        }
        return sum(
            shown.count(shown.minus(ranges, explained(node))) for node, ranges in missed.items()
        )


def begin_round(ledgers: Mapping[NodeId, NodeLedger], facts: RegionFacts, begun_us: int) -> Round:
    """A round over all that is known to be in the ledgers now."""
    before = {node: facts.shown.get(node, ()) for node in ledgers}
    left = deque(
        (node, prefix)
        for node, ledger in ledgers.items()
        for prefix in shards_of(node, max([ledger.known_size, *(end for _, end in before[node])]))
    )
    return Round(begun_us, before, left)
