"""How a trail comes into being.

write trail.key.new      a key that nothing depends on yet; the next start goes on with it
cookie of region 1       put-if-absent: of two founders at once, one is told here
cookies of the others    the next start puts what lacks, byte for byte the same
trail.key.new becomes    the trail exists: from now on a missing cookie is a store that is away,
    trail.key            and no start makes one
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.proof import names
from holdfast.regions import layout
from holdfast.regions.cookie import Foreign, judge_cookie, read_cookie
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Absent, Differs, Stored, Unknown
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions
from holdfast.regions.trailkey import SEED_BYTES, KeyHome, TrailKey


@dataclass(frozen=True, slots=True)
class Founded:
    """key: None where the regions belong to a trail whose key is not here. is_new: founded now."""

    key: TrailKey | None
    is_new: bool = False


async def found(
    regions: Regions, home: KeyHome, name: str, random: Callable[[int], bytes]
) -> Founded:
    """Found a trail, or go on with a founding, where there is none yet.

    Args:
        home: Where the trail's key lies, or shall lie.
        name: Of a new trail, for people.
        random: That many unpredictable bytes.
    Raises:
        UnavailableError: a region does not answer; a trail is founded only when all do.
        RejectedError: regions of other trails, or one store behind two regions; named.
    """
    key = await home.read()
    if key is not None:
        return Founded(key)
    key = await home.read_begun()
    if key is None:
        if await _find_any_cookie(regions, ""):
            return Founded(None)
        key = TrailKey(random(SEED_BYTES), name)
        await home.begin(key)
    first, *others = regions
    try:
        await _put_cookie(first, key)
    except RejectedError:
        # The first store is another's for ever, and the others come after it: so unless one of them
        # was the first then, none has, or ever will have, anything by this key.
        if not await _find_any_cookie(regions, key.trail):
            await home.give_up()
        raise
    outcomes = await asyncio.gather(
        *(_put_cookie(region, key) for region in others), return_exceptions=True
    )
    for outcome in sorted(outcomes, key=lambda each: not isinstance(each, RejectedError)):
        if outcome is not None:
            raise outcome
    await home.finish()
    return Founded(key, is_new=True)


async def _find_any_cookie(regions: Regions, trail: str) -> bool:
    """Whether any store has a cookie, of that trail or ("") of any; certain only if all answer."""
    found = await asyncio.gather(*(_ask_cookie(region) for region in regions))
    answers = dict(zip(regions.by_id, found, strict=True))
    cookies = [a.cookie if isinstance(a, Foreign) else a for a in answers.values()]
    trails = {names.trail_id(each.trail_key) for each in cookies if isinstance(each, Cookie)}
    if trails if not trail else trail in trails:
        return True
    silent = [f"{id}: {a.reason}" for id, a in answers.items() if isinstance(a, Unknown)]
    if silent:
        raise UnavailableError(
            "a trail is founded only when all of its regions answer: " + "; ".join(silent)
        )
    return False


async def _ask_cookie(region: Region) -> Cookie | Foreign | Absent | Unknown:
    has_root = await region.has_root()
    if isinstance(has_root, Unknown):
        return has_root
    return await read_cookie(region, "") if has_root else Absent()


async def _put_cookie(region: Region, key: TrailKey) -> None:
    made = await region.make_root()
    cookie = key.cookie(region.id)
    outcome = made if isinstance(made, Unknown) else await region.keep(layout.REGION_KEY, cookie)
    if isinstance(outcome, Stored):
        return
    if isinstance(outcome, Unknown):
        raise UnavailableError(f"the region {region.id} could not be founded: {outcome.reason}")
    raise RejectedError("regions-mixed-up", _problem(region, key, outcome))


def _problem(region: Region, key: TrailKey, outcome: Differs) -> Problem:
    found = judge_cookie(outcome.data, region.id, key.trail)
    if isinstance(found, Cookie):
        reason = "its store has another cookie of this trail"
    elif isinstance(found, Foreign) and names.trail_id(found.cookie.trail_key) == key.trail:
        reason = f"the regions {found.cookie.region} and {region.id} have one store"
    else:
        reason = found.reason
    return Problem(0, f"regions.{region.id}", reason)
