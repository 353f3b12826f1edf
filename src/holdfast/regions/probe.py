"""Whether a store does what the quorum rests on. Tried, not believed.

What is tried, and what would follow if it did not hold:

    put-if-absent      two births, two fences, two votes under one name; evidence overwritten
    read-after-write   a fence that stands and is not seen: events counted that a close leaves out
    list-after-write   a closer, or a reader, that takes a segment for missing
    own-place          regions that share a directory: one disk counted as two
    clock              promises that lie (the birth of an epoch is refused for it, too)
    latency            nothing but waiting

Two depths. `try_evidence` is for every epoch: it takes the birth that was just put, and leaves
nothing behind. `try_all` is for a person who asks: a race of creates needs a name that never was,
in the very bucket that holds evidence, where under Object Lock nothing can be deleted. So it leaves
one object of some 60 bytes a run, under a prefix that no reader takes for evidence, and one that it
overwrites, beside the heartbeats.

A cookie is never used for it: put again into a store that was wiped a moment ago, it would make
that one pass for whole. A birth may be put again at any time; repair does so.

One bad answer proves nothing (a store that was put back, a cable): what fails is tried once more.
What could not be found out is unknown, and changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from holdfast.regions import layout
from holdfast.regions.clock import ClockInterval, measure_clock
from holdfast.regions.cookie import shown_cookie
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Absent, Listing, Present, RegionId, Removed, Stored, Unknown
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions, newest_births

log = logging.getLogger("holdfast.regions")

RACERS = 8
TRIES = 2
LATENCY_SECONDS_MAX = 1.0
EVERY_SECONDS = 600.0
EVERY_SECONDS_UNFIT = 60.0


class Verdict(StrEnum):
    """UNKNOWN: it could not be found out, and nothing follows."""

    HOLDS = "holds"
    FAILS = "fails"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Tried:
    """One property of a store. detail: for a person, what was seen."""

    property: str
    verdict: Verdict
    detail: str


QUORUM_RESTS_ON = ("put-if-absent", "read-after-write", "list-after-write")
OWN_PLACE = "own-place"  # of directories alone

Answer = TypeVar("Answer")
Birth = tuple[str, bytes]  # its key, its bytes
Read = Present | Absent | Unknown
Put = Stored | Unknown


def judge_race(drafts: Sequence[bytes], outcomes: Sequence[Put], found: Read) -> Tried:
    """Of several creates of one new name at once exactly one may win, and its bytes stay. Pure.

    Args:
        drafts: Different bytes, one a create.
        outcomes: What each create was told.
        found: What was read when all had ended.
    """
    name = "put-if-absent"
    winners = [
        draft for draft, told in zip(drafts, outcomes, strict=True) if isinstance(told, Stored)
    ]
    open_ = [told for told in outcomes if isinstance(told, Unknown) and not told.answered]
    if len(winners) > 1:
        why = f"of {len(drafts)} different creates of one name {len(winners)} were told `stored`"
        return Tried(name, Verdict.FAILS, why)
    if winners and isinstance(found, Present) and found.data != winners[0]:
        return Tried(name, Verdict.FAILS, "the bytes of the create that won were overwritten")
    if open_:
        return Tried(name, Verdict.UNKNOWN, open_[0].reason)
    if not winners:
        return Tried(name, Verdict.FAILS, "every create of a new name was told `already exists`")
    return Tried(name, Verdict.HOLDS, f"1 of {len(drafts)} creates at once won, and no later one")


def judge_again(told: Put) -> Tried:
    """A create of a name that holds something must be refused. Pure."""
    if isinstance(told, Stored):
        why = "a create of a name that was taken was told `stored`: If-None-Match is ignored"
        return Tried("put-if-absent", Verdict.FAILS, why)
    if not told.answered:
        return Tried("put-if-absent", Verdict.UNKNOWN, told.reason)
    return Tried("put-if-absent", Verdict.HOLDS, "a second create is refused")


def judge_read(written: Sequence[bytes], found: Read) -> Tried:
    """What was written last must be read. Pure.

    Args:
        written: All that may have been put there by the one who asks, the last one last.
    """
    name = "read-after-write"
    if isinstance(found, Unknown):
        return Tried(name, Verdict.UNKNOWN, found.reason)
    if isinstance(found, Absent):
        return Tried(name, Verdict.FAILS, "what was just written is read as absent")
    if found.data == written[-1]:
        return Tried(name, Verdict.HOLDS, "what was just written is read")
    if found.data in written:
        return Tried(name, Verdict.FAILS, "what was overwritten is still read")
    return Tried(name, Verdict.UNKNOWN, "somebody else wrote there meanwhile")


def judge_listing(key: str, listing: Listing | Unknown) -> Tried:
    """What was written must be listed. Pure."""
    name = "list-after-write"
    if isinstance(listing, Unknown):
        return Tried(name, Verdict.UNKNOWN, listing.reason)
    if all(listed.key != key for listed in listing):
        return Tried(name, Verdict.FAILS, "what was just written is not listed")
    return Tried(name, Verdict.HOLDS, "what was just written is listed")


def judge_clock(clock: ClockInterval | Unknown, allowed_us: int) -> Tried:
    """A region's clock must surely be near this machine's. Pure."""
    if isinstance(clock, Unknown):
        return Tried("clock", Verdict.UNKNOWN, clock.reason)
    told = f"{clock} from this machine's; allowed is {allowed_us / 1e6:g} s"
    holds = clock.is_within(allowed_us)
    return Tried("clock", Verdict.HOLDS if holds else Verdict.FAILS, told)


def judge_latency(*seconds: tuple[str, float]) -> Tried:
    """What each call took. Slow is not wrong, only worth a word. Pure."""
    told = ", ".join(f"{name} {each * 1000:.0f} ms" for name, each in seconds)
    slow = max(each for _, each in seconds) > LATENCY_SECONDS_MAX
    return Tried("latency", Verdict.FAILS if slow else Verdict.HOLDS, told)


def why_unfit(tried: Sequence[Tried]) -> str:
    """Why a store cannot be counted on; "" where it can, as far as was found out. Pure."""
    return "; ".join(
        f"{each.property}: {each.detail}"
        for each in tried
        if each.verdict is Verdict.FAILS and each.property in (*QUORUM_RESTS_ON, OWN_PLACE)
    )


def judge_places(
    places: Mapping[RegionId, frozenset[Hashable] | Unknown],
) -> Mapping[RegionId, Tried]:
    """No two regions may share a directory: of those that do, the first is the region. Pure.

    Args:
        places: Where each lies; those whose place cannot be seen are passed over.
    """
    owner: dict[Hashable, RegionId] = {}
    judged: dict[RegionId, Tried] = {}
    for id, found in places.items():
        if isinstance(found, Unknown):
            judged[id] = Tried(OWN_PLACE, Verdict.UNKNOWN, found.reason)
        elif found:
            others = sorted({owner.setdefault(place, id) for place in found} - {id})
            told = "no directory is another region's"
            if others:
                told = f"it shares a directory with region {', '.join(others)}"
            judged[id] = Tried(OWN_PLACE, Verdict.FAILS if others else Verdict.HOLDS, told)
    return judged


def all_hold(tried: Sequence[Tried]) -> bool:
    """Whether all that the quorum rests on was seen to hold. Pure."""
    held = {each.property for each in tried if each.verdict is Verdict.HOLDS}
    return held.issuperset(QUORUM_RESTS_ON)


async def try_places(regions: Iterable[Region]) -> Mapping[RegionId, Tried]:
    """Whether each region that is a directory is one of its own."""
    asked = tuple(regions)
    found = await asyncio.gather(*(region.places() for region in asked))
    return judge_places({region.id: each for region, each in zip(asked, found, strict=True)})


async def try_removal(region: Region) -> Tried:
    """Whether segments that an archive holds could be removed here, by one that never was there."""
    outcome = await region.remove(layout.NO_SEGMENT_KEY)
    if isinstance(outcome, Removed):
        return Tried("sweeping", Verdict.HOLDS, "segments may be removed once they are archived")
    why = f"segments stay when they are archived: {outcome.reason}"
    return Tried("sweeping", Verdict.UNKNOWN, why)


async def try_evidence(region: Region, key: str, data: bytes) -> tuple[Tried, ...]:
    """Try what the quorum rests on with an object that lies there and may be put again.

    Args:
        key, data: A birth that the region took.
    """
    tried: tuple[Tried, ...] = ()
    for _ in range(TRIES):
        told = await region.create(key, data)
        found = await region.read(key)
        listing = await region.list(key.rpartition("/")[0] + "/")
        tried = (judge_again(told), judge_read((data,), found), judge_listing(key, listing))
        if isinstance(told, Unknown) and not told.answered:
            return _nothing_known(told.reason)  # it may not be there, and be missed rightly
        if not why_unfit(tried):
            break
    return tried


def _nothing_known(why: str) -> tuple[Tried, ...]:
    return tuple(Tried(name, Verdict.UNKNOWN, why) for name in QUORUM_RESTS_ON)


async def try_all(
    region: Region, id: str, allowed_us: int, now_us: Callable[[], int]
) -> tuple[Tried, ...]:
    """Try everything, for a person. See the module for what it leaves behind.

    Args:
        id: Of this run: 32 hex digits that no other run has.
        allowed_us: How far the region's clock may be from this machine's.
        now_us: This machine's clock.
    """
    race, read, listed = await _race(region, id)
    first, second, third = (f"holdfast-probe {id} {n}\n".encode() for n in range(3))
    await region.replace(layout.PROBED_KEY, first)
    await region.read(layout.PROBED_KEY)  # so that a cache of what is overwritten shows itself
    _, put_seconds = await _timed(region.replace(layout.PROBED_KEY, second))
    found, read_seconds = await _timed(region.read(layout.PROBED_KEY))
    _, list_seconds = await _timed(region.list(layout.HEARTBEATS_PREFIX))
    overwritten = judge_read((first, second), found)
    clock = await measure_clock(region, layout.PROBED_KEY, third, now_us)
    return (
        race,
        overwritten if read.verdict is Verdict.HOLDS else read,
        listed,
        judge_clock(clock, allowed_us),
        judge_latency(("put", put_seconds), ("read", read_seconds), ("list", list_seconds)),
    )


async def _race(region: Region, id: str) -> tuple[Tried, Tried, Tried]:
    """Several creates at once of a name that never was; then what is read and listed of it."""
    key = layout.probe_key(id)
    drafts = [f"holdfast-probe {id} {n}\n".encode() for n in range(RACERS)]
    before = await region.read(key)  # also so that a cache of what is absent shows itself
    told = await asyncio.gather(*(region.create(key, draft) for draft in drafts))
    won = [draft for draft, each in zip(drafts, told, strict=True) if isinstance(each, Stored)]
    found = await region.read(key)
    race = judge_race(drafts, told, found)
    if race.verdict is Verdict.HOLDS:
        again = judge_again(await region.create(key, f"holdfast-probe {id} late\n".encode()))
        race = race if again.verdict is Verdict.HOLDS else again
    listing = await region.list(layout.PROBES_PREFIX, key[:-1])
    if len(won) != 1 or isinstance(before, Unknown):
        why = before.reason if isinstance(before, Unknown) else "not tried: no create won alone"
        read, listed = (Tried(name, Verdict.UNKNOWN, why) for name in QUORUM_RESTS_ON[1:])
        return race, read, listed
    return race, judge_read(won, found), judge_listing(key, listing)


async def _timed(call: Awaitable[Answer]) -> tuple[Answer, float]:
    clock = asyncio.get_running_loop().time
    begun = clock()
    return await call, clock() - begun


async def _newest_birth(region: Region) -> Birth | None:
    listing = await region.list(layout.NODES_PREFIX)
    for key in newest_births(listing)[:1] if isinstance(listing, Listing) else ():
        found = await region.read(key)
        if isinstance(found, Present):
            return key, found.data
    return None


class Prober:
    """Tries the regions with the birth of each epoch, and tells them what it found."""

    def __init__(self, regions: Regions, birth: Callable[[], Birth | None]) -> None:
        """birth: the own node's last one; None: it is in no epoch."""
        self._regions = regions
        self._birth = birth

    async def probe(self) -> None:
        """Once. A region that fails counts for nothing until it was seen to do better.

        Before an epoch is begun, when votes and a birth are to be counted, the newest birth that
        each region holds will do; in a new trail there is none.
        """
        placed = await try_places(self._regions)
        await asyncio.gather(
            *(self._probe(region, placed.get(region.id)) for region in self._regions)
        )

    async def _probe(self, region: Region, placed: Tried | None) -> None:
        birth = self._birth() or await _newest_birth(region)
        cookie = await shown_cookie(region, self._regions.trail)
        if birth is None or not isinstance(cookie, Cookie):
            return  # nothing is put into a store that may be another's
        tried = await try_evidence(region, *birth)
        tried = (*tried, placed) if placed else tried
        if await shown_cookie(region, self._regions.trail) != cookie:
            return  # it was not one store all the time: nothing follows
        why, before = why_unfit(tried), region.why_unfit
        if why:
            region.why_unfit = why
        elif all_hold(tried):
            region.why_unfit = ""
        if why and not before:
            log.error("region %s is not counted on any more: %s", region.id, why)
        elif before and not region.why_unfit:
            log.warning("region %s is counted on again", region.id)

    async def probe_forever(self, ready: Callable[[], Awaitable[None]]) -> None:
        """At the beginning of an epoch, and then in a period. ready: waits until one is open."""
        while True:
            await ready()
            try:
                await self.probe()
            except Exception:
                # Whatever it is, the next one comes; what was found before holds until then.
                log.exception("regions were not probed")
            unfit = any(region.why_unfit for region in self._regions)
            await asyncio.sleep(EVERY_SECONDS_UNFIT if unfit else EVERY_SECONDS)
