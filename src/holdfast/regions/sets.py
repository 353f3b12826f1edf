"""Sets of regions, and what so many of one say. Pure.

The settings name the set that is written to, and earlier sets for as long as somebody may still
write to, or read from, one of them. What is to be found by everybody (a birth) must lie in a quorum
of each set; what is to be known for sure must be looked for in so many of each that they share one
with every quorum of it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from holdfast.regions.port import RegionId


@dataclass(frozen=True, slots=True)
class RegionSet:
    """N regions and the quorum W over them."""

    ids: frozenset[RegionId]
    quorum: int

    def __post_init__(self) -> None:
        if not len(self.ids) < 2 * self.quorum <= 2 * len(self.ids):
            raise ValueError(f"a quorum of {self.quorum} of {len(self.ids)} is not a majority")

    @property
    def needed(self) -> int:
        """R = N - W + 1: so many regions show everything that a quorum holds."""
        return len(self.ids) - self.quorum + 1

    def count(self, regions: Collection[RegionId]) -> int:
        """How many of these regions are of the set."""
        return len(self.ids.intersection(regions))


def lacking_quorum(sets: Iterable[RegionSet], regions: Collection[RegionId]) -> RegionSet | None:
    """The first set of which these regions are no quorum; None: they are one of every set."""
    return next((each for each in sets if each.count(regions) < each.quorum), None)


def lacking_sight(sets: Iterable[RegionSet], regions: Collection[RegionId]) -> RegionSet | None:
    """The first set of which these regions may show too little; None: they show all of all."""
    return next((each for each in sets if each.count(regions) < each.needed), None)
