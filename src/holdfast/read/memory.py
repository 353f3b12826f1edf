"""What each region was seen to hold, and so what it has lost.

A region that lost something is *suspect*: it may have lost more than one knows of, so nothing that
it does not show counts. It counts again once all that was ever seen in it is there again, in a
listing of everything: a cookie that came back, copies and fences that a keeper put.

Nothing of this is precious. The catalog keeps it; a reader that begins without one believes each
store that shows its cookie, as every reader does of what a store lost before anyone saw it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import structs

from holdfast.model import NodeId
from holdfast.read import shown
from holdfast.read.catalog import RegionFacts


@dataclass(slots=True)
class Changes:
    """What a pass learned that the catalog is to remember: statements as (region, key, bytes), and
    regions whose facts are new. forgotten: whose statements, of another store, come off first."""

    statements: list[tuple[str, str, bytes]] = field(default_factory=list)
    regions: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)


class Memory:
    """Of all regions. suspects: region -> what it lost. changes: since they were last taken up."""

    def __init__(self) -> None:
        self.facts: dict[str, RegionFacts] = {}
        self.suspects: dict[str, str] = {}
        self.changes = Changes()
        self._noted: dict[str, set[str]] = {}

    def of(self, region: str) -> RegionFacts:
        return self.facts.get(region, RegionFacts())

    def noted(self, region: str) -> set[str]:
        """Keys of births, fences and closes that it was seen to hold; to be added to."""
        return self._noted.setdefault(region, set())

    def note_store(self, region: str, store: str) -> None:
        if self.of(region).store != store:
            self._keep(region, structs.replace(self.of(region), store=store))

    def note_shown(self, region: str, node: NodeId, now: shown.Ranges) -> None:
        """It showed these segments too."""
        before = self.of(region).shown
        after = shown.union(before.get(node, ()), now)
        if after != before.get(node, ()):
            self._keep(region, structs.replace(self.of(region), shown={**before, node: after}))

    def note_whole(
        self, region: str, now: Mapping[NodeId, shown.Ranges], gone: int, at_us: int
    ) -> None:
        """It was listed from beginning to end, and showed this. gone: how many that it showed
        before it did not show now."""
        for node in now:
            self.note_shown(region, node, now[node])
        self._keep(region, structs.replace(self.of(region), gone=gone, whole_us=at_us))

    def suspect(self, region: str, what: str) -> None:
        """It lost something; the next that is looked at is everything."""
        self.suspects[region] = what
        if self.of(region).whole_us and not self.of(region).gone:
            self._keep(region, structs.replace(self.of(region), whole_us=0))

    def trust(self, region: str) -> None:
        """It shows all that it was ever seen to hold."""
        self.suspects.pop(region, None)

    def forget(self, region: str) -> None:
        """It has another store, by the trail's own word: begin with nothing seen in it."""
        self._keep(region, RegionFacts())
        self._noted.pop(region, None)
        self.suspects.pop(region, None)
        self.changes.forgotten.add(region)

    def _keep(self, region: str, facts: RegionFacts) -> None:
        self.facts[region] = facts
        self.changes.regions.add(region)
