"""Who has written to the trail: every node that was born, and how it stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.errors import UnavailableError
from holdfast.model import NodeId
from holdfast.proof import ProofError, names, statements
from holdfast.proof.statements import Birth, Certificate, Signed
from holdfast.regions import Regions, kinds, layout
from holdfast.regions.kinds import Retired
from holdfast.regions.layout import EpochKey
from holdfast.regions.listing import list_everywhere, look_at_cookies
from holdfast.regions.port import Listing, Present, RegionId
from holdfast.write.retired import find_retirement


@dataclass(frozen=True, slots=True)
class Member:
    """A node. birth: of its last epoch, as it lies in most regions. closed: that epoch ended.

    retired: the newest good statement that it writes no more; retired_note: where that of its last
    epoch lies, b"" while there is none.
    """

    node: NodeId
    birth: bytes
    epoch: int
    certificate: Certificate
    closed: bool
    retired: Retired | None
    retired_note: bytes

    @property
    def origin(self) -> str:
        """Of its ledger, and the name of its key."""
        trail = names.trail_id(self.certificate.trail_key)
        return names.ledger_origin(trail, self.node)

    @property
    def born(self) -> Birth:
        return statements.read(self.birth, Birth).statement


async def look_for_nodes(regions: Regions, node: NodeId = "") -> Mapping[NodeId, Member]:
    """Every node, or the one, as so many regions show them that none can be missing.

    Raises:
        UnavailableError: too few regions could be looked at.
    """
    absent: dict[RegionId, str] = {}
    prefix = layout.epochs_prefix(node) if node else layout.NODES_PREFIX
    await look_at_cookies(regions, absent)
    listings = await list_everywhere(regions, prefix, "", absent)
    await look_at_cookies(regions, absent)
    if not regions.are_enough(listings.keys() - absent.keys()):
        told = "; ".join(f"{id}: {why}" for id, why in sorted(absent.items()))
        raise UnavailableError(f"too few regions could be looked at: {told}")
    places: dict[NodeId, dict[tuple[int, str], list[RegionId]]] = {}
    for id, listing in listings.items():
        for entry in listing:
            key = layout.known_key(entry.key)
            if isinstance(key, EpochKey):
                held = places.setdefault(key.node, {})
                held.setdefault((key.epoch, key.kind), []).append(id)
    found = {each: await _member(regions, each, places[each], listings) for each in sorted(places)}
    return {each: member for each, member in found.items() if member is not None}


async def _member(
    regions: Regions,
    node: NodeId,
    held: Mapping[tuple[int, str], list[RegionId]],
    listings: Mapping[RegionId, Listing],
) -> Member | None:
    """A node by its last epoch of which there is a good birth; None: of none."""
    for epoch in sorted({epoch for epoch, kind in held if kind == "birth"}, reverse=True):
        births = await _births(regions, node, epoch, held[epoch, "birth"])
        if not births:
            continue
        data = max(sorted(set(births)), key=births.count)
        born = statements.read(data, Birth).statement
        certificate = statements.verify_certificate(born.certificate, regions.trail).statement
        retired = await find_retirement(regions, node, listings)
        return Member(
            node=node,
            birth=data,
            epoch=epoch,
            certificate=certificate,
            closed=(epoch, "closed") in held,
            retired=retired,
            retired_note=await _retired_note(
                regions, node, epoch, held.get((epoch, "retired"), ())
            ),
        )
    return None


async def _births(
    regions: Regions, node: NodeId, epoch: int, holders: list[RegionId]
) -> list[bytes]:
    found = []
    for id in holders:
        answer = await regions.by_id[id].read(layout.birth_key(node, epoch))
        if isinstance(answer, Present) and _is_birth_of(regions.trail, node, epoch, answer.data):
            found.append(answer.data)
    return found


def _is_birth_of(trail: str, node: NodeId, epoch: int, data: bytes) -> bool:
    try:
        signed: Signed[Birth] = statements.verify_birth(data, trail)
    except ProofError:
        return False
    place = (signed.origin, signed.statement.epoch)
    return place == (names.ledger_origin(trail, node), epoch)


async def _retired_note(
    regions: Regions, node: NodeId, epoch: int, holders: list[RegionId] | tuple[()]
) -> bytes:
    for id in holders:
        answer = await regions.by_id[id].read(layout.retired_key(node, epoch))
        if isinstance(answer, Present):
            try:
                signed = kinds.verify_retired(answer.data, regions.trail)
            except ProofError:
                continue
            if signed.origin == names.ledger_origin(regions.trail, node):
                return answer.data
    return b""
