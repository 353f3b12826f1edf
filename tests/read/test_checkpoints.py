"""Each node's newest checkpoint, from whatever regions show one."""

from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.note import Checkpoint
from holdfast.read.checkpoints import Checkpoints, Look
from holdfast.regions import layout, signing
from holdfast.regions.port import Unknown
from tests.read.trails import World, Writer
from tests.regions.worlds import run_with_time


def look(world: World, checkpoints: Checkpoints | None = None) -> Look:
    async def story() -> Look:
        regions = world.regions()
        await regions.verify()
        return await (checkpoints or Checkpoints(regions)).look()

    return run_with_time(lambda _: story())


def signed(writer: Writer, end: LedgerEnd, root: bytes = b"") -> bytes:
    return signing.sign(Checkpoint(writer.origin, end.size, root or end.root).text, writer.key)


def sizes(found: Look) -> dict[str, int]:
    return {node: each.checkpoint.size for node, each in found.newest.items()}


def writer_of(world: World, seed: int, segments: int) -> Writer:
    writer = Writer(world, seed)
    writer.born()
    for _ in range(segments):
        writer.seal({})
    return writer


def test_the_newest_of_heartbeat_and_evidence_is_taken_whichever_region_has_it() -> None:
    world = World()
    living, gone = writer_of(world, 1, 3), writer_of(world, 2, 2)
    world.put(layout.checkpoint_key(living.node, 3), signed(living, living.end), ["c"])
    living.beat()
    living.seal({})
    living.beat(regions=["b"], checkpoint=signed(living, living.end))
    world.put(layout.checkpoint_key(gone.node, 2), signed(gone, gone.end), ["b"])

    found = look(world)

    assert sizes(found) == {living.node: 4, gone.node: 2}
    assert list(found.newest) == sorted(found.newest)
    assert found.listed == ("a", "b", "c") and not found.conflicts


def test_what_the_nodes_key_did_not_sign_is_passed_over() -> None:
    world = World()
    node, other = writer_of(world, 1, 2), writer_of(world, 2, 1)
    world.put(layout.checkpoint_key(node.node, 1), signed(node, node.end))
    forged = signing.sign(Checkpoint(node.origin, 9, bytes(32)).text, other.key)
    world.put(layout.checkpoint_key(node.node, 9), forged)
    world.put(layout.checkpoint_key(node.node, 8), b"nothing")

    assert sizes(look(world)) == {node.node: 2}


def test_a_node_without_a_segment_has_none() -> None:
    world = World()
    idle = writer_of(world, 1, 0)
    idle.beat()

    assert look(world).newest == {}


def test_two_stories_of_one_size_are_told_apart_even_after_the_first_is_gone() -> None:
    world = World()
    node = writer_of(world, 1, 2)
    one, other = signed(node, node.end), signed(node, node.end, bytes(32))
    key = layout.checkpoint_key(node.node, 2)
    world.put(key, one, ["a"])
    regions = world.regions()
    checkpoints = Checkpoints(regions)

    async def story() -> tuple[Look, Look]:
        await regions.verify()
        first = await checkpoints.look()
        world.remove(key)
        world.put(key, other, ["c"])
        return first, await checkpoints.look()

    before, after = run_with_time(lambda _: story())

    assert not before.conflicts
    assert after.conflicts == {node.node: (one, other)}


def test_a_region_that_is_away_is_named_and_the_others_answer() -> None:
    world = World()
    node = writer_of(world, 1, 1)
    world.put(layout.checkpoint_key(node.node, 1), signed(node, node.end))
    world.stores["b"].failing = Unknown("away")

    found = look(world)

    assert found.listed == ("a", "c") and "away" in found.absent["b"]
    assert sizes(found) == {node.node: 1}


def test_a_region_without_its_cookie_does_not_count() -> None:
    world = World()
    node = writer_of(world, 1, 1)
    world.put(layout.checkpoint_key(node.node, 1), signed(node, node.end))
    world.remove(layout.REGION_KEY, ["a"])

    assert look(world).listed == ("b", "c")
