"""What was taken in and waits to be sealed.

A request is never split over segments, and giving up on a request does not take its events out of
the batch: whoever sent them may have stopped listening, but they were taken in.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from msgspec import Struct

from holdfast.model import Contents, Record

Value = TypeVar("Value")

SEAL_AT_BYTES = 4 * 1024 * 1024
SEAL_AT_EVENTS = 10_000
SEGMENT_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Way:
    """When a segment had got how far, in the event loop's time.

    entered_at: searches see it. stored: by region that counted, when it was known to lie there, and
    when a look after that had found no fence.
    """

    sealed_at: float
    entered_at: float
    stored: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A request's events are durable.

    segment: the segment's whole name, in the ledger of `node`. receipt: signed note over it and
    the regions that counted. way: None where another process tells of it.
    """

    node: str
    segment: str
    receipt: bytes
    regions: tuple[str, ...]
    way: Way | None = None


class Taken(Struct, frozen=True, eq=False):
    """One request, taken in. The first four run side by side, in the order of the request.

    A struct, since one is made for every request, and a frozen dataclass takes five times as long.
    times: when it was received, where none was sent. taken_at: the event loop's time.
    """

    tenants: Sequence[str]
    records: Sequence[Record]
    ids: tuple[str, ...]
    times: Sequence[str]
    size_bytes: int
    received_us: int
    taken_at: float
    outcome: "asyncio.Future[Acknowledgement]"


@dataclass(slots=True)
class Batch:
    """Requests in order of arrival."""

    requests: list[Taken] = field(default_factory=list)
    size_bytes: int = 0
    events_count: int = 0

    def fits(self, size_bytes: int) -> bool:
        """Whether a request of that many bytes of records still fits into the segment."""
        return self.size_bytes + size_bytes <= SEGMENT_BYTES_MAX

    def add(self, taken: Taken) -> None:
        self.requests.append(taken)
        self.size_bytes += taken.size_bytes
        self.events_count += len(taken.records)

    @property
    def is_due(self) -> bool:
        """Whether it is large enough to be sealed before the interval is over."""
        return self.size_bytes >= SEAL_AT_BYTES or self.events_count >= SEAL_AT_EVENTS

    def by_tenant(self) -> "Grouped":
        """All events, and where among them each tenant's are, in order of arrival."""
        places: dict[str, list[int]] = {}
        for place, tenant in enumerate(_joined([request.tenants for request in self.requests])):
            group = places.get(tenant)
            if group is None:
                places[tenant] = group = []
            group.append(place)
        return Grouped(tuple(self.requests), places)


@dataclass(frozen=True, slots=True)
class Grouped:
    """Events that are sealed together. places: of each tenant's, counted over all requests."""

    requests: Sequence[Taken]
    places: Mapping[str, Sequence[int]]

    def records(self) -> Mapping[str, Sequence[Record]]:
        """By tenant."""
        records = _joined([request.records for request in self.requests])
        return {tenant: [records[at] for at in group] for tenant, group in self.places.items()}

    def contents(self, tenants: tuple[tuple[str, int], ...], sizes: tuple[int, ...]) -> Contents:
        """What a segment holds, whose records lie in the order of these tenants."""
        order = [at for tenant, _ in tenants for at in self.places[tenant]]
        ids = _joined([request.ids for request in self.requests])
        times = _joined([request.times for request in self.requests])
        return Contents(
            tenants=tenants,
            ids=tuple([ids[at] for at in order]),
            times=tuple([times[at] for at in order]),
            sizes=sizes,
            received_min_us=self.requests[0].received_us,
            received_max_us=self.requests[-1].received_us,
        )


def _joined(columns: Sequence[Sequence[Value]]) -> list[Value]:
    return list(chain.from_iterable(columns))
