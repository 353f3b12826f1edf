"""A bucket that forgets nothing, read as what it was first told.

Object Lock lets nobody change a version, and stops nobody from laying another one over it: a plain
delete stacks a marker, a plain put a newer version, and after a marker even a create succeeds. Who
holds a writer's credentials can do that to every object. So here the evidence under a key is the
oldest version that can be it (`genuine`), whatever lies above: it is listed, read and never created
a second time, and the listing says what covers it.

A create of a note counts only if the version that it stored is that oldest one. So put-if-absent
holds after a marker too, and where a store passes over the condition once it keeps versions (Ceph's
gateway, up to 16 at least): versions have one order, and of several the first wins. A segment needs
no such look: its name says which bytes it has.

What that costs beside a plain bucket: a listing is one of versions. A read costs the same while it
meets what it must: of a segment the name tells, of a note what was once found to be its oldest
version. For what is read for the first time or is absent, the versions of that key are listed, and
for a create of a note twice.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from holdfast.regions import layout
from holdfast.regions.cloud import CloudStore
from holdfast.regions.genuine import is_fixed, is_genuine, trail_of
from holdfast.regions.keys import check_key, check_prefix, check_removable
from holdfast.regions.port import (
    Absent,
    Level,
    Listed,
    Listing,
    Present,
    Refused,
    Removed,
    Stored,
    Unknown,
)
from holdfast.regions.versions import S3Versions, Version

VERSIONS_READ_MAX = 32  # of one object, from the oldest on
KNOWN_MAX = 4096
NO_VERSION = "null"  # what S3 calls the one of a bucket that keeps none
TAKEN = Unknown("already exists", answered=True)
DELETED = "a delete marker"
OVERWRITTEN = "a newer version"


@dataclass(frozen=True, slots=True)
class _First:
    """The version that counts. is_genuine: else it only is the oldest one, and cannot be meant."""

    id: str
    found: Present
    is_genuine: bool


class WormStore:
    """See the module. Implements `Store` and `Rooted`, for evidence alone."""

    def __init__(self, newest: CloudStore, versions: S3Versions) -> None:
        """newest: the same bucket as it shows itself."""
        self._newest = newest
        self._versions = versions
        self._known: dict[str, bytes] = {}  # key -> hash of its oldest version, of notes
        self._trail = ""

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        if is_fixed(key):
            return await self._newest.create(key, data)
        before = await self._first(key)
        if isinstance(before, Unknown):
            return before
        if isinstance(before, _First) and before.is_genuine:
            return TAKEN
        stored = await self._newest.create_version(key, data)
        if isinstance(stored, Unknown):
            return stored
        first = await self._first(key)
        if isinstance(first, Unknown):
            return first
        is_first = isinstance(first, _First) and first.id == (stored or NO_VERSION)
        return Stored() if is_first else TAKEN

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        raise ValueError(f"nothing is overwritten in a bucket that keeps every version: {key!r}")

    async def read(self, key: str) -> Present | Absent | Unknown:
        found = await self._newest.read(key)
        if isinstance(found, Unknown):
            return found
        if isinstance(found, Present) and self._is_first(key, found.data):
            return found
        first = await self._first(key)
        return first.found if isinstance(first, _First) else first

    async def locked_days(self) -> int | Unknown:
        """As the bucket's default retention says, which whoever puts an object may exceed."""
        kept = await self._versions.protection()
        return kept if isinstance(kept, Unknown) else kept.days

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        """Every version and marker, the newest first: its lock ends last, so nothing is touched
        while any is locked, and whoever dies half-way leaves the oldest, which is the object."""
        check_removable(key)
        kept = await self._versions.list(key)
        if isinstance(kept, Unknown):
            return kept
        for version in reversed([each for each in kept.versions if each.key == key]):
            outcome = await self._versions.remove(key, version.id)
            if not isinstance(outcome, Removed):
                return outcome
        return Removed()

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        check_prefix(prefix)
        kept = await self._versions.list(prefix, after)
        return kept if isinstance(kept, Unknown) else Listing(tuple(_listed(kept.versions)))

    async def level(self, prefix: str) -> Level | Unknown:
        check_prefix(prefix)
        kept = await self._versions.list(prefix, deep=False)
        if isinstance(kept, Unknown):
            return kept
        return Level(kept.folders, tuple(listed.key for listed in _listed(kept.versions)))

    async def has_root(self) -> bool | Unknown:
        return await self._newest.has_root()

    async def make_root(self) -> Stored | Unknown:
        return await self._newest.make_root()

    def _is_first(self, key: str, data: bytes) -> bool:
        """Whether these bytes are known to be the evidence, without a look at the versions."""
        if is_fixed(key):
            return is_genuine(key, data, "")
        return self._known.get(key) == hashlib.sha256(data).digest()

    async def _first(self, key: str) -> "_First | Absent | Unknown":
        """The oldest version that can be the evidence; where none can, the oldest of all."""
        check_key(key)
        kept = await self._versions.list(key)
        if isinstance(kept, Unknown):
            return kept
        versions = [each for each in kept.versions if each.key == key]
        real = [each for each in versions if not each.is_marker]
        if not real:
            return Absent()
        trail = await self._learn_trail() if key != layout.REGION_KEY else self._trail
        if isinstance(trail, Unknown):
            return trail
        oldest: _First | None = None
        for version in real[:VERSIONS_READ_MAX]:
            found = await self._newest.read_version(key, version.id)
            if isinstance(found, Unknown):
                return found
            if isinstance(found, Present):
                genuine = is_genuine(key, found.data, trail)
                first = _First(version.id, replace(found, covered=_cover(versions)), genuine)
                if genuine:
                    self._remember(key, found.data)
                    return first
                oldest = oldest or first
        return oldest or Absent()

    async def _learn_trail(self) -> str | Unknown:
        """Whose notes these must be, by the store's own cookie; "" before it has one."""
        if not self._trail:
            cookie = await self._first(layout.REGION_KEY)
            if isinstance(cookie, Unknown):
                return cookie
            if isinstance(cookie, _First) and cookie.is_genuine:
                self._trail = trail_of(cookie.found.data)
        return self._trail

    def _remember(self, key: str, data: bytes) -> None:
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        if not is_fixed(key):
            self._known[key] = hashlib.sha256(data).digest()


def _listed(versions: Sequence[Version]) -> Iterator[Listed]:
    """Each object by its oldest version."""
    for key, group in groupby(versions, key=lambda version: version.key):
        of_key = list(group)
        first = next((each for each in of_key if not each.is_marker), None)
        if first is not None:
            yield Listed(key, first.size_bytes, first.modified_us, _cover(of_key))


def _cover(versions: Sequence[Version]) -> str:
    """What lies over the oldest of all versions of one object. The same bytes again, as a retried
    put leaves them, are no cover."""
    if any(each.is_marker and each.is_newest for each in versions):
        return DELETED
    etags = {each.etag for each in versions if not each.is_marker}
    return OVERWRITTEN if len(etags) > 1 else ""
