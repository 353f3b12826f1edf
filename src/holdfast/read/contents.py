"""What is held of a segment, for whoever proves something of it: its bytes, or the archive's.

Both say the same of it: its name, its trailer as its node signed it, its records in their order.
"""

from dataclasses import dataclass

from holdfast.proof import MismatchError, statements
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.regions import segment
from holdfast.regions.kinds import Trailer
from holdfast.regions.segment import Opened


@dataclass(frozen=True, slots=True)
class Stored:
    """A segment's bytes, which hash to its name."""

    name: SegmentName
    data: bytes

    @property
    def size_bytes(self) -> int:
        """About what it takes to hand it on."""
        return len(self.data)

    def trailer(self, key: VerifierKey | None = None) -> Trailer:
        """What its node says of it. key: the node's, to verify it; None: that was done. Raises
        ProofError."""
        if key is None:
            return segment.read_trailer(self.data).statement
        return segment.verify_trailer(self.data, self.name, key.public, key.name)

    def opened(self, key: VerifierKey | None = None) -> Opened:
        """Its records. Arguments and errors as `trailer`."""
        return segment.take_out(self.data, self.name, self.trailer(key))


@dataclass(frozen=True, slots=True)
class Archived:
    """A segment by evidence and parts, whose hashes a manifest signs.

    note: its trailer, verbatim. lines: its records in order, each with LF; whether they are the
    ones that were sealed, their tenants' roots say (`segment.verify_tenants`).
    """

    name: SegmentName
    note: bytes
    lines: bytes

    @property
    def size_bytes(self) -> int:
        """About what it takes to hand it on."""
        return len(self.lines)

    def trailer(self, key: VerifierKey | None = None) -> Trailer:
        """As `Stored.trailer`."""
        if key is None:
            found = statements.read(self.note, Trailer).statement
        else:
            found = statements.verify(self.note, Trailer, key).statement
        counts = [count for _, count in found.tenants]
        if found.segment != self.name.unhashed or sum(counts) != self.name.count:
            raise MismatchError(f"the trailer of segment {self.name.index} is another's")
        return found

    def opened(self, key: VerifierKey | None = None) -> Opened:
        """As `Stored.opened`."""
        records = segment.split_lines(self.lines, self.name.count)
        return Opened(self.name, self.trailer(key), records)


Preserved = Stored | Archived
