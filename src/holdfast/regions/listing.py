"""One question to every region at once, and which of them are not to be counted on for it."""

import asyncio
from collections.abc import Iterable, Mapping

from holdfast.regions.cookie import Foreign, read_cookie
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Listing, RegionId, Unknown
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions


async def list_everywhere(
    regions: Iterable[Region], prefix: str, after: str, absent: dict[RegionId, str]
) -> Mapping[RegionId, Listing]:
    """One listing in all regions that answered so far.

    absent: the regions that did not, and why; those that do not now are added.
    """
    asked = [region for region in regions if region.id not in absent]
    answers = await asyncio.gather(*(region.list(prefix, after) for region in asked))
    listings: dict[RegionId, Listing] = {}
    for region, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Unknown):
            absent[region.id] = answer.reason
        else:
            listings[region.id] = answer
    return listings


async def look_at_cookies(regions: Regions, absent: dict[RegionId, str]) -> None:
    """Note who of those that answered so far is not, now, the store that it is taken for.

    To be asked before and after what is to be counted: a store that was wiped lists nothing, and
    one that comes back in between lists less than it holds.
    """
    asked = [region for region in regions if region.id not in absent]
    whys = await asyncio.gather(*(_why_not(regions, region) for region in asked))
    absent.update({region.id: why for region, why in zip(asked, whys, strict=True) if why})


async def _why_not(regions: Regions, region: Region) -> str:
    cookie = await read_cookie(region, regions.trail)
    if isinstance(cookie, Foreign | Unknown):
        return cookie.reason
    if not isinstance(cookie, Cookie):
        return "its cookie is gone"
    regions.recognise(region, cookie)
    return "" if cookie.store == region.store_uuid else "its cookie is another store's"
