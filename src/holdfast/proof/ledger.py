"""Where a ledger stands, and whether a segment's name continues it. Pure."""

from dataclasses import dataclass

from holdfast.proof import merkle
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.merkle import EMPTY_RANGE, CompactRange
from holdfast.proof.names import SegmentName


@dataclass(frozen=True, slots=True)
class LedgerEnd:
    """A ledger up to some size.

    size: segments so far. first: events so far. sealed_us: that of the last segment, 0 without one.
    range: the ledger's tree, reduced to what appending needs.
    """

    size: int
    first: int
    sealed_us: int
    range: CompactRange

    def __post_init__(self) -> None:
        """Raise MalformedError for numbers that no ledger can have."""
        least = min(1, self.size)
        if self.size != self.range.size or self.first < self.size or self.sealed_us < least:
            raise MalformedError("the numbers of a ledger's end contradict each other")
        if self.size == 0 and (self.first or self.sealed_us):
            raise MalformedError("an empty ledger has no events and no time")

    @property
    def root(self) -> bytes:
        """The root of the ledger's tree, 32 bytes."""
        return self.range.root()


EMPTY_END = LedgerEnd(0, 0, 0, EMPTY_RANGE)


def extend(end: LedgerEnd, name: SegmentName) -> LedgerEnd:
    """The ledger with one segment more.

    Raises:
        MismatchError: the name does not continue it: another index or count of events, or a time
            that is not after the one before.
    """
    if (name.index, name.first) != (end.size, end.first):
        raise MismatchError(
            f"segment {name.index} from event {name.first} on does not continue a ledger of "
            f"{end.size} segments and {end.first} events"
        )
    if name.sealed_us <= end.sealed_us:
        raise MismatchError(f"segment {name.index} is not sealed after the one before")
    leaf = merkle.leaf_hash(name.text.encode())
    return LedgerEnd(end.size + 1, end.first + name.count, name.sealed_us, end.range.append(leaf))
