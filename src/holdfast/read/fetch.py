"""Segments' bytes: from the fastest region that has them, checked, into the local cache.

Bytes count only if they hash to the segment's name. A copy that does not is reported and never
served; the next region is asked.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof.names import SegmentName
from holdfast.read.packs import Packs, Spot
from holdfast.read.watermark import Trouble
from holdfast.regions import layout
from holdfast.regions.port import Absent, Unknown
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions

CORRUPT_MAX = 1000
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
RETRY_SILENT_MAX_S = 5.0  # while a region did not answer: it may be back at any moment
_NEW_READING_WEIGHT = 0.2
_FORGETTING = 0.99


class CorruptCopy(Struct, frozen=True):
    """A region's copy that does not hash to its name. It cannot be replaced under that name."""

    region: str
    key: str
    found_us: int


class _Miss(Struct):
    """A segment that no region gave, and until when it is not asked for again."""

    again_at: float
    pause_s: float
    trouble: Trouble


class Fetcher:
    """Reads segments from regions into the cache."""

    def __init__(self, regions: Regions, packs: Packs, host: Host) -> None:
        self._regions = regions
        self._packs = packs
        self._host = host
        self._seconds: dict[str, float] = {}  # smoothed time of a read, by region
        self._missed: dict[tuple[NodeId, str], _Miss] = {}
        self.corrupt: dict[tuple[str, str], CorruptCopy] = {}

    async def fetch(
        self,
        node: NodeId,
        name: SegmentName,
        holders: Iterable[str] = (),
        spot: Spot | None = None,
    ) -> Spot | None:
        """Bring a segment into the cache.

        Args:
            node: whose ledger it is in.
            name: its name, which the bytes must hash to.
            holders: regions that were seen to have it; asked first, then the others.
            spot: where it lay in the cache, if it ever did.
        Returns:
            Where it lies now; None: no region gave the right bytes, for now.
        """
        if spot is not None and await self._host.offload(self._packs.is_intact, spot, name):
            return spot
        now = asyncio.get_running_loop().time()
        before = self._missed.get((node, name.text))
        if before is not None and now < before.again_at:
            return None
        why: dict[str, Unknown | str] = {}
        for region in self._in_order(set(holders)):
            data = await self._read(region, layout.segment_key(node, name), name.sha256)
            if isinstance(data, bytes):
                self._missed.pop((node, name.text), None)
                return await self._host.offload(self._packs.put, data)
            why[region.id] = data
        if len(self._missed) < CORRUPT_MAX or before is not None:
            trouble = _trouble(why)
            most = RETRY_MAX_S if trouble.lasting else RETRY_SILENT_MAX_S
            pause = RETRY_FIRST_S if before is None else min(2 * before.pause_s, most)
            self._missed[node, name.text] = _Miss(now + pause, pause, trouble)
        return None

    async def fetch_object(self, key: str, sha256: bytes, holders: Iterable[str]) -> bytes | None:
        """An object of the archive, from any region that gives the right bytes. As `fetch`."""
        for region in self._in_order(set(holders)):
            data = await self._read(region, key, sha256)
            if isinstance(data, bytes):
                return data
        return None

    def trouble(self, node: NodeId, name: SegmentName) -> Trouble | None:
        """What regions said when a segment was last asked for, if none of them gave it."""
        miss = self._missed.get((node, name.text))
        return None if miss is None else miss.trouble

    async def _read(self, region: Region, key: str, sha256: bytes) -> bytes | Unknown | str:
        """The right bytes; or why the region gave none: it was silent, or has no good copy.

        One bad read proves nothing (a cable, a cache); two make a corrupt copy.
        """
        loop = asyncio.get_running_loop()
        for _ in range(2):
            begun = loop.time()
            found = await region.read(key)
            if isinstance(found, Absent):
                return "has none"
            if isinstance(found, Unknown):
                return found
            self._measured(region.id, loop.time() - begun)
            if await _digest(found.data, self._host) == sha256:
                self.corrupt.pop((region.id, key), None)
                return found.data
        if len(self.corrupt) < CORRUPT_MAX:
            self.corrupt[region.id, key] = CorruptCopy(region.id, key, self._host.now_us())
        return "its copy is corrupt"

    def _measured(self, region: str, seconds: float) -> None:
        """Smooth it; and let the others seem a little faster, so that they are tried again."""
        before = self._seconds.get(region, seconds)
        self._seconds = {id: one * _FORGETTING for id, one in self._seconds.items()}
        self._seconds[region] = before + _NEW_READING_WEIGHT * (seconds - before)

    def _in_order(self, holders: set[str]) -> list[Region]:
        """Regions that have it before those that may, known-bad copies last, fastest first."""

        def rank(region: Region) -> tuple[bool, bool, float]:
            return (
                region.id not in holders,
                not region.reachable,
                self._seconds.get(region.id, 0.0),
            )

        return sorted(self._regions, key=rank)


def _trouble(why: Mapping[str, Unknown | str]) -> Trouble:
    """What regions said, none of which gave the right bytes."""
    silent = any(isinstance(one, Unknown) for one in why.values())
    told = "; ".join(
        f"{region}: did not answer: {one.reason}"
        if isinstance(one, Unknown)
        else f"{region}: {one}"
        for region, one in sorted(why.items())
    )
    who = "no region that answered" if silent else "no region"
    return Trouble(f"{who} has a good copy ({told})", lasting=not silent)


async def _digest(data: bytes, host: Host) -> bytes:
    hash_it: Callable[[bytes], bytes] = _sha256
    if len(data) < 1 << 16:
        return hash_it(data)
    return await host.offload(hash_it, data)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
