"""Whether a store shows what its region should: it is the region's still, and always was, or was
found whole.

A store that came later (it replaced another, or was added) lacks what was written before. Until a
survey has compared it with others and said so in the store itself, `ev/whole.note`, nothing follows
from what it does not show.
"""

from collections.abc import Iterable
from functools import lru_cache

from holdfast.proof import ProofError
from holdfast.proof.statements import Birth
from holdfast.regions import kinds, layout
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Absent, RegionId, Unknown
from holdfast.regions.region import Region

NOT_FOUND_WHOLE = "its store came later and was not found whole yet"


async def why_not_whole(region: Region, cookie: Cookie, trail: str) -> str:
    """Why the store with this cookie may show too little; "" where it does not.

    Args:
        cookie: As it was read from the region, verified.
    """
    if not cookie.replaces:
        return ""
    found = await region.read(layout.WHOLE_KEY)
    if isinstance(found, Absent):
        return NOT_FOUND_WHOLE
    if isinstance(found, Unknown):
        return f"whether it was found whole could not be read: {found.reason}"
    return "" if names_whole(found.data, cookie.store, trail) else NOT_FOUND_WHOLE


def why_superseded(region: RegionId, cookie: Cookie, births: Iterable[Birth]) -> str:
    """Why a store is one of the past; "" where it is not, as far as births tell. Pure.

    Another took its place if an epoch began with that one after the last that began with this one,
    or with the one that this one replaced.
    """
    named = [
        (birth.started_us, store) for birth in births for id, store in birth.regions if id == region
    ]
    mine = {cookie.store, cookie.replaces} - {""}
    last_us = max((at for at, store in named if store in mine), default=-1)
    if last_us < 0 and cookie.replaces:
        return ""  # it came after all of them
    since = [(at, store) for at, store in named if store not in mine and at > last_us]
    return f"an epoch began since with store {max(since)[1]} in its place" if since else ""


@lru_cache(maxsize=64)  # every pass reads the same bytes again, and a signature takes its time
def names_whole(data: bytes, store: str, trail: str) -> bool:
    """Whether the bytes are a good statement that this store was found whole. Pure."""
    try:
        return kinds.verify_whole(data, trail).statement.store == store
    except ProofError:
        return False
