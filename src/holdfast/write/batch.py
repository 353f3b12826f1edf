"""What was taken in and waits to be sealed.

A request is never split over segments, and giving up on a request does not take its events out of
the batch: whoever sent them may have stopped listening, but they were taken in.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.model import Record

SEAL_AT_BYTES = 4 * 1024 * 1024
SEAL_AT_EVENTS = 10_000
SEGMENT_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A request's events are durable.

    segment: the segment's whole name, in the ledger of `node`. receipt: signed note over it and
    the regions that counted.
    """

    node: str
    segment: str
    receipt: bytes
    regions: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """One request, taken in. Records and tenants run side by side, in the order of the request.

    taken_at: the event loop's time.
    """

    tenants: Sequence[str]
    records: Sequence[Record]
    ids: tuple[str, ...]
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

    def by_tenant(self) -> Mapping[str, Sequence[Record]]:
        """The records of each tenant, in order of arrival."""
        groups: dict[str, list[Record]] = {}
        for request in self.requests:
            for tenant, record in zip(request.tenants, request.records, strict=True):
                group = groups.get(tenant)
                if group is None:
                    groups[tenant] = group = []
                group.append(record)
        return groups
