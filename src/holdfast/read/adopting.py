"""Units of the archive, from the regions to this machine: which to adopt, and what of them is here.

To adopt a unit takes its manifest and nothing else, so that a reader of a year is ready at once.
Evidence is read when a question wants to know of whom and when a unit's events are, or what its
segments are called; a part when a search finds that it must look into it. What is here is indexed:
then a search reads few of its pages, and the id index knows its events.

The id index keeps what it knew of events before they were archived. A reader that never had them
looks for an id in all parts that may have it, by their indexes. What was sent twice is shown once,
as far as this reader has seen: an event whose first record lies in a unit that no question reached
yet is shown where it came again, and where it came first once that is here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from msgspec import MsgspecError, structs

from holdfast.errors import UnavailableError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof.left import Gone
from holdfast.read import evidence, gone, index
from holdfast.read.archive import Piece, Unit, plan_adoption, unit_of
from holdfast.read.archives import Archives
from holdfast.read.contents import Archived
from holdfast.read.fetch import Fetcher
from holdfast.read.fold import index_fold
from holdfast.read.holdings import Holdings
from holdfast.read.partfiles import EVIDENCE
from holdfast.read.segments import SourceError
from holdfast.read.sources import FoldSource, Source, may_hold
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import remains_key

log = logging.getLogger("holdfast.read")

NAMES_KEPT_MAX = 1 << 18  # in memory: some 60 MB
TOLD_AT_ONCE = 16  # units
AHEAD_MAX = 16  # parts that are fetched while one is waited for
EVERY_AHEAD = 64  # where all of them will be
AHEAD_BYTES = 64 << 20
SMALL_ROWS = 20_000  # what is indexed at once; of more, it is searched as a whole meanwhile
AGAIN_S = 30.0  # until evidence that was not to be had is asked for again
STAYS_S = 60.0  # what was asked for is not put out while the answer is made

Names = dict[NodeId, tuple[str, ...]]
Lines = tuple[tuple[int, Gone], ...]
Result = TypeVar("Result")


class Adopting:
    """See the module."""

    def __init__(
        self, holdings: Holdings, archives: Archives, fetcher: Callable[[], Fetcher], host: Host
    ) -> None:
        self._holdings = holdings
        self._archives = archives
        self._fetcher = fetcher
        self._host = host
        self._names: dict[str, Names] = {}  # by the hash of the evidence, last used last
        self._silent: dict[str, float] = {}  # evidence that was not to be had: when to ask again
        self._adopted = -1  # the version of what is known that is adopted
        self._bringing: dict[str, asyncio.Lock] = {}

    # -- units ---------------------------------------------------------------------------------

    async def adopt(self, *, anyway: bool = False) -> tuple[Unit, ...]:
        """Adopt what can be adopted now, in order; which units that were. anyway: see
        `Archives.units`."""
        version, done = self._archives.version, list[Unit]()
        if version == self._adopted and not anyway:
            return ()
        days = plan_adoption(self._archives.units(anyway=anyway), self._holdings.stack.adopted)
        planned = [tuple(map(unit_of, day)) for day in days]
        every = tuple(unit for day in planned for unit in day)
        # At once, if nothing of theirs is here in another form; else as far as it goes.
        if every and await self._holdings.adopt(every):
            self._adopted = version
            return every
        for day in planned:
            if not await self._holdings.adopt(day):
                return tuple(done)
            done += day
        self._adopted = version
        return tuple(done)

    async def tell(self) -> None:
        """Have it known of all units of whom and when their events are.

        Raises:
            UnavailableError: the evidence of one is nowhere to be had now.
        """
        await self.tell_most()
        for unit in self._holdings.stack.untold.values():
            raise UnavailableError(f"the evidence {unit.evidence_key} cannot be read now")

    async def tell_most(self) -> None:
        """The same, but for those of which it cannot be known now: all of their parts may hold what
        a search is for."""
        while await self.tell_some():
            pass

    async def tell_some(self) -> bool:
        """The same of some of them; whether there were any."""
        now = asyncio.get_running_loop().time()
        asked = (u for u in self._holdings.stack.untold.values() if self._again_at(u) <= now)
        some = [*islice(asked, TOLD_AT_ONCE)]
        told = await asyncio.gather(*(self._told_if(unit) for unit in some))
        await self._holdings.tell([unit for unit in told if unit is not None])
        return bool(some)

    def _again_at(self, unit: Unit) -> float:
        return self._silent.get(unit.evidence, 0.0)

    async def _told_if(self, unit: Unit) -> Unit | None:
        try:
            return await self._told(unit)
        except (UnavailableError, SourceError) as error:
            log.warning("%s", error)
            self._silent[unit.evidence] = asyncio.get_running_loop().time() + AGAIN_S
            return None

    async def _told(self, unit: Unit) -> Unit:
        path = await self._evidence(unit)
        try:
            said = {each.sha256: each for each in await self._host.offload(evidence.parts_in, path)}
            pieces = [_told(piece, said[piece.sha256]) for piece in unit.pieces]
        except (MsgspecError, ValueError, KeyError) as error:
            raise UnavailableError(f"the evidence of {unit.name} is of no use: {error}") from error
        return structs.replace(unit, pieces=tuple(pieces), is_told=True)

    async def let_go(self, from_us: int, to_us: int, tenant: str | None) -> tuple[Floor, ...]:
        """What rules let go of events that may have been received in [from_us, to_us), of a tenant
        or (None) of all; by unit.

        Raises:
            UnavailableError: the evidence of a unit is nowhere to be had now.
        """
        if self._holdings.stack.floors:
            await self.tell()
        return self._holdings.stack.let_go_within(from_us, to_us, tenant)

    async def forget(self, floor: Floor) -> None:
        """Have that shown which was sent again after events that are let go now.

        Raises:
            UnavailableError: what stays of them is nowhere to be had now.
            SourceError: what lies here is of no use.
        """
        unit = self._holdings.stack.adopted.units.get(floor.unit)
        if unit is None or not await self._holdings.has_copies(unit):
            return
        names = await self._names_in(unit)
        path = await self._remains(unit, floor)
        ranges = await self._host.offload(evidence.ranges_in, path, names)
        for node, several in ranges.items():
            await self._holdings.forget(node, several)

    async def take(self, made: Mapping[str, Path]) -> None:
        """Have what was made here of a unit that is soon adopted, by its names in the cache: it
        need not be fetched then. Whoever reads it compares its hash."""
        try:
            for name, path in made.items():
                await self._host.offload(self._holdings.stack.files.take, name, path)
        except OSError as error:
            log.warning("what was made of a unit is fetched again when it is asked for: %s", error)

    # -- what questions need -------------------------------------------------------------------

    async def with_parts(
        self,
        sources: Sequence[Source],
        ask: Callable[[], Awaitable[Result]],
        *,
        every: bool = False,
    ) -> Result:
        """What a question comes to, once all is here that it turns out to need.

        Args:
            sources: what it is asked of; those that come first are wanted first.
            every: it looks into all of them, once: they are fetched many at a time, and not
                indexed, which takes ten times as long as to read a few columns.
        Raises:
            UnavailableError: a part is nowhere to be had now.
        """
        parts = [each for each in sources if isinstance(each, FoldSource) and each.is_part]
        now = asyncio.get_running_loop().time()
        for part in reversed(parts):
            self._holdings.stack.files.use(part.path.rpartition("/")[2], now)
        ahead = EVERY_AHEAD if every else 1
        while True:
            try:
                return await ask()
            except SourceError as error:
                if not await self.heal(error.path, parts, ahead, indexed=not every):
                    raise
                ahead = ahead if every else min(2 * ahead, AHEAD_MAX)

    def unknown(self) -> frozenset[str]:
        """The parts, by hash, that a question has here before it is answered, so that what is a
        repeat in them is known: those of small units whose events the id index does not know."""
        stack = self._holdings.stack
        units = [stack.adopted.units[name] for name in stack.unindexed]
        return frozenset(p.sha256 for u in units if u.events <= SMALL_ROWS for p in u.pieces)

    async def heal(
        self,
        path: str,
        parts: Sequence[FoldSource] = (),
        ahead: int = 1,
        *,
        indexed: bool = True,
    ) -> bool:
        """A file that was to be read is not here, or is not what it was: get it, if it is the
        archive's.

        Args:
            parts: what is wanted next, if anything is missing; ahead: so many. indexed: so are
                those that are small, before whoever waits goes on.
        Returns:
            Whether it is.
        Raises:
            UnavailableError: no region has a good copy now.
        """
        files, file = self._holdings.stack.files, Path(path)
        if file.parent != files.folder:
            return False
        owners = self._owners()
        if file.suffix == index.SUFFIX:
            unit, piece = owners[file.stem]
            if piece is not None:
                await self._index(unit, piece, self._host.compute)
            return True
        await self._host.offload(files.drop, file.name)
        if file.stem not in owners:
            return True  # of a unit of which there is a later generation
        unit, piece = owners[file.stem]
        if piece is None:
            await self._evidence(unit)
        else:
            others = [owners[Path(part.path).stem] for part in parts if part.path != path]
            some = await self._bring_some([(unit, piece), *((u, p) for u, p in others if p)], ahead)
            await self._take_in(some, indexed=indexed)
        return True

    async def bring(self, unit: Unit) -> bool:
        """Have all parts of a unit here, with their indexes; whether they are."""
        try:
            for piece in self._holdings.stack.pieces_of(unit):
                await self._bring(unit, piece)
                await self._index(unit, piece, self._host.compute)
        except UnavailableError:
            return False
        return True

    async def names(self, node: NodeId, start: int, end: int) -> list[str]:
        """The names of a ledger's segments [start, end) that are in adopted units, in order.

        Raises:
            UnavailableError: no region has a good copy of their evidence now.
            SourceError: what lies here is of no use.
        """
        found: list[str] = []
        for unit, _ in [*self._holdings.stack.adopted.within(node, start, end)]:
            names = (await self._names_in(unit)).get(node, ())
            found += [name for name in names if start <= int(name[:10], 16) < end]
        return found

    async def contents(
        self, node: NodeId, start: int, end: int, tenant: str | None
    ) -> list[Archived]:
        """What the archive has of a ledger's segments [start, end); the records of one tenant or
        (None) all. Raises as `names`."""
        found: list[Archived] = []
        stack = self._holdings.stack
        for unit, _ in [*stack.adopted.within(node, start, end)]:
            parts = tuple(p for p in stack.parts_of(unit) if may_hold(p, tenant))

            async def some(
                unit: Unit = unit, parts: tuple[FoldSource, ...] = parts
            ) -> tuple[Archived, ...]:
                path = await self._evidence(unit)  # each time: what is of no use is put out
                remains = [await self._remains(unit, floor) for floor in stack.floors_of(unit)]
                asked = evidence.Asked(path, parts, tuple(remains), node, start, end, tenant)
                return await asyncio.wrap_future(
                    self._host.compute.submit(evidence.contents_of, asked)
                )

            found += await self.with_parts(parts, some)
        return found

    async def gone(self, node: NodeId, tags: Mapping[int, str | None]) -> dict[int, list[Gone]]:
        """What floors let go of some of a ledger's segments, by index. tags: by index, whose; None:
        everybody's. Raises as `names`."""
        found: dict[int, list[Gone]] = {}
        stack = self._holdings.stack
        for unit, _ in [*stack.adopted.within(node, min(tags), max(tags) + 1)]:
            for floor in sorted(stack.floors_of(unit), key=lambda each: each.retention):

                async def lines(unit: Unit = unit, floor: Floor = floor) -> Lines:
                    files = await self._evidence(unit), await self._remains(unit, floor)
                    asked = gone.Asked(unit.name, floor.retention, *files, node, tags)
                    return await asyncio.wrap_future(
                        self._host.compute.submit(gone.lines_of, asked)
                    )

                for at, line in await self.with_parts((), lines):
                    found.setdefault(at, []).append(line)
        return found

    async def _remains(self, unit: Unit, floor: Floor) -> str:
        """What stays of a class that was let go, from whichever region has it."""
        return await self._fetch(unit, remains_key(floor), floor.remains + EVIDENCE)

    async def _names_in(self, unit: Unit) -> Names:
        known = self._names.pop(unit.evidence, None)
        if known is None:
            known = await self._host.offload(evidence.names_in, await self._evidence(unit))
        self._names[unit.evidence] = known
        while sum(map(_count, self._names.values())) > NAMES_KEPT_MAX and len(self._names) > 1:
            del self._names[next(iter(self._names))]
        return known

    # -- files ---------------------------------------------------------------------------------

    def _owners(self) -> dict[str, tuple[Unit, Piece | None]]:
        """What each file is of, by its hash; None: evidence."""
        found: dict[str, tuple[Unit, Piece | None]] = {}
        for unit in self._holdings.stack.adopted.units.values():
            found[unit.evidence] = (unit, None)
            found |= {piece.sha256: (unit, piece) for piece in unit.pieces}
        return found

    async def _bring_some(
        self, wanted: Sequence[tuple[Unit, Piece]], ahead: int
    ) -> Sequence[tuple[Unit, Piece]]:
        """Have the first part here, and those of the next that are not; which those were."""
        files, size = self._holdings.stack.files, 0
        some = [wanted[0]]
        for unit, piece in wanted[1:]:
            if len(some) >= ahead or size >= AHEAD_BYTES:
                break
            if not files.use(piece.file, asyncio.get_running_loop().time()):
                some.append((unit, piece))
                size += piece.rows * 200
        await asyncio.gather(*(self._bring(unit, piece) for unit, piece in some))
        return some

    async def _take_in(self, some: Sequence[tuple[Unit, Piece]], *, indexed: bool) -> None:
        """What is done with parts that came, where they are small, before whoever waits goes on."""
        if indexed:
            small = [each for each in some if each[1].rows <= SMALL_ROWS]
            await asyncio.gather(*(self._index(*each, self._host.compute) for each in small))
        units = {unit.name: unit for unit, _ in some if unit.events <= SMALL_ROWS}
        await asyncio.gather(*map(self._know, units.values()))

    async def _evidence(self, unit: Unit) -> str:
        return await self._fetch(unit, unit.evidence_key, unit.file)

    async def _bring(self, unit: Unit, piece: Piece) -> None:
        await self._fetch(unit, piece.key, piece.file)

    async def _fetch(self, unit: Unit, key: str, file: str) -> str:
        """Have a file here, from whichever region has it; where it is.

        Raises:
            UnavailableError: no region has a good copy now.
        """
        files = self._holdings.stack.files
        async with self._bringing.setdefault(file, asyncio.Lock()):
            if not files.use(file, asyncio.get_running_loop().time()):
                holders = self._archives.holders(unit.name, unit.generation)
                sha256 = bytes.fromhex(Path(file).stem)
                data = await self._fetcher().fetch_object(key, sha256, holders)
                if data is None:
                    raise UnavailableError(f"{key} cannot be read now: no region has a good copy")
                await self._host.offload(files.put, file, data)
                files.use(file, asyncio.get_running_loop().time())
        self._bringing.pop(file, None)
        return str(files.path(file))

    async def _index(self, unit: Unit, piece: Piece, executor: Executor) -> None:
        """Have a part's index, for which the part is needed if it is not there."""
        files = self._holdings.stack.files
        path = index.path_of(str(files.path(piece.file)))
        # A question and the one who tidies would take the half-written file from one another.
        async with self._bringing.setdefault(path.name, asyncio.Lock()):
            if not await self._host.offload(path.exists):
                await self._bring(unit, piece)
                source = unit.source(piece, str(files.folder))
                await asyncio.wrap_future(executor.submit(index_fold, source))
        self._bringing.pop(path.name, None)

    async def _know(self, unit: Unit) -> None:
        """Let the id index know a unit's events, if all of it is here."""
        stack = self._holdings.stack
        if unit.name in stack.unindexed and stack.is_here(unit):
            await self._holdings.index_unit(unit, self._host.compute)

    async def tidy(self) -> bool:
        """Index one part, or unit, that is here, and keep files in their bounds; whether there may
        be more to do at once."""
        stack, files = self._holdings.stack, self._holdings.stack.files
        await self._host.offload(files.evict, asyncio.get_running_loop().time() - STAYS_S)
        for unit in [*stack.adopted.units.values()]:
            for piece in stack.pieces_of(unit):
                path = files.path(piece.file)
                if files.has(piece.file) and not index.path_of(str(path)).exists():
                    await self._index(unit, piece, self._host.background)
                    return True
        for name in sorted(stack.unindexed):
            unit = stack.adopted.units[name]
            if stack.is_here(unit):
                await self._holdings.index_unit(unit, self._host.background)
                return True
        return False


def _told(piece: Piece, said: evidence.PartLine) -> Piece:
    low, high = said.times_us
    return structs.replace(piece, time_min_us=low, time_max_us=high, tenants=said.tenants)


def _count(names: Names) -> int:
    return sum(map(len, names.values()))
