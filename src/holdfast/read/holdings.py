"""Everything that a reader holds on its own disk, kept in step: files, catalog, id index, folds.

All of it is derived. What cannot be used is set aside and made again: a damaged catalog with all
that hangs on it, a lost file by itself. The order of writes is such that a crash leaves what the
next start completes:

    enter   file, then row (matched = no, where an event may be a repeat), then memory
    match   standings and matched = yes in one transaction; until then the row is matched again
    fold    file (durable under its final name), then row; a fold without a row is deleted
    adopt   index of ids, then the unit's row in place of those of its segments and folds, in one
            transaction, then memory; the files of folds go last, without a row they are deleted
    drop    row and standings, then index: a place in the index without a row is passed over
"""

import asyncio
import logging
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct, structs

from holdfast.model import NodeId, Place
from holdfast.ports import Host
from holdfast.read import jobs
from holdfast.read.archive import Unit, Within
from holdfast.read.arrival import Arrival, entry_of
from holdfast.read.catalog import Catalog, Entry
from holdfast.read.comparing import JOB_SEGMENTS_MAX, Comparing, Matches, Unmatched, Ways, forget_at
from holdfast.read.database import DamagedError
from holdfast.read.decode import facts_of
from holdfast.read.fold import FoldFacts, fold, index_fold
from holdfast.read.ids import IdIndex
from holdfast.read.index import path_of, remove, without_index
from holdfast.read.packs import Packs, Spot
from holdfast.read.partfiles import PartFiles
from holdfast.read.repeats import Copy, settle
from holdfast.read.segments import SourceError
from holdfast.read.shelf import (
    Fold,
    FoldLimits,
    Hot,
    Shelf,
    plan_fold,
    plan_merge,
    segment_source,
    spot_of,
)
from holdfast.read.slot import Slot, claim, set_aside
from holdfast.read.sources import Source, Stretch
from holdfast.read.stack import Stack

log = logging.getLogger("holdfast.read")

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Sizes(Struct, frozen=True):
    """How many bytes of what is kept. packs: of segments. parts: of what the archive has."""

    packs: int = 4 << 30
    parts: int = 4 << 30


class Holdings:
    """See the module. `open` first; `lost` tells why everything was made anew, "" otherwise."""

    catalog: Catalog
    ids: IdIndex
    shelf: Shelf
    packs: Packs

    def __init__(self, cache: Path, trail: str, sizes: Sizes, host: Host) -> None:
        self._cache = cache
        self._trail = trail
        self._sizes = sizes
        self._host = host
        self._slot: Slot | None = None
        self._next_fold = 0
        self._matching = asyncio.Lock()  # match, drop, lose: they change what is known of places
        self._folding = asyncio.Lock()  # tidy, lose: they move events between files
        self.unmatched: deque[Unmatched] = deque()
        self.lost = ""
        self.segments_count = 0
        self.events_count = 0
        self.damaged = False  # some of what was reported as known could not be taken up

    # -- opening -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Claim a folder and take up what is in it."""
        await self._host.offload(self._open)
        await self._index_again()

    async def reopen(self, why: str) -> None:
        """Set aside what there is and begin anew. The folder itself may be gone."""
        log.warning("the cache is made anew: %s", why)
        async with self._folding, self._matching:
            await self._host.offload(self._close)
            self.unmatched.clear()
            await self._host.offload(self._open, why)
            await self._index_again()

    async def close(self) -> None:
        """Close what is open; nothing is lost."""
        await self._host.offload(self._close)

    def is_alive(self) -> bool:
        """Whether the folder is still there. Cheap."""
        return self._slot is not None and self._slot.alive() and self.catalog.path.exists()

    def _open(self, why: str = "") -> None:
        self._slot = self._slot or claim(self._cache)
        if not self._slot.alive():
            self._slot.release()
            self._slot = claim(self._cache)
        self.damaged = False
        folder = self._slot.path
        path = folder / "catalog.sqlite"
        if why:
            self._discard(folder, path)
        try:
            self._load(folder, path)
        except (DamagedError, msgspec.MsgspecError) as error:
            log.warning("the catalog is set aside and made anew: %s", error)
            why = str(error)
            self._discard(folder, path)
            self._load(folder, path)
        self.lost = why
        self.damaged = self.damaged or bool(why)

    def _discard(self, folder: Path, catalog: Path) -> None:
        set_aside(catalog)
        for derived in ("ids", "folds", "packs", "parts"):
            shutil.rmtree(folder / derived, ignore_errors=True)

    def _load(self, folder: Path, path: Path) -> None:
        self.catalog = Catalog(path, self._trail)
        try:
            (folder / "folds").mkdir(exist_ok=True)
            self.packs = Packs(folder / "packs", self._sizes.packs)
            self.shelf = Shelf(self.packs, folder / "folds")
            self.ids = IdIndex(folder / "ids")
            self.stack = Stack(PartFiles(folder / "parts", self._sizes.parts), self.shelf)
            self.stack.put(self.catalog.units())
            self.stack.tidy()
            self._comparing = Comparing(self._host, self.catalog, self.packs, self.stack)
            self._load_folds()
            self._load_hot()
        except BaseException:
            self.catalog.close()
            raise

    def _load_folds(self) -> None:
        for number, data in self.catalog.folds():
            if self.shelf.fold_path(number).exists():
                self.shelf.put_fold(number, msgspec.msgpack.decode(data, type=FoldFacts))
            else:
                self.catalog.unfold(number)
                self.damaged = True
            self._next_fold = max(self._next_fold, number + 1)
        paths = [one.source.path for one in self.shelf.folds]
        known = {Path(path) for path in paths} | {path_of(path) for path in paths}
        for file in self.shelf.fold_path(0).parent.iterdir():
            if file not in known:
                file.unlink()  # a crash between file and row

    def _load_hot(self) -> None:
        hot = self.catalog.hot()
        gone = [entry for entry in hot if not self.packs.is_whole(spot_of(entry))]
        self.catalog.remove(gone)
        self.damaged = self.damaged or bool(gone)
        for entry in hot:
            if entry not in gone:
                self.shelf.add(entry)
        self.shelf.stand(self.catalog.standings())
        self._count()

    def _count(self) -> None:
        segments, events = self.catalog.totals()
        self.segments_count = segments + self.stack.segments
        self.events_count = events + self.stack.events

    def _close(self) -> None:
        self.catalog.close()
        self.packs.close()
        try:
            self.ids.flush()
        except OSError as error:
            log.warning("the id index was not written: %s", error)
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    async def _index_again(self) -> None:
        """Give the id index what a crash, or a damaged run, cost it."""
        is_known = self._known()
        for one in self.shelf.folds:
            if not all(map(is_known, one.facts.stretches)):
                await self._index_fold(one)
        self.stack.note_unknown(self.stack.adopted.units.values(), is_known)
        unmatched = await self._host.offload(self.catalog.unmatched)
        again = {entry.name: entry for entry in unmatched}
        for hot in self.shelf.hot:
            entry = hot.entry
            if not is_known(Stretch(entry.node, entry.first, entry.first + entry.count)):
                again[entry.name] = entry
        todo = list(again.values())
        for start in range(0, len(todo), JOB_SEGMENTS_MAX):
            await self._index_segments(todo[start : start + JOB_SEGMENTS_MAX])

    def _known(self) -> Callable[[Stretch], bool]:
        """Whether the id index has some events."""
        known = self.ids.known()
        return lambda one: any(_is_within(one, other) for other in known)

    async def _index_fold(self, one: Fold) -> None:
        try:
            parts = await self._run(jobs.keys_of_fold, one.source)
        except SourceError:
            await self._host.offload(self.catalog.unfold, one.number)
            self.shelf.remove_folds([one.number])
            self.damaged = True
            return
        for stretch, keys in parts:
            await self._host.offload(self.ids.add, stretch.node, stretch.start, keys)

    async def _index_segments(self, entries: Sequence[Entry]) -> None:
        sources = [segment_source(self.packs, entry) for entry in entries]
        found = await self._run(jobs.facts_of, sources)
        for entry, known in zip(entries, found, strict=True):
            if isinstance(known, jobs.Refused):
                await self._lose([entry])
                continue
            matches = await self._host.offload(self.ids.add, entry.node, entry.first, known.keys)
            self._match_later(entry, matches)

    # -- units of the archive ------------------------------------------------------------------

    async def adopt(self, units: Sequence[Unit]) -> bool:
        """Let what the archive has of some units take the place of all else that has it here.

        Returns:
            Whether that was done: not while a fold has more than these, or something in them is not
            compared yet.
        """
        async with self._folding, self._matching:
            within = Within([span for unit in units for span in unit.spans])
            folds = [one for one in self.shelf.folds if within.touches(one.facts.stretches)]
            busy = [one.entry for one in self.unmatched if one.entry]
            if any(within.holds(entry.node, entry.index) for entry in busy) or not all(
                within.covers(one.facts.stretches) for one in folds
            ):
                return False
            hot = [e.entry for e in self.shelf.hot if within.holds(e.entry.node, e.entry.index)]
            await self._host.offload(self.ids.flush)
            numbers = [one.number for one in folds]
            await self._host.offload(self.catalog.adopt, units, numbers)
            self.stack.put(units)
            self.stack.note_unknown(units, self._known())
            self.shelf.remove(hot)
            self.shelf.remove_folds(numbers)
            await self._host.offload(self._count)
        for one in folds:
            await self._host.offload(remove, one.source.path)
        return True

    async def has_copies(self, unit: Unit) -> bool:
        """Whether any event of a unit shares its id with another."""
        return await self._host.offload(self.catalog.has_copies, unit.stretches)

    async def forget(self, node: NodeId, ranges: Sequence[tuple[int, int]]) -> None:
        """Events at these positions are let go: what repeats them is shown in their place."""
        async with self._matching:
            changed = await self._host.offload(forget_at, self.catalog, node, ranges)
            for start, end in ranges:
                self.shelf.forget_places(node, start, end)
            self.shelf.stand((copy.place, copy.standing) for copy in changed)

    async def tell(self, units: Sequence[Unit]) -> None:
        """More is known of some units."""
        await self._host.offload(self.catalog.keep_units, units)
        self.stack.put(units)

    async def index_unit(self, unit: Unit, executor: Executor) -> None:
        """Give the id index the events of a unit, and have those compared that may be repeats.

        Raises:
            SourceError: a part must be fetched again.
        """
        found = await asyncio.wrap_future(
            executor.submit(jobs.keys_of_parts, self.stack.parts_of(unit), unit.stretches)
        )
        for stretch, keys in found:
            matches = await self._host.offload(self.ids.add, stretch.node, stretch.start, keys)
            if matches:
                self.unmatched.append(Unmatched(stretch.node, stretch.start, matches))
        self.stack.unindexed.discard(unit.name)

    # -- segments ------------------------------------------------------------------------------

    async def enter(self, arrivals: Sequence[Arrival]) -> tuple[Entry, ...]:
        """Let searches see segments. What is entered already is not entered twice.

        Returns:
            The entries, in the order of `arrivals`; matched where no event can be a repeat.
        """
        entered = await self._host.offload(self._enter, arrivals)
        for one, (entry, matches) in zip(arrivals, entered, strict=True):
            self.shelf.add(entry, one.name)
            self.segments_count += 1
            self.events_count += entry.count
            self._match_later(entry, matches)
        return tuple(entry for entry, _ in entered)

    def _enter(self, arrivals: Sequence[Arrival]) -> list[tuple[Entry, Matches]]:
        entered: list[tuple[Entry, Matches]] = []
        for one in arrivals:
            spot = one.spot or self.packs.put(one.data)
            known = one.facts
            if known is None:
                assert one.contents is not None, "an arrival has facts or contents"
                known = facts_of(one.contents)
            matches = self.ids.add(one.node, one.name.first, known.keys)
            entered.append((entry_of(one, spot, known, matched=not matches), matches))
        self.catalog.enter(entry for entry, _ in entered)
        return entered

    def _match_later(self, entry: Entry, matches: Matches) -> None:
        """An entry that was unmatched stays so until it is stood, though the index knows of no
        match any more: after a crash the other record's key comes later, and matches it from there.
        """
        if matches or not entry.matched:
            self.unmatched.append(Unmatched(entry.node, entry.first, matches, entry))

    def _forget_unmatched(self, names: set[str]) -> None:
        """Segments that are no longer there need not be compared."""
        self.unmatched = deque(
            one for one in self.unmatched if one.entry is None or one.entry.name not in names
        )

    async def drop(self, entries: Sequence[Entry]) -> None:
        """Take orphans out: of the catalog, of what searches see, of the id index."""
        gone = {entry.name for entry in entries}
        async with self._matching:
            self.shelf.remove(entries)
            self._forget_unmatched(gone)
            changed, shared = await self._host.offload(self._drop, entries)
            for entry in entries:
                self.shelf.forget_places(entry.node, entry.first, entry.first + entry.count)
            self.shelf.stand((copy.place, copy.standing) for copy in changed)
            for start in range(0, len(shared), JOB_SEGMENTS_MAX):
                await self._index_segments(shared[start : start + JOB_SEGMENTS_MAX])

    def _drop(self, entries: Sequence[Entry]) -> tuple[tuple[Copy, ...], tuple[Entry, ...]]:
        """Standings that changed, and segments that have some of the dropped positions now."""
        self.catalog.remove(entries)
        changed: list[bytes] = []
        first: dict[NodeId, int] = {}
        for entry in entries:
            end = entry.first + entry.count
            changed += self.catalog.drop_copies(entry.node, entry.first, end)
            first[entry.node] = min(entry.first, first.get(entry.node, entry.first))
        settled = settle(self.catalog.copies(changed))
        self.catalog.stand(settled)
        shared: list[Entry] = []
        for node, position in first.items():
            self.ids.drop(node, position)
            shared += self.catalog.after(node, position)
        self._count()
        return settled, tuple(shared)

    async def move(self, entry: Entry, spot: Spot) -> Entry:
        """A segment's bytes lie elsewhere in the cache now."""
        moved = structs.replace(entry, pack=spot.pack, offset=spot.offset)
        await self._host.offload(self.catalog.move, moved)
        self.shelf.move(moved)
        return moved

    async def lose(self, entries: Sequence[Entry]) -> None:
        """Forget segments whose files are gone or damaged; they are to be fetched again."""
        async with self._folding, self._matching:
            await self._lose(entries)

    async def _lose(self, entries: Sequence[Entry]) -> None:
        gone = {entry.name for entry in entries}
        self._forget_unmatched(gone)
        self.shelf.remove(entries)
        self.damaged = True
        await self._host.offload(self.catalog.remove, entries)
        await self._host.offload(self._count)

    async def lose_fold(self, number: int) -> None:
        """Forget a fold whose file is gone or damaged, and the segments in it."""
        async with self._folding, self._matching:
            self.shelf.remove_folds([number])
            self.damaged = True
            await self._host.offload(self.catalog.unfold, number)
            await self._host.offload(remove, str(self.shelf.fold_path(number)))
            await self._host.offload(self._count)

    @property
    def unmatched_events(self) -> int:
        """How many events wait to be compared."""
        return sum(len(one.matches) for one in self.unmatched)

    # -- repeats -------------------------------------------------------------------------------

    async def match(self, ways: Ways, matched: Callable[[Sequence[Entry]], None]) -> None:
        """Decide which events of those that are unmatched now are repeats.

        A segment leaves `unmatched` only once it is matched, whatever ends this before.

        Args:
            matched: told of segments as they are matched; the others stay to be tried again.
        """
        async with self._matching:
            batch = list(self.unmatched)
            for start in range(0, len(batch), JOB_SEGMENTS_MAX):
                some = batch[start : start + JOB_SEGMENTS_MAX]
                found = await self._comparing.copies(some, ways)
                ready = [one for one in some if one.places <= found.keys()]
                entries = [structs.replace(one.entry, matched=True) for one in ready if one.entry]
                await self._stand(ready, found, entries)
                done = set(map(id, ready))
                self.unmatched = deque(one for one in self.unmatched if id(one) not in done)
                matched(entries)

    async def _stand(
        self,
        ready: Sequence[Unmatched],
        found: dict[Place, Copy | None],
        entries: Sequence[Entry],
    ) -> None:
        groups: dict[bytes, dict[Place, Copy]] = {}
        for place in set().union(*(one.places for one in ready)):
            copy = found[place]
            if copy is not None:
                groups.setdefault(copy.name, {})[place] = copy
        settled = await self._host.offload(self._settle, groups, entries)
        self.shelf.stand((copy.place, copy.standing) for copy in settled)

    def _settle(
        self, groups: dict[bytes, dict[Place, Copy]], entries: Sequence[Entry]
    ) -> tuple[Copy, ...]:
        known = {copy.place: copy for copy in self.catalog.copies(groups)}
        for copy in known.values():
            groups[copy.name].setdefault(copy.place, copy)
        several = [copy for group in groups.values() if len(group) > 1 for copy in group.values()]
        changed = tuple(copy for copy in settle(several) if known.get(copy.place) != copy)
        self.catalog.stand(changed, entries)
        return changed

    # -- folds ---------------------------------------------------------------------------------

    async def tidy(self, settled: dict[NodeId, int], limits: FoldLimits) -> bool:
        """Fold what is due, merge small folds, keep the index and the cache in their bounds.

        Returns:
            Whether there may be more to do at once.
        """
        async with self._folding:
            return await self._tidy(settled, limits)

    async def _tidy(self, settled: dict[NodeId, int], limits: FoldLimits) -> bool:
        if self.ids.due:
            await self._host.offload(self.ids.maintain)
        busy = {one.entry.name for one in self.unmatched if one.entry}
        hot = plan_fold(
            [one for one in self.shelf.hot if one.entry.name not in busy],
            settled,
            self._host.now_us(),
            limits,
        )
        if hot:
            await self._fold(hot, ())
        merge = plan_merge(self.shelf.folds)
        if merge:
            await self._fold((), merge)
        folds = [] if hot or merge else [one.source for one in self.shelf.folds]
        bare = await self._host.offload(without_index, folds)
        if bare:
            await asyncio.wrap_future(self._host.background.submit(index_fold, bare[0]))
        if self.packs.is_full:
            needed = {one.entry.pack for one in self.shelf.hot}
            await self._host.offload(self.packs.evict, needed)
        return bool(hot or merge or bare)

    async def _fold(self, hot: Sequence[Hot], folds: Sequence[Fold]) -> None:
        number, self._next_fold = self._next_fold, self._next_fold + 1
        sources: list[Source] = [one.source for one in hot]
        sources += [one.source for one in folds]
        path = self.shelf.fold_path(number)
        day = hot[0].day if hot else folds[0].facts.day
        made = await self._run_fold(sources, str(path), day)
        await self._host.offload(self.ids.flush)
        entries = [one.entry for one in hot]
        data = msgspec.msgpack.encode(made)
        old = [one.number for one in folds]
        await self._host.offload(self.catalog.fold, number, data, entries, old)
        self.shelf.put_fold(number, made)
        self.shelf.remove(entries)
        self.shelf.remove_folds(old)
        for one in folds:
            await self._host.offload(remove, one.source.path)

    async def _run_fold(self, sources: Sequence[Source], path: str, day: int) -> FoldFacts:
        return await asyncio.wrap_future(self._host.background.submit(fold, sources, path, day))

    async def _run(self, job: Callable[[Argument], Result], argument: Argument) -> Result:
        return await asyncio.wrap_future(self._host.compute.submit(job, argument))


def _is_within(one: Stretch, other: Stretch) -> bool:
    return one.node == other.node and other.start <= one.start and one.end <= other.end
