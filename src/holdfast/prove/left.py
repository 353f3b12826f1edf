"""What rules left of a segment, as a certificate shows it, and the floors that it rests on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    own = _tenants(laid)
    line, several = _line(held, own, of, len(gone))
    kept = [record for one in several for record in one.kept]
    if of.records:
        line = replace(line, records=len(kept))
    else:
        line = replace(line, hashes=tuple(merkle.leaf_hashes(kept)))
    by_tag = {one.member.tag: one for one in several}
    found: list[bytes | Place] = [objects.form(line)]
    for each in gone:
        went = [Went.parse(leaf) for leaf in each.leaves]
        hashes = [leaf for one in went for leaf in by_tag[one.tag].hashes(laid, one)]
        found += [(each.unit, each.retention), objects.form(replace(each, hashes=tuple(hashes)))]
    return [*found, *(record + b"\n" for record in kept)] if of.records else found


@dataclass(frozen=True, slots=True)
class _Tenant:
    """A tenant in a segment. start: its first line. kept: its records that are left."""

    member: Member
    start: int
    kept: tuple[bytes, ...]

    @property
    def hidden(self) -> bytes:
        """The second part of its leaf."""
        return bytes.fromhex(self.member.leaf.decode().partition(" ")[2])

    def hashes(self, laid: Laid, went: Went) -> list[bytes]:
        """The leaf hashes of what went, where something is left; none where nothing is."""
        lines = ((self.start + low, self.start + high) for low, high in went.lines if self.kept)
        return [leaf for low, high in lines for leaf in laid.hashes(low, high)]


def _tenants(laid: Laid) -> list[_Tenant]:
    found, start = [], 0
    for member in laid.members:
        records = laid.records[start : start + member.count]
        kept = tuple(record for record in records if record is not None)
        found.append(_Tenant(member, start, kept))
        start += member.count
    return found


def _line(
    held: Archived, every: Sequence[_Tenant], of: Of, floors: int
) -> tuple[Left | WholeLeft, Sequence[_Tenant]]:
    """What is said of the segment; and who is asked for."""
    members = [one.member for one in every]
    if of.salt is None:
        line = WholeLeft(
            segment=held.name.text,
            tags=tuple(member.tag for member in members),
            blinds=tuple(one.member.blind for one in every if one.kept),
            counts=tuple(member.count for member in members),
            floors=floors,
            hidden=tuple(one.hidden for one in every if not one.kept),
            hashes=(),
            records=0,
        )
        return line, every
    tag = tenants.tag(of.salt, of.node, held.name.index)
    at = [member.tag for member in members].index(tag)
    leaves = merkle.leaf_hashes([member.leaf for member in members])
    around = paths.before(leaves, at), paths.after(leaves, at + 1)
    hidden = () if every[at].kept else (every[at].hidden,)
    return Left(held.name.text, at, *around, floors, hidden, (), 0), [every[at]]
