"""The restorer: restores something from a region again and again, and says what came of it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from msgspec import Struct, structs

from holdfast.errors import CorruptError, HoldfastError, Problem, RejectedError
from holdfast.ports import Host
from holdfast.proof import ProofError
from holdfast.prove.trees import Trees
from holdfast.read.reader import Reader
from holdfast.regions import Region, Regions
from holdfast.regions.port import RegionId
from holdfast.restore import kept
from holdfast.restore.bring import Bringer, Brought, in_words
from holdfast.restore.choice import Known, Tried, allowed_us, choose, days_of, of, oldest_us
from holdfast.restore.kept import DAYS_MAX, WHY_CHARS_MAX, Kept
from holdfast.restore.ranges import Ranges, Stretch, first_us

log = logging.getLogger("holdfast.restore")

FIRST_AFTER_SECONDS: Final = 300.0
AGAIN_SECONDS: Final = 600.0  # after a failure: a region may just have been filled
HOUR_US: Final = 3_600_000_000
PIECE_NUMBER_BYTES: Final = 6
SECONDS_MAX: Final = 1800.0
PATIENCE_SECONDS: Final = 60.0
PIECE_BYTES: Final = 64 << 20  # of segments, each of which takes a call
LAST_MAX: Final = 20
# What says nothing of a region's bytes: it does not answer, scratch is full, a worker was killed.
HINDERED: Final = (HoldfastError, ProofError, OSError, BrokenExecutor)

Piece = TypeVar("Piece")
Verdict = Literal["good", "failed", "unchecked"]
VERDICTS: Final[tuple[Verdict, ...]] = ("good", "failed", "unchecked")


class Restored(Struct, frozen=True):
    """One restore. what: was brought back, or should have been. why: it failed, or could not be
    tried; "" where it is good. is_whole: it was all that the region has of the day."""

    region: RegionId
    day: str
    what: str
    verdict: Verdict
    why: str
    is_whole: bool
    started_us: int
    ended_us: int
    brought: Brought


class RestoreReport(Struct, frozen=True):
    """How restoring stands.

    every_us: how often something is restored; 0: never. last: the newest runs of this process,
    the newest first. runs: of it, by region and verdict; size_bytes: that they brought back, by
    region. places: by region and day. oldest_us: by region, since when some day of it was not
    restored well; none before the first run. allowed_us: how long a day may wait.
    """

    every_us: int = 0
    last: tuple[Restored, ...] = ()
    runs: Mapping[tuple[RegionId, Verdict], int] = {}
    size_bytes: Mapping[RegionId, int] = {}
    places: Known = {}
    oldest_us: Mapping[RegionId, int] = {}
    allowed_us: int = 0

    def good_us(self, id: RegionId) -> int:
        """When anything of a region was last restored well; 0: never."""
        return max((each.good_us for each in self.places.get(id, {}).values()), default=0)

    def failed(self, id: RegionId) -> tuple[tuple[str, str], ...]:
        """(day, why) of what was not restored well since it failed."""
        places = sorted(self.places.get(id, {}).items())
        return tuple((day, each.why) for day, each in places if each.why)


class Progress(Protocol):
    """Is told which range is being restored."""

    def __call__(self, what: str) -> None: ...


def silent(what: str) -> None:
    """No progress to show."""


class Restorer:
    """See the module."""

    def __init__(
        self, regions: Regions, reader: Reader, host: Host, folder: Path, bytes_max: int
    ) -> None:
        """regions: patient ones. folder: where what is known is kept, and scratch is made.
        bytes_max: of what one restore brings back."""
        self._regions = regions
        self._reader = reader
        self._host = host
        self._folder = folder
        self._bytes_max = bytes_max
        self._trees = Trees(reader.names, host)
        self._turn = asyncio.Lock()
        self._kept: Kept | None = None
        self._days: tuple[str, ...] = ()
        self._every_us = 0
        self._last: tuple[Restored, ...] = ()
        self._runs: Counter[tuple[RegionId, Verdict]] = Counter()
        self._bytes: Counter[RegionId] = Counter()

    async def restore_forever(self, every_hours: int) -> None:
        """One restore soon after the start, and then one in so many hours; 0: none."""
        self._every_us = every_hours * HOUR_US
        pause = FIRST_AFTER_SECONDS
        while every_hours:
            await asyncio.sleep(pause)
            pause = self._every_us / 1e6
            try:
                done = await self.restore_some()
                if done is not None and done.verdict == "failed":
                    await asyncio.sleep(AGAIN_SECONDS)
                    await self.restore_some((done.region, done.day))
            except Exception:
                # Whatever it is, the next one is tried; health is judged by what went well.
                log.exception("a restore ended early")

    async def restore_some(self, which: tuple[RegionId, str] | None = None) -> Restored | None:
        """Restore a piece of a day from a region; None: the trail has no day yet.

        which: region and day; None: any. Of a day that failed, the piece that did is tried again.
        """
        async with self._turn:
            known = await self._take_up()
            draw = int.from_bytes(self._host.random(16))
            ids = [region.id for region in self._regions.members]
            chosen = which or choose(self._days, ids, known.places, draw)
            if chosen is None:
                return None
            before = of(known.places, *chosen)
            random = int.from_bytes(self._host.random(PIECE_NUMBER_BYTES))
            piece = before.piece if before.why else random
            id, day = chosen
            done = await self._restore(_Run(self._regions.by_id[id], day, piece, silent))
            await self._note(known, done, structs.replace(before, piece=piece))
            return done

    async def restore_day(self, id: RegionId, day: str, progress: Progress = silent) -> Restored:
        """Restore all that a region has of a day, piece by piece. Nothing about it is kept.

        Raises:
            RejectedError: no such region.
        """
        if id not in self._regions.by_id:
            raise RejectedError("usage", Problem(0, "--region", f"no region {id} is named"))
        async with self._turn:
            return await self._restore(_Run(self._regions.by_id[id], day, None, progress))

    def report(self) -> RestoreReport:
        known = self._kept or Kept()
        waits = {
            region.id: oldest_us(self._days, known.places.get(region.id, {}), known.since_us)
            for region in self._regions.members
        }
        return RestoreReport(
            every_us=self._every_us,
            last=self._last,
            runs=dict(self._runs),
            size_bytes=dict(self._bytes),
            places=known.places,
            oldest_us={id: us for id, us in waits.items() if us is not None},
            allowed_us=allowed_us(len(self._days), len(self._regions.members), self._every_us),
        )

    async def _restore(self, run: "_Run") -> Restored:
        started_us, why = self._host.now_us(), ""
        verdict: Verdict = "good"
        trail, folder = self._regions.trail, self._folder / "restore"
        bringer = Bringer(run.region, trail, self._reader, self._trees, self._host, folder)
        bringer.patience_seconds = None if run.is_all else PATIENCE_SECONDS
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await run.go(bringer, self._reader, trail, self._bytes_max)
        except CorruptError as error:
            verdict, why = "failed", str(error)
            log.error("a restore of %s from region %s failed: %s", run.what, run.region.id, why)
        except TimeoutError:
            verdict, why = "unchecked", f"not done within {SECONDS_MAX:g} s"
        except HINDERED as error:
            verdict, why = "unchecked", str(error)
        return Restored(
            *(run.region.id, run.day, run.what, verdict, why[:WHY_CHARS_MAX], run.is_whole),
            *(started_us, self._host.now_us(), run.brought),
        )

    async def _take_up(self) -> Kept:
        """What was kept, and which days there are by now."""
        now_us = self._host.now_us()
        if self._kept is None:
            self._kept = await self._host.offload(kept.read, self._folder, self._regions.trail)
        if not self._kept.since_us:
            self._kept = structs.replace(self._kept, since_us=now_us)
        first = await first_us(self._reader)
        self._days = days_of(first, now_us)[-DAYS_MAX:] if first is not None else ()
        return self._kept

    async def _note(self, known: Kept, done: Restored, before: Tried) -> None:
        tried = structs.replace(before, tried_us=done.ended_us)
        if done.verdict == "good":
            tried = Tried(done.ended_us, done.ended_us, done.is_whole)
        elif done.verdict == "failed":
            tried = structs.replace(tried, why=done.why)
        places = dict(known.places)
        places[done.region] = {**places.get(done.region, {}), done.day: tried}
        ids = [region.id for region in self._regions]
        self._kept = structs.replace(known, places=kept.fitted(places, ids))
        self._last = (done, *self._last)[:LAST_MAX]
        self._runs[done.region, done.verdict] += 1
        self._bytes[done.region] += done.brought.size_bytes
        try:
            await self._host.offload(kept.write, self._folder, self._kept)
        except OSError as error:
            log.warning("what was restored is not kept over a restart: %s", error)


class _Run:
    """One restore on its way. what, is_whole, brought: as in `Restored`, as far as it came."""

    def __init__(self, region: Region, day: str, draw: int | None, progress: Progress) -> None:
        """draw: chooses one piece of the day; None: all of them."""
        self.region = region
        self.day = day
        self.what = day
        self.is_whole = draw is None
        self.brought = Brought()
        self.is_all = draw is None
        self._draw = draw
        self._progress = progress

    async def go(self, bringer: Bringer, reader: Reader, trail: str, bytes_max: int) -> None:
        """Bring back and check what was chosen. Raises what `Bringer` does."""
        store = await bringer.begin()
        ranges = await Ranges(self.region, store, trail, reader).of(self.day)
        for each in self._of(ranges):
            if isinstance(each, Stretch):
                pieces = await bringer.pieces(each, min(bytes_max, PIECE_BYTES))
                for piece in self._of(pieces):
                    self._tell(in_words(each.node, piece))
                    self.brought += await bringer.piece(each.node, piece)
                self.is_whole |= len(ranges) == 1 and len(pieces) < 2
            else:
                self._tell(each.unit)
                self.brought += await bringer.unit(each, bytes_max)
                self.is_whole |= len(ranges) == 1

    def _tell(self, what: str) -> None:
        self.what = what
        self._progress(what)

    def _of(self, found: list[Piece]) -> list[Piece]:
        """The one that was drawn, or all."""
        if self._draw is None or not found:
            return found
        return [found[self._draw % len(found)]]
