"""That an event is in the trail: `holdfast-proof/1`, and its check step by step (FORMAT.md, 10)."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

from holdfast.proof import anchor, objects, statements, tenants
from holdfast.proof.anchor import Head
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.names import SegmentName

PROOF_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True)
class EventProof:
    """The file, as FORMAT.md has its fields."""

    MARK: ClassVar = ("format", "holdfast-proof/1")
    record: str
    record_index: int
    record_path: tuple[bytes, ...]
    count: int
    blind: bytes
    leaf: str
    leaf_index: int
    leaf_path: tuple[bytes, ...]
    segment: str
    segment_path: tuple[bytes, ...]
    certificate: str
    head: str


@dataclass(frozen=True, slots=True)
class ProvenEvent:
    """A record that is in the trail, where it lies, and what that rests on."""

    proof: EventProof
    name: SegmentName
    head: Head
    code: int = 0
    reason: str = ""

    def facts(self) -> dict[str, object]:
        """What is proven: names in plain words, values for JSON."""
        return {
            "record": self.proof.record,
            "node": self.head.node,
            "segment": self.name.index,
            "sealed_us": self.name.sealed_us,
            "leaf in the segment": self.proof.leaf_index,
            "record in the leaf": self.proof.record_index,
            f"segments in the {self.head.kind}": self.head.size,
        }


def check(data: bytes, trail: str) -> Generator[str, None, ProvenEvent]:
    """Check a file step by step.

    data: the whole file. trail: the trail's id, known from elsewhere.

    Yields:
        Each step's claim, before it is checked; who asks for the next one learns that it held.
    Returns:
        What is proven.
    Raises:
        MismatchError, SignatureError: the claim yielded last does not hold: refuted.
        MalformedError: it cannot be checked.
    """
    yield "the file is a proof of an event, in the one form of holdfast-proof/1"
    if len(data) > PROOF_BYTES_MAX:
        raise MalformedError(f"the file has {len(data)} bytes, more than {PROOF_BYTES_MAX}")
    proof = objects.parse(data, EventProof)

    yield f"the trail {trail} admitted the node: its key signed the node's certificate"
    node = statements.verify_certificate(proof.certificate.encode(), trail).statement

    yield f"where the ledger of node {node.node} stood was signed for this trail"
    head = anchor.verify_head(proof.head.encode(), node, trail)

    yield f"the segment is in that ledger of {head.size} segments, where its name says"
    name = anchor.verify_segment(head, proof.segment, proof.segment_path)

    yield f"the leaf of the event's tenant is among the {name.tenants} of segment {name.index}"
    anchor.verify_leaf(name, proof.leaf.encode(), proof.leaf_index, proof.leaf_path)

    yield f"the record is number {proof.record_index} of the {proof.count} that this leaf hides"
    _verify_record(proof, name)
    return ProvenEvent(proof, name, head)


def _verify_record(proof: EventProof, name: SegmentName) -> None:
    if not 1 <= proof.count <= name.count:
        raise MismatchError(f"a tenant has not {proof.count} of the segment's {name.count} records")
    record = proof.record.encode()
    root = anchor.root_of(record, proof.record_index, proof.count, proof.record_path)
    tag = proof.leaf.partition(" ")[0]
    if tenants.tenant_leaf(tag, proof.blind, proof.count, root) != proof.leaf.encode():
        raise MismatchError("record, blind and count are not what the leaf hides")
