"""From the trail's id, which the checker knows, to a leaf in what a node signed.

Steps 3 to 5 of FORMAT.md, section 10; step 2 is `statements.verify_certificate`. Each size and root
comes from what was verified before. All of it raises ProofError.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.proof import merkle, names, note, statements
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Certificate, Closed

_LEAF = re.compile(rb"[0-9a-f]{64} [0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Head:
    """Where a node's ledger stood, as signed. kind: of what says so, "checkpoint" or
    "decided close"."""

    node: str
    size: int
    root: bytes
    kind: str


def verify_head(head: bytes, node: Certificate, trail: str) -> Head:
    """Step 3: a checkpoint that the node signed, or a decided close of its ledger."""
    origin = names.ledger_origin(trail, node.node)
    if not head.startswith(b"holdfast-"):
        note.parse_checkpoint(note.parse(head).text)  # what is none is not refuted, it is no head
        signed = note.verify_checkpoint(head, VerifierKey(origin, node.node_key))
        return Head(node.node, signed.size, signed.root, "checkpoint")
    closed = statements.verify_by_certificate(head, Closed, trail)
    if closed.origin != origin:
        raise MismatchError(f"the close is of {closed.origin}, not of {origin}")
    end = closed.statement.end
    return Head(node.node, end.size, end.root, "decided close")


def verify_segment(head: Head, text: str, path: Sequence[bytes]) -> SegmentName:
    """Step 4: a segment's name is in the ledger, where the name says."""
    name = SegmentName.parse(text)
    verify_included(text.encode(), name.index, head.size, path, head.root)
    return name


def verify_leaf(name: SegmentName, leaf: bytes, index: int, path: Sequence[bytes]) -> None:
    """Step 5: a tenant's leaf is in the segment's tree."""
    verify_included(check_leaf(leaf), index, name.tenants, path, name.root)


def check_leaf(leaf: bytes) -> bytes:
    """The leaf, if it has the form of a tenant's."""
    if not _LEAF.fullmatch(leaf):
        raise MalformedError("a tenant's leaf is not two hashes of 64 hex digits")
    return leaf


def verify_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """A leaf is in the tree of that size and root, which are verified."""
    if root_of(leaf, index, size, path) != root:
        raise MismatchError(
            f"it is not leaf {index} of the tree of {size}: the path gives another root"
        )


def root_of(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a path gives. What does not fit the size contradicts it: MismatchError."""
    try:
        return merkle.root_from_inclusion(merkle.leaf_hash(leaf), index, size, path)
    except MalformedError as error:
        raise MismatchError(str(error)) from error
