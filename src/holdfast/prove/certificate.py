"""A certificate that these are all events that were received in some time, of a tenant or of all;
where rules let some of them go, all that are left.

Planned before its first line is given, so that what cannot be certified is said as an error; then
made a batch of segments at a time. What goes wrong on the way leaves a file that proves nothing.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence

from holdfast.errors import CorruptError, Problem, RejectedError, UnavailableError
from holdfast.model import NodeId
from holdfast.proof import ProofError, merkle, objects, tenants
from holdfast.proof.certificate import (
    Head,
    HeadOfAll,
    HeadOfAllLeft,
    HeadOfLeft,
    Named,
    Shown,
    Whole,
)
from holdfast.proof.left import Gone, Place, Stated
from holdfast.prove import paths
from holdfast.prove.left import Of, left, read_floors
from holdfast.prove.stretches import Span
from holdfast.prove.walk import Batch, Plan, Walk
from holdfast.read.contents import Archived, Preserved, laid_out
from holdfast.regions import segment
from holdfast.regions.regions import Regions
from holdfast.times import format_us


class Certifier:
    """See the module."""

    def __init__(self, walk: Walk, regions: Regions) -> None:
        self._walk = walk
        self._regions = regions

    def salt_id(self, tenant: str) -> str:
        """What the tenant must know from elsewhere. Raises RejectedError."""
        return tenants.salt_id(self._salt(tenant))

    def _salt(self, tenant: str) -> bytes:
        try:
            return segment.tenant_salt(self._regions.tag_key, tenant)
        except ProofError as error:
            raise _rejected("bad-parameter", "tenant", str(error)) from None

    async def certificate(
        self, tenant: str | None, from_us: int, to_us: int, records: bool = True
    ) -> AsyncGenerator[bytes]:
        """A file of the format `holdfast-completeness/1`, or `...-all/1`, as pieces of whole lines.

        Args:
            tenant: "" is the one of events without; None: all tenants.
            from_us, to_us: received in [from_us, to_us).
            records: the records themselves; else only their hashes.
        Raises:
            RejectedError: uncertifiable: as `Walk.plan`; or as `read_floors`.
            UnavailableError: not now.
            CorruptError: what is stored contradicts what was signed.
        """
        salt = None if tenant is None else self._salt(tenant)
        span = Span(from_us, to_us)
        plan = await self._walk.plan(span, tenant)
        floors = await read_floors(self._regions, plan.let_go)
        yield objects.form(_head(plan, tenant, salt))
        told = set[Place]()
        of = (self._regions.tag_key, salt, records)

        async def look(node: NodeId, batch: Batch) -> object:
            return await self._walk.gone(node, batch, salt)

        for node, stretches in plan.nodes:
            for stretch in stretches:
                yield objects.form(stretch)
                made = self._walk.made(node, stretch, plan, _lines, *of, look=look)
                async for pieces in made:
                    for piece in pieces:
                        if isinstance(piece, bytes):
                            yield piece
                        elif piece not in told:
                            told.add(piece)
                            yield objects.form(Stated(_note_of(piece, floors)))


def _head(plan: Plan, tenant: str | None, salt: bytes | None) -> Head | HeadOfAll:
    basis = tuple(
        f"{each.region} {format_us(each.listed_from_us)} {format_us(each.listed_to_us)}"
        for each in plan.basis
    )
    nodes = tuple(node for node, _ in plan.nodes)
    said = (plan.span.from_us, plan.span.to_us, plan.through_us, basis, nodes)
    if tenant is None or salt is None:
        return (HeadOfAllLeft if plan.let_go else HeadOfAll)(*said)
    return (HeadOfLeft if plan.let_go else Head)(tenant, salt, *said)


def _note_of(at: Place, floors: Mapping[Place, str]) -> str:
    if at not in floors:
        raise UnavailableError(f"{at[1]} of {at[0]} was let go meanwhile: ask again")
    return floors[at]


def _rejected(kind: str, field: str, reason: str) -> RejectedError:
    return RejectedError(kind, Problem(0, field, reason))


def _lines(
    found: Batch,
    node: NodeId,
    tag_key: bytes,
    salt: bytes | None,
    with_records: bool,
    gone: Mapping[int, Sequence[Gone]],
) -> list[bytes | Place]:
    """In a worker: the lines of some segments; in front of those that rest on a floor, which.

    Raises CorruptError: bytes that are not what the name says.
    """
    parts = list[bytes | Place]()
    for name, held in found:
        if held is None:
            parts.append(objects.form(Named(name.text)))
            continue
        try:
            parts += _opened(held, Of(node, tag_key, salt, with_records), gone.get(name.index, ()))
        except ProofError as error:
            raise CorruptError(f"segment {name.index} of node {node}: {error}") from error
    return parts


def _opened(held: Preserved, of: Of, gone: Sequence[Gone]) -> Sequence[bytes | Place]:
    if gone and isinstance(held, Archived):
        return left(held, of, gone)
    if of.salt is None:
        return whole(held, of.node, of.tag_key, of.records)
    return shown(held, of.node, of.tag_key, of.salt, of.records)


def whole(held: Preserved, node: NodeId, tag_key: bytes, with_records: bool) -> list[bytes]:
    """All that a segment holds: a line, and its records. Pure. Raises as `shown`."""
    name, laid = held.name, laid_out(held, tag_key, node)
    records, members = laid.own(0, held.name.count), laid.members
    tags, blinds = tuple(each.tag for each in members), tuple(each.blind for each in members)
    counts = tuple(each.count for each in members)
    if with_records:
        line = Whole(name.text, tags, blinds, counts, (), name.count)
        return [objects.form(line), *(record + b"\n" for record in records)]
    hashes = tuple(merkle.leaf_hashes(records))
    return [objects.form(Whole(name.text, tags, blinds, counts, hashes, 0))]


def shown(
    held: Preserved, node: NodeId, tag_key: bytes, salt: bytes, with_records: bool
) -> list[bytes]:
    """What a segment holds of the tenant with that salt: a line, and its records. Pure.

    Raises ProofError: what is held does not make the name's root.
    """
    name, laid = held.name, laid_out(held, tag_key, node)
    members = laid.members
    own, tags = tenants.tag(salt, node, name.index), [member.tag for member in members]
    leaves = merkle.leaf_hashes([member.leaf for member in members])
    if own in tags:
        leaf = tags.index(own)
        start = sum(member.count for member in members[:leaf])
        end = start + members[leaf].count
        mine = laid.own(start, end)
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
