"""What proofs about a ledger rest on: the node's certificate, and what was signed of its size."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from holdfast.model import NodeId
from holdfast.proof import ProofError, anchor, names, statements
from holdfast.proof.anchor import Head
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Certificate, Heartbeat
from holdfast.regions import layout
from holdfast.regions.layout import CheckpointKey, EpochKey, GapKey
from holdfast.regions.port import Listing, Present
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions

CHECKPOINTS_READ_MAX = 8


@dataclass(frozen=True, slots=True)
class Certified:
    """A node that the trail admitted, and the note that says so."""

    node: Certificate
    note: bytes
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class Signed:
    """A head, and the note that it stands in."""

    head: Head
    note: bytes


def certified(node: NodeId, trail: str, kept: Sequence[tuple[str, bytes]]) -> Certified | None:
    """The node, as one of its births shows it; None: no birth was seen. Pure.

    kept: keys and bytes of the node's notes.
    """
    for key, data in kept:
        try:
            parsed = layout.parse_key(key)
            if isinstance(parsed, EpochKey) and parsed.kind == "birth":
                birth = statements.verify_birth(data, trail)
                if birth.origin == names.ledger_origin(trail, node):
                    note = birth.statement.certificate
                    found = statements.verify_certificate(note, trail).statement
                    return Certified(found, note, VerifierKey(birth.origin, found.node_key))
        except ProofError:
            continue  # a survey names it
    return None


def gaps_in(kept: Sequence[tuple[str, bytes]]) -> tuple[GapKey, ...]:
    """The declared gaps among a node's notes. Pure."""
    keys = (layout.parse_key(key) for key, _ in kept)
    return tuple(key for key in keys if isinstance(key, GapKey))


async def heads(
    regions: Regions,
    of: Certified,
    kept: Sequence[tuple[str, bytes]],
    above: int,
    most: int = 16**names.INDEX_DIGITS,
) -> tuple[Signed, ...]:
    """What was signed of a ledger with more than `above` segments, at most `most`; the largest
    first."""
    shown = await asyncio.gather(*(_shown(region, of.node.node, above, most) for region in regions))
    notes = {note for one in shown for note in one}
    notes |= {data for key, data in kept if key.endswith("/closed.note")}
    found: dict[int, Signed] = {}
    for note in notes:
        for signed in _verified(note, of, regions.trail):
            if above < signed.head.size <= most:
                found.setdefault(signed.head.size, signed)
    return tuple(found[size] for size in sorted(found, reverse=True))


def _verified(note: bytes, of: Certified, trail: str) -> Iterator[Signed]:
    """The head in a checkpoint, a decided close or a heartbeat; none where it does not hold."""
    try:
        if note.startswith(Heartbeat.KIND.encode()):
            note = statements.verify(note, Heartbeat, of.key).statement.checkpoint
        if note:
            yield Signed(anchor.verify_head(note, of.node, trail), note)
    except ProofError:
        pass  # a survey names it


async def _shown(region: Region, node: NodeId, above: int, most: int) -> list[bytes]:
    """The heartbeat in a region, and the oldest and newest checkpoints of these sizes."""
    beat, listing = await asyncio.gather(
        region.read(layout.heartbeat_key(node)),
        region.list(f"{layout.CHECKPOINTS_PREFIX}{node}/", layout.checkpoint_key(node, above)),
    )
    keys = [each.key for each in listing] if isinstance(listing, Listing) else []
    own = [key for key in keys if _is_own(key, most)]
    half = CHECKPOINTS_READ_MAX // 2
    wanted = dict.fromkeys([*own[:half], *own[-half:]])
    found = await asyncio.gather(*(region.read(key) for key in wanted))
    return [each.data for each in (beat, *found) if isinstance(each, Present)]


def _is_own(key: str, most: int) -> bool:
    parsed = layout.known_key(key)
    return isinstance(parsed, CheckpointKey) and not parsed.witness and parsed.size <= most
