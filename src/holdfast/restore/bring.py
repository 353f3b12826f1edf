"""Bring one range back from one region, and check it, with nothing else at hand.

What contradicts what was signed, or is not there, is a CorruptError and says what; a region that
does not answer is an UnavailableError, from which nothing follows. One bad read proves nothing.
"""

import asyncio
import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, structs

from holdfast.archive.fetch import emptied
from holdfast.archive.make import Copied, Held
from holdfast.archive.parts import Made
from holdfast.errors import CorruptError, UnavailableError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof.floors import tree_of
from holdfast.proof.names import SegmentName
from holdfast.prove.heads import Certified, certified, gaps_in, heads
from holdfast.prove.trees import Trees
from holdfast.read.reader import Reader
from holdfast.regions import Region, Regions, layout, units
from holdfast.regions.cookie import read_cookie
from holdfast.regions.kinds import Archive, Cookie
from holdfast.regions.port import Absent, Level, Listed, Listing, Present, Unknown
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out, Retentions, objects_left
from holdfast.restore.opened import Around, Run, Spool, check_ledger, open_spool, open_unit
from holdfast.restore.ranges import Stretch

log = logging.getLogger("holdfast.restore")

TRIES = 2
AT_ONCE = 8  # segments
HASH_BYTES = 32  # an event, in scratch, while its tree is made
LATE_US = 120_000_000  # what was sealed since may not be in every region yet

Result = TypeVar("Result")


class Brought(Struct, frozen=True):
    """What came back well."""

    segments: int = 0
    events: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Brought") -> "Brought":
        return Brought(
            self.segments + other.segments,
            self.events + other.events,
            self.size_bytes + other.size_bytes,
        )


class Bringer:
    """See the module. One for each restore. folder: made and removed as it is needed.

    patience_seconds: how long it may take to learn a ledger's tree, of which the names of years are
    in evidence; None: as long as it takes. What is learned stays, and the next restore goes on.
    Meanwhile what each segment's node signed of it must do.
    """

    patience_seconds: float | None = None

    def __init__(
        self, region: Region, trail: str, reader: Reader, trees: Trees, host: Host, folder: Path
    ) -> None:
        self._region = region
        self._alone = Regions((region,), 1, trail)
        self._reader = reader
        self._trees = trees
        self._host = host
        self._folder = folder
        self._tag_key = b""
        self._nodes: dict[NodeId, Certified] = {}

    async def begin(self) -> str:
        """Which store this is, by its cookie.

        Raises:
            UnavailableError: it does not answer, or is not the region's.
        """
        cookie = await read_cookie(self._region, self._alone.trail)
        if isinstance(cookie, Unknown):
            raise UnavailableError(cookie.reason)
        if not isinstance(cookie, Cookie):
            raise UnavailableError("its cookie is gone, or another's")
        self._tag_key = cookie.tag_key
        return cookie.store

    async def unit(self, archive: Archive, bytes_max: int) -> Brought:
        """All of a unit of the region's archive, but for the classes of it that were let go."""
        out = await self._floors(archive.unit)
        left = objects_left(archive, out)
        size_bytes, rows = sum(left.values()), sum(n for *_, n in archive.parts)
        if size_bytes > bytes_max:
            why = f"{archive.unit} has {size_bytes} bytes, more than restore_drill_bytes_max"
            raise UnavailableError(why)
        keys = {node: (await self._node(node)).key.public for node, *_ in archive.ledgers}
        with emptied(self._folder):
            await self._make_room(size_bytes + rows * HASH_BYTES)
            job = Copied(
                *(archive.unit, archive.generation, self._alone.trail, self._tag_key, keys, ()),
                evidence=await self._object(archive.unit, "", archive.evidence),
                parts=tuple(
                    [
                        await self._object(archive.unit, retention, sha256, rows)
                        for retention, sha256, _, rows in archive.parts
                        if (archive.unit, retention) not in out
                    ]
                ),
                folder=str(self._folder),
                remains=tuple(
                    [
                        structs.replace(
                            await self._object(archive.unit, "", floor.remains, floor.rows),
                            gone=tree_of(floor),
                        )
                        for _, floor in sorted(out.items())
                    ]
                ),
            )
            runs = await self._work(open_unit, job, archive)
        size_bytes = sum(each.size_bytes for each in (*job.parts, job.evidence, *job.remains))
        brought = await self._prove_all(runs, size_bytes)
        gone = sum(floor.rows for floor in out.values())
        return structs.replace(brought, events=brought.events - gone)

    async def _floors(self, unit: str) -> Mapping[Out, Floor]:
        """The classes of a unit that the region says were let go."""
        prefix = f"{layout.RETENTION_PREFIX}floor/"
        listing = await self._region.list(prefix, f"{prefix}{unit}")
        if isinstance(listing, Unknown):
            raise UnavailableError(listing.reason)
        own = [entry for entry in listing if entry.key.startswith(f"{prefix}{unit}.")]
        found = await Retentions().of({self._region.id: Listing(tuple(own))}, self._alone)
        if found.away:
            raise UnavailableError(found.away[self._region.id])
        return found.out

    async def pieces(self, stretch: Stretch, bytes_max: int) -> list[tuple[Listed, ...]]:
        """The segments of a stretch as the region lists them, in pieces of at most so many bytes,
        or one segment; but for the newest, which may be on their way there."""
        final = self._reader.ends()[stretch.node].final
        until_us = self._host.now_us() - LATE_US
        texts = await self._reader.names(stretch.node, stretch.start, stretch.end)
        names = [SegmentName.parse(text) for text in texts]
        names = [n for n in names if n.first + n.count <= final and n.sealed_us < until_us]
        listing = await self._region.list(layout.shard_prefix(stretch.node, stretch.start))
        if isinstance(listing, Unknown):
            raise UnavailableError(listing.reason)
        there = {entry.key: entry for entry in listing}
        pieces: list[list[Listed]] = []
        room = 0
        for name in names:
            entry = there.get(layout.segment_key(stretch.node, name))
            if entry is None:
                raise CorruptError(f"segment {name.index} of node {stretch.node} is not there")
            if not pieces or entry.size_bytes > room:
                pieces.append([])
                room = bytes_max
            pieces[-1].append(entry)
            room -= entry.size_bytes
        return [tuple(piece) for piece in pieces]

    async def piece(self, node: NodeId, piece: Sequence[Listed]) -> Brought:
        """These segments of a node."""
        key = (await self._node(node)).key.public
        with emptied(self._folder):
            await self._make_room(sum(entry.size_bytes for entry in piece))
            path = self._folder / "spool"
            held = await self._fill(path, node, piece)
            spool = Spool(node, key, self._alone.trail, self._tag_key, str(path), held)
            runs = await self._work(open_spool, spool)
        return await self._prove_all(runs, sum(each.size_bytes for each in held))

    async def _fill(self, path: Path, node: NodeId, piece: Sequence[Listed]) -> tuple[Held, ...]:
        """Write segments into a file, one after the other."""
        held: list[Held] = []
        at_byte = 0
        with await self._host.offload(path.open, "wb") as file:
            for at in range(0, len(piece), AT_ONCE):
                keys = [entry.key for entry in piece[at : at + AT_ONCE]]
                names = [_name_in(key) for key in keys]
                pairs = zip(keys, names, strict=True)
                datas = await asyncio.gather(*(self._read(k, name.sha256) for k, name in pairs))
                await self._host.offload(file.writelines, datas)
                for name, data in zip(names, datas, strict=True):
                    held.append(Held(node, name.text, at_byte, len(data)))
                    at_byte += len(data)
        return tuple(held)

    # -- what was signed -----------------------------------------------------------------------

    async def _node(self, node: NodeId) -> Certified:
        """A node that the trail admitted, by a birth of it that lies there."""
        if node not in self._nodes:
            level = await self._region.level(layout.epochs_prefix(node))
            if not isinstance(level, Level):
                raise UnavailableError(level.reason)
            keys = [layout.birth_key(node, int(epoch, 16)) for epoch in level.folders[:TRIES]]
            found = certified(node, self._alone.trail, await self._notes(keys))
            if found is None:
                raise CorruptError(f"no good birth of node {node} is there")
            self._nodes[node] = found
        return self._nodes[node]

    async def _notes(self, keys: Sequence[str]) -> list[tuple[str, bytes]]:
        answers = await asyncio.gather(*(self._region.read(key) for key in keys))
        for answer in answers:
            if isinstance(answer, Unknown):
                raise UnavailableError(answer.reason)
        pairs = zip(keys, answers, strict=True)
        return [(key, answer.data) for key, answer in pairs if isinstance(answer, Present)]

    async def _prove_all(self, runs: Sequence[Run], size_bytes: int) -> Brought:
        for run in runs:
            await self._prove(run)
            names = await self._reader.names(run.node, run.start, run.end)
            if names != run.names:
                raise CorruptError(
                    f"{run.events} events of node {run.node} are there from segment {run.start} to "
                    f"{run.end}, and the reader knows other ones there"
                )
        segments, events = sum(len(run.names) for run in runs), sum(run.events for run in runs)
        return Brought(segments, events, size_bytes)

    async def _prove(self, run: Run) -> None:
        """Hold a run against something that is signed in the region and covers it."""
        of = await self._node(run.node)
        closed = [layout.closed_key(run.node, epoch) for epoch in (run.epoch, run.epoch + 1)]
        signed = await heads(self._alone, of, await self._notes(closed), run.end - 1)
        why = "nothing that is signed there covers it"
        for head in (each.head for each in reversed(signed)):
            try:
                async with asyncio.timeout(self.patience_seconds):
                    hashes = await self._trees.around(
                        run.node, run.start, run.end, head.size, head.root
                    )
            except TimeoutError:
                log.info("the tree of node %s is not known yet up to %d", run.node, head.size)
                return
            except UnavailableError as error:
                why = str(error)
                continue
            await self._work(check_ledger, run, Around.of(hashes, head))
            return
        gaps = gaps_in(await self._reader.notes(run.node))
        if not (signed and any(gap.start < signed[-1].head.size for gap in gaps)):
            raise UnavailableError(f"segments from {run.start} of node {run.node}: {why}")
        # Names that the tree needs are lost for good: what each segment's node signed must do.

    # -- bytes ---------------------------------------------------------------------------------

    async def _object(self, unit: str, retention: str, sha256: str, rows: int = 0) -> Made:
        key = layout.archived_key(units.day_of(unit), retention, sha256)
        data = await self._read(key, bytes.fromhex(sha256))
        path = self._folder / sha256
        await self._host.offload(path.write_bytes, data)
        return Made(str(path), retention, sha256, len(data), rows)

    async def _read(self, key: str, sha256: bytes) -> bytes:
        """An object that hashes to its name."""
        why = ""
        for _ in range(TRIES):
            answer = await self._region.read(key)
            if isinstance(answer, Absent):
                raise CorruptError(f"{key} is not there")
            if isinstance(answer, Unknown):
                why = answer.reason
                continue
            why = ""
            digest = await self._host.offload(hashlib.sha256, answer.data)
            if digest.digest() == sha256:
                return answer.data
        if why:
            raise UnavailableError(f"{key}: {why}")
        raise CorruptError(f"{key}: its bytes do not hash to its name")

    async def _make_room(self, size_bytes: int) -> None:
        usage = await self._host.offload(shutil.disk_usage, self._folder)
        if usage.free < 2 * size_bytes:
            why = f"scratch takes {size_bytes} bytes, and {usage.free} are free on its disk"
            raise UnavailableError(why)

    async def _work(self, job: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.wrap_future(self._host.background.submit(job, *arguments))


def in_words(node: NodeId, piece: Sequence[Listed]) -> str:
    """Which segments a piece has, for a person."""
    first, last = _name_in(piece[0].key).index, _name_in(piece[-1].key).index
    return f"segments {first} to {last} of node {node}"


def _name_in(key: str) -> SegmentName:
    parsed = layout.parse_key(key)
    assert isinstance(parsed, layout.SegmentKey), "only segments are in a piece"
    return parsed.name
