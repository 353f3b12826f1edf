"""How a ledger grew from one size to another, from the names in the regions' listings alone.

A name is a leaf. With the compact range that the birth before the smaller size states, the names
from there on give the roots at both sizes and a proof of consistency between them: nothing older is
listed, no object but births is read, and the evidence of archived units whose segments were swept.
What these state need not be believed: whoever checks the proof holds it against two roots that were
signed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.model import NodeId
from holdfast.proof import MismatchError, ProofError, ledger, merkle, names, statements
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.merkle import CompactRange
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Birth
from holdfast.regions import layout
from holdfast.regions.layout import EpochKey, SegmentKey
from holdfast.regions.listing import list_everywhere, look_at_cookies
from holdfast.regions.manifests import Manifests, list_archive
from holdfast.regions.port import Listing, Present, RegionId, Unknown
from holdfast.regions.regions import Regions
from holdfast.write.archived import evidence_of

Root = Callable[[int, int], bytes]
SHARD = layout.SHARD_SEGMENTS


@dataclass(frozen=True, slots=True)
class Grown:
    """The ledger at both sizes, and the proof: hashes as RFC 9162, section 2.1.4.1 has them."""

    old: LedgerEnd
    new: LedgerEnd
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class NotShown:
    """The names do not reach that far.

    index: the first that is in none of the regions listed; None: nothing follows, since too few
    regions could be listed. reason: for a person.
    """

    index: int | None
    reason: str


async def grow(regions: Regions, node: NodeId, old: int, new: int) -> Grown | NotShown:
    """Show a node's ledger at the sizes old <= new, with the proof between them.

    Raises:
        MismatchError: the names contradict each other: one index has two, or one does not continue
            the ledger.
    """
    assert old <= new, "a ledger never shrinks"
    absent: dict[RegionId, str] = {}
    await look_at_cookies(regions, absent)
    births = await _births(regions, node, old, absent)
    end = next((birth.base for birth in births if birth.base.size <= old), EMPTY_END)
    bases = {birth.epoch: birth.base.size for birth in births}
    at_old, leaves = end, []
    while end.size < new:
        found = dict(await _shard(regions, node, end.size, absent))
        for index in range(end.size, min(new, (end.size // SHARD + 1) * SHARD)):
            name = _one(found.get(index, ()), index, bases)
            if name is None:
                found |= await _swept(regions, node, index, absent)
                name = _one(found.get(index, ()), index, bases)
            if name is None:
                return await _not_shown(regions, index, absent)
            end = ledger.extend(end, name)
            if end.size <= old:
                at_old = end
            else:
                leaves.append(merkle.leaf_hash(name.text.encode()))
    return Grown(at_old, end, consistency_path(at_old.range, leaves))


async def _not_shown(regions: Regions, index: int, absent: dict[RegionId, str]) -> NotShown:
    """Whether a name is really missing, or may lie where nobody could look."""
    await look_at_cookies(regions, absent)
    if regions.are_enough({region.id for region in regions} - absent.keys()):
        return NotShown(index, f"segment {index} is in none of the regions listed")
    told = "; ".join(f"{id}: {why}" for id, why in sorted(absent.items()))
    return NotShown(None, f"too few regions could be listed to find segment {index} ({told})")


def consistency_path(old: CompactRange, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """The proof that a tree begins with an older one, of which only the compact range is known.

    Args:
        old: The older tree.
        leaves: The leaf hashes that came to it since.
    Returns:
        Hashes as `paths.consistency_path` gives them for the whole tree.
    """
    size, new, known = old.size, old.size + len(leaves), _subtrees(old)

    def root(start: int, end: int) -> bytes:
        """Of a perfect subtree of the older tree, or of what lies behind it."""
        return known[start, end] if end <= size else merkle.root(leaves[start - size : end - size])

    return _proof(size, (0, new), True, root) if size else ()


def _proof(old: int, span: tuple[int, int], whole: bool, root: Root) -> tuple[bytes, ...]:
    """SUBPROOF of RFC 9162, by the bounds of subtrees instead of their leaves."""
    start, end = span
    if old == end:
        return () if whole else (root(start, end),)
    middle = start + (1 << ((end - start - 1).bit_length() - 1))
    if old <= middle:
        return (*_proof(old, (start, middle), whole, root), root(middle, end))
    return (*_proof(old, (middle, end), False, root), root(start, middle))


def _subtrees(tree: CompactRange) -> dict[tuple[int, int], bytes]:
    """The perfect subtrees of a compact range by their bounds."""
    found, start = {}, 0
    sizes = [1 << bit for bit in reversed(range(tree.size.bit_length())) if tree.size >> bit & 1]
    for size, subtree in zip(sizes, tree.hashes, strict=True):
        found[start, start + size] = subtree
        start += size
    return found


async def _births(
    regions: Regions, node: NodeId, size: int, absent: dict[RegionId, str]
) -> list[Birth]:
    """Births of a node from its last one back to one whose base is at or before that size."""
    listings = await list_everywhere(regions, layout.epochs_prefix(node), "", absent)
    holders: dict[int, list[RegionId]] = {}
    for id, listing in listings.items():
        for entry in listing:
            key = layout.known_key(entry.key)
            if isinstance(key, EpochKey) and key.kind == "birth":
                holders.setdefault(key.epoch, []).append(id)
    births = []
    for epoch in sorted(holders, reverse=True):
        birth = await _birth(regions, node, epoch, holders[epoch])
        if birth is None:
            continue
        births.append(birth)
        if birth.base.size <= size:
            break
    return births


async def _birth(
    regions: Regions, node: NodeId, epoch: int, holders: Sequence[RegionId]
) -> Birth | None:
    """An epoch's birth from the first region with a good copy."""
    key, origin = layout.birth_key(node, epoch), names.ledger_origin(regions.trail, node)
    for id in holders:
        found = await regions.by_id[id].read(key)
        if isinstance(found, Present):
            try:
                signed = statements.verify_birth(found.data, regions.trail)
            except ProofError:
                continue
            if (signed.origin, signed.statement.epoch) == (origin, epoch):
                return signed.statement
    return None


async def _shard(
    regions: Regions, node: NodeId, start: int, absent: dict[RegionId, str]
) -> Mapping[int, set[SegmentName]]:
    """The names from an index on to the end of its shard, as all regions list them."""
    prefix, after = layout.shard_prefix(node, start), layout.segments_after(node, start)
    listings = await list_everywhere(regions, prefix, after, absent)
    texts = {each.key for listing in listings.values() for each in listing}
    found: dict[int, set[SegmentName]] = {}
    for number, text in enumerate(sorted(texts)):
        if number % 1000 == 999:
            await asyncio.sleep(0)  # a shard has thousands of names, and events come in meanwhile
        key = layout.known_key(text)
        if isinstance(key, SegmentKey):
            found.setdefault(key.name.index, set()).add(key.name)
    return found


async def _swept(
    regions: Regions, node: NodeId, index: int, absent: Mapping[RegionId, str]
) -> Mapping[int, set[SegmentName]]:
    """The names of the archived unit that has a segment, by the evidence of any region."""
    for region in regions:
        listing = Unknown("not asked") if region.id in absent else await list_archive(region)
        if not isinstance(listing, Listing):
            continue
        archives = await Manifests().of(region, listing, regions.trail)
        for archive in {} if isinstance(archives, Unknown) else archives.values():
            spans = [(start, end) for of, start, end, *_ in archive.ledgers if of == node]
            if any(start <= index < end for start, end in spans):
                found = await evidence_of(regions, archive, node)
                if found is not None:
                    return {each.name.index: {each.name} for each in found}
    return {}


def _one(
    found: set[SegmentName] | tuple[()], index: int, bases: Mapping[int, int]
) -> SegmentName | None:
    """The one of the epoch that has that index; those of earlier epochs lie beyond their close."""
    epoch = max((epoch for epoch, base in bases.items() if base <= index), default=0)
    mine = [name for name in found if name.epoch == epoch]
    if len(mine) > 1:
        raise MismatchError(f"two segments claim index {index} in epoch {epoch}")
    return mine[0] if mine else None
