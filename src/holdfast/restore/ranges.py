"""What a day consists of in a region: units of its archive, and segments that lie in none of them.

Which units there are only the region says: those of the day, and those of the days around it in its
archive, between whose spans nothing may be missing. Where a day that is not archived begins in a
ledger is asked of the reader, from the ledger's end backwards: names of what is archived are in
evidence, which is not to be fetched for that. It is a hint: what is not there is missing.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from holdfast.errors import UnavailableError
from holdfast.model import NodeId
from holdfast.proof.names import SegmentName
from holdfast.read.reader import Reader
from holdfast.regions import Region, layout, units
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import SHARD_SEGMENTS, ArchiveKey
from holdfast.regions.manifests import verified
from holdfast.regions.port import Present, Unknown

PROBED = 8  # names that are asked for at a place; more only where segments are lost
_FOLDER = "day="


class Stretch(Struct, frozen=True):
    """The segments [start, end) of a node, all in one shard."""

    node: NodeId
    start: int
    end: int


Range = Archive | Stretch


async def first_us(reader: Reader) -> int | None:
    """When the first epoch of the trail began; None: not known yet."""
    lives = await reader.lives()
    return min((life.epochs[0].started_us for life in lives if life.epochs), default=None)


class Ranges:
    """Says it of one region, whose cookie names that store."""

    def __init__(self, region: Region, store: str, trail: str, reader: Reader) -> None:
        self._region = region
        self._store = store
        self._trail = trail
        self._reader = reader

    async def of(self, day: str) -> list[Range]:
        """All of a day.

        Raises:
            UnavailableError: the region cannot be listed, or the reader's cache is being made anew.
        """
        level = await self._region.level(layout.ARCHIVE_PREFIX)
        if isinstance(level, Unknown):
            raise UnavailableError(level.reason)
        days = [each.removeprefix(_FOLDER) for each in level.folders if each[:4] == _FOLDER]
        own = await self._units(day) if day in days else ()
        before = await self._units(max((each for each in days if each < day), default=""))
        after = await self._units(min((each for each in days if each > day), default=""))
        if after:
            left = _between(_ends(before), _ends(own), _starts(after))
        elif own and units.length_us(own[0].unit) == units.DAY_US:
            left = {}
        else:
            left = await self._live(day, _ends(before) | _ends(own))
        found: list[Range] = [*own]
        for node, span in sorted(left.items()):
            found += _shards(node, *span)
        return found

    async def _units(self, day: str) -> Sequence[Archive]:
        """The units of a day by the manifests of the region; of each the newest generation."""
        if not day:
            return ()
        listing = await self._region.list(f"{layout.ARCHIVE_PREFIX}{_FOLDER}{day}/")
        if isinstance(listing, Unknown):
            raise UnavailableError(listing.reason)
        found: dict[str, Archive] = {}
        for entry in listing:  # sorted: a larger generation comes later
            key = layout.known_key(entry.key)
            if not isinstance(key, ArchiveKey):
                continue
            answer = await self._region.read(entry.key)
            if isinstance(answer, Unknown):
                raise UnavailableError(answer.reason)
            data = answer.data if isinstance(answer, Present) else b""
            if archive := verified(data, key, self._region.id, self._store, self._trail):
                found[archive.unit] = archive
        return [found[unit] for unit in sorted(found)]

    async def _live(self, day: str, ends: Mapping[NodeId, int]) -> dict[NodeId, tuple[int, int]]:
        """What was sealed on a day that no unit in the archive lies behind. ends: of what is
        archived before."""
        start_us = units.start_us(day)
        found = {}
        for life in await self._reader.lives():
            low = ends.get(life.node, 0)
            end = await self._first(life.node, start_us + units.DAY_US, low, life.held)
            found[life.node] = (await self._first(life.node, start_us, low, end), end)
        return found

    async def _first(self, node: NodeId, at_us: int, low: int, high: int) -> int:
        """The first of a node's segments [low, high) that was sealed at that time or later."""
        step = 1
        while low < high:  # in steps that grow, from the end on
            at = max(low, high - step)
            index = await self._sealed_before(node, at, high, at_us)
            if index is not None:
                low = index + 1
                break
            high, step = at, 2 * step
        while low < high:
            middle = (low + high) // 2
            index = await self._sealed_before(node, middle, high, at_us)
            if index is not None:
                low = index + 1
            else:
                high = middle
        return low

    async def _sealed_before(self, node: NodeId, at: int, end: int, us: int) -> int | None:
        """The index of the segment there, or next to it, if it was sealed before that time."""
        texts = await self._reader.names(node, at, min(at + PROBED, end))
        names = [SegmentName.parse(text) for text in texts]
        return names[0].index if names and names[0].sealed_us < us else None


def _between(
    before: Mapping[NodeId, int], own: Mapping[NodeId, int], after: Mapping[NodeId, int]
) -> dict[NodeId, tuple[int, int]]:
    """What lies between the units of a day, or of the one before it, and those of the next."""
    ends = {**before, **own}
    spans = {node: (ends[node], after[node]) for node in ends.keys() & after.keys()}
    return {node: (start, end) for node, (start, end) in spans.items() if start < end}


def _ends(archives: Iterable[Archive]) -> dict[NodeId, int]:
    spans = [span for each in archives for span in each.ledgers]
    return {node: max(end for of, _, end, *_ in spans if of == node) for node, *_ in spans}


def _starts(archives: Iterable[Archive]) -> dict[NodeId, int]:
    spans = [span for each in archives for span in each.ledgers]
    return {node: min(start for of, start, *_ in spans if of == node) for node, *_ in spans}


def _shards(node: NodeId, start: int, end: int) -> list[Stretch]:
    cuts = [start, *range(-(-(start + 1) // SHARD_SEGMENTS) * SHARD_SEGMENTS, end, SHARD_SEGMENTS)]
    pairs = zip(cuts, [*cuts[1:], end], strict=True)
    return [Stretch(node, low, high) for low, high in pairs if low < high]
