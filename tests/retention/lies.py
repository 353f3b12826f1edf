"""`python -m tests.retention.lies MINUTES [FROM]`: an answer of a store is a lie. Does anything go
that must stay?

A day is archived by hours and swept, and a class of it let go; in the middle of that one region
gives one wrong answer, as a bent cable, a stale cache or a store restored from an old copy do, or
keeps other bytes than it was given. Each removal is judged by what the stores truly hold then.
Afterwards nobody lies, the same is done again, and all that was not let go is found.
"""

import asyncio
import hashlib
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from random import Random

from msgspec import Struct

from holdfast.archive import plan
from holdfast.errors import UnavailableError
from holdfast.keep.keeper import Keeper
from holdfast.proof import ProofError
from holdfast.read.archive import Adopted, plan_adoption
from holdfast.regions import layout
from holdfast.regions.kinds import Archive, Cookie, verify_archive, verify_cookie
from holdfast.regions.layout import ArchivedKey, ArchiveKey, FloorKey, SegmentKey
from holdfast.regions.port import Absent, Level, Listing, Present, Refused, Removed, Stored, Unknown
from holdfast.regions.retained import Floor, verify_retained
from holdfast.regions.retaining import objects_left, remains_key
from holdfast.regions.units import DAY_US
from tests.archive.days import again, archivist, hold_of, state, trail_of
from tests.read.trails import ALL, TRAIL, World, all_ids
from tests.regions.worlds import MemoryWorld
from tests.retention.years import RULES, Years

# To one region, by the steps that come after so many: of some more, no lie is told.
CALLS_MAX = {"read": 60, "list": 24, "level": 8, "create": 12, "remove": 24, "rot": 1}


class Lie(Struct, frozen=True):
    """seed: of what is told in place of the truth. done: so many steps went before it. region:
    whose answer it is. call, number: to what, and which of these; "rot": an object of its archive
    is bent before anything is asked. is_held: all that is to go is held."""

    seed: int
    done: int
    region: str
    call: str
    number: int
    is_held: bool


class Liar(MemoryWorld):
    """Tells the truth but once; every removal is judged first."""

    def __init__(self, id: str, truth: "Truth") -> None:
        super().__init__()
        self.id = id
        self.truth = truth
        self.lie: Lie | None = None
        self.told = ""
        self.calls = Counter[str]()

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        if key in self.objects or not self._is_lying("create"):
            return await super().create(key, data)
        self.told = f"{self.id} keeps other bytes as {key}"
        return await super().create(key, data[:-1])

    async def read(self, key: str) -> Present | Absent | Unknown:
        found = await super().read(key)
        return self._bent_bytes(key, found) if self._is_lying("read") else found

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        found = await super().list(prefix, after)
        if not isinstance(found, Listing) or not found.objects or not self._is_lying("list"):
            return found
        assert self.lie is not None
        draw, objects = Random(self.lie.seed), list(found.objects)
        one = [draw.randrange(len(objects))]
        gone = draw.choice([range(len(objects)), one, one])
        self.told = f"{self.id} lists {prefix} without {len(gone)} of {len(objects)}"
        return Listing(tuple(each for at, each in enumerate(objects) if at not in gone))

    async def level(self, prefix: str) -> Level | Unknown:
        found = await super().level(prefix)
        if not isinstance(found, Level) or not found.folders or not self._is_lying("level"):
            return found
        assert self.lie is not None
        draw, folders = Random(self.lie.seed), list(found.folders)
        gone = draw.choice([set(folders), {draw.choice(folders)}])
        self.told = f"{self.id} has no {', '.join(sorted(gone))} in {prefix}"
        return Level(tuple(each for each in folders if each not in gone), found.objects)

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        if key in self.objects and self._is_lying("remove"):
            self.told = f"{self.id} says that {key} is removed"
            return Removed()
        if key in self.objects:
            self.truth.judge(self.id, key)
        return await super().remove(key)

    def rot(self) -> None:
        """Bend an object of the archive."""
        assert self.lie is not None
        keys = [key for key in self.objects if key.startswith(layout.ARCHIVE_PREFIX)]
        if keys:
            key = Random(self.lie.seed).choice(sorted(keys))
            self.told = f"{self.id} has other bytes as {key}"
            self.objects[key] = (self.objects[key][0][:-1], 1)

    def _is_lying(self, call: str) -> bool:
        self.calls[call] += 1
        mine = self.lie is not None and self.lie.call == call
        return mine and self.lie is not None and self.calls[call] == self.lie.number

    def _bent_bytes(self, key: str, found: Present | Absent | Unknown) -> Present | Absent:
        assert self.lie is not None
        draw = Random(self.lie.seed)
        data = found.data if isinstance(found, Present) else b""
        others = [held for other, (held, _) in sorted(self.objects.items()) if other != key]
        at = draw.randrange(len(data)) if data else 0
        bent = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]] if data else []
        told = draw.choice([*bent, data[:at], b"", draw.choice(others), None])
        self.told = f"{self.id} reads {key} as {'absent' if told is None else told[:20]!r}"
        return Absent() if told is None else Present(told, 1)


class Truth:
    """What the stores hold, and what must be so when something of it is removed."""

    def __init__(self, world: World, is_held: bool) -> None:
        self.world = world
        self.is_held = is_held
        self.problems: list[str] = []
        self.removed: Counter[str] = Counter()

    def judge(self, id: str, text: str) -> None:
        """Something is about to be removed."""
        key = layout.parse_key(text)
        why = "it is no such object"
        if isinstance(key, SegmentKey):
            why = self._why_not_archived(id, key)
        elif isinstance(key, ArchivedKey):
            why = self._why_needed(id, text, key) if self._is_good(id, text) else ""
        self.removed[type(key).__name__] += 1
        if why:
            self.problems.append(f"{text} was removed from {id}: {why}")

    def _why_not_archived(self, id: str, key: SegmentKey) -> str:
        archives, out = self.archives(id), self.floors(id)
        days = plan_adoption(archives, Adopted())
        for archive in (each for day in days for each in day):
            spans = [range(start, end) for of, start, end, *_ in archive.ledgers if of == key.node]
            if any(key.name.index in span for span in spans):
                needed = objects_left(archive, out)
                bad = [each for each in needed if not self._is_good(id, each)]
                return f"{bad} of its archive is not good" if bad else ""
        return "no reader would take it up from the archive there"

    def _why_needed(self, id: str, text: str, key: ArchivedKey) -> str:
        if not any(text in archive.objects() for archive in self.archives(id).values()):
            return "" if key.retention else "evidence is never removed"
        stated = [each for other in ALL for each in self.floors(other).values()]
        sha256 = key.sha256.hex()
        several = [each for each in stated if any(part == sha256 for part, *_ in each.parts)]
        if len(several) < self.world.quorum:
            return f"{len(several)} regions have a floor of it"
        if self.is_held:
            return "it is held"
        return "" if self._is_good(id, remains_key(several[0])) else "what stays is not there"

    def archives(self, id: str) -> dict[str, Archive]:
        """The newest manifests of a region."""
        store = _cookie_in(self.world.stores[id].objects[layout.REGION_KEY][0]).store
        notes = ((layout.known_key(text), text) for text in self.world.keys(id, "ev/arc/"))
        found = [
            _archive_in(self.world.stores[id].objects[text][0])
            for key, text in notes
            if isinstance(key, ArchiveKey)
        ]
        return {each.unit: each for each in found if each is not None and each.store == store}

    def floors(self, id: str) -> Mapping[tuple[str, str], Floor]:
        """The floors in a region."""
        found = {}
        for text in self.world.keys(id, layout.FLOORS_PREFIX):
            key = layout.parse_key(text)
            assert isinstance(key, FloorKey)
            floor = _floor_in(self.world.stores[id].objects[text][0], key)
            if floor is not None:
                found[key.unit, key.retention] = floor
        return found

    def _is_good(self, id: str, text: str) -> bool:
        data = self.world.stores[id].objects.get(text, (b"", 0))[0]
        return _sha256(data) in text


@lru_cache(maxsize=256)
def _archive_in(data: bytes) -> Archive | None:
    with suppress(ProofError):
        return verify_archive(data, TRAIL.trail).statement
    return None


@lru_cache(maxsize=256)
def _cookie_in(data: bytes) -> Cookie:
    return verify_cookie(data, TRAIL.trail).statement


@lru_cache(maxsize=256)
def _floor_in(data: bytes, key: FloorKey) -> Floor | None:
    with suppress(ProofError):
        floor = verify_retained(key, data, TRAIL.trail).statement
        assert isinstance(floor, Floor)
        return floor
    return None


@lru_cache(maxsize=4096)
def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def archive(found: Years) -> None:
    await again(found.world, found.keeper).archive(DAY_US)


async def sweep(found: Years) -> None:
    await found.sweep()


async def reconcile(found: Years) -> None:
    await Keeper(found.world.regions(), found.world.host).reconcile(whole=True)


async def expire(found: Years) -> None:
    with suppress(UnavailableError):
        await found.retention().expire()


STEPS = (archive, sweep, reconcile, expire)


@contextmanager
def by_hours() -> Iterator[None]:
    """Days are cut into hours: one day is enough for two units of it."""
    shipped, plan.UNIT_SEGMENTS_MAX = plan.UNIT_SEGMENTS_MAX, 6
    try:
        yield
    finally:
        plan.UNIT_SEGMENTS_MAX = shipped


class Stage:
    """A trail of a day, and what the stores hold after each step. folder: for scratch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: list[str] = []
        self._after: list[dict[str, dict[str, tuple[bytes, int]]]] = []

    async def set_up(self) -> None:
        self._world = world = World()
        first, _ = trail_of(world, 1)
        world.now_us += 3 * DAY_US
        first.born()
        first.beat()
        first.close()
        self._keeper = await archivist(world, self._folder, *RULES)
        self._ids = await all_ids(self._keeper._reader)
        for step in STEPS[:-1]:
            self._after.append({id: dict(world.stores[id].objects) for id in ALL})
            await step(Years(world, self._keeper))

    async def play(self, lie: Lie) -> tuple[list[str], str]:
        """What went wrong, and what was told."""
        world, truth = self._world, Truth(self._world, lie.is_held)
        liars = {id: Liar(id, truth) for id in ALL}
        for id in ALL:
            liars[id].objects = dict(self._after[lie.done][id])
        world.stores = dict[str, MemoryWorld](liars)
        if lie.is_held:
            state(world, hold_of(world, "1"), "ab")
        found = Years(world, self._keeper)
        liars[lie.region].lie = lie
        if lie.call == "rot":
            liars[lie.region].rot()
        for step in STEPS[lie.done :]:
            await step(found)
        liars[lie.region].lie = None
        for step in (archive, reconcile, sweep, expire):
            await step(found)
        problems = truth.problems + await self._lost(lie.is_held)
        return problems, liars[lie.region].told

    async def _lost(self, is_held: bool) -> list[str]:
        """What a reader of what is left does not find."""
        with tempfile.TemporaryDirectory(dir=self._folder) as cache:
            reader = self._world.reader(Path(cache))
            await reader.open()
            await reader.pass_once()
            there = await all_ids(reader)
        kept = [id for id in self._ids if is_held or not _goes(id)]
        return [f"{id} is not found" for id in kept if id not in there]


def _goes(id: str) -> bool:
    """Whether an event is of the class that is let go: of `acme`, by its id or its place."""
    return id.endswith("-1") or "-acme-" in id


def lies(draw: Random) -> Iterator[Lie]:
    """As many as are wanted."""
    while True:
        done, region, call = draw.randrange(3), draw.choice(ALL), draw.choice([*CALLS_MAX])
        number, is_held = 1 + draw.randrange(CALLS_MAX[call]), draw.random() < 0.3
        yield Lie(draw.randrange(1 << 32), done, region, call, number, is_held)


def main(minutes: float, first: int) -> int:
    """Try one lie after the other; print what was removed that must not be."""
    logging.disable(logging.CRITICAL)
    begun, told, failed = time.monotonic(), 0, 0

    async def whole() -> None:
        nonlocal told, failed
        with by_hours(), tempfile.TemporaryDirectory(prefix="holdfast-lies-") as folder:
            stage = Stage(Path(folder))
            await stage.set_up()
            for lie in lies(Random(first)):
                if time.monotonic() - begun > 60 * minutes:
                    return
                problems, what = await stage.play(lie)
                told += bool(what)
                if problems:
                    failed += 1
                    sys.stdout.write(f"{lie}: {what}\n  {problems[0]}\n")

    asyncio.run(whole())
    sys.stdout.write(f"{told} lies were told from {first} on, {failed} had something lost\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else int(time.time())))
