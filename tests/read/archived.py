"""Archived trails of a few days, without the segments that are in the archive, and what is read."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from holdfast.archive.archivist import Archivist, Workshop
from holdfast.archive.rules import Rule
from holdfast.model import Completeness, Counts, Found, Query
from holdfast.prove.export import Asked
from holdfast.prove.prover import Prover
from holdfast.prove.stretches import Span
from holdfast.read.reader import Reader
from holdfast.regions import layout
from holdfast.regions.units import DAY_US, HOUR_US
from holdfast.serve.files import FILES
from holdfast.write.identity import speak_for_trail
from tests.archive.days import FIRST_US, person
from tests.read.trails import ALL, TRAIL, World, Writer

DAYS = 3
TENANTS = ("acme", "blå", "")
AFTER_US = FIRST_US + (DAYS + 2) * DAY_US


def trail_of(days: int = DAYS, lost: range = range(0)) -> tuple[World, list[Writer]]:
    """Two nodes that were begun anew each day; among their events repeats, over days as well, and
    two that share an id. Alive, with some events of today.

    lost: segments of the first node that are declared so.
    """
    world = World()
    writers = [Writer(world, seed) for seed in (7, 8)]
    gone = []
    for day in range(days):
        world.now_us = FIRST_US + day * DAY_US + HOUR_US
        for writer in writers:
            if day:
                writer.close()
            writer.born()
        for number, writer in enumerate(writers):
            for nth, tenant in enumerate((*TENANTS, "acme")):
                told = f"{number}-{day}-{nth}"
                sealed = writer.seal(
                    {"id": told, "tenant": tenant, "actor": {"id": f"u{nth}"}},
                    {"id": f"again-{nth}", "tenant": "acme"},
                    {"id": "argued", "tenant": "acme", "action": f"day-{day}"},
                )
                if number == 0 and sealed.name.index in lost:
                    gone.append(sealed)
    if gone:
        writers[0].lose(*gone)
    world.now_us = AFTER_US
    for writer in writers:
        writer.seal("today", "again-0")
        writer.keep_checkpoint()
        writer.beat(checkpoint=writer.checkpoint())
    return world, writers


async def archive(world: World, folder: Path) -> None:
    """Archive all days that are over."""
    keeper = await archived_by(world, folder)
    await keeper._reader.stop()


async def archived_by(world: World, folder: Path, *rules: Rule) -> Archivist:
    """The same by rules of retention; who did it."""
    reader = world.reader(folder / "archiving")
    await reader.pass_once()
    workshop = Workshop(folder / "scratch", rules)
    keeper = Archivist(world.regions(), reader, world.host, lambda: person(world), workshop)
    report = await keeper.archive(DAY_US)
    assert not report.trouble and all(not unit.lacking for unit in report.units)
    return keeper


def of(world: World) -> World:
    """The same, to be changed by itself."""
    return deepcopy(world)


def sweep(world: World, regions: Iterable[str] = ALL) -> int:
    """Delete what is archived in some regions; how many segments of one."""
    count = 0
    for id in regions:
        count = 0
        for key in world.keys(id, layout.SEGMENTS_PREFIX):
            parsed = layout.parse_key(key)
            assert isinstance(parsed, layout.SegmentKey)
            if parsed.name.sealed_us < FIRST_US + DAYS * DAY_US:
                world.remove(key, [id])
                count += 1
    return count


@dataclass(frozen=True)
class Answers:
    """All that a reader says."""

    said: Completeness
    events: tuple[Found, ...]
    acme: tuple[Found, ...]
    one: tuple[Found, ...]
    phrase: tuple[Found, ...]
    counts: Counts
    by_word: Counts
    tail: tuple[Found, ...]
    tail_of_one: tuple[Found, ...]
    names: tuple[tuple[str, ...], ...]


async def answers(reader: Reader) -> Answers:
    """Ask all of it; the first question reaches every unit."""
    await reader.count(Query())
    everything = Query(limit=10)
    events: list[Found] = []
    while True:
        page = await reader.search(everything)
        events += page.events
        if not page.next:
            break
        everything = Query(limit=10, cursor=page.next)
    return Answers(
        said=reader.completeness(),
        events=tuple(events),
        acme=(await reader.search(Query(tenant="acme", actor="u3", limit=1000))).events,
        one=await reader.event("acme", "again-1"),
        phrase=(await reader.search(Query(q="again", limit=1000))).events,
        counts=await reader.count(Query(), ("tenant", "action"), DAY_US),
        by_word=await reader.count(Query(word="argued"), ("tenant",)),
        tail=await followed(reader, len(events)),
        tail_of_one=await followed(reader, (await reader.count(Query(tenant="blå"))).count, "blå"),
        names=tuple([await reader.names(node, 0, 1 << 20) for node in reader.nodes()]),
    )


async def followed(reader: Reader, count: int, tenant: str | None = None) -> tuple[Found, ...]:
    """So many events of a tail that begins where ledgers do."""
    cursor = reader.tail(Query())
    cursor._positions = cursor._given = dict.fromkeys(reader.nodes(), 0)
    tail = reader.tail(Query(cursor=cursor.cursor, tenant=tenant))
    found = [await anext(tail) for _ in range(count)]
    return tuple(sorted(found, key=lambda each: (each.node, each.position)))


@dataclass(frozen=True)
class Proofs:
    """Proofs of every event, certificates, an export and its receipt."""

    events: tuple[bytes, ...]
    certificates: tuple[bytes, ...]
    export: bytes
    receipt: bytes


async def proofs(world: World, reader: Reader, days: int = DAYS) -> Proofs:
    """Make all of it."""
    regions = world.regions()
    await regions.verify()
    signer = speak_for_trail(TRAIL.trail, TRAIL.signing, world.host)
    prover = Prover(reader, regions, world.host, 1.0, lambda: signer)
    from_us, to_us = FIRST_US, FIRST_US + (days - 1) * DAY_US
    events = (await reader.search(Query(limit=1000))).events
    certificates = []
    for tenant in (*TENANTS, "nobody", None):
        coming = prover.certifier.certificate(tenant, from_us, to_us)
        certificates.append(b"".join([piece async for piece in coming]))
    asked = Asked(Span(from_us, to_us), Query(tenant="acme"), "ndjson")
    pieces = [piece async for piece in prover.exporter.file(asked, FILES["ndjson"])]
    return Proofs(
        events=tuple([await prover.prove(each) for each in events]),
        certificates=tuple(certificates),
        export=b"".join(pieces),
        receipt=await prover.exporter.receipt(asked, FILES["ndjson"]),
    )


async def fresh(world: World, cache: Path) -> Reader:
    """A reader that has looked once."""
    reader = world.reader(cache)
    await reader.pass_once()
    return reader
