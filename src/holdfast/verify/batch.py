"""Read copies of some neighbouring segments, and judge their bytes. Runs in any process."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence

from msgspec import Struct

from holdfast.model import NodeId
from holdfast.proof import ProofError, names
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.regions import Regions, layout, segment
from holdfast.regions.port import Absent, Present, RegionId, Unknown
from holdfast.verify.contents import check_contents
from holdfast.verify.expect import Kept
from holdfast.verify.findings import Depth, Finding, FindingKind
from holdfast.verify.walk import Target

SEGMENTS_MAX = 256
EVENTS_MAX = 100_000
AHEAD = 4  # segments that are read while one is judged
TRIES = 2  # one bad read proves nothing


class Batch(Struct, frozen=True, array_like=True):
    """Segments of one node to read. depth: "bytes" or "events". tag_key: as in the cookies."""

    node: NodeId
    node_key: bytes
    trail: str
    tag_key: bytes
    depth: Depth
    targets: tuple[Target, ...]


class Done(Struct, frozen=True, kw_only=True):
    """What came of a batch. segments, events: verified good. roots: index -> the root before that
    segment as its node signed it, where the names could not tell. seen: notes of other ledgers,
    each with the key of the segment that holds it."""

    segments: int = 0
    events: int = 0
    findings: tuple[Finding, ...] = ()
    roots: dict[int, bytes] = {}
    seen: tuple[tuple[str, Kept], ...] = ()


def batches(base: Batch, targets: Sequence[Target]) -> Iterator[Batch]:
    """Targets in pieces of bounded work."""
    piece: list[Target] = []
    events = 0
    for target in targets:
        count = SegmentName.parse(target.name).count
        if piece and (len(piece) == SEGMENTS_MAX or events + count > EVENTS_MAX):
            yield _with(base, piece)
            piece, events = [], 0
        piece.append(target)
        events += count
    if piece:
        yield _with(base, piece)


def _with(base: Batch, targets: Sequence[Target]) -> Batch:
    return Batch(base.node, base.node_key, base.trail, base.tag_key, base.depth, tuple(targets))


async def check_batch(regions: Regions, batch: Batch) -> Done:
    """Read every copy of each segment; judge what is in the first good one."""
    judge = _Judge(regions, batch)
    async for target, copies in judge.read_ahead():
        judge.judge(target, copies)
    return judge.done()


class _Copy(Struct, frozen=True):
    """A region's copy. data: None where it could not be read. is_good: it hashes to its name."""

    region: RegionId
    data: bytes | None
    is_good: bool


class _Judge:
    def __init__(self, regions: Regions, batch: Batch) -> None:
        self._regions = regions
        self._batch = batch
        self._key = VerifierKey(names.ledger_origin(batch.trail, batch.node), batch.node_key)
        self._segments = self._events = 0
        self._findings: list[Finding] = []
        self._roots: dict[int, bytes] = {}
        self._seen: list[tuple[str, Kept]] = []

    def done(self) -> Done:
        return Done(
            segments=self._segments,
            events=self._events,
            findings=tuple(self._findings),
            roots=self._roots,
            seen=tuple(self._seen),
        )

    async def read_ahead(self) -> AsyncIterator[tuple[Target, list[_Copy]]]:
        """The batch's segments in order, each with the bytes of all its good copies."""
        waiting: list[tuple[Target, asyncio.Task[list[_Copy]]]] = []
        for target in self._batch.targets:
            waiting.append((target, asyncio.create_task(self._read(target))))
            if len(waiting) > AHEAD:
                first, task = waiting.pop(0)
                yield first, await task
        for first, task in waiting:
            yield first, await task

    async def _read(self, target: Target) -> list[_Copy]:
        name = SegmentName.parse(target.name)
        return await asyncio.gather(*(self._copy(id, name) for id in target.holders))

    async def _copy(self, id: RegionId, name: SegmentName) -> _Copy:
        key, region = layout.segment_key(self._batch.node, name), self._regions.by_id[id]
        data, answer = None, await region.read(key)
        for _ in range(TRIES):
            if isinstance(answer, Present):
                data = answer.data
                if hashlib.sha256(data).digest() == name.sha256:
                    return _Copy(id, data, True)
            answer = await region.read(key)
        if data is None and isinstance(answer, Absent):
            self._find("vanished", name, id, "it was listed and is gone")
        elif data is None and isinstance(answer, Unknown):
            self._find("unreadable", name, id, answer.reason)
        return _Copy(id, data, False)

    def judge(self, target: Target, copies: list[_Copy]) -> None:
        name = SegmentName.parse(target.name)
        good = next((copy.data for copy in copies if copy.is_good), None)
        if target.is_lost and good is None:
            self._find("gap", name, "", "declared lost, and no copy of it is good")
            return
        for copy in copies:
            if copy.data is not None and not copy.is_good:
                self._find("corrupt", name, copy.region, "the bytes do not hash to the name")
        if good is not None and self._is_good(name, good, target):
            self._segments += 1
            self._events += name.count

    def _is_good(self, name: SegmentName, data: bytes, target: Target) -> bool:
        try:
            trailer = segment.verify_trailer(data, name, self._key.public, self._key.name)
        except ProofError as error:
            self._find("forged", name, "", str(error))
            return False
        if target.root_before is None:
            self._roots[name.index] = trailer.root_before
        is_good = target.root_before in (None, trailer.root_before)
        if not is_good and target.root_before is not None:
            self._find_rewritten(name, trailer.root_before, target.root_before)
        if self._batch.depth == "events":
            key = layout.segment_key(self._batch.node, name)
            try:
                opened = segment.take_out(data, name, trailer)
                seen = check_contents(opened, self._key, self._batch.tag_key, target.after_us)
                self._seen += ((key, kept) for kept in seen)
            except ProofError as error:
                self._find("false", name, "", str(error))
                return False
        return is_good

    def _find_rewritten(self, name: SegmentName, signed: bytes, named: bytes) -> None:
        why = f"its node signed {signed.hex()} as the root before it, the names give {named.hex()}"
        self._findings.append(
            Finding(
                kind="rewritten",
                node=self._batch.node,
                start=max(0, name.index - 1),
                end=name.index,
                key=layout.segment_key(self._batch.node, name),
                reason=why,
            )
        )

    def _find(self, kind: FindingKind, name: SegmentName, region: RegionId, why: str) -> None:
        self._findings.append(
            Finding(
                kind=kind,
                region=region,
                node=self._batch.node,
                start=name.index,
                end=name.index + 1,
                key=layout.segment_key(self._batch.node, name),
                reason=why,
            )
        )
