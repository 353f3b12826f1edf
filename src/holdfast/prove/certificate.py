"""A certificate that these are all events of a tenant that were received in some time.

Planned before its first line is given, so that what cannot be certified is said as an error; then
made a batch of segments at a time. What goes wrong on the way leaves a file that proves nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass

from holdfast.errors import CorruptError, Problem, RejectedError, UnavailableError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import ProofError, certificate, merkle, objects, tenants
from holdfast.proof.certificate import Head, Named, Shown, Stretch
from holdfast.proof.names import SegmentName
from holdfast.prove import paths
from holdfast.prove.stretches import Planner, Span
from holdfast.prove.trees import Trees
from holdfast.read.reader import Reader
from holdfast.regions import segment
from holdfast.regions.regions import Regions
from holdfast.times import format_us

BATCH_SEGMENTS = 64
BATCH_EVENTS = 20_000
BATCHES_AHEAD = 2
ATTEMPTS_MAX = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be certified. salt: the tenant's. records: else only their hashes."""

    salt: bytes
    span: Span
    records: bool


class Certifier:
    """See the module."""

    def __init__(self, reader: Reader, regions: Regions, host: Host, trees: Trees) -> None:
        self._reader = reader
        self._regions = regions
        self._host = host
        self._planner = Planner(reader, regions, trees)

    def salt_id(self, tenant: str) -> str:
        """What the tenant must know from elsewhere. Raises RejectedError."""
        return tenants.salt_id(self._salt(tenant))

    def _salt(self, tenant: str) -> bytes:
        try:
            return segment.tenant_salt(self._regions.tag_key, tenant)
        except ProofError as error:
            raise _rejected("bad-parameter", "tenant", str(error)) from None

    async def certificate(
        self, tenant: str, from_us: int, to_us: int, records: bool = True
    ) -> AsyncGenerator[bytes]:
        """A file of the format `holdfast-completeness/1`, as pieces of whole lines.

        Args:
            tenant: "" is the one of events without.
            from_us, to_us: received in [from_us, to_us).
            records: the records themselves; else only their hashes.
        Raises:
            RejectedError: uncertifiable: not all of that time is known yet, or names are lost.
            UnavailableError: not now.
            CorruptError: what is stored contradicts what was signed.
        """
        salt, span = self._salt(tenant), Span(from_us, to_us)
        wanted = Wanted(salt, span, records)
        said = self._reader.completeness()
        through = said.complete_through_us
        _check_span(span, through)
        assert through is not None, "as _check_span says"
        nodes = self._reader.nodes()
        planned = [(node, await self._planned(node, span)) for node in nodes]
        basis = tuple(
            f"{each.region} {format_us(each.listed_from_us)} {format_us(each.listed_to_us)}"
            for each in said.basis
        )
        yield objects.form(Head(tenant, salt, from_us, to_us, through, basis, nodes))
        for node, stretches in planned:
            for stretch in stretches:
                yield objects.form(stretch)
                async for piece in self._segments(node, stretch, wanted):
                    yield piece

    async def _planned(self, node: NodeId, span: Span) -> Sequence[Stretch]:
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return await self._planner.stretches(node, span)
            except UnavailableError:
                await self._reader.catch_up()  # the node went on while it was looked at
        return await self._planner.stretches(node, span)

    async def _segments(
        self, node: NodeId, stretch: Stretch, wanted: Wanted
    ) -> AsyncIterator[bytes]:
        """The lines behind a stretch; worker processes make them, a few batches ahead."""
        coming: deque[Awaitable[bytes]] = deque()
        before: SegmentName | None = None
        at = stretch.start
        while at < stretch.end:
            names = await self._names(node, at, min(at + BATCH_SEGMENTS, stretch.end))
            asked = []
            for name in names:
                if wanted.span.holds(name, before):
                    asked.append(name.index)
                before = name
            data: dict[SegmentName, bytes] = {}
            if asked:
                data = dict(await self._reader.segments(node, asked[0], asked[-1] + 1))
            found = [(name, data.get(name, b"")) for name in names]
            arguments = (found, node, self._regions.tag_key, wanted.salt, wanted.records)
            coming.append(asyncio.wrap_future(self._host.compute.submit(_lines, *arguments)))
            at += len(names)
            if len(coming) > BATCHES_AHEAD:
                yield await coming.popleft()
        while coming:
            yield await coming.popleft()

    async def _names(self, node: NodeId, start: int, end: int) -> list[SegmentName]:
        """Segments from `start` on, at least one, and at most so many events as fit a batch."""
        names = [SegmentName.parse(text) for text in await self._reader.names(node, start, end)]
        if [name.index for name in names] != list(range(start, end)):
            raise UnavailableError(f"segments {start} to {end} of node {node} are not held now")
        fitting, events = 1, names[0].count
        while fitting < len(names) and events + names[fitting].count <= BATCH_EVENTS:
            events += names[fitting].count
            fitting += 1
        return names[:fitting]


def _check_span(span: Span, through_us: int | None) -> None:
    if not 0 <= span.from_us < span.to_us < certificate.TIME_US_MAX:
        raise _rejected("bad-parameter", "to", "must be later than `from`, and both after 1970")
    if through_us is None:
        raise _rejected("uncertifiable", "to", "nothing is known to be complete yet")
    if span.to_us - 1 > through_us:
        raise _rejected(
            "uncertifiable",
            "to",
            f"is too late: everything is known through {format_us(through_us)}; what was received "
            f"before {format_us(through_us + 1)} can be certified",
        )


def _rejected(kind: str, field: str, reason: str) -> RejectedError:
    return RejectedError(kind, Problem(0, field, reason))


def _lines(
    found: Sequence[tuple[SegmentName, bytes]],
    node: NodeId,
    tag_key: bytes,
    salt: bytes,
    with_records: bool,
) -> bytes:
    """In a worker: the lines of some segments; those without bytes are not in question.

    Raises CorruptError: bytes that are not what the name says.
    """
    parts: list[bytes] = []
    for name, data in found:
        if not data:
            parts.append(objects.form(Named(name.text)))
            continue
        try:
            parts += shown(name, data, node, tag_key, salt, with_records)
        except ProofError as error:
            raise CorruptError(f"segment {name.index} of node {node}: {error}") from error
    return b"".join(parts)


def shown(
    name: SegmentName, data: bytes, node: NodeId, tag_key: bytes, salt: bytes, with_records: bool
) -> list[bytes]:
    """What a segment holds of the tenant with that salt: a line, and its records. Pure.

    Raises ProofError: the bytes do not make the name's root.
    """
    opened = segment.take_out(data, name, segment.read_trailer(data).statement)
    starts, at = [], 0
    for _, count in opened.trailer.tenants:
        starts.append(at)
        at += count
    # One record of each tells whose all are: were another among them, the root would be another.
    owners = [segment.tenant_of(opened.records[start]) for start in starts]
    members = segment.verify_tenants(opened, tag_key, node, owners)
    own, tags = tenants.tag(salt, node, name.index), [member.tag for member in members]
    leaves = merkle.leaf_hashes([member.leaf for member in members])
    if own in tags:
        leaf = tags.index(own)
        start, end = starts[leaf], starts[leaf] + members[leaf].count
        mine = opened.records[start:end]
        around = paths.before(leaves, leaf), paths.after(leaves, leaf + 1)
        if with_records:
            line = Shown(name.text, leaf, *around, (), (), len(mine))
            return [objects.form(line), *(record + b"\n" for record in mine)]
        return [
            objects.form(Shown(name.text, leaf, *around, (), tuple(merkle.leaf_hashes(mine)), 0))
        ]
    above = sum(tag < own for tag in tags)
    start, end = max(above - 1, 0), min(above + 1, len(tags))
    beside = tuple(member.leaf.decode() for member in members[start:end])
    around = paths.before(leaves, start), paths.after(leaves, end)
    return [objects.form(Shown(name.text, start, *around, beside, (), 0))]
