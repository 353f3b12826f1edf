"""Statements of retention: floors, below which a class of a unit is let go; holds; releases. Pure.

Made as those in `kinds`. Floors are in `proof.floors`: some files that prove something carry them.
"""

from dataclasses import dataclass
from typing import Annotated

from holdfast.proof import fields, floors, names, statements
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.fields import Line, Word
from holdfast.proof.floors import Floor
from holdfast.proof.statements import Certified, Signed
from holdfast.regions.layout import FloorKey, HoldKey

__all__ = ["Floor", "Hold", "Release", "Retained", "place_of", "verify_retained"]


def _parse_some(text: str) -> str:
    if found := fields.STRING.parse(text):
        return found
    raise MalformedError("an empty text stands for none, and is left out")


TextOrNone = Annotated[str, Line(Word(fields.STRING.form, _parse_some), "?", nothing="")]


@dataclass(frozen=True)
class Hold(Certified):
    """Some events must stay, whatever a rule says. Signed by whoever put it into the regions.

    hold: its id. actor: "": any. from_us, to_us: half-open range of the events' `time`; None: open.
    author: the person. by: who signed.
    """

    KIND = "holdfast-hold/1"
    hold: fields.Id
    tenant: fields.Text
    actor: TextOrNone
    from_us: fields.NumberOrNone
    to_us: fields.NumberOrNone
    reason: fields.Text
    author: fields.Text
    by: fields.Id
    placed_us: fields.Number
    certificate: fields.NoteBytes

    def check(self) -> None:
        if self.to_us is not None and self.to_us <= (self.from_us or 0):
            raise MalformedError("a hold has no time")

    def touches(self, tenants: tuple[str, ...], earliest_us: int, latest_us: int) -> bool:
        """Whether it may hold one of some events. Of whom they are is not asked."""
        return (
            self.tenant in tenants
            and (self.from_us is None or self.from_us <= latest_us)
            and (self.to_us is None or earliest_us < self.to_us)
        )


@dataclass(frozen=True)
class Release(Certified):
    """A hold is over. hold: its id. author: the person. by: who signed."""

    KIND = "holdfast-release/1"
    hold: fields.Id
    reason: fields.Text
    author: fields.Text
    by: fields.Id
    released_us: fields.Number
    certificate: fields.NoteBytes


Retained = Floor | Hold | Release


def verify_retained(key: FloorKey | HoldKey, data: bytes, trail: str) -> Signed[Retained]:
    """Verify the statement of a key: the trail certified who signed it, it is of the same trail,
    and it speaks of that place. Raises ProofError."""
    kind: type[Retained] = floors.kind_of(data)
    if isinstance(key, HoldKey):
        kind = Release if key.is_release else Hold
    signed: Signed[Retained] = statements.verify_certified(data, kind, trail)
    if signed.origin != names.trail_origin(trail):
        raise MismatchError(f"{signed.origin} is not the trail {trail}")
    if place_of(signed.statement) != key:
        raise MismatchError("it speaks of another unit, class or hold")
    return signed


def place_of(statement: Retained) -> FloorKey | HoldKey:
    """Where a statement belongs."""
    if isinstance(statement, Floor):
        return FloorKey(statement.unit, statement.retention)
    return HoldKey(statement.hold, isinstance(statement, Release))
