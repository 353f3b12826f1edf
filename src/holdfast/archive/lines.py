"""The evidence of a unit: all that proofs need of its segments, a line each; and what stays of a
class that is let go. Pure.

FORMAT.md, section 15. The lines are objects in their one form, as in files that prove something.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Head:
    """The first line. unit, generation: of the manifest that names this object."""

    MARK: ClassVar = ("format", "holdfast-archived/1")
    unit: str
    generation: int


@dataclass(frozen=True)
class Part:
    """What a search wants to know of a part before it opens it.

    sha256: of its bytes. earliest, latest: the times of its events, RFC 3339. tenants: whose.
    """

    MARK: ClassVar = ("line", "part")
    sha256: str
    rows: int
    earliest: str
    latest: str
    tenants: tuple[str, ...]


@dataclass(frozen=True)
class Archived:
    """A segment. trailer: the signed note at the end of its bytes, verbatim. leaves: of its segment
    tree, in order; the trailer has the tenants' counts."""

    MARK: ClassVar = ("line", "segment")
    node: str
    segment: str
    trailer: str
    leaves: tuple[str, ...]


@dataclass(frozen=True)
class Remains:
    """The first line of what stays of a class. unit, retention: as the floor has them."""

    MARK: ClassVar = ("format", "holdfast-remains/1")
    unit: str
    retention: str


@dataclass(frozen=True)
class Gone:
    """What went of a segment. rows: ranges [from, to) of its lines, ascending. hashes: the leaf
    hashes of those rows whose tenant has other rows there, in order: where all of a tenant's went,
    its leaf in the evidence is enough."""

    MARK: ClassVar = ("line", "gone")
    node: str
    segment: int
    rows: tuple[tuple[int, ...], ...]
    hashes: tuple[bytes, ...]
