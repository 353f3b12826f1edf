"""What was brought back, opened and checked by the format alone. Runs in workers.

Each raises CorruptError where it is not what was signed, and says what is wrong. What a segment's
node signed of the ledger before it is held against a tree that grows with its names; where that
tree ends up is what the node signed later: in a checkpoint, or in the decided end of an epoch.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from holdfast.archive.lines import Archived
from holdfast.archive.make import Copied, Held, check_named, read_evidence
from holdfast.errors import CorruptError
from holdfast.model import NodeId
from holdfast.proof import MismatchError, ProofError, merkle, names, statements
from holdfast.proof.anchor import Head
from holdfast.proof.merkle import CompactRange
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.regions import segment
from holdfast.regions.kinds import Archive, Trailer
from holdfast.verify.contents import check_contents


class Spool(Struct, frozen=True):
    """Segments of one node, one after the other in a file, in the ledger's order."""

    node: NodeId
    node_key: bytes
    trail: str
    tag_key: bytes
    path: str
    held: tuple[Held, ...]


class Run(Struct, frozen=True):
    """Neighbouring segments of a node. roots: of its ledger before each, as it signed them."""

    node: NodeId
    names: tuple[str, ...]
    roots: tuple[bytes, ...]

    @property
    def start(self) -> int:
        return SegmentName.parse(self.names[0]).index

    @property
    def end(self) -> int:
        return self.start + len(self.names)

    @property
    def epoch(self) -> int:
        return SegmentName.parse(self.names[-1]).epoch

    @property
    def events(self) -> int:
        return sum(SegmentName.parse(name).count for name in self.names)


class Around(Struct, frozen=True):
    """What surrounds a run in a ledger's tree, and what was signed of that tree. before, after: as
    in a certificate of completeness; nobody need trust them."""

    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    size: int
    root: bytes

    @classmethod
    def of(cls, hashes: tuple[tuple[bytes, ...], tuple[bytes, ...]], head: Head) -> "Around":
        return cls(*hashes, head.size, head.root)


def open_spool(spool: Spool) -> tuple[Run, ...]:
    """Check segments down to each record and its leaf; the runs that they make up."""
    key = VerifierKey(names.ledger_origin(spool.trail, spool.node), spool.node_key)
    found: list[tuple[SegmentName, bytes]] = []
    after_us = 0
    with Path(spool.path).open("rb") as file:
        for held in spool.held:
            name, data = SegmentName.parse(held.name), file.read(held.size_bytes)
            try:
                trailer = segment.verify_trailer(data, name, key.public, key.name)
                opened = segment.take_out(data, name, trailer)
                check_contents(opened, key, spool.tag_key, after_us)
            except ProofError as error:
                raise CorruptError(f"segment {name.index} of node {held.node}: {error}") from error
            found.append((name, trailer.root_before))
            after_us = name.sealed_us
    return _runs(spool.node, found)


def open_unit(job: Copied, archive: Archive) -> tuple[Run, ...]:
    """Check the objects of a unit down to each row and its leaf; the runs of its segments.

    archive: the manifest that names them. names in the job: not known before, so none.
    """
    check_named(job, archive)
    by_node: dict[NodeId, list[tuple[SegmentName, bytes]]] = {}
    for line in read_evidence(Path(job.evidence.path)):
        if isinstance(line, Archived):
            trailer = statements.read(line.trailer.encode(), Trailer).statement
            named = (SegmentName.parse(line.segment), trailer.root_before)
            by_node.setdefault(line.node, []).append(named)
    return tuple(run for node, own in by_node.items() for run in _runs(node, own))


def check_ledger(run: Run, around: Around) -> None:
    """Check that a run stands where it says in the ledger that its node signed."""
    try:
        grown = CompactRange(run.start, around.before)
        for text, root in zip(run.names, run.roots, strict=True):
            if grown.root() != root:
                index = SegmentName.parse(text).index
                raise MismatchError(f"another root before segment {index} was signed")
            grown = grown.append(merkle.leaf_hash(text.encode()))
        if grown.root_within(around.size, around.after) != around.root:
            raise MismatchError(f"another root was signed at {around.size} segments")
    except ProofError as error:
        raise CorruptError(f"the names of node {run.node} do not fit: {error}") from error


def _runs(node: NodeId, found: Sequence[tuple[SegmentName, bytes]]) -> tuple[Run, ...]:
    """Neighbours together. A gap between two runs is for who knows what is declared lost."""
    runs: list[list[tuple[SegmentName, bytes]]] = []
    for name, root in found:
        if runs and runs[-1][-1][0].index + 1 == name.index:
            runs[-1].append((name, root))
        else:
            runs.append([(name, root)])
    return tuple(
        Run(node, tuple(name.text for name, _ in run), tuple(root for _, root in run))
        for run in runs
    )
