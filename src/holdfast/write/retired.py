"""Whether the trail's key has stated that a node writes no more."""

from collections.abc import Mapping

from holdfast.proof import ProofError, names
from holdfast.regions import Regions, kinds, layout
from holdfast.regions.kinds import Retired
from holdfast.regions.layout import EpochKey
from holdfast.regions.port import Listing, Present, RegionId


async def find_retirement(
    regions: Regions, node: str, listings: Mapping[RegionId, Listing]
) -> Retired | None:
    """The newest good statement that a node is retired.

    Args:
        listings: What regions list of the node's epochs. Whether so many were asked that None means
            that there is none, is for the caller to know.
    """
    places = [
        (key.epoch, id, entry.key)
        for id, listing in listings.items()
        for entry in listing
        if isinstance(key := layout.known_key(entry.key), EpochKey) and key.kind == "retired"
    ]
    for epoch, id, text in sorted(places, reverse=True):
        found = await regions.by_id[id].read(text)
        if isinstance(found, Present) and (good := _verified(regions.trail, node, epoch, found)):
            return good
    return None


def _verified(trail: str, node: str, epoch: int, found: Present) -> Retired | None:
    """The statement, if the trail made it, of this place; what anyone else put there is nothing."""
    try:
        signed = kinds.verify_retired(found.data, trail)
    except ProofError:
        return None
    place = (signed.origin, signed.statement.epoch)
    return signed.statement if place == (names.ledger_origin(trail, node), epoch) else None
