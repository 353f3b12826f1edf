"""Put the objects of a unit into regions, read them back from each, and only then say so there.

A crash at any point leaves objects that no manifest names, or some regions without one: the next
run goes on from there. Only what does not hash to its name is removed, where its bytes are at hand.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from holdfast.archive.parts import Made
from holdfast.archive.plan import Unit
from holdfast.ports import Host
from holdfast.proof import ProofError, names
from holdfast.regions import layout, signing, units
from holdfast.regions.kinds import Archive, verify_archive
from holdfast.regions.port import Absent, Differs, Present, RegionId, Removed, Unknown
from holdfast.regions.region import Region
from holdfast.write.identity import Identity


class Trouble(Struct, frozen=True):
    """Why a region does not have a unit. is_taken: other bytes lie under a name of the unit, where
    they stay: another generation has other names."""

    reason: str
    is_taken: bool = False


class Giver:
    """Gives one unit, made or copied, whose objects were checked against the roots in names."""

    def __init__(
        self,
        unit: Unit,
        generation: int,
        made: Sequence[Made],
        host: Host,
        gone: Sequence[tuple[str, str, int, int]] = (),
    ) -> None:
        """made: the parts, and the evidence last. gone: parts that were let go, as manifests name
        them: a manifest says all that its evidence is of."""
        self._unit = unit
        self._generation = generation
        self._made = tuple(made)
        self._host = host
        self._gone = tuple(gone)
        self._day = units.day_of(unit.name)

    async def give(
        self, regions: Sequence[Region], identity: Identity, trail: str
    ) -> Mapping[RegionId, Trouble]:
        """Bring it about in each region; what could not be done, and why.

        identity: in whose name the manifests are.
        """
        troubles: dict[RegionId, Trouble] = {}
        for made in self._made:
            data = await self._host.offload(Path(made.path).read_bytes)
            left = [region for region in regions if region.id not in troubles]
            found = await asyncio.gather(*(self._keep(region, made, data) for region in left))
            troubles |= {r.id: why for r, why in zip(left, found, strict=True) if why is not None}
        left = [region for region in regions if region.id not in troubles]
        for region in left:
            why = await self._state(region, identity, trail)
            if why is not None:
                troubles[region.id] = why
        return troubles

    def _key(self, made: Made) -> str:
        return layout.archived_key(self._day, made.retention, made.sha256)

    async def _keep(self, region: Region, made: Made, data: bytes) -> Trouble | None:
        outcome = await region.keep(self._key(made), data)
        if isinstance(outcome, Differs) and await self._cleared(region, made):
            outcome = await region.keep(self._key(made), data)
        if isinstance(outcome, Unknown):
            return Trouble(outcome.reason)
        return _taken(self._key(made)) if isinstance(outcome, Differs) else None

    async def _cleared(self, region: Region, made: Made) -> bool:
        """Make room for the bytes that an object's name speaks of, where others lie under it: no
        evidence of anything. One bad read proves nothing, so it is read once more."""
        again = await region.read(self._key(made))
        if isinstance(again, Present):
            if await self._host.offload(_sha256, again.data) == made.sha256:
                return True
            return isinstance(await region.remove(self._key(made)), Removed)
        return isinstance(again, Absent)

    async def _state(self, region: Region, identity: Identity, trail: str) -> Trouble | None:
        """Read everything back, and write the manifest."""
        for made in self._made:
            answer = await region.read(self._key(made))
            if isinstance(answer, Absent):
                return Trouble(f"{self._key(made)} is gone again")
            if isinstance(answer, Unknown):
                return Trouble(answer.reason)
            if await self._host.offload(_sha256, answer.data) != made.sha256:
                return _taken(self._key(made))
        key = layout.archive_key(self._unit.name, self._generation)
        statement = self._manifest(region, identity)
        data = signing.write(statement, names.trail_origin(trail), identity.key)
        outcome = await region.keep(key, data)
        if isinstance(outcome, Differs):  # another keeper was as far, or this one some time ago
            return None if _says_the_same(outcome.data, statement, trail) else _taken(key)
        return Trouble(outcome.reason) if isinstance(outcome, Unknown) else None

    def _manifest(self, region: Region, identity: Identity) -> Archive:
        *parts, evidence = self._made
        spans = self._unit.spans
        return Archive(
            unit=self._unit.name,
            generation=self._generation,
            region=region.id,
            store=region.store_uuid,
            by=identity.node,
            archived_us=self._host.now_us(),
            certificate=identity.certificate,
            evidence=evidence.sha256,
            parts=tuple(sorted([*map(_stated, parts), *self._gone])),
            ledgers=tuple((s.node, s.start, s.end, s.first, s.after) for s in spans),
            gaps=tuple((s.node, start, end) for s in spans for start, end in s.lost),
        )


def _stated(part: Made) -> tuple[str, str, int, int]:
    return part.retention, part.sha256, part.size_bytes, part.rows


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _taken(key: str) -> Trouble:
    return Trouble(f"other bytes lie under {key}", is_taken=True)


def _says_the_same(data: bytes, mine: Archive, trail: str) -> bool:
    """Whether another's manifest names the same objects of the same segments, in the same store."""
    try:
        theirs = verify_archive(data, trail).statement
    except ProofError:
        return False
    here = (mine.unit, mine.store, mine.ledgers, mine.objects())
    return (theirs.unit, theirs.store, theirs.ledgers, theirs.objects()) == here
