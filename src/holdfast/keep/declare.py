"""Put a statement that counts for the whole trail where everyone finds it.

It is put-if-absent into every region that is not gone, and stands once a quorum of every set that
the settings name has it. Dying in between leaves it in some; the same command finds it there and
goes on with the same bytes.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

from holdfast.errors import CorruptError, UnavailableError
from holdfast.regions import Regions
from holdfast.regions.cookie import read_cookie
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Differs, RegionId
from holdfast.regions.sets import lacking_quorum


def never(other: bytes) -> bool:
    """No other statement will do."""
    return False


async def declare(
    regions: Regions,
    key: str,
    data: bytes,
    gone: Collection[RegionId] = (),
    same: Callable[[bytes], bool] = never,
) -> Mapping[RegionId, str]:
    """Store a statement in all regions but those that are gone for good.

    same: whether another that lies there, made by somebody else at once, states the very same.

    Returns:
        For each region that was asked: "" once it has the statement, else why not.
    Raises:
        UnavailableError: too few regions of a set have it; says which.
        CorruptError: another statement lies under that key; says where.
    """
    asked = [region for region in regions if region.id not in gone]
    outcomes = await asyncio.gather(*(region.keep(key, data) for region in asked))
    # After that: what was put where another store answers by now, or none, lies in no region.
    cookies = await asyncio.gather(*(read_cookie(region, regions.trail) for region in asked))
    told: dict[RegionId, str] = {}
    others: list[RegionId] = []
    for region, outcome, cookie in zip(asked, outcomes, cookies, strict=True):
        if isinstance(outcome, Differs) and not same(outcome.data):
            others.append(region.id)
        told[region.id] = getattr(outcome, "reason", "")
        is_itself = isinstance(cookie, Cookie) and cookie.store == region.store_uuid
        if not told[region.id] and not is_itself:
            told[region.id] = "it is not, or not any more, the store whose cookie it showed"
    if others:
        raise CorruptError(f"another statement lies in {', '.join(others)} under {key}")
    stored = [id for id, why in told.items() if not why]
    if lacking := lacking_quorum(regions.sets, stored):
        why = "; ".join(f"{id}: {why}" for id, why in told.items() if why)
        raise UnavailableError(
            f"it is not stated yet: it lies in {', '.join(stored) or 'no region'}, and "
            f"{lacking.quorum} of {', '.join(sorted(lacking.ids))} are needed ({why}). "
            "Run the same command again to finish it"
        )
    return told
