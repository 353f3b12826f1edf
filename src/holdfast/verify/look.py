"""Look at regions: who they are, what notes they hold, which segments they list. Writes nothing.

The order is a reader's: heartbeats, births and closes, checkpoints, gaps, then segments, then
cookies again. What a later step shows can only lie further on than what an earlier one promised,
so nothing is taken for missing that was only written meanwhile. Segments are listed a shard at a
time, level by level, so that a ledger may be longer than memory, and nothing that lies beside it
escapes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from holdfast.model import NodeId
from holdfast.proof import ProofError, names
from holdfast.regions import Regions, layout
from holdfast.regions.cookie import judge_cookie
from holdfast.regions.kinds import Cookie
from holdfast.regions.layout import EpochKey, Key, SegmentKey, WholeKey
from holdfast.regions.manifests import list_archive
from holdfast.regions.port import Absent, Level, Listing, Present, RegionId, Unknown
from holdfast.regions.region import Region
from holdfast.regions.whole import why_not_whole, why_superseded
from holdfast.verify.evidence import Copy, Evidence
from holdfast.verify.findings import Finding, FindingKind, Findings, RegionState
from holdfast.verify.walk import Names

READS_AT_ONCE = 8  # of one region
TRIES = 2

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Look:
    """One look at some regions. evidence: what their notes say. findings: what was seen on the way.

    why_absent: region -> why it is not looked at, or not any more.
    """

    def __init__(self, regions: Regions, asked: Sequence[RegionId], findings: Findings) -> None:
        self.evidence = Evidence(regions.trail)
        self.why_absent: dict[RegionId, str] = {}
        self.stores: dict[RegionId, str] = {}
        self.tag_key = b""
        self._regions = regions
        self._asked = asked
        self._findings = findings
        self._objects = dict.fromkeys(asked, 0)
        self._late: dict[RegionId, str] = {}
        self._cookies: dict[RegionId, Cookie] = {}

    @property
    def present(self) -> list[RegionId]:
        """The regions that were looked at whole so far."""
        return [id for id in self._asked if id not in self.why_absent]

    @property
    def is_enough(self) -> bool:
        """Whether these regions show everything that was acknowledged."""
        return self._regions.are_enough([id for id in self.present if id not in self._late])

    def states(self) -> tuple[RegionState, ...]:
        return tuple(
            RegionState(
                region=id,
                store=self.stores.get(id, ""),
                state=self.why_absent.get(id, "") or self._late.get(id, "ok"),
                objects=self._objects[id],
                relied_on=id not in self.why_absent and id not in self._late,
            )
            for id in self._asked
        )

    # -- notes ---------------------------------------------------------------------------------

    async def read_notes(self) -> None:
        """Cookies, and every note; in the order of the module."""
        for id in self._asked:
            await self._read_cookie(id)
        beats = await self._list(layout.HEARTBEATS_PREFIX)
        heard = await self._read_all(
            beats, judged=False
        )  # before the births: a later epoch's is not among them
        checkpoints = await self._list(layout.CHECKPOINTS_PREFIX)
        gaps = await self._list(layout.GAPS_PREFIX)
        retained = await self._list(layout.RETENTION_PREFIX)
        epochs = await self._list(layout.NODES_PREFIX)
        votes = {id: [key for key in keys if _is_vote(key)] for id, keys in epochs.items()}
        others = {id: [key for key in keys if not _is_vote(key)] for id, keys in epochs.items()}
        for listed in (
            others,
            votes,
            checkpoints,
            gaps,
            retained,
        ):  # all other keys come with the first
            self.evidence.take(await self._read_all(listed))
        self.evidence.take([await self._judged(copy) for copy in heard])
        self._compare_notes((epochs, checkpoints, gaps, retained))
        self._doubt_superseded()
        self._findings.add(*self.evidence.contradictions(self.stores))
        self._findings.add(*self.evidence.absences(self.stores))
        await self._name_what_is_beside()

    def _doubt_superseded(self) -> None:
        """A store whose place another took is right by its cookie, and shows the past."""
        births = self.evidence.births()
        for id in self.present:
            if why := why_superseded(id, self._cookies[id], births):
                self._late[id] = why

    async def _judged(self, copy: Copy) -> Copy:
        """A copy that was read before the keys were known, judged."""
        if self.evidence.judge(copy.key, copy.data):
            return (await self._read_all({copy.region: [copy.key]}) or [copy])[0]
        return copy

    async def born_since(self, node: NodeId) -> set[int]:
        """The epochs of a node whose births can be read by now."""
        listed = await self._list(layout.epochs_prefix(node))
        births = {id: [k for k in keys if k.endswith("/birth.note")] for id, keys in listed.items()}
        good = [copy for copy in await self._read_all(births) if not copy.why_wrong]
        keys = [layout.parse_key(copy.key) for copy in good]
        return {key.epoch for key in keys if isinstance(key, EpochKey)}

    async def _read_cookie(self, id: RegionId) -> None:
        answer = await self._regions.by_id[id].read(layout.REGION_KEY)
        why, cookie = "", None
        if isinstance(answer, Absent):
            why = "it has no cookie: wiped, or never made a region of this trail"
        elif isinstance(answer, Unknown):
            why = answer.reason
        else:
            self._name_covered(id, layout.REGION_KEY, answer.covered)
            cookie, why = self._judge_cookie(id, answer.data)
        taken = [o for o, store in self.stores.items() if cookie and store == cookie.store]
        if taken:
            why = f"it is the same store as {taken[0]}"
        if why or cookie is None:
            self.why_absent[id] = why
            return
        self._cookies[id] = cookie
        self.stores[id], self.tag_key = cookie.store, cookie.tag_key
        late = await why_not_whole(self._regions.by_id[id], cookie, self.evidence.trail)
        if late:
            self._late[id] = late

    def _judge_cookie(self, id: RegionId, data: bytes) -> tuple[Cookie | None, str]:
        """A region's cookie, or why it is not the right one; one that is corrupt is a finding."""
        judged = judge_cookie(data, id, self.evidence.trail)
        if isinstance(judged, Cookie):
            return judged, ""
        if isinstance(judged, Unknown):
            why = judged.reason
            self._findings.add(
                Finding(kind="corrupt", region=id, key=layout.REGION_KEY, reason=why)
            )
        return None, judged.reason

    async def check_cookies_again(self) -> None:
        """A store that was swapped or wiped while it was listed showed nothing for sure."""
        for id in self.present:
            answer = await self._regions.by_id[id].read(layout.REGION_KEY)
            data = answer.data if isinstance(answer, Present) else b""
            judged = judge_cookie(data, id, self.evidence.trail)
            if not isinstance(judged, Cookie) or judged.store != self.stores[id]:
                self.why_absent[id] = "its cookie changed while it was looked at"

    async def _read_all(
        self, listed: dict[RegionId, list[str]], *, judged: bool = True
    ) -> list[Copy]:
        """Notes, judged; what cannot be read is named. Once more where it looks wrong."""

        async def read(place: tuple[RegionId, str]) -> Copy | None:
            region, key = place
            answer: Present | Absent | Unknown = Unknown("not read")
            for attempt in range(TRIES):
                answer = await self._regions.by_id[region].read(key)
                if isinstance(answer, Present):
                    why = self.evidence.judge(key, answer.data) if judged else ""
                    if not why or attempt == TRIES - 1:
                        return Copy(region, key, answer.data, why)
            if isinstance(answer, Unknown):
                self._name("unreadable", region, key, answer.reason)
            elif not key.startswith("ctl/"):
                self._name("vanished", region, key, "it was listed and is gone")
            return None

        places = [(id, key) for id, keys in listed.items() for key in keys]
        places.sort(key=lambda place: place[1])
        return [copy for copy in await in_turns(read, places) if copy is not None]

    def _name(self, kind: FindingKind, region: RegionId, key: str, why: str) -> None:
        self._findings.add(Finding(kind=kind, region=region, key=key, reason=why))

    def _name_covered(self, region: RegionId, key: str, covered: str) -> None:
        if covered:
            self._name("hidden", region, key, f"{covered} lies over it; it is kept all the same")

    def _compare_notes(self, notes: Iterable[dict[RegionId, list[str]]]) -> None:
        """Births, decided ends, checkpoints and gaps belong to every region."""
        for listed in notes:
            for key in sorted({key for keys in listed.values() for key in keys}):
                if not _belongs_to_all(key):
                    continue
                for id in self.present:
                    if id in listed and key not in listed[id]:
                        self._name("under_replicated", id, key, "others hold it")

    # -- listings ------------------------------------------------------------------------------

    async def _ask(
        self, ask: Callable[[Region], Awaitable[Answer | Unknown]]
    ) -> dict[RegionId, Answer]:
        """One question to all regions that answered so far; those that do not are noted."""

        async def one(id: RegionId) -> Answer | Unknown:
            answer: Answer | Unknown = Unknown("")
            for _ in range(TRIES):
                answer = await ask(self._regions.by_id[id])
                if not isinstance(answer, Unknown):
                    break
            return answer

        asked = self.present
        answers = await asyncio.gather(*(one(id) for id in asked))
        found: dict[RegionId, Answer] = {}
        for id, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Unknown):
                self.why_absent[id] = answer.reason
            else:
                found[id] = answer
        return found

    async def _list(self, prefix: str) -> dict[RegionId, list[str]]:
        """The keys of ours under a prefix, region by region; others are named."""
        return self._taken(await self._ask(lambda region: region.list(prefix)))

    def _taken(self, listings: Mapping[RegionId, Listing]) -> dict[RegionId, list[str]]:
        listed: dict[RegionId, list[str]] = {}
        for id, listing in listings.items():
            self._objects[id] += len(listing.objects)
            for entry in listing:
                self._name_covered(id, entry.key, entry.covered)
            listed[id] = [e.key for e in listing if self._parse(id, e.key) is not None]
        return listed

    async def _level(self, prefix: str) -> dict[RegionId, Level]:
        return await self._ask(lambda region: region.level(prefix))

    def _parse(self, region: RegionId, text: str) -> Key | None:
        try:
            return layout.parse_key(text)
        except ProofError:
            self._name("foreign", region, text, "not a key of this format")
            return None

    async def _name_what_is_beside(self) -> None:
        """What lies beside all that is listed, under no name of ours; and the note of a store that
        was found whole."""
        listed = (layout.NODES_PREFIX, layout.CHECKPOINTS_PREFIX, layout.GAPS_PREFIX)
        large = (layout.SEGMENTS_PREFIX, layout.ARCHIVE_PREFIX)
        passed_over = (*listed, *large, layout.RETENTION_PREFIX, layout.PROBES_PREFIX)
        for id, level in (await self._level("ev/")).items():
            self._objects[id] += len(level.objects)
            for key in level.objects:
                if isinstance(self._parse(id, key), WholeKey):
                    self.evidence.take(await self._read_all({id: [key]}))
            for folder in level.folders:
                if f"ev/{folder}/" not in passed_over:
                    self._name("foreign", id, f"ev/{folder}/", "not a key of this format")

    async def archives(self) -> tuple[dict[RegionId, list[str]], list[Copy]]:
        """The keys in each region's archive, and its manifests, judged."""
        listed = self._taken(await self._ask(list_archive))
        notes = {id: [key for key in keys if key.endswith(".note")] for id, keys in listed.items()}
        return listed, await self._read_all(notes)

    async def names(self, node: NodeId, start: int, end: int) -> set[str]:
        """The names of a node's segments [start, end) that any region lists."""
        found: set[str] = set()
        for shard in range(start // layout.SHARD_SEGMENTS, (end - 1) // layout.SHARD_SEGMENTS + 1):
            prefix = layout.shard_prefix(node, shard * layout.SHARD_SEGMENTS)
            for listing in (await self._ask(lambda region: region.list(prefix))).values():  # noqa: B023
                keys = (layout.known_key(entry.key) for entry in listing)
                found |= {key.name.text for key in keys if isinstance(key, SegmentKey)}
        return found

    async def nodes(self) -> list[NodeId]:
        """Everyone who has, or seems to have, a ledger."""
        found = set(self.evidence.ledgers)
        for id, level in (await self._level(layout.SEGMENTS_PREFIX)).items():
            for key in level.objects:
                self._parse(id, key)
            for folder in level.folders:
                if _is_id(folder):
                    found.add(folder)
                else:
                    self._name("foreign", id, f"{layout.SEGMENTS_PREFIX}{folder}/", "no node's id")
        return sorted(found)

    async def shards(self, node: NodeId) -> AsyncIterator[tuple[Names, list[RegionId]]]:
        """A node's segments, a shard after the other: who lists each; which regions were listed."""
        prefix = layout.segments_prefix(node)
        levels = await self._level(prefix)
        for id, level in levels.items():
            for key in level.objects:
                self._parse(id, key)
        for folder in sorted({name for level in levels.values() for name in level.folders}):
            listings = await self._ask(lambda region: region.list(f"{prefix}{folder}/"))  # noqa: B023
            found: dict[str, list[RegionId]] = {}
            for id, listing in listings.items():
                self._objects[id] += len(listing.objects)
                for listed in listing:
                    self._name_covered(id, listed.key, listed.covered)
                    found.setdefault(listed.key, []).append(id)
            parsed = ((self._parse(ids[0], key), ids) for key, ids in found.items())
            shard = {key.name: tuple(ids) for key, ids in parsed if isinstance(key, SegmentKey)}
            yield shard, list(listings)


async def in_turns(
    work: Callable[[Item], Awaitable[Answer]], items: Iterable[Item]
) -> list[Answer]:
    """Do each, some at a time; the answers in order."""
    turn = asyncio.Semaphore(READS_AT_ONCE)

    async def one(item: Item) -> Answer:
        async with turn:
            return await work(item)

    return list(await asyncio.gather(*(one(item) for item in items)))


def _is_vote(text: str) -> bool:
    return text.endswith("/close.note")


def _is_id(text: str) -> bool:
    try:
        return bool(names.check_id(text))
    except ProofError:
        return False


def _belongs_to_all(text: str) -> bool:
    """Whether every region should have it: a fence and a vote are one store's own."""
    key = layout.parse_key(text)
    return not isinstance(key, EpochKey) or key.kind in ("birth", "closed")
