"""Archives of a simulated world: the shipped archivist and sweeper, over days of a few seconds."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.archive.archivist import Archivist
from holdfast.model import Completeness, NodeId
from holdfast.proof import ProofError
from holdfast.read.archive import Adopted, Unit, plan_adoption, spans_of
from holdfast.read.tail import Ends
from holdfast.regions import Region, kinds, layout, units
from holdfast.regions.evidence import segments_of
from holdfast.regions.kinds import Archive
from holdfast.regions.port import Present
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out, objects_left

if TYPE_CHECKING:
    from tests.sim.actors import LightReader
    from tests.sim.buckets import Bucket
    from tests.sim.disks import SimDisk

START_US = 1_800_000_000_000_000
DAY_US = 6_000_000
FIRST = date(2027, 1, 1)


def _day_at(us: int) -> str:
    return str(FIRST + timedelta(days=max(0, us - START_US) // DAY_US))


def _start_us(day: str) -> int:
    return START_US + (date.fromisoformat(day) - FIRST).days * DAY_US


def _end_us(day: str) -> int:
    return _start_us(day) + DAY_US


@contextmanager
def short_days() -> Iterator[Path]:
    """Days of a few seconds; a folder for what is made meanwhile."""
    shipped = {name: getattr(units, name) for name in ("day_at", "start_us", "end_us", "DAY_US")}
    folder = Path(tempfile.mkdtemp(prefix="holdfast-sim-"))
    vars(units).update(day_at=_day_at, start_us=_start_us, end_us=_end_us, DAY_US=DAY_US)
    try:
        yield folder
    finally:
        vars(units).update(shipped)
        shutil.rmtree(folder, ignore_errors=True)


class Known:
    """What an archivist asks of a reader, by what a light one knows."""

    def __init__(self, reader: "LightReader") -> None:
        self._reader = reader

    @property
    def adopting(self) -> "Known":
        return self

    async def take(self, made: Mapping[str, Path]) -> None:
        """It keeps no files."""

    def completeness(self) -> Completeness:
        return self._reader.judgement.statement()

    def nodes(self) -> tuple[NodeId, ...]:
        ledgers = self._reader.follow.ledgers
        return tuple(sorted(node for node, ledger in ledgers.items() if ledger.is_listed))

    def ends(self) -> Mapping[NodeId, Ends]:
        ledgers = self._reader.follow.ledgers
        firsts = {node: ledger.settled.end.first for node, ledger in ledgers.items()}
        return {node: Ends(first, first) for node, first in firsts.items()}

    async def names(self, node: NodeId, start: int, end: int) -> tuple[str, ...]:
        mine = (text for text, of in self._reader.settled.items() if of == node)
        return tuple(sorted(text for text in mine if start <= int(text[:10], 16) < end))


class SimArchivist(Archivist):
    """Knows nodes' keys from a light reader, and leaves tables to tests of their own."""

    async def key_of(self, node: NodeId) -> bytes:
        reader: Any = self._reader
        return bytes(reader._reader.follow.ledgers[node].key)

    async def _publish(self, *_: object) -> dict[str, str]:
        return {}


async def adopt(reader: "LightReader", adopted: Adopted) -> None:
    """Take from archives what they have, as the shipped reader does."""
    for region in reader.regions:
        await reader.follow.archives.look_into(region, reader.world.true_us())
    for several in plan_adoption(reader.follow.archives.units(), adopted):
        for archive in several:
            data = await _evidence(reader.regions, archive)
            if data is None:
                return
            spans = spans_of(archive)
            for span in spans:
                names = (each.name for each in segments_of(data, span.node))
                reader.settled |= {name.text: span.node for name in names}
                reader.follow.ledger(span.node).adopt(span)
            adopted.put(Unit(archive.unit, archive.generation, archive.evidence, spans, ()))


async def _evidence(regions: Iterable[Region], archive: Archive) -> bytes | None:
    key = layout.archived_key(units.day_of(archive.unit), "", archive.evidence)
    for region in regions:
        found = await region.read(key)
        if isinstance(found, Present) and _sha256(found.data) == archive.evidence:
            return found.data
    return None


def archives_in(
    store: "Bucket | SimDisk", trail: str, out: Mapping[Out, Floor]
) -> Iterator[Archive]:
    """The units that a store's archive has whole, whatever crashes now; but for what is let go."""
    for key in store.keys("ev/arc/"):
        if key.endswith(".note"):
            archive = _manifest(store.durable(key) or b"", trail)
            if archive is not None and all(
                _sha256(store.durable(each) or b"") in each for each in objects_left(archive, out)
            ):
                yield archive


def holds(archive: Archive, key: layout.SegmentKey) -> bool:
    """Whether a unit has that segment."""
    return any(
        node == key.node and start <= key.name.index < end
        for node, start, end, *_ in archive.ledgers
    )


@lru_cache(maxsize=4096)
def _manifest(data: bytes, trail: str) -> Archive | None:
    try:
        return kinds.verify_archive(data, trail).statement
    except ProofError:
        return None


@lru_cache(maxsize=4096)
def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
