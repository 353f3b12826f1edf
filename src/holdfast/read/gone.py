"""The tree over what a floor let go, made again of what stays: for certificates of completeness.

Runs in a worker, which keeps the trees of the last few: one certificate asks for each segment.
"""

from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from holdfast.model import NodeId
from holdfast.proof import merkle
from holdfast.proof.left import Gone
from holdfast.read import evidence


class Asked(Struct, frozen=True):
    """What a floor let go of some segments of a ledger. evidence, remains: files with what stays of
    the unit and of the class. tags: by index, whose; None: everybody's."""

    unit: str
    retention: str
    evidence: str
    remains: str
    node: NodeId
    tags: Mapping[int, str | None]


class _Tree:
    """All levels of a tree, 32 bytes a hash, so that what surrounds a leaf is looked up."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.size = len(leaves)
        self._levels = [merkle.leaf_hashes(leaves)]
        while len(level := self._levels[-1]) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            above = [merkle.node_hash(left, right) for left, right in pairs]
            self._levels.append(above + level[-1:] * (len(level) & 1))

    def before(self, start: int) -> tuple[bytes, ...]:
        """As `prove.paths.before`."""
        widths = [bit for bit in reversed(range(start.bit_length())) if start >> bit & 1]
        return tuple(self._levels[bit][(start >> bit) - 1] for bit in widths)

    def after(self, end: int) -> tuple[bytes, ...]:
        """As `prove.paths.after`."""
        found = []
        while end < self.size:
            bit = (end & -end).bit_length() - 1
            bit = min(bit, len(self._levels) - 1)
            found.append(self._levels[bit][end >> bit])
            end = ((end >> bit) + 1) << bit
        return tuple(found)


Places = Mapping[tuple[NodeId, int], tuple[int, tuple[str, ...]]]


@lru_cache(maxsize=2)
def _tree(path: str, remains: str) -> tuple[_Tree, Places]:
    """The tree; and of each segment, where its leaves begin, and what they are."""
    leaves: list[bytes] = []
    places: dict[tuple[NodeId, int], tuple[int, tuple[str, ...]]] = {}
    for node, index, went in evidence.went_in(path, remains):
        own = [each.leaf for each in went]
        places[node, index] = (len(leaves), tuple(leaf.decode() for leaf in own))
        leaves += own
    return _Tree(leaves), places


def lines_of(asked: Asked) -> tuple[tuple[int, Gone], ...]:
    """What is shown of each segment of which the floor let something go, without hashes.

    Raises:
        SourceError: a file is gone, or not what it was.
    """
    tree, places = _tree(asked.evidence, asked.remains)
    found = []
    for index, tag in asked.tags.items():
        at, leaves = places.get((asked.node, index), (0, ()))
        own = [n for n, leaf in enumerate(leaves) if tag is None or leaf.startswith(tag)]
        if own:
            start, end = at + own[0], at + own[-1] + 1
            around = tree.before(start), tree.after(end)
            shown = leaves[own[0] : own[-1] + 1]
            found.append((index, Gone(asked.unit, asked.retention, start, *around, shown, ())))
    return tuple(found)
