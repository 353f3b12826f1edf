"""An event's proof, out of its segment and where that stands in its ledger. Pure."""

from dataclasses import dataclass
from itertools import accumulate

from holdfast.proof import merkle
from holdfast.proof.event import EventProof
from holdfast.proof.names import parse_ledger_origin
from holdfast.proof.note import VerifierKey
from holdfast.prove import paths
from holdfast.read.contents import Preserved, laid_out


@dataclass(frozen=True, slots=True)
class Standing:
    """That a segment is in what a node signed: the last fields of a proof's file."""

    segment: str
    segment_path: tuple[bytes, ...]
    certificate: str
    head: str


def prove_event(
    held: Preserved, node_key: VerifierKey, tag_key: bytes, line: int, standing: Standing
) -> EventProof:
    """The proof that a line of a segment is in the trail.

    Args:
        held: What there is of the segment.
        node_key: Of its node, under the ledger's origin.
        tag_key: The trail's secret, 32 bytes.
        line: 0-based, in stored order; below the name's count.
    Raises:
        ProofError: that is not it.
    """
    laid = laid_out(held, tag_key, parse_ledger_origin(node_key.name)[1], node_key)
    members = laid.members
    starts = [*accumulate((member.count for member in members), initial=0)]
    at = max(n for n, start in enumerate(starts[:-1]) if start <= line)
    start, end = starts[at : at + 2]
    leaves = laid.hashes(start, end)
    return EventProof(
        record=laid.own(line, line + 1)[0].decode(),
        record_index=line - start,
        record_path=paths.inclusion_path(leaves, line - start),
        count=end - start,
        blind=members[at].blind,
        leaf=members[at].leaf.decode(),
        leaf_index=at,
        leaf_path=paths.inclusion_path(merkle.leaf_hashes([m.leaf for m in members]), at),
        segment=standing.segment,
        segment_path=standing.segment_path,
        certificate=standing.certificate,
        head=standing.head,
    )
