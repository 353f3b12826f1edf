"""Bring to this machine what a unit is made of: its segments, or another region's objects."""

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from msgspec import Struct, structs

from holdfast.archive.make import Held
from holdfast.archive.parts import Made
from holdfast.archive.plan import Unit
from holdfast.errors import UnavailableError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof.floors import tree_of
from holdfast.proof.names import SegmentName
from holdfast.regions import Region, layout, units
from holdfast.regions.kinds import Archive
from holdfast.regions.port import Absent, Present, Unknown
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out, remains_key

AT_ONCE = 16  # segments; few enough that what is read leaves room for others
SMALL_BYTES = 32 << 10  # which are hashed sooner than another thread has begun


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """A folder for one unit of work; what one that died left there goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def fetch_segments(
    unit: Unit, regions: Sequence[Region], host: Host, spool: Path
) -> tuple[Held, ...]:
    """Write all segments of a unit into a file, one after the other.

    Raises:
        UnavailableError: no region gave a copy that hashes to its name; names the segment.
        OSError: the file cannot be written.
    """
    held: list[Held] = []
    at, waiting = 0, _each(unit)
    with await host.offload(spool.open, "wb") as file:
        while some := list(islice(waiting, AT_ONCE)):
            datas = await asyncio.gather(*(_segment(*one, regions, host) for one in some))
            await host.offload(file.writelines, datas)
            for (node, name), data in zip(some, datas, strict=True):
                held.append(Held(node, name.text, at, len(data)))
                at += len(data)
    return tuple(held)


def _each(unit: Unit) -> Iterator[tuple[NodeId, SegmentName]]:
    return ((span.node, name) for span in unit.spans for name in span.names)


async def _segment(node: NodeId, name: SegmentName, regions: Sequence[Region], host: Host) -> bytes:
    key, why = layout.segment_key(node, name), "no region is there"
    for region in regions:
        answer = await region.read(key)
        if isinstance(answer, Present) and await _hashes(answer.data, name.sha256.hex(), host):
            return answer.data
        why = f"{region.id} has no good copy"
    raise UnavailableError(f"segment {name.index} of node {node} cannot be read: {why}")


class Fetched(Struct, frozen=True):
    """A unit's objects in files. parts: of the classes that are asked for. remains: of those that
    are let go."""

    parts: tuple[Made, ...]
    evidence: Made
    remains: tuple[Made, ...] = ()

    @property
    def all(self) -> tuple[Made, ...]:
        """What a manifest's store must have: the parts, and the evidence last."""
        return (*self.parts, self.evidence)


async def fetch_whole(
    archive: Archive,
    region: Region,
    others: Iterable[Region],
    out: Mapping[Out, Floor],
    to: "Folder",
) -> Fetched | None:
    """All that a region's archive has of a unit, and what stays of the classes that are let go,
    from there or from others. None: something is not good in any of them.

    Raises:
        OSError: a file cannot be written.
    """
    gone = [floor for (unit, _), floor in sorted(out.items()) if unit == archive.unit]
    let_go = {floor.retention for floor in gone}
    found = await fetch_classes(archive, region, to, lambda of: of not in let_go)
    remains = [await _remains(floor, (region, *others), to) for floor in gone]
    there = [made for made in remains if made is not None]
    if found is None or len(there) < len(gone):
        return None
    return structs.replace(found, remains=tuple(there))


async def fetch_classes(
    archive: Archive, region: Region, to: "Folder", wanted: Callable[[str], bool]
) -> Fetched | None:
    """The parts of some classes, and the evidence; None: one of them is not good there.

    Raises:
        OSError: a file cannot be written.
    """
    day, found = units.day_of(archive.unit), []
    named = [part for part in archive.parts if wanted(part[0])]
    for retention, sha256, size_bytes, rows in (*named, ("", archive.evidence, 0, 0)):
        key = layout.archived_key(day, retention, sha256)
        size = await to.save(await region.read(key), sha256)
        if size is None or size_bytes not in (0, size):
            return None
        found.append(Made(to.path(sha256), retention, sha256, size, rows))
    *parts, evidence = found
    return Fetched(tuple(parts), evidence)


async def _remains(floor: Floor, regions: Iterable[Region], to: "Folder") -> Made | None:
    for region in regions:
        size = await to.save(await region.read(remains_key(floor)), floor.remains)
        if size is not None:
            path = to.path(floor.remains)
            return Made(path, "", floor.remains, size, floor.rows, tree_of(floor))
    return None


class Folder:
    """Where what is fetched is put, under the hashes of the bytes."""

    def __init__(self, path: Path, host: Host) -> None:
        self._path = path
        self._host = host

    def path(self, sha256: str) -> str:
        return str(self._path / sha256)

    async def save(self, answer: Present | Absent | Unknown, sha256: str) -> int | None:
        """Write an object's bytes, if they are good: how many. Raises OSError."""
        if not isinstance(answer, Present) or not await _hashes(answer.data, sha256, self._host):
            return None
        await self._host.offload((self._path / sha256).write_bytes, answer.data)
        return len(answer.data)


async def _hashes(data: bytes, sha256: str, host: Host) -> bool:
    if len(data) <= SMALL_BYTES:
        return hashlib.sha256(data).hexdigest() == sha256
    digest = await host.offload(hashlib.sha256, data)
    return digest.hexdigest() == sha256
