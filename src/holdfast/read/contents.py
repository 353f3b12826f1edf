"""What is held of a segment, for whoever proves something of it: its bytes, or the archive's.

Both say the same of it: its name, its trailer as its node signed it, its records in their order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from holdfast.model import NodeId
from holdfast.proof import MismatchError, merkle, statements, tenants
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.regions import segment
from holdfast.regions.kinds import Trailer
from holdfast.regions.segment import Member, Opened


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
class LetGo:
    """What went of a segment by rules of retention. hashes: by line, the leaf hash that stays; None
    where the tenant's leaf says it all. leaves: of the segment's tree, as evidence has them."""

    hashes: Mapping[int, bytes | None]
    leaves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Archived:
    """A segment by evidence and parts, whose hashes a manifest signs.

    note: its trailer, verbatim. lines: its records in order, each with LF, without what was let go;
    whether they are the ones that were sealed, their tenants' roots say (`laid_out`). leaves: of
    the segment's tree, where `lines` are of one tenant alone; they stand for the others' records.
    """

    name: SegmentName
    note: bytes
    lines: bytes
    let_go: LetGo | None = None
    leaves: tuple[str, ...] = ()

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


@dataclass(frozen=True, slots=True)
class Laid:
    """A segment as it is proven. records: by line; None: let go, or of a tenant that was not asked
    for. members: its tenants, in order. gone: as `LetGo.hashes`, of all that is None."""

    records: tuple[bytes | None, ...]
    members: tuple[Member, ...]
    gone: Mapping[int, bytes | None]

    def own(self, start: int, end: int) -> list[bytes]:
        """Some records. Raises MismatchError: one of them was let go."""
        found = [record for record in self.records[start:end] if record is not None]
        if len(found) < end - start:
            raise MismatchError("records that are asked for were let go")
        return found

    def hashes(self, start: int, end: int) -> list[bytes]:
        """The leaf hashes of some lines. Raises MismatchError: one does not stay."""
        return _hashes(self.records, self.gone, range(start, end))


def laid_out(held: Preserved, tag_key: bytes, node: NodeId, key: VerifierKey | None = None) -> Laid:
    """Check that what is held makes the root in the name. key: as in `Stored.trailer`.

    Raises:
        ProofError: it does not.
    """
    if not isinstance(held, Archived) or not (held.let_go or held.leaves):
        opened = held.opened(key)
        starts = accumulate((count for _, count in opened.trailer.tenants[:-1]), initial=0)
        # One record of each tells whose all are: with others among them, the root were another.
        owners = [segment.tenant_of(opened.records[start]) for start in starts]
        return Laid(opened.records, segment.verify_tenants(opened, tag_key, node, owners), {})
    name, trailer = held.name, held.trailer(key)
    there = held.lines.split(b"\n")[:-1]
    gone: Mapping[int, bytes | None] = held.let_go.hashes if held.let_go else {}
    if held.leaves:
        tenant = segment.tenant_of(there[0]) if there else None
        mine = "" if tenant is None else segment.hide(tag_key, tenant, node, name.index)[0]
        gone = {**gone, **dict.fromkeys(_but(trailer, mine))}
    leaves = held.leaves or (held.let_go.leaves if held.let_go else ())
    if len(there) + len(gone) != name.count:
        raise MismatchError(f"{len(there)} records of segment {name.index} are left")
    waiting = iter(there)
    records = tuple(None if line in gone else next(waiting) for line in range(name.count))
    members, at = list[Member](), 0
    for number, (tag, count) in enumerate(trailer.tenants):
        lines = range(at, at + count)
        one = next((record for record in records[at : at + count] if record is not None), None)
        if one is not None:
            own, blind = segment.hide(tag_key, segment.tenant_of(one), node, name.index)
            root = merkle.root(_hashes(records, gone, lines))
            if own != tag:
                raise MismatchError(f"segment {name.index} has records under another tenant's tag")
            leaf = tenants.tenant_leaf(tag, blind, count, root)
        else:  # nothing is left that says whose they were
            blind, leaf = b"", leaves[number].encode()
        members.append(Member(tag, blind, count, leaf))
        at += count
    if segment.root_of(members) != name.root:
        raise MismatchError(f"what is left of segment {name.index} does not make its root")
    return Laid(records, tuple(members), gone)


def _but(trailer: Trailer, tag: str) -> Iterator[int]:
    """The lines of all tenants but one."""
    at = 0
    for own, count in trailer.tenants:
        if own != tag:
            yield from range(at, at + count)
        at += count


def _hashes(
    records: Sequence[bytes | None], gone: Mapping[int, bytes | None], lines: range
) -> list[bytes]:
    found = []
    for line in lines:
        record = records[line]
        leaf = gone[line] if record is None else merkle.leaf_hash(record)
        if leaf is None:
            raise MismatchError("the leaf hash of a record that was let go does not stay")
        found.append(leaf)
    return found
