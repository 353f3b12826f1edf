"""New stores for a trail: a region is added, or gets another store in place of one that is gone.

look at all cookies        a mix-up is refused, and nothing was done
find the store's history   what births name for the region: `add` wants none, `replace` wants one
make the root              an empty directory; the next try goes on with it
put the cookie             the store is the region's. Put-if-absent, and its id is random: of two at
                           once, or of a try after a crash, the first cookie stays, and is as good

Nothing else is told to anybody: processes find the cookie, and begin epochs that name the store.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.proof import ProofError, statements
from holdfast.regions import layout
from holdfast.regions.cookie import Foreign, judge_cookie, read_cookie
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Absent, Differs, Listing, Present, Stored, Unknown
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions, find_mix_ups, newest_births
from holdfast.regions.trailkey import TrailKey

Answer = Cookie | Foreign | Absent | Unknown


@dataclass(frozen=True, slots=True)
class Joined:
    """A region's new store. replaces: the one before it, "" for an added region. is_new: its cookie
    was put by this very call; else an earlier one, that may have died since, had put it."""

    store: str
    replaces: str
    is_new: bool


async def add_region(
    regions: Regions, id: str, key: TrailKey, random: Callable[[int], bytes]
) -> Joined:
    """Make the store of a region that the settings name and the trail does not know yet.

    Args:
        id: The region's.
        key: The trail's.
        random: That many unpredictable bytes.
    Raises:
        RejectedError: regions are mixed up, or the region had a store before.
        UnavailableError: too few other regions answer to be sure of that, or the region does not.
    """
    region, read = await _look_around(regions, id, key)
    others = {other for other, answer in read.items() if isinstance(answer, Cookie)} - {id}
    if any(each.count(others) < min(each.needed, len(each.ids - {id})) for each in regions.sets):
        raise UnavailableError(f"too few other regions answer: {_silent(read, id)}")
    cookie = read[id]
    if isinstance(cookie, Cookie):
        return Joined(cookie.store, "", is_new=False)
    if known := await _find_named(regions, others, id):
        reason = f"it had the store {known[0]}: use `holdfast region replace {id}`"
        raise RejectedError("regions-mixed-up", Problem(0, f"regions.{id}", reason))
    store = random(16).hex()
    return await _join(region, key, key.cookie(id, store, store))


async def replace_region(
    regions: Regions, id: str, key: TrailKey, random: Callable[[int], bytes], old: str = ""
) -> Joined:
    """Make a store in the place of a region's store that is gone for good.

    Args:
        id, key, random: As of `add_region`.
        old: The id of the store that is gone, where nothing that answers names it.
    Raises:
        RejectedError: regions are mixed up, the old store is still there, or another one is known.
        UnavailableError: no other region answers, so that the old store cannot be found out.
    """
    region, read = await _look_around(regions, id, key)
    others = {other for other, answer in read.items() if isinstance(answer, Cookie)} - {id}
    if not others and not old:
        raise UnavailableError(
            f"no other region answers, to tell which store it was ({_silent(read, id)}); if you "
            "know it, name it with --store"
        )
    cookie = read[id]
    if isinstance(cookie, Cookie):
        if cookie.replaces in ("", cookie.store) or old == cookie.store:
            reason = (
                f"its store {cookie.store} is there and shows its cookie, so nothing is to be "
                "replaced; to give it up for another one, take it away and name the other's url"
            )
            raise RejectedError("regions-mixed-up", Problem(0, f"regions.{id}", reason))
        return Joined(cookie.store, cookie.replaces, is_new=False)
    named = await _find_named(regions, others, id) or (_first_store(key, id),)
    if old and old not in named and others:
        reason = f"is not a store of {id}: the births name {', '.join(named)}"
        raise RejectedError("regions-mixed-up", Problem(0, "--store", reason))
    return await _join(region, key, key.cookie(id, random(16).hex(), old or named[0]))


async def _look_around(
    regions: Regions, id: str, key: TrailKey
) -> tuple[Region, Mapping[str, Answer]]:
    """Read every cookie and refuse mix-ups; the region and the answers."""
    region = regions.by_id.get(id)
    if region is None or region in regions.leaving:
        told = ", ".join(each.id for each in regions.members)
        reason = f"is no region that the settings write to; those are {told}"
        raise RejectedError("regions-mixed-up", Problem(0, id, reason))
    has_root = await region.has_root()
    answers = await asyncio.gather(*(read_cookie(each, key.trail) for each in regions))
    read: dict[str, Answer] = dict(zip(regions.by_id, answers, strict=True))
    if isinstance(has_root, Unknown):
        raise UnavailableError(f"the region {id} does not answer: {has_root.reason}")
    if not has_root:
        read[id] = Absent()
    if problems := find_mix_ups(read):
        raise RejectedError("regions-mixed-up", *problems)
    mine = read[id]
    if isinstance(mine, Unknown):
        raise UnavailableError(f"the region {id} cannot be read: {mine.reason}")
    return region, read


async def _find_named(regions: Regions, others: set[str], id: str) -> tuple[str, ...]:
    """Every store that a node's last birth names for the region, the newest birth's first."""
    found: dict[str, int] = {}
    for other in sorted(others):
        region = regions.by_id[other]
        listing = await region.list(layout.NODES_PREFIX)
        if isinstance(listing, Unknown):
            raise UnavailableError(f"the births in {other} cannot be listed: {listing.reason}")
        for store, started_us in await _named_in(region, listing, id, regions.by_id):
            found[store] = max(found.get(store, 0), started_us)
    return tuple(sorted(found, key=lambda store: -found[store]))


async def _named_in(
    region: Region, listing: Listing, id: str, known: Mapping[str, Region]
) -> list[tuple[str, int]]:
    """(store, when the birth began) for each node's last birth that names the region."""
    named: list[tuple[str, int]] = []
    for key in newest_births(listing):
        answer = await region.read(key)
        if isinstance(answer, Unknown):
            raise UnavailableError(f"{key} in {region.id} cannot be read: {answer.reason}")
        if isinstance(answer, Present):
            try:
                birth = statements.read(answer.data, statements.Birth).statement
            except ProofError:
                continue  # a survey's business; an intact copy lies elsewhere
            named += [(store, birth.started_us) for at, store in birth.regions if at == id]
    return named


def _first_store(key: TrailKey, id: str) -> str:
    """The store that the region had if the trail was founded with it."""
    return statements.read(key.cookie(id), Cookie).statement.store


async def _join(region: Region, key: TrailKey, cookie: bytes) -> Joined:
    made = await region.make_root()
    outcome = made if isinstance(made, Unknown) else await region.keep(layout.REGION_KEY, cookie)
    if isinstance(outcome, Unknown):
        raise UnavailableError(f"the region {region.id} could not be made: {outcome.reason}")
    data = outcome.data if isinstance(outcome, Differs) else cookie
    found = judge_cookie(data, region.id, key.trail)
    if not isinstance(found, Cookie):
        reason = f"another one was faster: {found.reason}"
        raise RejectedError("regions-mixed-up", Problem(0, f"regions.{region.id}", reason))
    replaces = found.replaces if found.replaces != found.store else ""
    return Joined(found.store, replaces, is_new=isinstance(outcome, Stored))


def _silent(read: Mapping[str, Answer], id: str) -> str:
    told = [
        f"{other}: {'no cookie' if isinstance(answer, Absent) else answer.reason}"
        for other, answer in read.items()
        if other != id and isinstance(answer, Absent | Unknown)
    ]
    return "; ".join(told) or "there is no other"
