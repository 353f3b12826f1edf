"""What a day consists of in a region: units of its archive, and segments that lie in none of them.

Which units there are only the region says. Where a day begins in a ledger is asked of the reader,
which has the names at hand; that is a hint and no more: what is not there in the region is missing.
"""

from collections.abc import Sequence

from msgspec import Struct

from holdfast.errors import UnavailableError
from holdfast.model import NodeId
from holdfast.proof.names import SegmentName
from holdfast.read import shown
from holdfast.read.reader import Reader
from holdfast.regions import Region, layout, units
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import SHARD_SEGMENTS, ArchiveKey
from holdfast.regions.manifests import verified
from holdfast.regions.port import Present, Unknown

PROBED = 8  # names that are asked for at a place; more only where segments are lost


class Stretch(Struct, frozen=True):
    """The segments [start, end) of a node, all in one shard, sealed on one day."""

    node: NodeId
    start: int
    end: int


Range = Archive | Stretch


async def first_us(reader: Reader) -> int | None:
    """When the first epoch of the trail began; None: not known yet."""
    lives = await reader.lives()
    return min((life.epochs[0].started_us for life in lives if life.epochs), default=None)


async def ranges_of(
    region: Region, store: str, trail: str, reader: Reader, day: str
) -> list[Range]:
    """All of a day, in a region whose cookie names that store.

    Raises:
        UnavailableError: the region cannot be listed, or the reader's cache is being made anew.
    """
    archives = await _units(region, store, trail, day)
    found: list[Range] = [*archives]
    for life in await reader.lives():
        start_us = units.start_us(day)
        start = await _first(reader, life.node, start_us, life.held)
        end = await _first(reader, life.node, start_us + units.DAY_US, life.held)
        covered = [
            (low, high)
            for each in archives
            for node, low, high, *_ in each.ledgers
            if node == life.node
        ]
        for low, high in shown.minus(((start, end),), tuple(sorted(covered))):
            found += _shards(life.node, low, high)
    return found


async def _units(region: Region, store: str, trail: str, day: str) -> Sequence[Archive]:
    """The units of a day by the manifests of the region; of each the newest generation."""
    listing = await region.list(f"{layout.ARCHIVE_PREFIX}day={day}/")
    if isinstance(listing, Unknown):
        raise UnavailableError(listing.reason)
    found: dict[str, Archive] = {}
    for entry in listing:  # sorted: a larger generation comes later
        key = layout.known_key(entry.key)
        if not isinstance(key, ArchiveKey):
            continue
        answer = await region.read(entry.key)
        if isinstance(answer, Unknown):
            raise UnavailableError(answer.reason)
        data = answer.data if isinstance(answer, Present) else b""
        if archive := verified(data, key, region.id, store, trail):
            found[archive.unit] = archive
    return [found[unit] for unit in sorted(found)]


def _shards(node: NodeId, start: int, end: int) -> list[Stretch]:
    cuts = [start, *range(-(-(start + 1) // SHARD_SEGMENTS) * SHARD_SEGMENTS, end, SHARD_SEGMENTS)]
    return [
        Stretch(node, low, high)
        for low, high in zip(cuts, [*cuts[1:], end], strict=True)
        if low < high
    ]


async def _first(reader: Reader, node: NodeId, at_us: int, size: int) -> int:
    """The first of a node's segments that was sealed at that time or later."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        texts = await reader.names(node, middle, min(middle + PROBED, size))
        names = [SegmentName.parse(text) for text in texts]
        if names and names[0].sealed_us < at_us:
            low = names[0].index + 1
        else:
            high = middle
    return low
