"""Directed compositions: races in which a rule is needed, with their timing left to the seed.

Faults that come one by one and by chance seldom make the few that break an omitted rule. Each story
is played on the world as it is, by the same processes, and judged by the same checker.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from holdfast.regions.cookie import LOOK_SECONDS_MAX
from tests.sim.buckets import Bucket, Weather
from tests.sim.disks import SimDisk

if TYPE_CHECKING:
    from tests.sim.actors import Machine
    from tests.sim.script import Script


async def blind(script: "Script") -> None:
    """A closer whose listings fail, where some stores lack what was acknowledged."""
    writer, closer = await script.cast(2)
    born = script.last_born(writer)
    script.cut(writer, script.some_stores(script.world.count - script.world.quorum))
    await script.send_within(writer, 0.5)
    for store in script.world.stores.values():
        store.weather = Weather(unlisted=0.5)
    script.close(closer, born)
    await script.wait(0.5, 2.0)


async def straddle(script: "Script") -> None:
    """A slow look, and a quick close by stores of which only one is the writer's too."""
    writer, closer = await script.cast(2)
    born = script.last_born(writer)
    script.share(writer, closer)
    seconds = script.draw.choice([0.2, 0.5, 1.0])
    script.later(seconds * script.draw.random(), script.close, closer, born)
    await script.send_within(writer, seconds)
    script.cut(closer, [])
    await script.wait(0.5, 2.0)


async def vanish(script: "Script") -> None:
    """The same, and as soon as all know of the close that one store is wiped, fence and all."""
    await _wiped_once_closed(script)
    await script.wait(1.0, 3.0)


async def back(script: "Script") -> None:
    """The same, and the store is back as it was, as a disk is that is mounted again."""
    store = await _wiped_once_closed(script)
    await script.wait(LOOK_SECONDS_MAX, LOOK_SECONDS_MAX + 2.0)
    script.world.restore(store)
    await script.wait(1.0, 3.0)


async def _wiped_once_closed(script: "Script") -> Bucket | SimDisk:
    writer, closer, other = await script.cast(3)
    born = script.last_born(writer)
    other.keep(whole=True)
    await script.wait(0.5, 1.0)
    shared = script.share(writer, closer)
    script.close(closer, born)
    await script.send_within(writer, 0.1)
    await script.until(lambda: script.is_closed(born), 1.0)
    script.close(other, born)
    await script.wait(0.0, 0.6)
    await script.until(lambda: script.wiped(shared), 1.0)
    return shared


async def halves(script: "Script") -> None:
    """A segment that landed in few stores, and two closers that see different ones: one of them the
    writer's next start."""
    world, draw = script.world, script.draw
    writer, closer = await script.cast(2)
    born = script.last_born(writer)
    few = draw.randint(1, max(world.quorum - 1, 1))
    script.cut(writer, script.some_stores(world.count - few))
    await script.send_within(writer, 0.3)
    writer.kill()
    for machine in (writer, closer):
        script.cut(machine, script.some_stores(1))
        for id in world.stores:
            world.ways[machine.name, id] = draw.choice([0.005, 0.02, 0.1])
    for store in world.stores.values():
        store.weather = Weather(before=draw.choice([0.0, 0.0, 0.3]))
    script.later(0.6 * draw.random(), script.close, closer, born)
    writer.start()
    await script.wait(1.0, 4.0)


async def unsynced(script: "Script") -> None:
    """Disks that fail to sync what a writer puts; it dies, and another closes its epoch."""
    writer, closer = await script.cast(2)
    born = script.last_born(writer)
    for store in script.world.stores.values():
        if isinstance(store, SimDisk):
            store.failing = 0.5
    await script.send_within(writer, 0.1)
    writer.kill()
    script.quiet()
    script.close(closer, born)
    await script.wait(0.5, 2.0)


async def hard_birth(script: "Script") -> None:
    """A birth that lands in few stores as a node begins again; one of the others may be empty."""
    world, draw = script.world, script.draw
    (writer,) = await script.cast(1)
    born = script.last_born(writer)
    writer.kill()
    stores = script.some_stores(world.count)
    few, others = stores[: world.quorum - 1], stores[world.quorum - 1 :]
    if draw.random() < 0.5 and script.wiped(world.stores[others[0]]):
        others = others[1:]
    for id in few:
        world.ways[writer.name, id] = draw.choice([0.1, 0.3])
    writer.start()
    await script.until(lambda: script.is_closed(born), 5.0)
    script.cut(writer, others)
    await script.until(lambda: script.is_followed(born), 5.0)
    await script.wait(0.0, 0.3)
    script.cut(writer, [])
    await script.until(lambda: writer.open, 10.0)
    await script.send_within(writer, 1.0)
    await script.wait(0.5, 2.0)


async def ahead(script: "Script") -> None:
    """A clock that runs ahead is mended before the next epoch; in that, stores are cut off, and
    readers that remember nothing look while its events wait."""
    world, draw = script.world, script.draw
    (writer,) = await script.cast(1)
    writer.skew_us += draw.choice([5, 60, 3600]) * 1_000_000
    await script.wait(2.5, 4.0)
    if draw.random() < 0.5:
        await script.send_within(writer, 0.5)
    writer.kill()
    writer.skew_us = draw.randint(-700_000, 700_000)
    stores = script.some_stores(world.count)
    script.cut(writer, stores[: world.count - world.quorum])
    writer.start()
    await script.until(lambda: writer.open, 15.0)
    script.cut(writer, stores)
    await script.send_within(writer, 0.02)
    for _ in range(3):
        await script.wait(0.5, 3.0)
        script.look_anew()
    script.cut(writer, [])
    await script.wait(2.0, 4.0)


async def dawn(script: "Script") -> None:
    """Every node has ended well; readers look while one is born."""
    world, draw = script.world, script.draw
    await script.calm()
    for machine in script.machines:
        machine.stop()
    await script.until(lambda: not any(machine.alive for machine in script.machines), 10.0)
    writer = script.machine()
    writer.skew_us = draw.randint(-800_000, 800_000)
    for store in world.stores.values():
        store.weather = Weather(slow=draw.choice([0.01, 0.03, 0.06]))
    writer.start()
    for reader in script.readers:
        for _ in range(3):
            script.later(draw.random(), reader.look)
    await script.until(lambda: writer.open, 5.0)
    await script.send_within(writer, 0.1)
    await script.wait(1.0, 2.0)


async def torn(script: "Script") -> None:
    """Readers that remember nothing look while half of all reads are bent."""
    (writer,) = await script.cast(1)
    for _ in range(3):
        await script.send_within(writer, 0.5)
    await script.wait(5.0, 6.0)
    for store in script.world.stores.values():
        store.weather = Weather(bent=0.5)
    for _ in range(5):
        script.look_anew()
        await script.wait(0.5, 1.0)


async def mend(script: "Script") -> None:
    """A keeper repairs what a dead writer left, while half of all reads are bent."""
    writer, other = await script.cast(2)
    script.cut(writer, script.some_stores(script.world.count - script.world.quorum))
    await script.send_within(writer, 0.5)
    writer.kill()
    for store in script.world.stores.values():
        store.weather = Weather(bent=0.5)
    for _ in range(3):
        other.keep(whole=True)
        await script.wait(0.5, 2.0)


async def bad_memory(script: "Script") -> None:
    """Machines whose memory flips bits."""
    (writer,) = await script.cast(1)
    script.world.flips = 0.5
    await script.send_within(writer, 1.0)
    await script.wait(0.5, 2.0)


async def outvoted(script: "Script") -> None:
    """Two closers see different ends, and a store that did not vote is gone for good."""
    world, draw = script.world, script.draw
    writer, one, other = await script.cast(3)
    born = script.last_born(writer)
    one.keep(whole=True)
    await script.wait(0.5, 1.5)
    if world.count <= world.quorum:
        return  # none may be gone while an epoch is open
    a, b, *rest = script.some_stores(world.count)
    script.cut(writer, {*world.stores} - {a})
    await script.send_within(writer, 0.2)
    if draw.random() < 0.5:
        writer.kill()
    script.cut(one, [a])
    script.cut(other, [b])
    for id in world.stores:
        for machine in (one, other):
            world.ways[machine.name, id] = draw.choice([0.005, 0.05, 0.2])
    script.later(0.4 * draw.random(), script.close, one, born)
    script.later(0.4 * draw.random(), script.close, other, born)
    store = world.stores[draw.choice(rest)]
    await script.until(lambda: script.is_fenced(store, born), 2.0)
    await script.wait(0.0, 0.6)
    store.weather = Weather(readonly=True)
    await script.until(lambda: script.votes(born) > 1, 2.0)
    await script.wait(0.0, 0.3)
    if not world.may_go(store):
        return
    world.lose(store)
    script.quiet()
    if draw.random() < 0.5:
        script.person.replace(store.id)
        await script.person.done()
    if born is not None:
        for _ in range(3):
            script.person.close(*born[:2])
            script.close(draw.choice([one, other]), born)
            await script.wait(0.2, 1.0)
    script.person.replace(store.id)
    await script.wait(0.5, 2.0)


async def bereft(script: "Script") -> None:
    """What one store holds is all that is left of what two had counted: the other one's successor
    knows nothing, and the third never knew. Whoever reaches only those two looks, and closes."""
    world, draw = script.world, script.draw
    writer, closer = await script.cast(2)
    if world.count <= world.quorum:
        return  # none may be gone while an epoch is open
    for machine in script.machines:  # an open epoch would have its own stores listed
        machine.stop()
    await script.until(lambda: not any(machine.alive for machine in script.machines), 10.0)
    stores = script.some_stores(world.count)
    away, (lost, *left) = stores[world.quorum :], stores[: world.quorum]
    script.cut(writer, away)
    writer.start()
    await script.until(lambda: writer.open, 10.0)
    born = script.last_born(writer)
    await script.send_within(writer, 0.3)
    if draw.random() < 0.5:
        await script.wait(0.0, 3.0)  # it may be promised
    writer.kill()
    await script.wait(0.0, 0.3)
    if not world.may_go(world.stores[lost]):
        return
    world.lose(world.stores[lost])
    script.person.replace(lost)
    await script.person.done()
    closer.start()
    await script.until(lambda: closer.open, 10.0)
    if draw.random() < 0.5:  # somebody fills it, as far as it goes
        for id in (lost, *away):
            world.stores[id].weather = Weather(before=0.7)
        script.cut(closer, [])
        closer.keep(whole=True)
        await script.wait(0.3, 1.0)
        script.quiet()
    script.cut(closer, left)
    for reader in script.readers:
        script.cut(reader, left)
    script.look_anew()
    await script.wait(0.0, 0.5)
    if draw.random() < 0.5:
        closer.keep(whole=True)
    script.close(closer, born)
    await script.wait(1.0, 6.0)
    script.look_anew()
    await script.wait(0.5, 1.5)


async def hole(script: "Script") -> None:
    """Every copy of a segment is lost; readers that remember nothing look, and others close its
    epoch, before a person states it and after."""
    draw = script.draw
    writer, closer = await script.cast(2)
    born = script.last_born(writer)
    for _ in range(draw.choice([1, 3])):
        await script.send_within(writer, 0.3)
    if draw.random() < 0.5:  # what is lost may lie in a closed epoch, with an open one behind it
        writer.stop()
        await script.until(lambda: not writer.alive, 10.0)
        writer.start()
        await script.until(lambda: writer.open, 10.0)
        await script.send_within(writer, 0.3)
    await script.wait(2.5, 4.0)  # until it is promised
    if not script.destroyed_any():
        return
    script.look_anew()
    if draw.random() < 0.5:
        writer.kill()
        await script.wait(0.0, 1.0)
        script.close(closer, born)
    await script.wait(0.5, 1.5)
    for _ in range(3):
        script.look_anew()
        for each in script.world.holes():
            script.person.gap(*each)
            await script.wait(0.2, 1.0)
    writer.start()
    await script.wait(0.5, 2.0)
    script.close(closer, born)
    script.look_anew()
    await script.wait(0.5, 2.0)


async def swept(script: "Script") -> None:
    """A day goes into archives, by two at once, and its segments go, while others close, repair and
    look, and one of them dies."""
    draw = script.draw
    writer, other = await script.cast(2)
    await script.send_within(writer, 1.0)
    await script.wait(6.0, 8.0)
    await script.send_within(writer, 0.5)
    await script.wait(2.0, 3.0)  # until a heartbeat promises it
    for reader in script.readers:
        reader.look()
    await script.wait(0.5, 1.0)
    for machine in (writer, other):
        script.later(0.3 * draw.random(), machine.archive)
    await script.until(lambda: any(script.world.archives().values()), 5.0)
    if draw.random() < 0.5:
        script.rot_archive()
    if draw.random() < 0.3:
        script.store().weather = Weather(late=0.3)
    for machine in (writer, other):
        script.later(draw.random(), machine.sweep)
    script.later(draw.random(), other.keep, True)
    if draw.random() < 0.5:
        script.later(1.5 * draw.random(), script.close, other, script.last_born(writer))
    if draw.random() < 0.5:
        script.later(1.5 * draw.random(), draw.choice([writer, other]).kill)
    await script.wait(1.5, 2.5)
    if draw.random() < 0.5:
        script.look_anew()
    other.keep(whole=True)
    await script.wait(0.5, 1.5)


async def expired(script: "Script") -> None:
    """Old days are swept and let go by two at once, who may die before any write or delete, while a
    person holds and releases, and a store goes away and comes back."""
    world, draw = script.world, script.draw
    writer, other = await script.cast(2)
    for _ in range(2):
        await script.send_within(writer, 1.0)
        await script.wait(5.0, 6.0)
    await script.wait(1.0, 3.0)
    await script.know()
    for machine in (writer, other):
        script.later(0.3 * draw.random(), machine.archive)
    await script.until(lambda: any(world.archives().values()), 5.0)
    await script.wait(0.3, 0.6)
    if draw.random() < 0.7:
        for machine in (writer, other):
            machine.sweep()
        await script.wait(1.0, 1.5)
    if draw.random() < 0.8:
        await script.wait(10.0, 16.0)  # until some of them are old enough
    await script.know()
    for _ in range(2):
        await _let_go(script, writer, other)


async def _let_go(script: "Script", one: "Machine", other: "Machine") -> None:
    world, draw = script.world, script.draw
    store = script.store()
    kind = draw.choice(["two", "slow", "mixed", "down", "wipe", "race", "race", "race", "heir"])
    seconds = 0.4
    if kind in ("slow", "mixed"):
        for each in world.stores.values():
            each.weather = Weather(slow=0.05) if kind == "slow" else Weather(before=0.3)
    elif kind == "down":
        store.weather = Weather(down=True)
    elif kind == "wipe":
        script.wiped(store)
    elif kind == "race":  # whoever lets go is slow, whoever holds is not
        seconds = 2.5
        world.ways |= {(one.name, id): 0.05 for id in world.stores}
    writes = draw.randint(3, 20) if kind == "heir" or draw.random() < 0.3 else None
    script.later(0.3 * draw.random(), one.expire, writes)
    if kind != "race":
        script.later(1.0 if kind == "heir" else 0.3 * draw.random(), other.expire)
    script.later(seconds * draw.random(), script.hold_or_release)
    script.later(draw.random(), other.keep, True)
    script.later(2 * draw.random(), other.sweep)
    await script.wait(seconds + 0.7, seconds + 1.5)
    if kind == "wipe":
        await script.wait(LOOK_SECONDS_MAX, LOOK_SECONDS_MAX + 1.0)
        world.restore(store)
    script.quiet()
    for machine in (one, other):
        if not machine.alive:
            machine.start()
    other.keep(whole=True)
    script.later(0.5 * draw.random(), other.archive)
    script.look_anew()
    script.later(draw.random(), script.hold_or_release)
    await script.wait(1.0, 2.0)


STORIES: dict[str, Callable[["Script"], Awaitable[None]]] = {
    story.__name__: story
    for story in (
        blind,
        straddle,
        vanish,
        back,
        halves,
        unsynced,
        hard_birth,
        ahead,
        dawn,
        torn,
        mend,
        bad_memory,
        outvoted,
        bereft,
        hole,
        swept,
        expired,
    )
}
PEOPLES = ("outvoted", "bereft", "hole")  # those that need a person
