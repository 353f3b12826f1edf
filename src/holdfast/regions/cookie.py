"""Who a store is, and the look that a count rests on.

A cookie is a statement by the trail that lies in each store: this is that region of that trail,
under an id that no other store has. It tells a store that was wiped, replaced, swapped with another
or mounted elsewhere from the one that was counted on.
"""

import asyncio
from dataclasses import dataclass
from functools import lru_cache

from holdfast.proof import ProofError, names, statements
from holdfast.regions import kinds, layout
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Absent, Present, Unknown
from holdfast.regions.region import Region

LOOK_SECONDS_MAX = 10.0  # a store that is away is away for longer than this
NOT_THERE = "its store is away, or another one took its place"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A good cookie, of another trail or another region: the settings are mixed up."""

    reason: str
    cookie: Cookie


@dataclass(frozen=True, slots=True)
class Free:
    """No fence for the epoch, in the very store that was asked about."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """Somebody ended the epoch. data: the fence, unverified; whatever it is, nothing counts."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Newcomer:
    """The region has a store that the birth does not name, and that may well belong there: it came
    later, or none was known. Nothing counts here until a birth names it."""

    cookie: Cookie


async def read_cookie(region: Region, trail: str) -> Cookie | Foreign | Absent | Unknown:
    """What the region's store says of itself, verified.

    Args:
        trail: The id that the cookie must be of; "" where any trail will do, to learn it.
    Returns:
        Foreign: it is another trail's or another region's. Absent: the store has none: it was never
        founded, was wiped, or is a mount point without its disk. Unknown: not read, or corrupt, or
        a probe found the store unfit. Whoever counts on a store asks for its cookie first: so here
        is where such a one is kept out, of writing, closing and reading alike.
    """
    if region.why_unfit:
        return Unknown(region.why_unfit)
    return await shown_cookie(region, trail)


async def shown_cookie(region: Region, trail: str) -> Cookie | Foreign | Absent | Unknown:
    """The same, whether the store is fit or not: for whoever finds that out."""
    found = await region.read(layout.REGION_KEY)
    if not isinstance(found, Present):
        return found
    return judge_cookie(found.data, region.id, trail)


@lru_cache(maxsize=64)  # every look reads the same bytes again, and a signature takes its time
def judge_cookie(data: bytes, region: str, trail: str) -> Cookie | Foreign | Unknown:
    """The same for the bytes of a cookie. Pure."""
    try:
        claimed = statements.read(data, Cookie).statement
        cookie = kinds.verify_cookie(data, names.trail_id(claimed.trail_key)).statement
    except ProofError as error:
        return Unknown(f"its cookie is corrupt: {error}", permanent=True)
    return placed(cookie, region, trail)


def placed(cookie: Cookie, region: str, trail: str) -> Cookie | Foreign:
    """The cookie where it belongs, or why it does not. Pure; "" as for `read_cookie`."""
    its_trail = names.trail_id(cookie.trail_key)
    if trail not in ("", its_trail):
        return Foreign(
            f"its store belongs to the trail {its_trail} ({cookie.trail_name}), not to {trail}",
            cookie,
        )
    if cookie.region != region:
        return Foreign(f"its store is that of the region {cookie.region}", cookie)
    return cookie


async def is_still(region: Region, store: str, trail: str) -> bool:
    """Whether a region shows, now, the cookie of that very store; else `NOT_THERE` says why."""
    cookie = await read_cookie(region, trail)
    return isinstance(cookie, Cookie) and cookie.store == store


async def look(
    region: Region, trail: str, node: str, epoch: int, store: str
) -> Free | Fenced | Newcomer | Unknown:
    """Find out whether what was put into a region before this call counts.

    The order is load-bearing: the cookie, the fence, the cookie again. A store that is replaced
    before the fence is read is found out by the cookie after it; one that was away and comes back
    (a mount point without its disk, a store restored by hand) by the cookie before it. Either alone
    would take the fence that is absent from the one store and the cookie from the other.

    The region is told what was found: until a look finds the right store, it is not relied on, and
    nothing is taken in that could not be counted.

    It must not take long either, or a store could go away and come back in between.

    Args:
        trail, node, epoch: Whose fence to look for.
        store: The id that the epoch's birth names for this region; "": it names none.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    seen: Free | Newcomer | Unknown = _judge(await read_cookie(region, trail), store)
    if isinstance(seen, Free):
        fence = await region.read(layout.fence_key(node, epoch))
        if isinstance(fence, Present):
            return Fenced(fence.data)
        after = fence if isinstance(fence, Unknown) else await read_cookie(region, trail)
        seen = _judge(after, store)
    if clock() - begun > LOOK_SECONDS_MAX:
        seen = Unknown("looking at it took too long")
    if isinstance(seen, Newcomer):
        region.why_unverified = "its store came later; the node's next epoch names it"
    else:
        region.why_unverified = "" if isinstance(seen, Free) else seen.reason or "it was not read"
    return seen


def _judge(cookie: Cookie | Foreign | Absent | Unknown, store: str) -> Free | Newcomer | Unknown:
    if isinstance(cookie, Absent):
        return Unknown("its cookie is gone")
    if isinstance(cookie, Foreign | Unknown):
        return Unknown(cookie.reason)
    if not store or (cookie.store != store and cookie.replaces):
        return Newcomer(cookie)
    if cookie.store != store:
        return Unknown(f"its store is {cookie.store}, not {store or 'one'} that the birth names")
    return Free()
