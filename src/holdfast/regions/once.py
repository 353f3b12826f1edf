"""Signed notes of regions, verified, each read once.

One that does not verify is read again the next time: its bytes may have been bent on their way.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from holdfast.regions.port import Present, RegionId, Unknown
from holdfast.regions.region import Region

AT_ONCE = 8  # calls to one region

Item = TypeVar("Item")
Said = TypeVar("Said")
Wanted = tuple[str, Callable[[bytes], Said | None]]  # a key, and who verifies what lies there


class ReadOnce(Generic[Said]):
    """See the module."""

    def __init__(self) -> None:
        self._read: dict[tuple[RegionId, str, str], Said] = {}

    async def each(self, region: Region, wanted: Iterable[Wanted[Said]]) -> list[Said] | Unknown:
        """What a region whose cookie was verified says under some keys, in their order; what does
        not verify is left out, for a survey to name."""
        found: list[Said] = []
        for some in slices([*wanted]):
            for said in await asyncio.gather(*(self._one(region, *each) for each in some)):
                if isinstance(said, Unknown):
                    return said
                found += [said] if said is not None else []
        return found

    async def _one(
        self, region: Region, key: str, verify: Callable[[bytes], Said | None]
    ) -> Said | Unknown | None:
        place = (region.id, region.store_uuid, key)
        if place not in self._read:
            answer = await region.read(key)
            if isinstance(answer, Unknown):
                return answer
            said = verify(answer.data) if isinstance(answer, Present) else None
            if said is None:
                return None
            self._read[place] = said
        return self._read[place]


def slices(several: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """So many as one region is asked at once."""
    return (several[at : at + AT_ONCE] for at in range(0, len(several), AT_ONCE))
