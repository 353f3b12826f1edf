"""Segments' bytes: from the fastest region that has them, checked, into the local cache.

Bytes count only if they hash to the segment's name. A copy that does not is reported and never
served; the next region is asked. The cache keeps what searches still read (segments in no fold),
and of the rest as much as its limit allows, a shard of a ledger at a time.
"""

import asyncio
import hashlib
import shutil
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from msgspec import Struct

from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import names
from holdfast.proof.names import SegmentName
from holdfast.regions.port import Present
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions

CORRUPT_MAX = 1000
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
_FOLDER = "seg"
_NEW_READING_WEIGHT = 0.2
_FORGETTING = 0.99


class CorruptCopy(Struct, frozen=True):
    """A region's copy that does not hash to its name. It cannot be replaced under that name."""

    region: str
    key: str
    found_us: int


class SegmentFiles:
    """The cache: objects as they lie in a region, one file each. All methods block."""

    def __init__(self, folder: Path, size_bytes_max: int) -> None:
        self._root = folder / _FOLDER
        self._size_bytes_max = size_bytes_max
        self._shards: OrderedDict[Path, int] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """What the files take, as far as it was counted."""
        return sum(self._shards.values())

    @property
    def is_full(self) -> bool:
        """Whether there is more than there should be."""
        return self.size_bytes > self._size_bytes_max

    def path(self, node: NodeId, name: SegmentName) -> Path:
        """Where a segment's file lies, whether it is there or not."""
        shard = f"{name.index // names.SHARD_SEGMENTS:07x}"
        return self._root / node / shard / f"{name.text}{names.SEGMENT_SUFFIX}"

    def put(self, path: Path, data: bytes) -> None:
        """Write a file. Nothing is synced: what a crash leaves half-written fails its hash."""
        try:
            path.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self._shards[path.parent] = self._shards.get(path.parent, 0) + len(data)
        self._shards.move_to_end(path.parent)

    def intact(self, path: Path, name: SegmentName) -> bool:
        """Whether the file is there and hashes to the name; a wrong one is removed."""
        try:
            data = path.read_bytes()
        except OSError:
            return False
        if hashlib.sha256(data).digest() == name.sha256:
            return True
        path.unlink(missing_ok=True)
        return False

    def count(self) -> None:
        """Take up the files of an earlier process, oldest shard first."""
        shards = sorted(self._root.glob("*/*"), key=lambda shard: shard.stat().st_mtime)
        for shard in shards:
            size = sum(file.stat().st_size for file in shard.iterdir())
            self._shards[shard] = self._shards.get(shard, 0) + size

    def evict(self, needed: Collection[Path]) -> None:
        """Bring the cache under its limit; files that are needed stay."""
        for shard in list(self._shards):
            if not self.is_full:
                return
            kept = 0
            for file in shard.iterdir() if shard.is_dir() else ():
                if file in needed:
                    kept += file.stat().st_size
                else:
                    file.unlink(missing_ok=True)
            if kept:
                self._shards[shard] = kept
            else:
                del self._shards[shard]

    def clear(self) -> None:
        """Remove all files."""
        shutil.rmtree(self._root, ignore_errors=True)
        self._shards.clear()


class Fetcher:
    """Reads segments from regions into the cache."""

    def __init__(self, regions: Regions, files: SegmentFiles, host: Host) -> None:
        self._regions = regions
        self._files = files
        self._host = host
        self._seconds: dict[str, float] = {}  # smoothed time of a read, by region
        self._retry_at: dict[tuple[NodeId, str], tuple[float, float]] = {}
        self.corrupt: dict[tuple[str, str], CorruptCopy] = {}

    async def fetch(
        self, node: NodeId, name: SegmentName, holders: Iterable[str] = ()
    ) -> Path | None:
        """Bring a segment into the cache.

        Args:
            node: whose ledger it is in.
            name: its name, which the bytes must hash to.
            holders: regions that were seen to have it; asked first, then the others.
        Returns:
            The file, checked now or before; None: no region gave the right bytes, for now.
        """
        path = self._files.path(node, name)
        if await self._host.offload(self._files.intact, path, name):
            return path
        now = asyncio.get_running_loop().time()
        again_at, pause = self._retry_at.get((node, name.text), (now, RETRY_FIRST_S))
        if now < again_at:
            return None
        for region in self._in_order(set(holders)):
            data = await self._read(region, names.segment_key(node, name), name.sha256)
            if data is not None:
                self._retry_at.pop((node, name.text), None)
                await self._host.offload(self._files.put, path, data)
                return path
        if len(self._retry_at) < CORRUPT_MAX:
            self._retry_at[node, name.text] = (now + pause, min(2 * pause, RETRY_MAX_S))
        return None

    async def _read(self, region: Region, key: str, sha256: bytes) -> bytes | None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        found = await region.read(key)
        if not isinstance(found, Present):
            return None
        self._measured(region.id, loop.time() - begun)
        digest = await _digest(found.data, self._host)
        if digest == sha256:
            self.corrupt.pop((region.id, key), None)
            return found.data
        if len(self.corrupt) < CORRUPT_MAX:
            self.corrupt[region.id, key] = CorruptCopy(region.id, key, self._host.now_us())
        return None

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


async def _digest(data: bytes, host: Host) -> bytes:
    hash_it: Callable[[bytes], bytes] = _sha256
    if len(data) < 1 << 16:
        return hash_it(data)
    return await host.offload(hash_it, data)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
