"""Each region's parts as an Iceberg table, beside the evidence and derived from it.

In `lake/events/metadata` lie the versions `v<number>.metadata.json`, the manifests that these name
and, for engines, the number of the newest in `version-hint.text`. A version is created, never
overwritten, after all that it names; so it is the commit: of two keepers one makes it, and a crash
at any point leaves the version before or the one after. All of it may be deleted at any time, and
is made anew by the next run, as when the region moved and the paths in it are wrong.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import msgspec
from msgspec import Struct

from holdfast.ports import Host
from holdfast.regions import layout
from holdfast.regions.port import Differs, Present, Unknown
from holdfast.regions.region import Region

log = logging.getLogger("holdfast.archive")

TABLE = f"{layout.LAKE_PREFIX}events"
METADATA_PREFIX = f"{TABLE}/metadata/"
HINT = "version-hint.text"
AT_ONCE = 8  # files of one region
_VERSION = re.compile(r"v([1-9][0-9]*)\.metadata\.json")

Parts = Mapping[str, tuple[int, int]]  # by key: bytes, rows


class Commit(Struct, frozen=True):
    """What a table shall be. location: its URI. data: that which keys of parts follow. number: of
    the version to make. metadata: of the one before, b"": there is none; files: what it consists
    of, by name. mark: of the parts, as in `_Told`."""

    location: str
    data: str
    number: int
    metadata: bytes
    files: dict[str, bytes]
    parts: dict[str, tuple[int, int]]
    mark: str


class _Told(Struct, frozen=True, rename={"mark": "holdfast.parts", "files": "holdfast.files"}):
    """What a version says of itself. mark: tells its parts, and where they lie, from others. files:
    what its newest snapshot consists of, names with blanks between."""

    mark: str = ""
    files: str = ""


class _Metadata(Struct, frozen=True):
    properties: _Told = _Told()


class _Table(Struct, frozen=True):
    """What a region has of its table. names: of all files. number, metadata: of the newest version;
    0 and b"": there is none."""

    names: frozenset[str]
    number: int
    metadata: bytes


class _TroubleError(Exception):
    """Why a table cannot be kept now."""


class Lake:
    """Keeps the tables of regions true."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._is_possible = find_spec("pyiceberg") is not None
        self._is_said = False

    async def keep(self, region: Region, parts: Parts) -> str:
        """Bring it about that a region's table has these parts and no others.

        Returns:
            Why that could not be done; "": it was, or nobody here keeps tables.
        """
        if region.uris is None or not self._may():
            return ""
        try:
            table = await self._look(region)
            if parts or table.number:
                await self._renew(region, table, parts)
        except _TroubleError as error:
            return str(error)
        except Exception as error:
            # It is derived, and made by a library from what lay there: events are not less safe.
            log.exception("the table of region %s", region.id)
            return f"its table cannot be made: {error}"
        return ""

    def _may(self) -> bool:
        if not self._is_possible and not self._is_said:
            log.info("pyiceberg is not installed (extra `lake`): no Iceberg tables are kept")
            self._is_said = True
        return self._is_possible

    async def _look(self, region: Region) -> _Table:
        listing = await region.list(METADATA_PREFIX)
        if isinstance(listing, Unknown):
            raise _TroubleError(listing.reason)
        names = frozenset(entry.key.removeprefix(METADATA_PREFIX) for entry in listing)
        number = max(
            (int(found[1]) for found in map(_VERSION.fullmatch, names) if found), default=0
        )
        metadata = await self._read(region, [_version(number)] if number else [])
        return _Table(names, number, b"".join(metadata.values()))

    async def _renew(self, region: Region, table: _Table, parts: Parts) -> None:
        """A version with these parts, unless the newest has them; and the hint to it."""
        assert region.uris is not None, "it was asked"
        data, control = region.uris
        told, mark = _told(table.metadata), _mark(data, control, parts)
        needed, number = told.files.split(), table.number
        if told.mark != mark or not table.names.issuperset(needed):
            number += 1
            files = await self._read(region, [name for name in needed if name in table.names])
            job = Commit(
                *(f"{control}/{TABLE}", data, number, table.metadata, files, dict(parts), mark)
            )
            made = await asyncio.wrap_future(self._host.background.submit(_commit, job))
            for name, content in made.items():
                await self._put(region, name, content)
        hint = str(number).encode()
        if HINT not in table.names or await self._read(region, [HINT]) != {HINT: hint}:
            outcome = await region.replace(f"{METADATA_PREFIX}{HINT}", hint)
            if isinstance(outcome, Unknown):
                raise _TroubleError(outcome.reason)

    async def _read(self, region: Region, names: Sequence[str]) -> dict[str, bytes]:
        """Those of these files that are there."""
        found: dict[str, bytes] = {}
        for at in range(0, len(names), AT_ONCE):
            some = names[at : at + AT_ONCE]
            answers = await asyncio.gather(*(region.read(f"{METADATA_PREFIX}{n}") for n in some))
            for name, answer in zip(some, answers, strict=True):
                if isinstance(answer, Unknown):
                    raise _TroubleError(answer.reason)
                if isinstance(answer, Present):
                    found[name] = answer.data
        return found

    async def _put(self, region: Region, name: str, content: bytes) -> None:
        outcome = await region.keep(f"{METADATA_PREFIX}{name}", content)
        if isinstance(outcome, Differs):
            raise _TroubleError(f"another keeper made {name} meanwhile")
        if isinstance(outcome, Unknown):
            raise _TroubleError(outcome.reason)


def _commit(job: Commit) -> dict[str, bytes]:
    """In a worker, which has the library loaded in place of whoever answers requests."""
    from holdfast.archive.iceberg import commit

    return commit(job)


def _version(number: int) -> str:
    return f"v{number}.metadata.json"


def _told(metadata: bytes) -> _Told:
    try:
        return msgspec.json.decode(metadata, type=_Metadata).properties
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Told()


def _mark(data: str, control: str, parts: Parts) -> str:
    return hashlib.sha256(repr((data, control, sorted(parts.items()))).encode()).hexdigest()
