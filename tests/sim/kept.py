"""What must hold in the end where rules let go: what is kept is found and proven, what was let go
lies nowhere and is not shown."""

from typing import Any

from holdfast.archive.archivist import Workshop
from holdfast.keep.keeper import Keeper
from holdfast.model import Query
from holdfast.proof import event
from holdfast.prove.prover import Prover
from holdfast.read.follow import FollowLimits
from holdfast.read.passes import PassLimits
from holdfast.read.reader import Reader, ReaderLimits
from holdfast.regions import Regions
from holdfast.write.identity import Identity, speak_for_trail
from tests.read.trails import ids
from tests.sim.actors import LightReader
from tests.sim.archives import Known, SimArchivist
from tests.sim.retained import DELETER, GONE, RULES, Opened, SimRetention
from tests.sim.world import DELTA_US, TRAIL, World

AUDITOR = "auditor"
PROVEN = 3  # of what is found


async def let_all_go(world: World, reader: LightReader) -> None:
    """Every store has an archive of what any has, what rules let go goes everywhere, also where it
    was put back, and no repair brings it back."""
    DELETER.set(AUDITOR)
    world.watch.rules[AUDITOR] = RULES
    regions, host = world.regions(AUDITOR), world.host(lambda: 0)
    known: Any = Known(reader)
    await regions.verify()

    def identity() -> Identity:
        return speak_for_trail(TRAIL.trail, TRAIL.signing, host)

    workshop = Workshop(world.scratch / AUDITOR / "archive", RULES)
    archivist = SimArchivist(regions, known, host, identity, workshop)
    await archivist.archive(0)
    await SimRetention(regions, known, host, identity, workshop).expire()
    GONE.set(frozenset(world.watch.out()))
    await Keeper(regions, host).reconcile(whole=True)
    await archivist.archive(0)
    world.watch.check_gone()


async def check_found(world: World, regions: Regions, opened: Opened) -> None:
    """A reader that begins now finds all that is kept, each event proven, and nothing that was let
    go. opened: the records of every segment, by its key."""
    kept, gone = world.watch.divide(opened)
    host = world.host(lambda: 0)
    limits = ReaderLimits(passes=PassLimits(follow=FollowLimits(DELTA_US)))
    reader = Reader(regions, host, world.scratch / "found", limits)
    await regions.verify()
    await reader.pass_once()
    shown = set(ids((await reader.search(Query(limit=1000))).events))
    for text, some in (("LOST", kept - shown), ("SHOWN", shown & gone - kept)):
        if some:
            world.problem(f"{text}: {sorted(some)} in the end")
    prover = Prover(reader, regions, host, 1.0)
    proven = sorted(kept & shown)[:PROVEN]
    for id in () if world.destroyed else proven:  # a proof may want the name of what is lost
        for _ in event.check(await prover.event(None, id), TRAIL.trail):
            pass
    await reader.stop()
