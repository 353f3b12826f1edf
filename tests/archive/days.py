"""Trails of some days, written straight into regions, and archivists of them."""

from collections.abc import Collection, Mapping
from pathlib import Path

from holdfast.archive.archivist import Archivist, Workshop
from holdfast.archive.rules import Rule
from holdfast.proof import names
from holdfast.regions import layout, signing
from holdfast.regions.kinds import Archive
from holdfast.regions.retained import Floor, Hold, Retained, place_of
from holdfast.regions.trailkey import KEY_FILE
from holdfast.regions.units import DAY_US, HOUR_US, start_us
from holdfast.write.identity import Identity, speak_for_trail
from holdfast.write.seal import Encoded
from tests.read.trails import ALL, TRAIL, World, Writer

FIRST = "2026-03-01"
FIRST_US = start_us(FIRST)


def trail_of(
    world: World,
    days: int = 2,
    lost: range = range(0),
    first_us: int = FIRST_US,
    more: Mapping[str, str] = {},
) -> list[Writer]:
    """Two nodes, so many days of a few segments, two tenants and one without a name; closed.

    lost: segments of the first node that were lost, and declared so. first_us: the first day.
    more: fields of all events.
    """
    world.now_us = first_us + HOUR_US
    writers = [Writer(world, seed) for seed in (7, 8)]
    for writer in writers:
        writer.born()
    gone: list[Encoded] = []
    for day in range(days):
        for hour in (1, 13):
            world.now_us = first_us + day * DAY_US + hour * HOUR_US
            for number, writer in enumerate(writers):
                for tenant in ("acme", "blå", ""):
                    told = f"{number}-{day}-{hour}-{tenant}"
                    actor = {"type": "user", "id": f"u{hour}"}
                    sealed = writer.seal(
                        {"id": f"{told}-0", "tenant": tenant, "actor": actor, **more},
                        {"id": f"{told}-1", "tenant": "acme", "actor": actor, **more},
                    )
                    if writer is writers[0] and sealed.name.index in lost:
                        gone.append(sealed)
    if gone:
        writers[0].lose(*gone)
    world.now_us = first_us + (days + 2) * DAY_US
    for writer in writers:
        writer.beat()
        writer.close()
    return writers


def person(world: World) -> Identity:
    return speak_for_trail(TRAIL.trail, TRAIL.signing, world.host)


async def archivist(world: World, folder: Path, *rules: Rule) -> Archivist:
    """One that knows what the regions show now."""
    reader = world.reader(folder / "cache")
    await reader.open()
    await reader.pass_once()
    workshop = Workshop(folder / "scratch", rules)
    return Archivist(world.regions(), reader, world.host, lambda: person(world), workshop)


def again(world: World, one: Archivist, corrupt: Collection[tuple[str, str]] = ()) -> Archivist:
    """Another process's, of what the regions are by now, that knows what that one's reader does."""
    return Archivist(
        *(world.regions(), one._reader, world.host, lambda: person(world)),
        Workshop(one._scratch, one._rules),
        lambda: corrupt,
    )


def archived(world: World, region: str = "a") -> dict[str, bytes]:
    """The objects of a region's archive."""
    objects = world.stores[region].objects
    return {key: data for key, (data, _) in sorted(objects.items()) if key.startswith("ev/arc/")}


def laid_out(world: World, data: Path) -> Path:
    """The same trail as directories that commands read, with the trail's key."""
    for id in ALL:
        for key, (found, _) in world.stores[id].objects.items():
            path = data / "regions" / id / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found)
    (data / KEY_FILE).write_text(TRAIL.text())
    return data


def state(world: World, statement: Retained, regions: Collection[str] = ALL) -> str:
    """Put a statement of retention into regions, as the trail's key makes it; its key."""
    key = layout.retained_key(place_of(statement))
    data = signing.write(statement, names.trail_origin(TRAIL.trail), person(world).key)
    world.put(key, data, regions)
    return key


def floor_of(world: World, archive: Archive, retention: str, remains: str) -> Floor:
    """The floor of a class of a unit."""
    parts = [(sha256, size, rows) for of, sha256, size, rows in archive.parts if of == retention]
    return Floor(
        unit=archive.unit,
        retention=retention,
        rule=f"class {retention}: min 0, max 1 days",
        min=0,
        max=1,
        rows=sum(rows for *_, rows in parts),
        earliest_us=FIRST_US,
        latest_us=FIRST_US + DAY_US,
        by=person(world).node,
        floored_us=world.now_us,
        certificate=person(world).certificate,
        remains=remains,
        parts=tuple(sorted(parts)),
    )


def hold_of(world: World, id: str, tenant: str = "acme", actor: str = "") -> Hold:
    """A hold of all that a tenant has."""
    me = person(world)
    told = (id * 32, tenant, actor, None, None, "a case", "ann", me.node, world.now_us)
    return Hold(*told, me.certificate)
