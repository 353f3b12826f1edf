"""Floors: that a class of a unit was let go, by a rule, and which records those were. Pure.

FORMAT.md, sections 5 and 15.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, NamedTuple

from holdfast.proof import fields, names, statements, units
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.fields import Line, Word, words
from holdfast.proof.statements import Certified, Signed

_NUMBER = "(?:0|[1-9][0-9]{0,18})"
_LEAF = re.compile(rf"([0-9a-f]{{64}}) ({_NUMBER})((?: {_NUMBER}-{_NUMBER})+)", re.ASCII)


class Tree(NamedTuple):
    """How many leaves, and their root."""

    size: int
    root: bytes


_PART = words(statements.pair, Word(str, names.check_hash), fields.NUMBER, fields.NUMBER)
Unit = Annotated[str, Line(Word(str, units.check_unit))]
Class = Annotated[str, Line(Word(str, units.check_class), key="class")]
ObjectHash = Annotated[str, Line(Word(str, names.check_hash))]
Parts = Annotated[tuple[tuple[str, int, int], ...], Line(_PART, "*", "part")]
Gone = Annotated[Tree, Line(words(Tree, fields.NUMBER, fields.HASH))]


@dataclass(frozen=True)
class Floor(Certified):
    """A class of a unit is let go: nobody shows it from now on, and its parts are deleted.

    rule: in words. min, max: its days. rows: how many records; earliest_us, latest_us: the least
    and the greatest `time` of them; 0: before 1970. by: who says so. remains: SHA-256 of the object
    with what stays of them. parts: (SHA-256, bytes, rows), by the first: those that hold these very
    records, in any store.
    """

    KIND = "holdfast-floor/1"
    unit: Unit
    retention: Class
    rule: fields.Text
    min: fields.Number
    max: fields.Number
    rows: fields.Number
    earliest_us: fields.Number
    latest_us: fields.Number
    by: fields.Id
    floored_us: fields.Number
    certificate: fields.NoteBytes
    remains: ObjectHash
    parts: Parts

    def check(self) -> None:
        statements.check_ascending([sha256 for sha256, *_ in self.parts])
        if not self.parts or not self.rows or any(0 in sizes for _, *sizes in self.parts):
            raise MalformedError("a floor names no part, or an empty one")
        if self.latest_us < self.earliest_us:
            raise MalformedError("a floor has no time")
        if not self.min <= self.max or not self.max:
            raise MalformedError("a floor is of a rule by which nothing goes")


@dataclass(frozen=True)
class ProvableFloor(Floor):
    """One that also says which records went: so certificates of completeness may rest on it.

    gone: the tree over what went, whose leaves are those of `Went`, by node, segment and tag.
    """

    KIND = "holdfast-floor/2"
    gone: Gone

    def check(self) -> None:
        super().check()
        if not 0 < self.gone.size <= self.rows:
            raise MalformedError("a floor has more tenants than records, or none")


@dataclass(frozen=True, slots=True)
class Went:
    """What of a tenant went of a segment. tag: the tenant's there. count: its records in the
    segment. lines: ranges [from, to) of these, 0-based, ascending, none touching the next."""

    tag: str
    count: int
    lines: tuple[tuple[int, int], ...]

    @property
    def leaf(self) -> bytes:
        """How it stands in the tree."""
        lines = " ".join(f"{start}-{end}" for start, end in self.lines)
        return f"{self.tag} {self.count} {lines}".encode()

    @property
    def rows(self) -> int:
        """How many records went."""
        return sum(end - start for start, end in self.lines)

    @classmethod
    def parse(cls, text: str) -> "Went":
        """Read a leaf. Raises MalformedError."""
        match = _LEAF.fullmatch(text)
        if match is None:
            raise MalformedError("a leaf of what went has another form")
        pairs = (word.split("-") for word in match[3].split())
        lines = tuple((int(start), int(end)) for start, end in pairs)
        ascend = all(left[1] < right[0] for left, right in pairwise(lines))
        if not ascend or any(start >= end for start, end in lines) or lines[-1][1] > int(match[2]):
            raise MalformedError("a leaf of what went has lines that are none")
        return cls(match[1], int(match[2]), lines)


def went_of(members: Sequence[tuple[str, int]], rows: Sequence[Sequence[int]]) -> Iterator[Went]:
    """What went of each tenant of a segment, of those of whom something did, in order.

    members: the tenants' tags and counts, as its trailer has them. rows: ranges of its lines, as
    what stays of a class has them.
    """
    at = start = 0
    for tag, count in members:
        end, lines = start + count, list[tuple[int, int]]()
        while at < len(rows) and rows[at][0] < end:
            low, high = rows[at]
            lines.append((max(low, start) - start, min(high, end) - start))
            if high > end:
                break  # it goes on in the next one's
            at += 1
        if lines:
            yield Went(tag, count, tuple(lines))
        start = end


def tree_of(floor: Floor) -> Tree | None:
    """The tree over what went; None: of an old version, which does not say."""
    return floor.gone if isinstance(floor, ProvableFloor) else None


def kind_of(data: bytes) -> type[Floor]:
    """Which version a floor claims to be of."""
    return ProvableFloor if data.startswith(ProvableFloor.KIND.encode()) else Floor


def verify_floor(data: bytes, trail: str) -> Signed[Floor]:
    """Verify a floor: the trail certified who signed it, and it is of the same trail. Raises
    ProofError."""
    signed = statements.verify_certified(data, kind_of(data), trail)
    if signed.origin != names.trail_origin(trail):
        raise MismatchError(f"{signed.origin} is not the trail {trail}")
    return signed
