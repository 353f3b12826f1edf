"""How a ledger grew from one size to another, from the names in the regions' listings alone.

A name is a leaf. With the compact range that the birth before the smaller size states, the names
from there on give the roots at both sizes and a proof of consistency between them: nothing older is
listed, no object but births is read, and the evidence of archived units whose segments were swept.
What these state need not be believed: whoever checks the proof holds it against two roots that were
signed. Where a ledger is known to have stood, since its node signed that root in a trailer or who
asked found it signed, the next question begins: a long life of a node is walked through once.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.model import NodeId
from holdfast.proof import MismatchError, ProofError, ledger, merkle, names, statements
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.merkle import CompactRange
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Birth
from holdfast.regions import layout
from holdfast.regions.evidence import Archived
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import EpochKey, SegmentKey
from holdfast.regions.listing import list_everywhere, look_at_cookies
from holdfast.regions.manifests import Manifests, list_archive
from holdfast.regions.port import Listing, Present, RegionId, Unknown
from holdfast.regions.regions import Regions
from holdfast.write.archived import evidence_of

Root = Callable[[int, int], bytes]
SHARD = layout.SHARD_SEGMENTS
ENDS_MAX = 1_024  # of a node: some kB each


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


class Growth:
    """See the module. What it keeps is derived, and bounded."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._manifests = Manifests()
        self._ends: dict[NodeId, dict[int, LedgerEnd]] = {}  # by size, the last noted last

    async def grow(self, node: NodeId, old: int, new: int) -> Grown | NotShown:
        """Show a node's ledger at the sizes old <= new, with the proof between them.

        Raises:
            MismatchError: the names contradict each other: one index has two, or one does not
                continue the ledger.
        """
        assert old <= new, "a ledger never shrinks"
        walk = _Names(self._regions, node, self._manifests)
        known = (end for size, end in self._ends.get(node, {}).items() if size <= old)
        end = max([await walk.base(old), *known], key=lambda each: each.size)
        at_old, leaves = end, []
        while end.size < new:
            name = await walk.after(end)
            if name is None:
                return await walk.not_shown(end.size)
            end = ledger.extend(end, name)
            if end.size <= old:
                at_old = end
            else:
                leaves.append(merkle.leaf_hash(name.text.encode()))
        for signed in walk.signed:
            self.note(node, signed)
        return Grown(at_old, end, consistency_path(at_old.range, leaves))

    def note(self, node: NodeId, end: LedgerEnd) -> None:
        """Where a ledger stood: its root there was found in something that its node signed."""
        ends = self._ends.setdefault(node, {})
        ends.pop(end.size, None)
        ends[end.size] = end
        if len(ends) > ENDS_MAX:
            del ends[next(iter(ends))]


class _Names:
    """The names of a ledger, one after the other, for one question. signed: where it was met to
    have stood at the root that a trailer of its next segment states."""

    def __init__(self, regions: Regions, node: NodeId, manifests: Manifests) -> None:
        self._regions = regions
        self._node = node
        self._manifests = manifests
        self._absent: dict[RegionId, str] = {}
        self._births: list[Birth] = []
        self._listed: Mapping[int, set[SegmentName]] = {}
        self._listed_to = 0
        self._swept: dict[int, SegmentName] = {}  # of the unit that was read last
        self._archives: list[Archive] | None = None
        self.signed: list[LedgerEnd] = []

    async def base(self, size: int) -> LedgerEnd:
        """Where the last epoch began that began at or before a size. To be asked first."""
        await look_at_cookies(self._regions, self._absent)
        self._births = await _births(self._regions, self._node, size, self._absent)
        bases = (birth.base for birth in self._births)
        return next((base for base in bases if base.size <= size), EMPTY_END)

    async def after(self, end: LedgerEnd) -> SegmentName | None:
        """The name that is next, as listings or archives have it. Raises MismatchError: several."""
        index = end.size
        if index >= self._listed_to:
            self._listed = await _shard(self._regions, self._node, index, self._absent)
            self._listed_to = (index // SHARD + 1) * SHARD
        name = self._one(self._listed.get(index, ()))
        if name is None and index not in self._swept:
            await self._read_unit(end)
        return name or self._one({self._swept[index]} if index in self._swept else ())

    def _one(self, found: set[SegmentName] | tuple[()]) -> SegmentName | None:
        """The one of the epoch that has its index; those of earlier epochs lie beyond their
        close."""
        index = next((name.index for name in found), 0)
        epochs = (birth.epoch for birth in self._births if birth.base.size <= index)
        epoch = max(epochs, default=0)
        mine = [name for name in found if name.epoch == epoch]
        if len(mine) > 1:
            raise MismatchError(f"two segments claim index {index} in epoch {epoch}")
        return mine[0] if mine else None

    async def _read_unit(self, end: LedgerEnd) -> None:
        """The names of the archived unit that has the next segment, by the evidence of any region.
        That segment's trailer says whether the ledger stood there as it was met."""
        if self._archives is None:
            self._archives = await self._known_archives()
        for archive in self._archives:
            spans = [(start, to) for of, start, to, *_ in archive.ledgers if of == self._node]
            if not any(start <= end.size < to for start, to in spans):
                continue
            found = await evidence_of(self._regions, archive, self._node)
            if found is not None:
                self._swept = {each.name.index: each.name for each in found}
                self.signed += [end for each in found if self._is_signed(each, end)]
                return

    async def _known_archives(self) -> list[Archive]:
        found: list[Archive] = []
        for region in self._regions:
            absent = region.id in self._absent
            listing = Unknown("not asked") if absent else await list_archive(region)
            if isinstance(listing, Listing):
                known = await self._manifests.of(region, listing, self._regions.trail)
                found += [] if isinstance(known, Unknown) else known.values()
        return found

    def _is_signed(self, archived: Archived, end: LedgerEnd) -> bool:
        if archived.name.index != end.size or not self._births:
            return False
        origin = names.ledger_origin(self._regions.trail, self._node)
        try:
            key = VerifierKey(origin, self._births[0].node_key)
            return archived.root_before(key) == end.root
        except ProofError:
            return False

    async def not_shown(self, index: int) -> NotShown:
        """Whether a name is really missing, or may lie where nobody could look."""
        absent = self._absent
        await look_at_cookies(self._regions, absent)
        if self._regions.are_enough({region.id for region in self._regions} - absent.keys()):
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
