"""Who counts, and what follows from the counting. Pure.

Two countings decide everything: regions that hold a segment decide its ack (W of N), and the votes
of stores decide where an epoch ends (a majority of N).
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TypeVar

from holdfast.regions.port import RegionId

VoteT = TypeVar("VoteT")


class Tally:
    """Which regions count for each segment in flight, and which segments may be acknowledged.

    Invariants: a segment is acknowledged once W regions count it and all before it are (I5); the
    regions counted for one segment are distinct (I2).
    """

    def __init__(self, quorum: int, size: int) -> None:
        """quorum: W. size: segments acknowledged so far, the index of the next."""
        self.quorum = quorum
        self.acknowledged_size = size
        self._counted: dict[int, set[RegionId]] = {}

    def count(self, index: int, region: RegionId) -> None:
        """Count a region for a segment, and move `acknowledged_size` on as far as that allows."""
        if index < self.acknowledged_size:
            return
        self._counted.setdefault(index, set()).add(region)
        while len(self._counted.get(self.acknowledged_size, ())) >= self.quorum:
            self.acknowledged_size += 1

    def take(self, index: int) -> tuple[RegionId, ...]:
        """The regions that counted for an acknowledged segment, sorted; forgets them."""
        return tuple(sorted(self._counted.pop(index)))


def decide_close(votes: Collection[VoteT], stores_count: int) -> VoteT | None:
    """Where an epoch ends, by the votes that were seen; None while they do not decide.

    Equal votes of a majority of all stores decide. If every store voted and no majority agrees,
    the largest decides: every vote lies at or above all that was acknowledged, and votes are never
    changed, so whoever sees fewer of them can only see no decision, never another one.

    Args:
        votes: One for each store that voted; compared by equality, ordered by size.
        stores_count: N, the stores that the epoch's birth names.
    """
    ranked: Sequence[tuple[VoteT, int]] = Counter(votes).most_common(1)
    if ranked and ranked[0][1] > stores_count // 2:
        return ranked[0][0]
    if len(votes) == stores_count:
        return max(votes)  # type: ignore[type-var]
    return None
