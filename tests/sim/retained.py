"""Retention in a simulated world: the rules, who lets go by them, and a watch over every delete.

The watch says in the words of the model (a floor, a deleter, a placer of holds) what must never be,
in the very moment of it, by what stores hold then. The product's own look has no say.
"""

import io
import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from holdfast.archive.rules import Rule, class_of
from holdfast.proof import ProofError, statements
from holdfast.regions import layout, units
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import ArchivedKey, FloorKey, HoldKey, Key, SegmentKey
from holdfast.regions.retained import Floor, Hold, verify_retained
from holdfast.regions.retaining import Out, remains_key
from holdfast.retention.expire import Retention
from tests.sim.archives import archives_in, holds

if TYPE_CHECKING:
    from tests.sim.world import World

TENANT = "t"  # of whom a whole class goes; of others, every second request
MIN_DAYS, MAX_DAYS = 1, 3
LONGER_DAYS = 6
Opened = Mapping[SegmentKey, Sequence[bytes]]
DELETER: ContextVar[str] = ContextVar("deleter", default="")  # whose expiry is at work
GONE: ContextVar[frozenset[Out]] = ContextVar("gone", default=frozenset())  # as a pass began


def rules(least: int, most: int) -> tuple[Rule, ...]:
    whole = Rule("whole", tenants=(TENANT,), min=least, max=most)
    return whole, Rule("some", actions=("*[02468]",), min=least, max=most)


RULES = rules(MIN_DAYS, MAX_DAYS)
LONGER = rules(LONGER_DAYS, LONGER_DAYS)  # of a machine whose settings came to be others


class SimRetention(Retention):
    """Leaves tables to tests of their own."""

    async def _keep_tables(self, *_: object) -> None:
        return


class Watch:
    """See the module. rules: of each machine."""

    def __init__(self, world: "World", trail: str) -> None:
        self.rules: dict[str, tuple[Rule, ...]] = {}
        self.held: dict[str, Hold] = {}  # holds that their placer was told to stand
        self._over: set[str] = set()
        self._world = world
        self._trail = trail
        self._deleted: dict[Out, set[str]] = {}  # whose records
        self._swept: set[tuple[str, str]] = set()

    def out(self) -> dict[Out, Floor]:
        """What is let go: floors that lie in W stores, whatever crashes now."""
        found: dict[Out, list[Floor]] = {}
        for store in self._world.stores.values():
            for text in store.keys(layout.FLOORS_PREFIX):
                key, data = layout.known_key(text), store.durable(text)
                floor = _floor(key, data, self._trail) if data else None
                if floor is not None:
                    found.setdefault((floor.unit, floor.retention), []).append(floor)
        return {at: f[0] for at, f in found.items() if len(f) >= self._world.quorum}

    def saw_put(self, key: str) -> None:
        """Somebody is about to put an object."""
        parsed = layout.known_key(key)
        if isinstance(parsed, ArchivedKey) and (parsed.day, parsed.retention) in GONE.get():
            self._wrong(f"I19: {_part(parsed)} was put back, by a pass begun after its floor")
        if isinstance(parsed, FloorKey) and DELETER.get():
            self._check_age(DELETER.get(), (parsed.unit, parsed.retention), "max", "let go")
            free = [id for id in self._world.stores if self._is_free(id, parsed.unit)]
            if len(free) < self._world.quorum:
                what = f"{parsed.retention} of {parsed.unit}"
                self._wrong(f"{what} was let go, and only {free} have no segment of it any more")

    def saw_removal(self, deleter: str, store: str, key: Key, data: bytes) -> None:
        """A sweeper, or an expiry, removed an object."""
        if isinstance(key, SegmentKey):
            self._swept.add((store, layout.segment_key(key.node, key.name)))
        if not deleter or not isinstance(key, ArchivedKey):
            return
        what, at = f"{_part(key)} in {store}", (key.day, key.retention)
        floor = self.out().get(at)
        if floor is None:
            self._wrong(f"I21: {what} was deleted before its floor lay in W stores")
        elif len(self._world.holders(remains_key(floor))) < self._world.quorum:
            self._wrong(f"{what} was deleted, and what stays of it lies in too few stores")
        self._check_age(deleter, at, "min", "deleted")
        tenants = _tenants(data)
        for hold in self.held.values():
            if hold.tenant in tenants and hold.hold not in self._over:
                self._wrong(f"HELD: {what} was deleted, hold {hold.hold[:6]} stood")
        self._deleted.setdefault(at, set()).update(tenants)

    def confirm(self, hold: Hold) -> None:
        """A placer was told that a hold stands, and that it comes too late for nothing."""
        for (unit, retention), tenants in self._deleted.items():
            if hold.tenant in tenants:
                what = f"{retention} of {unit}"
                self._wrong(f"HELD: hold {hold.hold[:6]} was confirmed, {what} is deleted")
        self.held[hold.hold] = hold

    def release(self, id: str) -> None:
        """Somebody begins to release a hold: from now on it need not stand."""
        self._over.add(id)

    def divide(self, opened: Opened) -> tuple[set[str], set[str]]:
        """The ids of what is kept, and of what is let go."""
        out = self.out()
        every = {a.unit: a for found in self._world.archives().values() for a in found}
        kept: set[str] = set()
        gone: set[str] = set()
        for key, records in opened.items():
            unit = next((a.unit for a in every.values() if holds(a, key)), "")
            for one in map(_decode, records):
                of = class_of(RULES, one.get("tenant", ""), "", one.get("action", ""))
                (gone if (unit, of) in out else kept).add(one["id"])
        return kept, gone

    def check_gone(self) -> None:
        """In the end nothing lies anywhere that was let go, but for what somebody holds since."""
        out, held = self.out(), self._held()
        for id, store in self._world.stores.items():
            for text in store.keys(layout.ARCHIVE_PREFIX):
                key, data = layout.known_key(text), store.peek(text) or b""
                is_part = isinstance(key, ArchivedKey) and (key.day, key.retention) in out
                if is_part and not held & _tenants(data):
                    self._wrong(f"{text} lies in {id} in the end")

    def standing(self) -> list[str]:
        """The ids of holds in any store that nobody released."""
        found: set[str] = set()
        over: set[str] = set()
        for store in self._world.stores.values():
            for key in map(layout.known_key, store.keys(layout.RETENTION_PREFIX)):
                if isinstance(key, HoldKey):
                    (over if key.is_release else found).add(key.id)
        return sorted(found - over)

    def _held(self) -> set[str]:
        """Of whom those are."""
        keys = [layout.retained_key(HoldKey(id)) for id in self.standing()]
        stores = self._world.stores.values()
        notes = {data for key in keys for store in stores if (data := store.peek(key))}
        return {statements.read(data, Hold).statement.tenant for data in notes}

    def _check_age(self, deleter: str, at: Out, which: str, done: str) -> None:
        unit, retention = at
        [rule] = [rule for rule in self.rules[deleter] if rule.name == retention]
        days = getattr(rule, which)
        if self._world.true_us() < units.end_us(unit) + days * units.DAY_US:
            self._wrong(f"{retention} of {unit} was {done} before its {which}, {days} days")

    def _is_free(self, id: str, unit: str) -> bool:
        """Whether a store has a unit in its archive, and no segment that came before it."""
        store = self._world.stores[id]
        found = [a for a in archives_in(store, self._trail, self.out()) if a.unit == unit]
        keys = store.keys(layout.SEGMENTS_PREFIX)
        return bool(found) and not any(self._is_there(id, text, found[0]) for text in keys)

    def _is_there(self, id: str, text: str, archive: Archive) -> bool:
        key = layout.known_key(text)
        return isinstance(key, SegmentKey) and holds(archive, key) and (id, text) not in self._swept

    def _wrong(self, text: str) -> None:
        self._world.problem(text)


def _part(key: ArchivedKey) -> str:
    return f"a part of {key.retention} of {key.day}"


@lru_cache(maxsize=1024)
def _floor(key: Key | None, data: bytes, trail: str) -> Floor | None:
    if not isinstance(key, FloorKey):
        return None
    try:
        said = verify_retained(key, data, trail).statement
    except ProofError:
        return None
    return said if isinstance(said, Floor) else None


@lru_cache(maxsize=1024)
def _tenants(data: bytes) -> frozenset[str]:
    """Whose records a part has."""
    return frozenset(pq.read_table(io.BytesIO(data), columns=["tenant"])["tenant"].to_pylist())


def _decode(record: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(record)
    return found
