"""What is to be archived next: days that are complete, read off the names that a reader holds."""

from collections.abc import AsyncIterator, Iterable

from holdfast.archive.plan import HoleError, Ledger, Size, Unit, check_size, unit_of, windows
from holdfast.model import NodeId
from holdfast.proof.names import SegmentName
from holdfast.read import shown
from holdfast.read.reader import Reader
from holdfast.read.shown import Ranges
from holdfast.regions import units
from holdfast.regions.kinds import Archive
from holdfast.regions.manifests import Units
from holdfast.times import format_us

NAMES_AT_ONCE = 512  # a server does nothing else while so many are parsed: some milliseconds


class Due:
    """The units that are due and that no region's archive has, one after the other.

    waiting: once all were given: why the next day is not due yet; "": nothing more is there. at:
    the unit, or the day, that was looked at last.
    """

    def __init__(self, reader: Reader, known: Iterable[Units]) -> None:
        """known: what each region's archive has."""
        self.waiting = self.at = ""
        self._reader = reader
        self._ends: dict[NodeId, int] = {}
        self._newest: dict[str, str] = {}  # of each day, the last unit that is archived
        for archive in (each for found in known for each in found.values()):
            self._note(archive.unit)
            for node, _, end, *_ in archive.ledgers:
                self._ends[node] = max(self._ends.get(node, 0), end)
        self._lost: dict[NodeId, Ranges] = {}

    async def again(self, archive: Archive) -> Unit:
        """The unit of a manifest, by what the reader holds. Raises HoleError."""
        self.at = archive.unit
        ledgers = {}
        for node, start, end, *_ in archive.ledgers:
            names: list[SegmentName] = []
            for at in range(start, end, NAMES_AT_ONCE):
                texts = await self._reader.names(node, at, min(end, at + NAMES_AT_ONCE))
                names += map(SegmentName.parse, texts)
            lost = tuple((low, high) for of, low, high in archive.gaps if of == node)
            names = [n for n in names if not any(low <= n.index < high for low, high in lost)]
            if not names or names[-1].index + 1 != end:
                raise HoleError(f"segment {end - 1} of node {node} is not held")
            ledgers[node] = Ledger(start, tuple(names), lost)
        return unit_of(archive.unit, ledgers)

    async def each(self, after_us: int) -> AsyncIterator[Unit]:
        """In order. after_us: how long after its end a day is due.

        Raises:
            HoleError: a segment that must be there is not held.
            TooLargeError: as `check_size`.
            UnavailableError: the reader's cache is being made anew.
        """
        said = self._reader.completeness()
        through = -1 if said.complete_through_us is None else said.complete_through_us
        for gap in said.gaps:
            old = self._lost.get(gap.node, ())
            self._lost[gap.node] = shown.union(old, ((gap.start, gap.end),))
        while day := await self._next_day():
            end = _end_us(day)
            if through < end + after_us:
                self.waiting = f"{day} is due once everything through {format_us(end + after_us)}"
                self.waiting += " is known to be complete"
                return
            self.at = day
            for name, until in await self._windows(day, end):
                ledgers = {n: await self._ledger(n, until) for n in self._reader.nodes()}
                unit = unit_of(name, ledgers)
                check_size(unit)
                self._note(name)
                for span in unit.spans:
                    self._ends[span.node] = span.end
                if unit.spans:
                    yield unit

    def _note(self, unit: str) -> None:
        day = units.day_of(unit)
        self._newest[day] = max(self._newest.get(day, ""), unit)

    async def _next_day(self) -> str:
        """The earliest day of which something is left; "" where nothing is.

        A day that is archived to its end gets no more: what a node with a wrong clock left of it
        goes with the next day that is not.
        """
        days = []
        for node in self._reader.nodes():
            async for name in self._names(node):
                days.append(units.day_at(name.sealed_us))
                break
        day = min(days, default="")
        while (newest := self._newest.get(day)) and units.end_us(newest) == _end_us(day):
            day = units.day_at(_end_us(day))
        return day

    async def _windows(self, day: str, end: int) -> tuple[tuple[str, int], ...]:
        """What is left of a day, which is over then."""
        counts: dict[int, list[int]] = {}  # by the hour that each was sealed in
        for node in self._reader.nodes():
            async for name in self._names(node):
                if name.sealed_us >= end:
                    break
                size = counts.setdefault(name.sealed_us // units.HOUR_US, [0, 0, 0])
                size[0] += 1
                size[1] += name.count
                size[2] += name.tenants
        hours = {units.hour_at(at * units.HOUR_US): Size(*size) for at, size in counts.items()}
        return windows(day, hours, self._newest.get(day, ""))

    async def _ledger(self, node: NodeId, until_us: int) -> Ledger:
        names = []
        async for name in self._names(node):
            if name.sealed_us >= until_us:
                break
            names.append(name)
        return Ledger(self._ends.get(node, 0), tuple(names), self._lost.get(node, ()))

    async def _names(self, node: NodeId) -> AsyncIterator[SegmentName]:
        """The names of what is final and not archived, in order."""
        at, final = self._ends.get(node, 0), self._reader.ends()[node].final
        while True:
            texts = await self._reader.names(node, at, at + NAMES_AT_ONCE)
            for text in texts:
                name = SegmentName.parse(text)
                if name.first + name.count > final:
                    return
                yield name
            passed = [end for start, end in self._lost.get(node, ()) if start <= at < end]
            if not texts and not passed:
                return
            at = max([at + NAMES_AT_ONCE] if texts else passed)


def _end_us(day: str) -> int:
    return units.start_us(day) + units.DAY_US
