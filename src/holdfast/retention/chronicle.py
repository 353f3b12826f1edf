"""Holds, releases and floors as events of the trail: each of them once, whoever tells.

The id of an event is made of what it tells, so one that is stored twice is shown once; and what was
stated where nobody could write events, or by a process that died, is told by the next server that
looks.
"""

import logging
from collections.abc import Iterator

from holdfast.archive.outbox import Outbox
from holdfast.model import JsonObject
from holdfast.read.reader import Reader
from holdfast.regions.retained import Floor, Hold, Release, Retained
from holdfast.regions.retaining import Retaining
from holdfast.retention.plan import Expiring
from holdfast.times import format_us

log = logging.getLogger("holdfast.retention")


class Chronicle(Outbox):
    """Knows what is to be told."""

    def __init__(self, reader: Reader) -> None:
        super().__init__("what was held or let go", log)
        self._reader = reader
        self._known: set[str] = set()

    async def tell_of(self, seen: Retaining) -> None:
        """Have the trail remember what regions say, as far as it does not."""
        if self.tell is None:
            return
        found: list[Retained] = [*seen.holds.values(), *seen.releases.values()]
        async with self._turn:
            for event in map(_event_of, [*found, *seen.out.values()]):
                id = str(event["id"])
                if id not in self._known and not await self._reader.event(None, id):
                    self.put(event)
                self._known.add(id)
        await self.flush()

    def note(self, done: Expiring, now_us: int) -> None:
        """What was removed is to be an event; `flush` stores it."""
        if done.removed:
            self.done(
                {
                    "action": "holdfast.retention.expired",
                    "targets": [{"type": "archive", "id": done.unit}],
                    "reason": done.rule,
                    "attributes": {
                        "class": done.retention,
                        "rows": done.rows,
                        "regions": [
                            {"region": id, "parts": parts, "bytes": size_bytes}
                            for id, parts, size_bytes in done.removed
                        ],
                    },
                },
                now_us,
            )


def _event_of(said: Retained) -> JsonObject:
    """What tells of a statement; the same whoever tells."""
    if isinstance(said, Floor):
        return {
            "id": f"holdfast.floor.{said.unit}.{said.retention}",
            "actor": {"type": "node", "id": said.by},
            "action": "holdfast.retention.floored",
            "targets": [{"type": "archive", "id": said.unit}],
            "reason": said.rule,
            "attributes": {"class": said.retention, "rows": said.rows, "remains": said.remains},
        }
    word = "released" if isinstance(said, Release) else "placed"
    return {
        "id": f"holdfast.hold.{said.hold}.{word}",
        "actor": {"type": "person", "id": said.author},
        "action": f"holdfast.hold.{word}",
        "targets": [{"type": "hold", "id": said.hold}],
        "reason": said.reason,
        "attributes": dict(_held(said)) if isinstance(said, Hold) else {},
    }


def _held(hold: Hold) -> Iterator[tuple[str, str]]:
    yield "tenant", hold.tenant
    if hold.actor:
        yield "actor", hold.actor
    for name, us in (("from", hold.from_us), ("to", hold.to_us)):
        if us is not None:
            yield name, format_us(us)
