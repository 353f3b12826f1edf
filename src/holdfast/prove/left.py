"""What rules left of a segment, as a certificate shows it, and the floors that it rests on."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.model import NodeId
from holdfast.proof import ProofError, floors, merkle, objects, tenants
from holdfast.proof.floors import Floor, ProvableFloor, Went
from holdfast.proof.left import Gone, Left, Place, WholeLeft
from holdfast.prove import paths
from holdfast.read.contents import Archived, Laid, laid_out
from holdfast.regions import layout
from holdfast.regions.layout import FloorKey
from holdfast.regions.port import Present
from holdfast.regions.regions import Regions
from holdfast.regions.segment import Member

FLOORS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Of:
    """What a segment is shown of, and how. salt: the tenant's; None: all. records: else hashes."""

    node: NodeId
    tag_key: bytes
    salt: bytes | None
    records: bool


async def read_floors(regions: Regions, wanted: Sequence[Floor]) -> dict[Place, str]:
    """The signed notes of floors, as some region has them.

    Raises:
        RejectedError: uncertifiable: one of them does not say which records it let go.
        UnavailableError: no region shows one of them now.
    """
    found: dict[Place, str] = {}
    for at in range(0, len(wanted), FLOORS_AT_ONCE):
        some = wanted[at : at + FLOORS_AT_ONCE]
        notes = await asyncio.gather(*(_read(regions, floor) for floor in some))
        found |= {(f.unit, f.retention): note for f, note in zip(some, notes, strict=True)}
    return found


async def _read(regions: Regions, floor: Floor) -> str:
    key = layout.retained_key(FloorKey(floor.unit, floor.retention))
    is_old = False
    for region in regions:
        answer = await region.read(key)
        if not isinstance(answer, Present):
            continue
        try:
            said = floors.verify_floor(answer.data, regions.trail).statement
        except ProofError:
            continue
        if isinstance(said, ProvableFloor) and said.remains == floor.remains:
            return answer.data.decode()
        is_old = True
    if is_old:
        reason = f"{key} is of an old version, and does not say which records were let go"
        raise RejectedError("uncertifiable", Problem(0, "to", reason))
    raise UnavailableError(f"{key} cannot be read now: no region shows it")


def left(held: Archived, of: Of, gone: Sequence[Gone]) -> list[bytes | Place]:
    """What is left of a segment of which floors let something go: lines, and its records; in front
    of each that rests on a floor, which. Pure.

    Raises ProofError: what is held does not make the name's root.
    """
    laid = laid_out(held, of.tag_key, of.node)
    line, start, end = _line(held, laid, of, len(gone))
    records = [each for each in laid.records[start:end] if each is not None]
    if of.records:
        line = replace(line, records=len(records))
    else:
        line = replace(line, hashes=tuple(merkle.leaf_hashes(records)))
    found: list[bytes | Place] = [objects.form(line)]
    for each in gone:
        found += [(each.unit, each.retention), objects.form(_with_hashes(each, laid))]
    return [*found, *(record + b"\n" for record in records)] if of.records else found


def _line(held: Archived, laid: Laid, of: Of, count: int) -> tuple[Left | WholeLeft, int, int]:
    """What is said of the segment; and which of its lines are those that are asked for."""
    name, members = held.name, laid.members
    starts = [*accumulate((member.count for member in members), initial=0)]
    empty = [
        not any(laid.records[start : start + member.count])
        for start, member in zip(starts, members, strict=False)
    ]
    if of.salt is None:
        tags, counts = tuple(m.tag for m in members), tuple(m.count for m in members)
        blinds = tuple(m.blind for m, is_empty in zip(members, empty, strict=True) if not is_empty)
        hidden = tuple(_hidden(m) for m, is_empty in zip(members, empty, strict=True) if is_empty)
        line = WholeLeft(name.text, tags, blinds, counts, count, hidden, (), 0)
        return line, 0, name.count
    leaf = [member.tag for member in members].index(tenants.tag(of.salt, of.node, name.index))
    leaves = merkle.leaf_hashes([member.leaf for member in members])
    around = paths.before(leaves, leaf), paths.after(leaves, leaf + 1)
    hidden = (_hidden(members[leaf]),) if empty[leaf] else ()
    return Left(name.text, leaf, *around, count, hidden, (), 0), starts[leaf], starts[leaf + 1]


def _hidden(member: Member) -> bytes:
    return bytes.fromhex(member.leaf.decode().partition(" ")[2])


def _with_hashes(gone: Gone, laid: Laid) -> Gone:
    """A line with the hashes of the records of which others of the tenant are left."""
    return replace(gone, hashes=tuple(_hashes(map(Went.parse, gone.leaves), laid)))


def _hashes(several: Iterator[Went], laid: Laid) -> Iterator[bytes]:
    starts: Mapping[str, int] = dict(
        zip(
            (member.tag for member in laid.members),
            accumulate((member.count for member in laid.members), initial=0),
            strict=False,
        )
    )
    for went in several:
        start = starts[went.tag]
        if any(laid.records[start : start + went.count]):
            for low, high in went.lines:
                yield from laid.hashes(start + low, start + high)
