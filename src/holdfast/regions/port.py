"""The port to a store: what may be asked of one, and every answer that it can give.

Unknown is never absence (invariant I23): each question has a type for "I could not find out", so
that a caller must say what it does then. A store never raises for what the world does to it; an
exception out of a store is a mistake of ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

RegionId = str


@dataclass(frozen=True, slots=True)
class Present:
    """The object is there. modified_us: the store's own clock, µs UTC; 0 where it does not say.
    covered: as in `Listed`."""

    data: bytes
    modified_us: int
    covered: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """The store is well and has no such object."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The store said that the bytes are durable under that key."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Nothing can be read under the key now, whether anything could before."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The store is well and keeps the object: it is locked, or nobody here may delete.

    reason: for a person.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing follows: the object may or may not be there.

    reason: for a person. permanent: asking again will not help (refused credentials, a missing
    root or bucket); open the breaker and raise the alarm. answered: the store itself said so and is
    well ("already exists"); nothing to hold against its health.
    """

    reason: str
    permanent: bool = False
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Differs:
    """Other bytes lie under that key."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """One object in a listing. modified_us as in `Present`. covered: what was laid over it, for a
    person, in a store that keeps every version; what lies there is what was listed all the same."""

    key: str
    size_bytes: int
    modified_us: int
    covered: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Every object under the prefix whose key is greater than `after`, sorted by key, whole."""

    objects: tuple[Listed, ...]

    def __iter__(self) -> Iterator[Listed]:
        return iter(self.objects)


@dataclass(frozen=True, slots=True)
class Level:
    """What lies directly below a prefix, sorted. folders: the names (without "/") of those parts
    that have more below them. objects: the keys that end there."""

    folders: tuple[str, ...]
    objects: tuple[str, ...]


class Store(Protocol):
    """One bucket, container or directory.

    Keys match [0-9a-z._=/-]+, with no empty, "." or ".." part. Prefixes are "" or end with "/".
    All calls end in bounded time, and cancelling one does not undo what it may have stored.
    """

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        """Put-if-absent, durable when `Stored`. Already there, conflict, time-out: `Unknown`.

        When it is `answered`, an object that can be read under the key afterwards MUST be durable.
        After any other `Unknown` it may be readable before it is (a directory between link and
        fsync), so that reading it back settles nothing until a second create was answered.
        """

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        """Write or overwrite. Only for what is no evidence (`ctl/`, `lake/`)."""

    async def read(self, key: str) -> Present | Absent | Unknown:
        """The whole object."""

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        """All keys under `prefix` beyond `after`, in any depth, sorted."""

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        """Make a segment, or an object of the archive, unreadable; `ValueError` for all other keys.

        After a power cut, or by a create that was under way, it may be there again: nothing may
        rest on its absence.
        """

    async def level(self, prefix: str) -> Level | Unknown:
        """One level of keys, however many lie below: a way through more than one listing holds."""
