"""All regions of a trail, and who they say that they are."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

from holdfast.errors import Problem, RejectedError
from holdfast.proof import ProofError, names, statements
from holdfast.regions import layout
from holdfast.regions.cookie import Foreign, placed, read_cookie
from holdfast.regions.kinds import Cookie
from holdfast.regions.layout import EpochKey
from holdfast.regions.port import Absent, Listed, Listing, Present, RegionId, Unknown
from holdfast.regions.region import Region
from holdfast.regions.sets import RegionSet, lacking_sight

BIRTHS_READ_MAX = 8

Shown = Cookie | Foreign | Absent | Unknown


class Regions:
    """The regions of the settings in order of their ids, and the quorum over them.

    members: those that are written to. leaving: the others, which are of earlier sets only.
    quorum: W of the members. needed: R = N - W + 1, how many of them show everything that was
    acknowledged. sets: that of the members first, then the earlier ones that the settings name.
    trail: the id that every cookie must be of; "" until it is known from elsewhere or learned.
    trail_key, trail_name, tag_key: what the cookies say, once one was verified. mix_ups: what the
    cookies said against the settings when last read; empty while the two agree.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        quorum: int,
        trail: str = "",
        *,
        earlier: Sequence[RegionSet] = (),
        leaving: Collection[RegionId] = (),
    ) -> None:
        self._regions = tuple(sorted(regions, key=lambda region: region.id))
        self.by_id = {region.id: region for region in self._regions}
        if len(self.by_id) != len(self._regions):
            raise ValueError("two regions have the same id")
        self.members = tuple(region for region in self._regions if region.id not in leaving)
        self.leaving = tuple(region for region in self._regions if region.id in leaving)
        current = RegionSet(frozenset(region.id for region in self.members), quorum)
        self.sets = (current, *earlier)
        if not all(each.ids <= self.by_id.keys() for each in self.sets):
            raise ValueError("a set names a region that is not there")
        self.quorum = quorum
        self.needed = current.needed
        self.trail = trail
        self.trail_key = b""
        self.trail_name = ""
        self.tag_key = b""
        self.mix_ups: tuple[Problem, ...] = ()

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions)

    def __len__(self) -> int:
        return len(self._regions)

    def are_enough(self, ids: Collection[RegionId]) -> bool:
        """Whether these regions show everything that was acknowledged, in any of the sets."""
        return lacking_sight(self.sets, ids) is None

    @property
    def stores(self) -> tuple[tuple[str, str], ...]:
        """(region id, store) for a birth to name, by id.

        A region that cannot be reached is named by the store that it was last known to be, so that
        it counts when it returns. If that is wrong, it does not count: a look compares. It is left
        out where nobody ever named it.
        """
        known = {region.id: region.store_uuid for region in self.members if region.store_uuid}
        for region in self.members:
            if region.named_uuid not in ("", *known.values()):
                known.setdefault(region.id, region.named_uuid)
        return tuple(sorted(known.items()))

    async def verify(self) -> tuple[Region, ...]:
        """Read every cookie, and find out which stores these regions are.

        Returns:
            The regions whose store showed the right cookie, no two of them one store; each of the
            others has `why_unverified`. Whoever reads goes on with these; whoever begins to write
            asks `refuse_mix_ups` too.
        """
        answers = await asyncio.gather(*(read_cookie(region, self.trail) for region in self))
        read = dict(zip(self.by_id, answers, strict=True))
        self.mix_ups = find_mix_ups(read)
        self.trail = self.trail or trail_of_most(cookies_in(read).values(), len(self))
        told = tell_apart(read, self.trail)
        for region in self:
            self._record(region, told[region.id])
        for cookie in told.values():
            if isinstance(cookie, Cookie):
                self.trail_key, self.trail_name = cookie.trail_key, cookie.trail_name
                self.tag_key = cookie.tag_key
                break
        await self._find_named()
        return tuple(region for region in self if region.store_uuid)

    def refuse_mix_ups(self) -> None:
        """Stop where the cookies say something against the settings: nothing is written then.

        Raises:
            RejectedError: a store of another trail or another region, one store behind two regions,
                or (with `trail` unknown) stores of several trails. Names the regions.
        """
        if self.mix_ups:
            raise RejectedError("regions-mixed-up", *self.mix_ups)

    def _record(self, region: Region, answer: Shown) -> None:
        region.named_uuid = region.store_uuid or region.named_uuid
        region.store_uuid, region.why_unverified = "", ""
        if isinstance(answer, Cookie):
            region.store_uuid = region.named_uuid = answer.store
        elif isinstance(answer, Absent):
            region.why_unverified = "it has no cookie: wiped, or never made a region of this trail"
        else:
            region.why_unverified = answer.reason or "it was not read"

    def recognise(self, region: Region, cookie: Cookie) -> None:
        """Take up a region whose cookie was read after `verify`, when it did not answer yet.

        Not as another store than it was known to be, unless it came later; not as one that it was
        known to be before that; and not as a store that has a region already.
        """
        taken = {other.store_uuid for other in self if other is not region}
        if cookie.store in taken or cookie.store in region.former_uuids:
            return
        follows = bool(cookie.replaces) and cookie.store != region.named_uuid
        if follows or (not region.store_uuid and region.named_uuid in ("", cookie.store)):
            region.former_uuids.add(region.named_uuid)
            region.former_uuids.discard(cookie.store)
            region.store_uuid = region.named_uuid = cookie.store
            region.why_unverified = ""

    async def _find_named(self) -> None:
        """For regions never seen by this process: the store that a late birth names for them."""
        verified = [region for region in self if region.store_uuid]
        for source in verified:
            unnamed = {region.id: region for region in self if not region.named_uuid}
            if not unnamed:
                return
            listing = await source.list(layout.NODES_PREFIX)
            if isinstance(listing, Listing):
                for key in newest_births(listing)[:BIRTHS_READ_MAX]:
                    found = await source.read(key)
                    if isinstance(found, Present):
                        for id, store in self._named_in(found.data):
                            if id in unnamed:
                                unnamed.pop(id).named_uuid = store

    def _named_in(self, birth: bytes) -> tuple[tuple[str, str], ...]:
        try:
            return statements.verify_birth(birth, self.trail).statement.regions
        except ProofError:
            return ()  # a survey's business, and not needed here


def newest_births(listing: Listing) -> list[str]:
    """The keys of each node's last birth, the last written first."""
    last: dict[str, Listed] = {}
    for listed in listing:
        key = layout.known_key(listed.key)
        if isinstance(key, EpochKey) and key.kind == "birth":
            last[key.node] = listed  # keys are sorted, so the last one has the last epoch
    return [each.key for each in sorted(last.values(), key=lambda each: -each.modified_us)]


def cookies_in(read: Mapping[str, Shown]) -> dict[str, Cookie]:
    """Every good cookie, wherever it belongs, by the region that showed it. Pure."""
    cookies = {id: answer for id, answer in read.items() if isinstance(answer, Cookie)}
    foreign = {id: answer.cookie for id, answer in read.items() if isinstance(answer, Foreign)}
    return cookies | foreign


def trail_of_most(cookies: Collection[Cookie], regions_count: int) -> str:
    """The trail of all cookies, or of more than half of the regions; else "". Pure."""
    trails = Counter(names.trail_id(cookie.trail_key) for cookie in cookies)
    for trail, count in trails.most_common(1):
        if count == len(cookies) or 2 * count > regions_count:
            return trail
    return ""


def tell_apart(read: Mapping[str, Shown], trail: str) -> dict[str, Shown]:
    """The same answers, judged together once the trail is known: Foreign are now the stores of
    other trails too, and the store that a region before it has already. Pure.

    Args:
        trail: "" where the regions show several and it is not known which is meant: none is right.
    """
    told: dict[str, Shown] = {}
    first: dict[str, str] = {}
    for id, answer in sorted(read.items()):
        told[id] = answer
        if not isinstance(answer, Cookie):
            continue
        if trail:
            told[id] = placed(answer, id, trail)
        else:
            its_trail = f"{names.trail_id(answer.trail_key)} ({answer.trail_name})"
            reason = f"its store belongs to the trail {its_trail}, those of others to other trails"
            told[id] = Foreign(reason, answer)
        if isinstance(told[id], Cookie) and first.setdefault(answer.store, id) != id:
            told[id] = Foreign(f"it is the same store as {first[answer.store]}", answer)
    return told


def find_mix_ups(read: Mapping[str, Shown]) -> tuple[Problem, ...]:
    """What cookies say against the settings, named so that a person can mend it. Pure."""
    foreign = {id: answer for id, answer in read.items() if isinstance(answer, Foreign)}
    cookies = cookies_in(read)
    problems = [
        Problem(0, f"regions.{b}", f"the regions {a} and {b} have one store ({one.store})")
        for (a, one), (b, other) in combinations(sorted(cookies.items()), 2)
        if one.store == other.store
    ]
    shared = {problem.field for problem in problems}
    problems += [
        Problem(0, f"regions.{id}", answer.reason)
        for id, answer in foreign.items()
        if f"regions.{id}" not in shared
    ]
    trails = {id: names.trail_id(cookie.trail_key) for id, cookie in sorted(cookies.items())}
    if not problems and len(set(trails.values())) > 1:
        told = ", ".join(f"{id} to {trail}" for id, trail in trails.items())
        problems.append(Problem(0, "regions", f"they belong to different trails: {told}"))
    if not problems and len({cookie.tag_key for cookie in cookies.values()}) > 1:
        problems.append(Problem(0, "regions", "their cookies hold different tag keys"))
    return tuple(problems)
