"""Readers in a world where nodes come and go, regions fail, caches vanish, and days come into
archives and are swept, by a seed's draw.

After each pass: what a search shows is what the regions hold, without orphans and repeats; and
whatever was shown at or below a reported time is shown again by every reader that reports as much.
"""

import asyncio
import json
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast.archive.archivist import Archivist, Workshop
from holdfast.errors import UnavailableError
from holdfast.model import Query
from holdfast.proof import ledger
from holdfast.proof.ledger import LedgerEnd
from holdfast.read.reader import Reader
from holdfast.read.shelf import FoldLimits
from holdfast.regions import kinds, layout
from holdfast.regions.port import Unknown
from holdfast.regions.units import DAY_US
from holdfast.times import parse_time
from holdfast.write.identity import Identity
from holdfast.write.seal import Encoded
from tests.archive.days import person
from tests.read.trails import ALL, TRAIL, World, Writer, tick
from tests.regions.worlds import run_with_time

STEPS = 60
Shown = set[tuple[str, str, int, int]]  # id, node, position, received


class Life:
    """One node: what it sealed, and how far it is acknowledged."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.acked: LedgerEnd = writer.end
        self.sealed: list[Encoded] = []  # in this epoch, not acknowledged
        self.orphans: set[str] = set()
        self.open = False


class Story:
    def __init__(self, seed: int, folder: Path) -> None:
        self.draw = random.Random(seed)
        self.folder = folder
        self.world = World()
        self.lives = [Life(Writer(self.world, 7)), Life(Writer(self.world, 8))]
        self.reader: Reader | None = None
        self.names: dict[str, tuple[Life, Encoded]] = {}
        self.archived: set[str] = set()  # names of what is in some archive
        self.stated: dict[int, Shown] = {}
        self.trace: list[str] = []

    async def run(self) -> None:
        actions: list[Callable[[], object]] = [
            *[self.seal] * 6,
            *[self.acknowledge] * 5,
            *[self.beat] * 3,
            self.turn,
            self.turn,
            self.fail,
            self.heal,
            self.heal,
        ]
        for _ in range(STEPS):
            action = self.draw.choice(actions)
            self.trace.append(getattr(action, "__name__", ""))
            action()
            tick(self.world, self.draw.choice([0.1, 1, 5]))
            if self.draw.random() < 0.4:
                await self.read()
            if self.draw.random() < 0.06:
                await self.archive()
        self.heal()
        for life in self.lives:
            self.finish(life)
        await self.read()
        assert self.reader is not None
        await self.reader.stop()

    # -- writing -------------------------------------------------------------------------------

    def life(self) -> Life:
        life = self.draw.choice(self.lives)
        if not life.open:
            life.writer.born(self.some(2), base=life.acked)
            life.open = True
        return life

    def some(self, least: int) -> list[str]:
        return self.draw.sample(ALL, self.draw.randint(least, 3))

    def seal(self) -> None:
        life = self.life()
        ids = [f"e{self.draw.randrange(60)}" for _ in range(self.draw.randint(1, 4))]
        events: list[dict[str, object]] = [
            {"id": id, "action": self.draw.choice("aab")} for id in ids
        ]
        encoded = life.writer.encode(*events)
        life.writer.end = ledger.extend(life.writer.end, encoded.name)
        life.writer.store(encoded, self.some(0))
        life.sealed.append(encoded)
        self.names[encoded.name.text] = (life, encoded)

    def acknowledge(self) -> None:
        life = self.life()
        if life.sealed:
            encoded = life.sealed.pop(0)
            life.writer.store(encoded, self.some(2))
            life.acked = ledger.extend(life.acked, encoded.name)

    def beat(self) -> None:
        life = self.life()
        life.writer.beat(self.promised(life), life.acked.size, self.some(1))

    def promised(self, life: Life) -> int:
        waiting = [parse_time(_received(one)) for one in life.sealed]
        return min([self.world.now_us, *(at - 1 for at in waiting)])

    def turn(self) -> None:
        """The epoch is closed at what was acknowledged; the rest are orphans."""
        life = self.life()
        life.orphans |= {encoded.name.text for encoded in life.sealed}
        life.sealed = []
        life.writer.close(life.acked, self.some(2))
        life.writer.end = life.acked
        life.open = False

    def finish(self, life: Life) -> None:
        if life.open:
            while life.sealed:
                encoded = life.sealed.pop(0)
                life.writer.store(encoded)
                life.acked = ledger.extend(life.acked, encoded.name)
            life.writer.beat()

    def fail(self) -> None:
        self.world.stores[self.draw.choice(ALL)].failing = Unknown("away")

    def heal(self) -> None:
        for store in self.world.stores.values():
            store.failing = None

    async def archive(self) -> None:
        """A day is over, and what is complete of it comes into the archives of regions; some of
        the segments that a region's archive has go there."""
        self.trace.append("archive")
        self.world.now_us += DAY_US
        for life in self.lives:
            if life.open:
                life.writer.beat(size=life.acked.size, promise_us=self.promised(life))
        reader = await self.some_reader()
        await asyncio.sleep(120)
        await reader.pass_once()
        workshop = Workshop(self.folder.parent / "scratch")
        regions = self.world.regions()
        with suppress(UnavailableError):  # too few regions are there
            await Archivist(regions, reader, self.world.host, self.person, workshop).archive(0)
        for id in ALL:
            self.sweep(id)

    def person(self) -> Identity:
        return person(self.world)

    def sweep(self, region: str) -> None:
        store = self.world.stores[region]
        for key in self.world.keys(region, "ev/arc/"):
            if not key.endswith(".note"):
                continue
            said = kinds.verify_archive(store.objects[key][0], TRAIL.trail).statement
            for node, start, end, *_ in said.ledgers:
                for segment in self.world.keys(region, layout.segments_prefix(node)):
                    name = segment.rpartition("/")[2].removesuffix(layout.SEGMENT_SUFFIX)
                    # What a closed epoch left beyond its end lies there for ever.
                    if start <= int(name[:10], 16) < end and self.is_in_trail(name):
                        self.archived.add(name)
                        if self.draw.random() < 0.7:
                            del store.objects[segment]

    def is_in_trail(self, name: str) -> bool:
        life, _ = self.names[name]
        return name not in life.orphans

    # -- reading -------------------------------------------------------------------------------

    async def read(self) -> None:
        reader = await self.some_reader()
        await asyncio.sleep(120)  # on virtual time: whatever was left alone is tried again
        await reader.pass_once()
        said = reader.completeness().complete_through_us
        shown = await self.shown(reader)
        if said is not None:
            below = {one for one in shown if one[3] <= said}
            for through, before in self.stated.items():
                if through <= said:
                    still = {one for one in shown if one[3] <= through}
                    assert still == before, f"complete through {through}: {still ^ before}"
            self.stated[said] = below
        self.check_shown(shown)

    async def some_reader(self) -> Reader:
        """The same as before, a new process, or one whose cache was deleted, by the draw."""
        chance = self.draw.random()
        if self.reader is not None and chance < 0.3:
            await self.reader.stop()
            self.reader = None
            if chance < 0.1:
                shutil.rmtree(self.folder)
        if self.reader is not None and chance > 0.95:
            shutil.rmtree(self.folder)
        if self.reader is None:
            fold = FoldLimits(events=self.draw.choice([1, 10, 1000]))
            self.reader = self.world.reader(self.folder, fold=fold)
        return self.reader

    async def shown(self, reader: Reader) -> Shown:
        await reader.count(Query())  # reaches every unit, and so what was sent twice
        page = await reader.search(Query(limit=1000))
        records = [json.loads(bytes(one.record)) for one in page.events]
        found = [
            (record["id"], one.node, one.position, parse_time(record["received"]))
            for one, record in zip(page.events, records, strict=True)
        ]
        assert len(set(found)) == len(found)
        return set(found)

    def check_shown(self, shown: Shown) -> None:
        """With all regions well: of each (id, content) in them the first record, and no more."""
        if any(store.failing for store in self.world.stores.values()):
            return
        held = {
            key.rpartition("/")[2].removesuffix(".ndjson.zst")
            for id in ALL
            for key in self.world.keys(id, "ev/seg/")
        } | self.archived
        least: dict[tuple[str, str], tuple[int, str, int]] = {}
        for name in held:
            life, encoded = self.names[name]
            if name in life.orphans and self.is_closed(life, encoded):
                continue
            for line, record in enumerate(encoded.records):
                fields = json.loads(record)
                place = (life.writer.node, encoded.name.first + line)
                key = (fields["id"], fields["action"])
                least[key] = min(
                    least.get(key, (1 << 62, "", 0)), (parse_time(fields["received"]), *place)
                )
        expected = {(id, node, at, when) for (id, _), (when, node, at) in least.items()}
        assert shown == expected, f"{shown ^ expected}"

    def is_closed(self, life: Life, encoded: Encoded) -> bool:
        return life.writer.epoch > encoded.name.epoch or not life.open


def _received(encoded: Encoded) -> str:
    return str(json.loads(encoded.records[0])["received"])


@pytest.mark.parametrize("seed", range(6))
def test_readers_show_the_trail_and_keep_their_word(tmp_path: Path, seed: int) -> None:
    story = Story(seed, tmp_path / "cache")
    try:
        run_with_time(lambda _: story.run())
    except BaseException:
        print(seed, story.trace)  # noqa: T201
        raise
