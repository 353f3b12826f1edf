"""Stores that came later, and the word that one of them is whole.

find_late -> survey, begun after that -> repair -> why_late_still (pure) -> ev/whole.note

The survey must begin when the store's cookie is known to be there: a birth that was counted in the
store whose place it took was counted before, and so lies in others when they are listed. Of what an
open epoch counted there that is not sure; its readers need other stores (see `read.watermark`). A
crash before the note leaves no note, and the next survey finds the same; of two keepers' notes the
first one stays.

Where more stores are gone for good than the trail has to spare, too few are left to compare with,
and nothing follows from any of them. Then a person may *accept* a store as it is: what is known to
be lost stays a hole until it is declared, and what nobody knows of is lost without a trace.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from holdfast.keep.repair import Finding
from holdfast.ports import Host
from holdfast.proof import names
from holdfast.regions import Regions, layout, signing
from holdfast.regions.cookie import read_cookie
from holdfast.regions.kinds import Cookie, Whole
from holdfast.regions.port import RegionId, Unknown
from holdfast.regions.region import Region
from holdfast.regions.whole import why_not_whole
from holdfast.write.identity import Identity


async def find_late(regions: Regions) -> Mapping[RegionId, str]:
    """The regions whose store came later and is not known to be whole, with that store's id."""

    async def ask(region: Region) -> str:
        cookie = await read_cookie(region, regions.trail)
        if not isinstance(cookie, Cookie) or not await why_not_whole(region, cookie, regions.trail):
            return ""
        return cookie.store

    stores = await asyncio.gather(*(ask(region) for region in regions))
    return {id: store for id, store in zip(regions.by_id, stores, strict=True) if store}


async def why_not_to_accept(regions: Regions, id: RegionId) -> str:
    """Why nobody may accept a region's store as it is; "" where a person may."""
    if silent := [region.id for region in regions if not region.store_uuid]:
        return f"what {', '.join(silent)} hold is not known now, and could be compared with"
    late = await find_late(regions)
    others = set(regions.by_id) - late.keys()
    if id not in late:
        return "its store is relied on already"
    if regions.are_enough(others):
        return f"servers, or `holdfast reconcile`, find it whole: {', '.join(sorted(others))} are"
    if not others:
        return "no store is left that it could be compared with: there is nothing of this trail"
    return ""


def why_late_still(
    region: Region,
    compared: Collection[RegionId],
    still: Mapping[RegionId, int],
    regions: Regions,
    is_accepted: bool = False,
) -> str:
    """Why a late store was not found whole by a survey of every ledger; "" where it was. Pure.

    Args:
        compared: The regions that were surveyed and that show what they should.
        still: How much each surveyed region lacks of what others hold, their archives among it.
        is_accepted: A person does without enough others.
    """
    others = set(compared) - {region.id}
    if not others or not (is_accepted or regions.are_enough(others)):
        told = ", ".join(sorted(others)) or "none"
        return (
            f"it must be compared with more other regions than could be listed ({told}); if the "
            "others are gone for good, see `holdfast region accept`"
        )
    lacking = still.get(region.id, 0)
    return f"it still lacks {lacking} objects" if lacking else ""


async def say_whole(
    region: Region,
    stores: Sequence[tuple[RegionId, str]],
    regions: Regions,
    identity: Identity,
    host: Host,
) -> Finding:
    """Write down in a store that it was found whole, compared with those stores."""
    whole = Whole(
        store=region.store_uuid,
        by=identity.node,
        found_us=host.now_us(),
        certificate=identity.certificate,
        regions=tuple(stores),
    )
    data = signing.write(whole, names.trail_origin(regions.trail), identity.key)
    outcome = await region.keep(layout.WHOLE_KEY, data)
    if isinstance(outcome, Unknown):
        return Finding("not-copied", region.id, layout.WHOLE_KEY, outcome.reason)
    told = ", ".join(id for id, _ in stores)
    return Finding("found-whole", region.id, layout.WHOLE_KEY, f"it holds what {told} hold")
