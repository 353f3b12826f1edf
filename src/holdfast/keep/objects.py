"""Whether the bytes under a key are what the key stands for. Pure.

A segment is judged by the hash in its name; a note by its signature, and by its speaking of the
place where it lies. What a segment holds inside is another, deeper question.
"""

import hashlib
from collections.abc import Mapping

from holdfast.proof import ProofError, names, note, statements
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Closed
from holdfast.regions import kinds, layout
from holdfast.regions.kinds import Fence, Vote
from holdfast.regions.layout import (
    ArchivedKey,
    ArchiveKey,
    CheckpointKey,
    EpochKey,
    FloorKey,
    GapKey,
    HeartbeatKey,
    HoldKey,
    RegionKey,
    SegmentKey,
    WholeKey,
)
from holdfast.regions.retained import verify_retained


def why_wrong(key: str, data: bytes, trail: str, node_keys: Mapping[str, VerifierKey]) -> str:
    """Why these bytes cannot be this object; "" where they are it.

    Args:
        trail: The trail's id.
        node_keys: Of every node that was born; checkpoints and votes need them.
    """
    try:
        parsed = layout.parse_key(key)
        if isinstance(parsed, SegmentKey | ArchivedKey):
            intact = hashlib.sha256(data).digest() == parsed.sha256
            return "" if intact else "the bytes do not hash to the name"
        if isinstance(parsed, ArchiveKey):
            archive = kinds.verify_archive(data, trail).statement
            here, there = (parsed.unit, parsed.generation), (archive.unit, archive.generation)
            return "" if here == there else "the manifest of another unit"
        if isinstance(parsed, CheckpointKey):
            found = note.verify_checkpoint(data, node_keys[parsed.node])
            return "" if found.size == parsed.size else "a checkpoint of another size"
        if isinstance(parsed, EpochKey):
            return _why_wrong_epoch(parsed, data, trail, node_keys)
        if isinstance(parsed, GapKey):
            return _why_wrong_gap(parsed, data, trail)
        if isinstance(parsed, FloorKey | HoldKey):
            verify_retained(parsed, data, trail)
        elif isinstance(parsed, RegionKey):
            kinds.verify_cookie(data, trail)
        elif isinstance(parsed, WholeKey):
            kinds.verify_whole(data, trail)
        elif isinstance(parsed, HeartbeatKey):
            statements.verify(data, statements.Heartbeat, node_keys[parsed.node])
    except (ProofError, KeyError) as error:
        return str(error) or type(error).__name__
    return ""


def _why_wrong_gap(key: GapKey, data: bytes, trail: str) -> str:
    gap = statements.verify_gap(data, trail)
    here = (names.ledger_origin(trail, key.node), key.start, key.end)
    there = (gap.origin, gap.statement.start, gap.statement.end)
    return "" if here == there else "a gap elsewhere"


def _why_wrong_epoch(
    key: EpochKey, data: bytes, trail: str, node_keys: Mapping[str, VerifierKey]
) -> str:
    if key.kind == "birth":
        birth = statements.verify_birth(data, trail)
        place = (birth.origin, birth.statement.epoch)
    elif key.kind == "fence":
        fence = statements.verify_by_certificate(data, Fence, trail)
        place = (fence.origin, fence.statement.epoch)
    elif key.kind == "close":
        vote = statements.verify(data, Vote, *node_keys.values())
        place = (vote.origin, vote.statement.epoch)
    elif key.kind == "retired":
        retired = kinds.verify_retired(data, trail)
        place = (retired.origin, retired.statement.epoch)
    else:
        closed = statements.verify_by_certificate(data, Closed, trail)
        place = (closed.origin, closed.statement.epoch)
    here = (names.ledger_origin(trail, key.node), key.epoch)
    return "" if place == here else "a statement of another epoch"
