"""Bring to this machine what a unit is made of: its segments, or another region's objects."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from holdfast.archive.make import Held
from holdfast.archive.parts import Made
from holdfast.archive.plan import Unit
from holdfast.errors import UnavailableError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof.names import SegmentName
from holdfast.regions import Region, layout, units
from holdfast.regions.kinds import Archive
from holdfast.regions.port import Present

AT_ONCE = 16  # segments; few enough that what is read leaves room for others


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


async def fetch_objects(
    archive: Archive, region: Region, host: Host, folder: Path
) -> tuple[Made, ...] | None:
    """The objects that a manifest names, the evidence last; None: one of them is not good there.

    Raises:
        OSError: a file cannot be written.
    """
    day, found = units.day_of(archive.unit), []
    named = [*archive.parts, ("", archive.evidence, 0, 0)]
    for retention, sha256, size_bytes, rows in named:
        answer = await region.read(layout.archived_key(day, retention, sha256))
        if not isinstance(answer, Present) or not await _hashes(answer.data, sha256, host):
            return None
        path = folder / sha256
        await host.offload(path.write_bytes, answer.data)
        if size_bytes not in (0, len(answer.data)):
            return None
        found.append(Made(str(path), retention, sha256, len(answer.data), rows))
    return tuple(found)


async def _hashes(data: bytes, sha256: str, host: Host) -> bool:
    digest = await host.offload(hashlib.sha256, data)
    return digest.hexdigest() == sha256
