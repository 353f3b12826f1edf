"""The archivist: gives every region an archive of its own, unit by unit.

In each run: read the manifests of all regions; copy to a region what another's archive has and its
own lacks; then, where days are to be archived, make what is due and in no archive yet, from
segments, once for all regions.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec import Struct, structs

from holdfast.archive.due import Due
from holdfast.archive.fetch import Folder, emptied, fetch_segments, fetch_whole
from holdfast.archive.give import Giver, Trouble
from holdfast.archive.lake import Lake, Parts
from holdfast.archive.make import Copied, Job, check, make
from holdfast.archive.parts import Made
from holdfast.archive.plan import HoleError, TooLargeError, Unit
from holdfast.archive.rules import Rule
from holdfast.archive.shelves import Shelf, Shelves, shelf_of
from holdfast.archive.whole import whole_in
from holdfast.beside import repeat
from holdfast.errors import HoldfastError, UnavailableError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import ProofError, names, statements
from holdfast.read.partfiles import EVIDENCE, PART
from holdfast.read.reader import Reader
from holdfast.regions import Region, Regions, layout, units
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import EpochKey
from holdfast.regions.listing import list_everywhere
from holdfast.regions.manifests import Manifests, Units
from holdfast.regions.port import RegionId, Unknown
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out, Retentions
from holdfast.regions.whole import NOT_FOUND_WHOLE
from holdfast.write.identity import Identity

log = logging.getLogger("holdfast.archive")

FIRST_AFTER_SECONDS = 60.0
EVERY_SECONDS = 3600.0
GENERATIONS_TRIED = 3
_NOBODY = "no node lives and no trail's key is here to sign manifests"
_NO_SOURCE = "of what is left of it after a class was let go, no archive has a copy to make this of"
# What the next run may find otherwise: something is missing or corrupt, a disk is full, a worker
# was killed for its memory, a manifest does not fit into a note.
STOPPING = (HoldfastError, HoleError, TooLargeError, ProofError, OSError, BrokenExecutor)

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Archiving(Struct, frozen=True):
    """A unit, and what became of it. parts, size_bytes: of its objects; 0: none were made.
    regions: whose archive has it now. lacking: (region, why) for the others."""

    unit: str
    segments: int
    events: int
    parts: int
    size_bytes: int
    regions: tuple[RegionId, ...]
    lacking: tuple[tuple[RegionId, str], ...]


class ArchiveReport(Struct, frozen=True):
    """One run. archived: units in the archive of every region. units: those that were worked on,
    or are to be. waiting: when the next day is due; "": nothing is left. trouble: what stopped it.
    away: (region, why) of those whose archives could not be looked at. untabled: (region, why) of
    those whose Iceberg table could not be brought to what is archived there. due_us: since when the
    oldest unit is due that some region lacks; 0: there is none.
    """

    started_us: int
    ended_us: int
    archived: int
    units: tuple[Archiving, ...]
    waiting: str
    trouble: str
    away: tuple[tuple[RegionId, str], ...] = ()
    untabled: tuple[tuple[RegionId, str], ...] = ()
    due_us: int = 0


class Workshop(Struct, frozen=True):
    """How units are made. scratch: a folder of its own, emptied at will. rules: of retention; a
    unit that some region's archive has keeps the classes that it has there."""

    scratch: Path
    rules: tuple[Rule, ...] = ()


class Progress(Protocol):
    """Is told what is being done for a unit."""

    def __call__(self, unit: str, doing: str) -> None: ...


def silent(unit: str, doing: str) -> None:
    """No progress to show."""


class _Round(Struct, frozen=True):
    """What one run found, and how it goes about it.

    known: the whole units of each region that could be listed; parts: what counts there and is
    there, of others, too. away: why the others could not.
    spoilt: units of which an object is corrupt in some region that has no whole one, with the
    generation that takes their place. out: classes that are let go. identity: None: only look.
    copies: nothing is to be made.
    """

    known: dict[RegionId, Units]
    parts: dict[RegionId, Parts]
    away: dict[RegionId, str]
    spoilt: dict[str, int]
    out: Mapping[Out, Floor]
    identity: Identity | None
    progress: Progress
    copies: bool = False

    def gone(self, unit: str) -> list[Floor]:
        """The classes of a unit that are let go."""
        return [floor for (of, _), floor in self.out.items() if of == unit]

    def holders(self, unit: str) -> list[RegionId]:
        """The regions whose archive has a unit."""
        return [id for id, found in self.known.items() if unit in found]


class Archivist:
    """See the module."""

    def __init__(
        self,
        regions: Regions,
        reader: Reader,
        host: Host,
        identity: Callable[[], Identity | None],
        workshop: Workshop,
        corrupt: Callable[[], Collection[tuple[RegionId, str]]] = tuple,
    ) -> None:
        """regions: patient ones, since objects are large. identity: in whose name manifests are;
        None while there is nobody. corrupt: the copies that were found to be, by region and key."""
        self.last: ArchiveReport | None = None
        self.shelves: Shelves | None = None
        self._regions = regions
        self._reader = reader
        self._host = host
        self._identity = identity
        self._scratch = workshop.scratch
        self._rules = workshop.rules
        self._corrupt = corrupt
        self._healed: frozenset[tuple[RegionId, str]] = frozenset()  # put again since found corrupt
        self._manifests = Manifests()
        self._retentions = Retentions()
        self._lake = Lake(host)
        self._turn = asyncio.Lock()

    async def archive_forever(self, after_hours: int, missed: asyncio.Event | None = None) -> None:
        """A run soon after the start, and then every hour.

        after_hours: how long after its end a day is due; 0: never. missed: set by who finds that an
        archive lacks what another has, for a run at once.
        """
        job = partial(self.archive, after_hours * units.HOUR_US) if after_hours else self.copy
        await repeat(job, FIRST_AFTER_SECONDS, EVERY_SECONDS, "archiving", missed)

    async def lacking(self) -> tuple[str, ...]:
        """The units that some region's archive has and another's has not.

        Raises:
            UnavailableError: too few regions answer to know what is let go.
        """
        async with self._turn:
            return _lacking((await self._look(None, silent, copies=True)).known.values())

    async def copy(self, progress: Progress = silent) -> ArchiveReport:
        """A run that makes nothing: what a region's archive lacks and another's has is copied,
        unit by unit. Where nobody may sign, it only says what would be.

        Raises:
            As `lacking`.
            OSError: no room for scratch.
        """
        identity = self._identity()
        async with self._turn:
            report = await self._run(await self._look(identity, progress, copies=True), None)
            if report.units and identity is None:
                report = structs.replace(report, trouble=_NOBODY)
            if report.units or report.archived:  # of a trail without an archive, it is no news
                self.last = report
            return report

    async def plan(self, after_us: int) -> ArchiveReport:
        """What a run would do now. after_us: as in `archive`."""
        async with self._turn:
            return await self._run(await self._look(None, silent), after_us)

    async def archive(self, after_us: int, progress: Progress = silent) -> ArchiveReport:
        """One run. after_us: how long after its end a day is due.

        Raises:
            UnavailableError: nobody here may sign.
            OSError: no room for scratch.
        """
        identity = self._identity()
        if identity is None:
            raise UnavailableError(_NOBODY)
        async with self._turn:
            self.last = await self._run(await self._look(identity, progress), after_us)
            return self.last

    async def _look(
        self, identity: Identity | None, progress: Progress, *, copies: bool = False
    ) -> _Round:
        """copies: as in `_let_go`."""
        await self._regions.verify()
        out = await self._let_go(copies)
        trail, corrupt = self._regions.trail, frozenset(self._corrupt())
        self._healed &= corrupt
        corrupt -= self._healed
        looked = _Round({}, {}, {}, {}, out, identity, progress, copies)
        shelves: dict[RegionId, Shelf] = {}
        for region in self._regions.members:
            found = await whole_in(region, self._manifests, trail, corrupt, out)
            if isinstance(found, Unknown):
                looked.away[region.id] = found.reason
                continue
            # A lacking object is put again, under the manifest that is there, and so is a corrupt
            # one that another region has; else another generation takes its place.
            looked.known[region.id] = found.units
            looked.parts[region.id] = found.parts
            for unit, generation in found.spoilt.items():
                looked.spoilt[unit] = max(looked.spoilt.get(unit, 0), generation)
            shelves[region.id] = shelf_of(found)
        self.shelves = Shelves(self._host.now_us(), shelves)
        return looked

    async def _let_go(self, copies: bool) -> Mapping[Out, Floor]:
        """What is let go, as R regions know. copies: nothing is to be made. Where more stores are
        gone for good than there are to spare, it may be as all know that are left and those that
        came in the others' place: nobody is there who knows more.

        Raises:
            UnavailableError: too few answer.
        """
        found = await self._retentions.look(self._regions)
        if self._regions.are_enough(found.floors):
            return found.out
        if copies and found.floors and set(found.away.values()) == {NOT_FOUND_WHOLE}:
            away: dict[RegionId, str] = {}
            listings = await list_everywhere(self._regions, layout.RETENTION_PREFIX, "", away)
            found = await self._retentions.of(listings, self._regions)
            if not (away or found.away):
                return found.out
        told = "; ".join(f"{id}: {why}" for id, why in sorted(found.away.items()))
        raise UnavailableError(f"too few regions answer to know what is let go ({told})")

    async def _run(self, found: _Round, after_us: int | None) -> ArchiveReport:
        """after_us: as in `archive`; None: nothing new is made."""
        started_us, trouble = self._host.now_us(), ""
        archived = _everywhere(found.known.values())
        done: list[Archiving] = []
        due = Due(self._reader, found.known.values())
        try:
            async for unit in self._units(found, due, after_us):
                done.append(await self._see_to(unit, found))
                if found.identity and not done[-1].regions:
                    # What comes later must not be archived before it, or it never would be.
                    raise UnavailableError(f"no region took {unit.name}")
        except STOPPING as error:
            trouble = str(error)
            log.warning("archiving stops here: %s", error)
        untabled = await self._publish(found, bool(done)) if found.identity else {}
        behind = {each.unit for each in done if each.lacking} | ({due.at} if trouble else set())
        oldest = min(filter(None, behind), default="")
        return ArchiveReport(
            started_us=started_us,
            ended_us=self._host.now_us(),
            archived=len(archived | {each.unit for each in done if not each.lacking}),
            units=tuple(done),
            waiting=due.waiting,
            trouble=trouble,
            away=tuple(sorted(found.away.items())),
            untabled=tuple(sorted(untabled.items())),
            due_us=units.end_us(oldest) + (after_us or 0) if oldest else 0,
        )

    async def _publish(self, found: _Round, is_old: bool) -> dict[RegionId, str]:
        """Keep each region's Iceberg table; why that could not be done. is_old: more may be
        archived by now than was found."""
        now = await self._look(None, silent, copies=found.copies) if is_old else found
        untabled: dict[RegionId, str] = {}
        for id, parts in now.parts.items():
            if why := await self._lake.keep(self._regions.by_id[id], parts):
                log.warning("the Iceberg table of region %s is not what it holds: %s", id, why)
                untabled[id] = why
        return untabled

    async def _units(self, found: _Round, due: Due, after_us: int | None) -> AsyncIterator[Unit]:
        """What some region's archive lacks and another's has, then what no archive has."""
        for name in _lacking(found.known.values()):
            yield await due.again(found.known[found.holders(name)[0]][name])
        if after_us is not None:
            async for unit in due.each(after_us):
                yield unit

    async def _see_to(self, unit: Unit, found: _Round) -> Archiving:
        """Bring a unit into every archive that lacks it, if there is somebody to sign."""
        had = found.holders(unit.name)
        lacking = dict(found.away) | {id: "lacks it" for id in found.known if id not in had}
        made: tuple[Made, ...] = ()
        if found.identity is not None:
            todo = [self._regions.by_id[id] for id in found.known if id not in had]
            try:
                made, troubles = await self._bring(unit, todo, found)
            except STOPPING as error:
                if not had:
                    raise
                # Nothing that comes later waits for a region that cannot be given its copy.
                log.warning("%s is not copied: %s", unit.name, error)
                troubles = {region.id: Trouble(str(error)) for region in todo}
            lacking = dict(found.away) | {id: each.reason for id, each in troubles.items()}
            day, given = units.day_of(unit.name), (r.id for r in todo if r.id not in troubles)
            keys = [layout.archived_key(day, each.retention, each.sha256) for each in made]
            self._healed |= {(id, key) for id in given for key in keys}
        return Archiving(
            unit=unit.name,
            segments=unit.segments,
            events=unit.events,
            parts=max(0, len(made) - 1),
            size_bytes=sum(each.size_bytes for each in made),
            regions=tuple(id for id in found.known if id not in lacking),
            lacking=tuple(sorted(lacking.items())),
        )

    async def _bring(
        self, unit: Unit, todo: Sequence[Region], found: _Round
    ) -> tuple[tuple[Made, ...], Mapping[RegionId, Trouble]]:
        """Make or copy the objects of a unit and give them to regions; which did not take them."""
        sources = [found.known[id][unit.name] for id in found.holders(unit.name)]
        # Where none is whole, objects are made again, and those that are corrupt keep their names.
        told = [source.generation for source in sources]
        generation = max(told or [1, found.spoilt.get(unit.name, 0)])
        sources = [source for source in sources if source.generation == generation]
        made: tuple[Made, ...] = ()
        troubles: dict[RegionId, Trouble] = {}
        assert found.identity is not None, "only whoever may sign gives anything"
        for _ in range(GENERATIONS_TRIED):
            if found.gone(unit.name) and not sources:
                # Made from segments again, parts would have what was let go.
                return made, troubles | {r.id: Trouble(_NO_SOURCE) for r in todo}
            gone = _parts_gone(sources[0], found.out) if sources else ()
            with emptied(self._scratch) as folder:
                made = await self._objects(unit, generation, sources, folder, found)
                found.progress(unit.name, "storing")
                giver = Giver(unit, generation, made, self._host, gone)
                given = await giver.give(todo, found.identity, self._regions.trail)
                if not sources and len(given) < len(todo):
                    await self._reader.adopting.take({_kept_as(e): Path(e.path) for e in made})
            troubles = {id: why for id, why in troubles.items() if not why.is_taken} | {**given}
            # What lies there and cannot be removed stays; another generation has other names.
            todo = [region for region in todo if region.id in given and given[region.id].is_taken]
            if not todo:
                break
            generation, sources = generation + 1, []
        return made, troubles

    async def _objects(
        self,
        unit: Unit,
        generation: int,
        sources: Sequence[Archive],
        folder: Path,
        found: _Round,
    ) -> tuple[Made, ...]:
        """A unit's objects, checked: those of another region's archive, else made from segments."""
        keys = {span.node: await self.key_of(span.node) for span in unit.spans}
        trail, tag_key = self._regions.trail, self._regions.tag_key
        for source in sources:
            found.progress(unit.name, f"copying from {source.region}")
            region = self._regions.by_id[source.region]
            to = Folder(folder, self._host)
            copied = await fetch_whole(source, region, self._regions, found.out, to)
            if copied is not None:
                wanted = tuple((s.node, name.text) for s in unit.spans for name in s.names)
                await self._work(
                    check,
                    Copied(
                        *(unit.name, source.generation, trail, tag_key, keys, wanted),
                        *(copied.evidence, copied.parts, str(folder), copied.remains),
                    ),
                )
                return copied.all
        if found.gone(unit.name):
            raise UnavailableError(f"{unit.name}: {_NO_SOURCE}")
        found.progress(unit.name, "fetching")
        spool = folder / "spool"
        held = await fetch_segments(unit, tuple(self._regions), self._host, spool)
        found.progress(unit.name, "making")
        job = Job(
            *(unit.name, generation, trail, tag_key, keys, str(spool), held, str(folder)),
            self._rules,
        )
        return await self._work(make, job)

    async def _work(self, job: Callable[[Argument], Result], argument: Argument) -> Result:
        return await asyncio.wrap_future(self._host.background.submit(job, argument))

    async def key_of(self, node: NodeId) -> bytes:
        """The public key of a node, by a birth of it. Raises UnavailableError: none is read yet."""
        origin = names.ledger_origin(self._regions.trail, node)
        for key, data in await self._reader.notes(node):
            parsed = layout.known_key(key)
            if isinstance(parsed, EpochKey) and parsed.kind == "birth":
                try:
                    birth = statements.verify_birth(data, self._regions.trail)
                except ProofError:
                    continue  # a survey names it
                if birth.origin == origin:
                    return birth.statement.node_key
        raise UnavailableError(f"no birth of node {node} was read yet")


def _everywhere(known: Collection[Units]) -> set[str]:
    """The units that all of these archives have."""
    return set.intersection(*map(set, known)) if known else set()


def _lacking(known: Collection[Units]) -> tuple[str, ...]:
    """The units that some of them have and others have not, in order."""
    return tuple(sorted(set().union(*known) - _everywhere(known)))


def _parts_gone(source: Archive, out: Collection[Out]) -> tuple[tuple[str, str, int, int], ...]:
    """The parts that a manifest names and that are let go."""
    return tuple(part for part in source.parts if (source.unit, part[0]) in out)


def _kept_as(made: Made) -> str:
    """What readers call an object in their cache."""
    return made.sha256 + (PART if made.retention else EVIDENCE)
