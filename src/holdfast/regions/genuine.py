"""Which of several versions of an object is the one that was meant. Pure.

The name of a segment, and of what the archive holds, has the hash of its bytes. A note is told by
its signature and by its speaking of the place where it lies, as far as the trail's id alone can
tell: votes and checkpoints are signed by nodes, whose keys lie in other objects, so of these only
the place is compared; whoever reads them verifies the signature anyway.
"""

import hashlib

from holdfast.proof import ProofError, names, note, statements
from holdfast.proof.statements import Closed
from holdfast.regions import kinds, layout
from holdfast.regions.kinds import Cookie, Fence, Vote
from holdfast.regions.layout import (
    ArchivedKey,
    ArchiveKey,
    CheckpointKey,
    EpochKey,
    FloorKey,
    GapKey,
    HoldKey,
    RegionKey,
    SegmentKey,
    WholeKey,
)
from holdfast.regions.retained import verify_retained


def is_fixed(key: str) -> bool:
    """Whether the key itself says which bytes belong under it."""
    return isinstance(layout.known_key(key), SegmentKey | ArchivedKey)


def trail_of(cookie: bytes) -> str:
    """The trail that a cookie says it is of. Raises ProofError."""
    return names.trail_id(statements.read(cookie, Cookie).statement.trail_key)


def is_genuine(key: str, data: bytes, trail: str) -> bool:
    """Whether these bytes can be the object of that key.

    Args:
        trail: The trail's id; "" where it is not known: a cookie may then be of any, and of all
            other notes any may be the one.
    """
    parsed = layout.known_key(key)
    try:
        if isinstance(parsed, SegmentKey | ArchivedKey):
            return hashlib.sha256(data).digest() == parsed.sha256
        if isinstance(parsed, RegionKey):
            kinds.verify_cookie(data, trail or trail_of(data))
        elif trail and isinstance(parsed, WholeKey):
            kinds.verify_whole(data, trail)
        elif trail and isinstance(parsed, ArchiveKey):
            archive = kinds.verify_archive(data, trail).statement
            return (archive.unit, archive.generation) == (parsed.unit, parsed.generation)
        elif trail and isinstance(parsed, FloorKey | HoldKey):
            verify_retained(parsed, data, trail)
        elif trail and isinstance(parsed, GapKey):
            gap = statements.verify_gap(data, trail)
            place = (gap.origin, gap.statement.start, gap.statement.end)
            return place == (names.ledger_origin(trail, parsed.node), parsed.start, parsed.end)
        elif trail and isinstance(parsed, CheckpointKey):
            signed = note.parse_checkpoint(note.parse(data).text)
            return (signed.origin, signed.size) == (
                names.ledger_origin(trail, parsed.node),
                parsed.size,
            )
        elif trail and isinstance(parsed, EpochKey):
            return _place_of(parsed, data, trail) == (
                names.ledger_origin(trail, parsed.node),
                parsed.epoch,
            )
    except ProofError:
        return False
    return True


def _place_of(key: EpochKey, data: bytes, trail: str) -> tuple[str, int]:
    if key.kind == "birth":
        birth = statements.verify_birth(data, trail)
        return birth.origin, birth.statement.epoch
    if key.kind == "fence":
        fence = statements.verify_by_certificate(data, Fence, trail)
        return fence.origin, fence.statement.epoch
    if key.kind == "close":
        vote = statements.read(data, Vote)
        return vote.origin, vote.statement.epoch
    if key.kind == "retired":
        retired = kinds.verify_retired(data, trail)
        return retired.origin, retired.statement.epoch
    closed = statements.verify_by_certificate(data, Closed, trail)
    return closed.origin, closed.statement.epoch
