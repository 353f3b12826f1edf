"""Read what is stored, over and over, before anybody needs it: bytes rot in silence.

Each day has its share: the objects whose key falls to that day of the period. So a restart loses no
progress, nothing about it has to be remembered, and every object is read once a period. A corrupt
copy stays where it is, is never served, and its bytes come from another region. It is looked at
again every few minutes, and told of for as long as it is there.
"""

import asyncio
import logging
import zlib
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, structs

from holdfast.beside import repeat
from holdfast.keep.drift import Suspect, counting, is_lost
from holdfast.keep.keeper import Keeper, named_in
from holdfast.keep.repair import Finding, Repair, examine
from holdfast.keep.survey import Survey, Surveyor
from holdfast.ports import Host
from holdfast.proof.note import VerifierKey
from holdfast.regions import Regions
from holdfast.regions.port import RegionId
from holdfast.regions.region import Region

log = logging.getLogger("holdfast.keep")

FIRST_AFTER_SECONDS = 60.0
AGAIN_SECONDS = 300.0
DAY_US = 24 * 3600 * 1_000_000
BYTES_PER_SECOND = 32 * 1024 * 1024  # of one region: reading what nobody waits for yields
FINDINGS_MAX = 1000


class ScrubReport(Struct, frozen=True):
    """One day's share. objects, size_bytes: read, over all `regions`, which could be listed.
    findings: also those of earlier shares that are still so."""

    started_us: int
    ended_us: int
    objects: int
    size_bytes: int
    findings: tuple[Finding, ...]
    regions: tuple[RegionId, ...] = ()


class Scrub:
    """Reads a share of every region's objects and checks their bytes."""

    def __init__(self, regions: Regions, host: Host, period_days: int) -> None:
        self.last: ScrubReport | None = None
        self._regions = regions
        self._host = host
        self._period_days = period_days
        self._surveyor = Surveyor(regions)
        self._node_keys: Mapping[str, VerifierKey] = {}

    async def scrub_forever(self) -> None:
        """A share soon after the start, and then every day; what was corrupt, more often."""
        await asyncio.gather(
            repeat(self.read_share, FIRST_AFTER_SECONDS, DAY_US / 1e6, "a scrub"),
            repeat(self.look_again, AGAIN_SECONDS, AGAIN_SECONDS, "a look at corrupt copies"),
        )

    async def read_share(self) -> ScrubReport:
        """Today's share of all that is listed.

        Regions are read side by side; in each, one object after the other.
        """
        started_us = self._host.now_us()
        survey = await self._surveyor.survey(whole=True)
        self._node_keys = survey.node_keys
        day = started_us // DAY_US
        counted = {
            region: frozenset(counting(held, named_in(region, survey)))
            for region, held in survey.held.items()
        }
        tallies = await asyncio.gather(
            *(
                self._read_region(self._regions.by_id[region], self._share(day, keys), survey)
                for region, keys in counted.items()
            )
        )
        found = [finding for _, _, each in tallies for finding in each]
        before = await self._still_corrupt(survey.node_keys)
        counts = [f for f in before if f.region not in counted or f.key in counted[f.region]]
        found += [each for each in counts if each not in found]
        self.last = ScrubReport(
            started_us=started_us,
            ended_us=self._host.now_us(),
            objects=sum(objects for objects, _, _ in tallies),
            size_bytes=sum(size_bytes for _, size_bytes, _ in tallies),
            findings=tuple(await self._explained(found, survey))[:FINDINGS_MAX],
            regions=tuple(survey.held),
        )
        return self.last

    async def look_again(self) -> None:
        """Forget what was corrupt and is not any more: it was mended, or moved aside."""
        last = self.last
        if last is None or not any(each.kind == "corrupt" for each in last.findings):
            return
        still = await self._still_corrupt(self._node_keys)
        if self.last is last:
            left = [each for each in last.findings if each.kind != "corrupt" or each in still]
            self.last = structs.replace(last, findings=tuple(left))

    async def _still_corrupt(self, node_keys: Mapping[str, VerifierKey]) -> Sequence[Finding]:
        """Those of the last findings, by a look at each copy; one that cannot be read stays."""
        still = []
        for each in self.last.findings if self.last else ():
            if each.kind != "corrupt":
                continue
            region = self._regions.by_id[each.region]
            copy = await examine(region, each.key, self._regions.trail, node_keys)
            if copy.finding is not None and copy.finding.kind != "vanished":
                still.append(each)
            await asyncio.sleep(copy.read_bytes / BYTES_PER_SECOND)
        return still

    async def _explained(self, found: Sequence[Finding], survey: Survey) -> Sequence[Finding]:
        """The findings, without what was swept meanwhile, and without the copies of what is
        declared lost where none of them is good."""
        found = await self._surveyor.but_for_swept(found)
        lost = {f.key for f in found if is_lost(f.key, survey.lost)}
        suspects = [
            Suspect(key, tuple(id for id, keys in survey.held.items() if key in keys), True)
            for key in sorted(lost)
        ]
        repair = Repair(self._regions, survey.node_keys)
        again = await repair.judge(suspects)
        return [f for f in found if f.key not in lost] + again

    def _share(self, day: int, keys: Iterable[str]) -> Iterable[str]:
        turn = day % self._period_days
        return [key for key in sorted(keys) if zlib.crc32(key.encode()) % self._period_days == turn]

    async def _read_region(
        self, region: Region, keys: Iterable[str], survey: Survey
    ) -> tuple[int, int, list[Finding]]:
        objects = size_bytes = 0
        findings: list[Finding] = []
        for key in keys:
            copy = await examine(region, key, self._regions.trail, survey.node_keys)
            objects += 1
            size_bytes += copy.read_bytes
            if copy.finding is not None:
                findings.append(copy.finding)
            await asyncio.sleep(copy.read_bytes / BYTES_PER_SECOND)
        return objects, size_bytes, findings


def corrupt_copies(keeper: Keeper, scrub: Scrub) -> frozenset[tuple[RegionId, str]]:
    """The copies that the last survey or the last share found corrupt, by region and key."""
    last = (keeper.last, scrub.last)
    found = [finding for each in last if each is not None for finding in each.findings]
    return frozenset((each.region, each.key) for each in found if each.kind == "corrupt")
