"""Expiry: a class of an archived unit goes, everywhere, once a rule says so and nothing forbids it.

For each class of a unit that is old enough, archived alike wherever regions answer, and of which no
small segment is left there:

1. holds are looked at in R regions; one that may hold a record of it ends this here;
2. what stays of its rows (by which all other proofs hold) is put into regions, W of them;
3. the floor, which names all that, is put into all regions, W of them: from now on nobody shows it;
4. once that was done for all of them, each region's lake table is left with what stays;
5. only then holds are looked at again, in R regions: one that came meanwhile ends this here;
6. region by region, once what stays was read back there, the parts of the class are deleted by
   name, as two looks at them agree, and found to be gone.

A hold counts from when it lies in W and no floor is in R looked at afterwards (`holds`), so of a
deleter and a placer at once, one sees the other. A crash anywhere leaves what the next run goes on
with: every step finds out what is there and does what is lacking. A region that was away goes
through the last steps when it is back; two at once state the same, and delete the same.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, structs

from holdfast.archive.archivist import STOPPING, Workshop
from holdfast.archive.classes import classes_in
from holdfast.archive.fetch import Fetched, Folder, emptied, fetch_classes
from holdfast.archive.lake import Lake
from holdfast.archive.lines import Part
from holdfast.archive.make import Leaving, make_remains
from holdfast.archive.parts import Made
from holdfast.archive.sweep import Shards, segments_in
from holdfast.beside import repeat
from holdfast.errors import CorruptError, HeldError, UnavailableError
from holdfast.keep.declare import declare
from holdfast.ports import Host
from holdfast.proof import ProofError, names
from holdfast.proof.floors import ProvableFloor, Tree
from holdfast.read.reader import Reader
from holdfast.regions import Regions, layout, signing, units
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import FloorKey
from holdfast.regions.port import (
    Differs,
    Present,
    RegionId,
    Stored,
    Unknown,
)
from holdfast.regions.retained import Floor, Hold, place_of, verify_retained
from holdfast.regions.retaining import Out, Retaining
from holdfast.regions.sets import lacking_quorum
from holdfast.retention.chronicle import Chronicle
from holdfast.retention.delete import Deletion
from holdfast.retention.holds import Holds
from holdfast.retention.look import Look
from holdfast.retention.plan import (
    UNLIKE,
    Expiring,
    candidates,
    described,
    distinct,
    due_of,
    holding,
    left_in,
    parts_in,
    why_too_young,
    why_unlike,
)
from holdfast.times import parse_time
from holdfast.write.identity import Identity

log = logging.getLogger("holdfast.retention")

FIRST_AFTER_SECONDS = 180.0  # when those who archive and sweep, which begin before, looked at it
EVERY_SECONDS = 3600.0
STRANGER = (
    "a segment that was never acknowledged, and may have the same events, lies in region {}: move"
    " it aside: {}"
)


class RetentionReport(Struct, frozen=True):
    """One run. expiring: what goes some day, or went. through_us: what ages were counted by; None:
    nothing is known to be complete. away: (region, why) of those that could not be looked at.
    trouble: what stopped it. unread: holds of which no copy verifies."""

    started_us: int
    ended_us: int
    through_us: int | None
    expiring: tuple[Expiring, ...]
    away: tuple[tuple[RegionId, str], ...] = ()
    trouble: str = ""
    unread: tuple[str, ...] = ()


class _Round(Struct, frozen=True):
    """One run. identity: None: only look. shards: as `segments_in` has them."""

    look: Look
    through_us: int | None
    identity: Identity | None
    shards: Shards
    deletion: Deletion


class _StayError(Exception):
    """Why a class of a unit stays, for now. by: the holds that forbid it. due_us: when it may go
    instead; None: no rule forbids it."""

    def __init__(self, why: str, by: tuple[Hold, ...] = (), due_us: int | None = None) -> None:
        super().__init__(why)
        self.by = by
        self.due_us = due_us


class Retention:
    """See the module. chronicle: what has the trail remember. holds: what stands in the way. last:
    the last run."""

    def __init__(
        self,
        regions: Regions,
        reader: Reader,
        host: Host,
        identity: Callable[[], Identity | None],
        workshop: Workshop,
    ) -> None:
        """regions: patient ones, since parts are large. identity: in whose name floors are; None
        while there is nobody. workshop: that of an archivist; beside its folder lies one for this,
        emptied at will."""
        self.last: RetentionReport | None = None
        self.chronicle = Chronicle(reader)
        self.holds = Holds(regions, host, identity, self.chronicle)
        self._regions = regions
        self._reader = reader
        self._host = host
        self._identity = identity
        self._scratch = workshop.scratch.with_name("retention")
        self._rules = {rule.name: rule for rule in workshop.rules}
        self._look = Look(regions)
        self._lake = Lake(host)
        self._turn = asyncio.Lock()

    async def expire_forever(self) -> None:
        """A run soon after the start, and then every hour."""

        async def job() -> None:
            try:
                await self.expire()
            except UnavailableError as error:
                log.info("nothing expires now: %s", error)

        await repeat(job, FIRST_AFTER_SECONDS, EVERY_SECONDS, "expiry")

    async def seen(self) -> Retaining:
        """Floors and holds as they are now. Raises UnavailableError: too few regions answer."""
        return await self._look.again()

    async def plan(self) -> RetentionReport:
        """What a run would do now, and why not yet.

        Raises:
            UnavailableError: too few regions answer to know what is held.
        """
        async with self._turn:
            return await self._run(None, None)

    async def expire(self, only: Out | None = None) -> RetentionReport:
        """One run. only: of this class of this unit.

        Raises:
            UnavailableError: too few regions answer, or nobody here may sign.
            HeldError: what is asked for is held.
            OSError: no room for scratch.
        """
        identity = self._identity()
        if identity is None:
            raise UnavailableError("no node lives and no trail's key is here to sign floors")
        async with self._turn:
            report = await self._run(identity, only)
            self.last = report if only is None else self.last
            return report

    async def _run(self, identity: Identity | None, only: Out | None) -> RetentionReport:
        started_us, trouble = self._host.now_us(), ""
        through_us = self._reader.completeness().complete_through_us
        if through_us is not None:
            through_us = min(through_us, started_us)
        await self._look.begin(archives=any(rule.max for rule in self._rules.values()))
        deletion = Deletion(self._regions, self._look, self._host)
        round = _Round(self._look, through_us, identity, {}, deletion)
        await self.chronicle.tell_of(self._look.retaining)
        found = candidates(self._look.known, self._rules.values(), self._look.retaining.out)
        done: list[Expiring] = []
        try:
            ready: list[tuple[Expiring, Floor]] = []
            for at in found if only is None else [only]:
                told, floor = await self._see_to(at, round, insists=only is not None)
                if floor is None:
                    done.append(told)
                else:
                    ready.append((told, floor))
            async for deleted in self._delete(ready, round, insists=only is not None):
                done.append(deleted)
        except HeldError:
            raise
        except STOPPING as error:
            trouble = str(error)
            log.warning("expiry stops here: %s", error)
        done.sort(key=lambda each: (each.unit, each.retention))
        return RetentionReport(
            *(started_us, self._host.now_us(), through_us, tuple(done)),
            *(tuple(sorted(self._look.away.items())), trouble),
            tuple(sorted(self._look.retaining.unread)),
        )

    async def _see_to(self, at: Out, round: _Round, insists: bool) -> tuple[Expiring, Floor | None]:
        """Let a class of a unit go, as far as it may; the floor, if its parts may be deleted now.

        insists: somebody asked for this very one.
        """
        unit, retention = at
        rule, floor = self._rules.get(retention), round.look.retaining.out.get(at)
        archives = round.look.having(unit)
        told = described(at, archives.values(), rule, floor)
        why = why_too_young(unit, rule, floor is not None, round.through_us)
        if why:
            return structs.replace(told, why=(why,)), None
        try:
            await self._refuse_held(archives, retention, round.look.retaining)
            if floor is None:
                await self._refuse_unready(told, archives, round)
            if round.identity is None:
                return await round.deletion.plan(told, archives), None
            if floor is None:
                floor = await self._floor(told, archives, round.identity, round.through_us)
                # That took time; what came to be held meanwhile would be hidden, if not deleted.
                await self._refuse_held(archives, retention, await self._look.again())
            await self._state(floor)
        except _StayError as error:
            return _staying(told, error, insists), None
        except (CorruptError, ProofError) as error:
            return structs.replace(
                told, why=(str(error),)
            ), None  # which is no matter of the others
        return structs.replace(told, floored=True), floor

    async def _delete(
        self, ready: Sequence[tuple[Expiring, Floor]], round: _Round, insists: bool
    ) -> AsyncIterator[Expiring]:
        """Delete what floors that lie in W let go, but for what is held by now."""
        if not ready:
            return
        out = {(floor.unit, floor.retention): floor for _, floor in ready}
        await self._keep_tables({**round.look.retaining.out, **out})
        after = await round.look.again()
        for told, floor in ready:
            archives = round.look.having(floor.unit)
            try:
                await self._refuse_held(archives, floor.retention, after)
                deleted = await round.deletion.remove(told, floor, archives)
            except _StayError as error:
                deleted = _staying(told, error, insists)
            self.chronicle.note(deleted, self._host.now_us())
            await self.chronicle.flush()
            yield deleted

    async def _keep_tables(self, out: Mapping[Out, Floor]) -> None:
        """Take from the lake's tables what is to be deleted: engines would look for it."""
        for id, known in self._look.known.items():
            if why := await self._lake.keep(self._regions.by_id[id], left_in(known, out)):
                log.warning("the table of region %s has parts that are let go: %s", id, why)

    async def _refuse_held(
        self, archives: Mapping[RegionId, Archive], retention: str, seen: Retaining
    ) -> None:
        if seen.unread:
            unread = ", ".join(sorted(seen.unread))
            raise _StayError(f"no copy of the hold {unread} verifies, so it may hold anything")
        if not seen.standing:
            return
        for id in distinct(archives, retention):
            facts = await self._facts(archives[id])
            hashes = [sha256 for sha256, *_ in parts_in(archives[id], retention)]
            if by := holding(seen.standing, hashes, facts):
                raise _StayError(f"held by {', '.join(hold.hold for hold in by)}", by)

    async def _facts(self, archive: Archive) -> Mapping[str, Part]:
        try:
            return await self._look.facts(archive)
        except UnavailableError as error:
            raise _StayError(str(error)) from error

    async def _refuse_unready(
        self, told: Expiring, archives: Mapping[RegionId, Archive], round: _Round
    ) -> None:
        """Every region that answers must have it in its archive, alike, and nowhere else."""
        lacking = [id for id in round.look.known if id not in archives]
        if lacking:
            raise _StayError(f"not archived in region {', '.join(lacking)}")
        if short := lacking_quorum(self._regions.sets, archives.keys()):
            raise _StayError(f"{short.quorum} regions must answer, and {len(archives)} do")
        for id, archive in archives.items():
            there = await segments_in(self._regions.by_id[id], archive, round.shards)
            if isinstance(there, Unknown):
                raise _StayError(f"the segments in region {id} cannot be listed: {there.reason}")
            if there:
                raise _StayError(await self._why_there(archive, [entry.key for entry in there]))
        if why := why_unlike(archives, told.retention):
            raise _StayError(why)

    async def _why_there(self, archive: Archive, keys: Sequence[str]) -> str:
        """Why segments of a unit lie in a region still: those that nobody sweeps, a person must."""
        try:
            strangers = await self._look.strangers(archive, keys)
        except (UnavailableError, ProofError):
            strangers = ()
        if len(strangers) < len(keys):
            return f"{len(keys)} of its segments are still there in region {archive.region}"
        return STRANGER.format(archive.region, strangers[0])

    # -- the floor -----------------------------------------------------------------------------

    async def _floor(
        self,
        told: Expiring,
        archives: Mapping[RegionId, Archive],
        identity: Identity,
        through_us: int | None,
    ) -> Floor:
        """Make what stays of a class, and put it into regions; the floor that names it."""
        parts: dict[str, tuple[str, int, int]] = {}
        earliest, latest = [], []
        remains: Made | None = None
        gone = Tree(0, b"")
        with emptied(self._scratch) as folder:
            for id in distinct(archives, told.retention):
                fetched = await self._fetch(archives[id], told.retention, folder / id)
                await self._refuse_kept(told.unit, fetched, through_us)
                made, gone = await self._remains(told, fetched, folder / id)
                if remains is not None and made.sha256 != remains.sha256:
                    raise _StayError(UNLIKE.format("region by region"))
                remains = made
                facts = await self._facts(archives[id])
                for part in parts_in(archives[id], told.retention):
                    parts[part[0]] = part
                    earliest.append(parse_time(facts[part[0]].earliest))
                    latest.append(parse_time(facts[part[0]].latest))
            assert remains is not None, "some archive has the unit"
            await self._keep(remains, told.unit, archives)
        return ProvableFloor(
            unit=told.unit,
            retention=told.retention,
            rule=told.rule,
            min=self._rules[told.retention].min,
            max=self._rules[told.retention].max,
            rows=remains.rows,
            earliest_us=max(min(earliest), 0),
            latest_us=max(*latest, 0),
            by=identity.node,
            floored_us=self._host.now_us(),
            certificate=identity.certificate,
            remains=remains.sha256,
            parts=tuple(sorted(parts.values())),
            gone=gone,
        )

    async def _fetch(self, archive: Archive, retention: str, folder: Path) -> Fetched:
        await self._host.offload(folder.mkdir)
        region = self._regions.by_id[archive.region]
        to = Folder(folder, self._host)
        fetched = await fetch_classes(archive, region, to, lambda of: of == retention)
        if fetched is None:
            raise _StayError(f"its parts in region {region.id} cannot be read back")
        return fetched

    async def _refuse_kept(self, unit: str, fetched: Fetched, through_us: int | None) -> None:
        """A class is what its rule took when the unit was archived. What a rule of now would take
        of it goes no earlier than that one says: rules may be mended, what went may not."""
        paths = [part.path for part in fetched.parts]
        submitted = self._host.background.submit(classes_in, paths, tuple(self._rules.values()))
        for name in await asyncio.wrap_future(submitted):
            rule = self._rules.get(name)
            if why := why_too_young(unit, rule, False, through_us):
                told = f"by the rules of now, some of it is of class {name}: {why}"
                raise _StayError(told, due_us=due_of(unit, rule))

    async def _remains(self, told: Expiring, fetched: Fetched, folder: Path) -> tuple[Made, Tree]:
        job = Leaving(told.unit, told.retention, fetched.evidence, fetched.parts, str(folder))
        try:
            submitted = self._host.background.submit(make_remains, job)
            return await asyncio.wrap_future(submitted)
        except CorruptError as error:
            raise _StayError(str(error)) from error

    async def _keep(self, made: Made, unit: str, archives: Mapping[RegionId, Archive]) -> None:
        """Put what stays of a class into every region that has the unit; W at least."""
        data = await self._host.offload(Path(made.path).read_bytes)
        key = layout.archived_key(units.day_of(unit), "", made.sha256)
        regions = [self._regions.by_id[id] for id in archives]
        outcomes = await asyncio.gather(*(region.keep(key, data) for region in regions))
        found = dict(zip(archives, outcomes, strict=True))
        whys = [f"{id}: {why}" for id, each in found.items() if (why := _why_not_stored(each))]
        stored = [id for id, each in found.items() if isinstance(each, Stored)]
        if lacking_quorum(self._regions.sets, stored):
            raise _StayError(f"what stays of it lies in too few regions ({'; '.join(whys)})")

    async def _state(self, floor: Floor) -> None:
        """See to it that the floor lies in W regions: as it was stated where it was already."""
        trail, at = self._regions.trail, place_of(floor)
        key = layout.retained_key(at)
        data = b""
        for id, floors in self._look.retaining.floors.items():
            if (floor.unit, floor.retention) in floors:
                answer = await self._regions.by_id[id].read(key)
                data = answer.data if isinstance(answer, Present) else data
        if not data:
            identity = self._identity()
            if identity is None or identity.node != floor.by:
                raise _StayError("who was to state it is not here any more")
            data = signing.write(floor, names.trail_origin(trail), identity.key)

        def same(other: bytes) -> bool:
            assert isinstance(at, FloorKey)
            try:
                said = verify_retained(at, other, trail).statement
            except ProofError:
                return False
            return isinstance(said, Floor) and said.remains == floor.remains

        try:
            await declare(self._regions, key, data, same=same)
        except UnavailableError as error:
            raise _StayError(str(error)) from error


def _staying(told: Expiring, error: _StayError, insists: bool) -> Expiring:
    """That it stays, and why. Raises HeldError: it is held, and somebody asked for this one."""
    if insists and error.by:
        raise HeldError(str(error)) from error
    holds = tuple(hold.hold for hold in error.by)
    due_us = told.due_us if error.due_us is None else error.due_us
    return structs.replace(told, why=(str(error),), holds=holds, due_us=due_us)


def _why_not_stored(outcome: Stored | Differs | Unknown) -> str:
    if isinstance(outcome, Differs):
        return "other bytes lie in its place"
    return outcome.reason if isinstance(outcome, Unknown) else ""
