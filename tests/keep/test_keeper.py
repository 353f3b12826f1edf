"""Ending the epochs of lost nodes, and of nobody else."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from holdfast.keep.keeper import Closer, Keeper
from holdfast.keep.lost import Watch
from holdfast.proof import names, statements
from holdfast.proof.statements import Closed
from holdfast.regions import layout
from holdfast.regions.port import Unknown
from holdfast.write.node import Node
from tests.write.world import TRAIL, Keys, World, kill, run, send, started

PATIENCE_SECONDS = 60.0


async def _keeper(world: World, node: Node) -> Keeper:
    regions = world.regions()
    await regions.verify()
    closer = Closer(regions, world.host, node.living_identity, PATIENCE_SECONDS)
    return Keeper(regions, world.host, closer)


async def _keep(keeper: Keeper, seconds: float) -> None:
    for _ in range(round(seconds / 10)):
        await keeper.reconcile(whole=False)
        await asyncio.sleep(10)


def _closed_at(world: World, node: str, epoch: int) -> int | None:
    key = layout.closed_key(node, epoch)
    for store in world.stores.values():
        if key in store.objects:
            data = store.objects[key][0]
            found = statements.verify_by_certificate(data, Closed, TRAIL.trail).statement
            return found.end.size
    return None


def test_the_epoch_of_a_node_that_died_is_closed_by_another() -> None:
    async def story() -> None:
        world = World()
        lost, living = await started(world.node(Keys())), await started(world.node(Keys()))
        await send(lost, "one")
        await send(lost, "two")
        await kill(lost)
        keeper = await _keeper(world, living)

        await _keep(keeper, PATIENCE_SECONDS - 20)
        before = _closed_at(world, lost.identity.node, 1)
        await _keep(keeper, 40)

        assert before is None
        assert _closed_at(world, lost.identity.node, 1) == 2
        await living.stop()

    run(story)


def test_a_node_that_lives_is_not_closed_however_idle_and_neither_is_the_own() -> None:
    async def story() -> None:
        world = World()
        idle, living = await started(world.node(Keys())), await started(world.node(Keys()))
        keeper = await _keeper(world, living)

        await _keep(keeper, 5 * PATIENCE_SECONDS)

        assert (idle.report().epoch, living.report().epoch) == (1, 1)
        await idle.stop()
        await living.stop()

    run(story)


def test_with_too_few_regions_in_sight_nobody_is_taken_for_lost() -> None:
    async def story() -> None:
        world = World()
        other, living = await started(world.node(Keys())), await started(world.node(Keys()))
        keeper = await _keeper(world, living)
        await keeper.reconcile(whole=False)
        for region in "bc":
            world.stores[region].failing = Unknown("gone")
        await kill(other)

        await _keep(keeper, 2 * PATIENCE_SECONDS)

        fence = layout.fence_key(other.identity.node, 1)
        assert not any(fence in store.objects for store in world.stores.values())
        await kill(living)

    run(story)


def test_a_node_that_comes_back_goes_on_where_it_was_closed() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        lost, living = await started(world.node(keys)), await started(world.node(Keys()))
        await send(lost, "one")
        await kill(lost)
        keeper = await _keeper(world, living)
        await _keep(keeper, 2 * PATIENCE_SECONDS)

        again = await started(world.node(keys))
        answer, _ = await send(again, "two")

        assert again.identity.node == lost.identity.node
        assert names.SegmentName.parse(answer.segment).index == 1
        await again.stop()
        await living.stop()

    run(story)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 5)), max_size=30))
def test_only_what_has_not_advanced_for_the_whole_patience_is_lost(
    steps: list[tuple[float, int]],
) -> None:
    watch = Watch(PATIENCE_SECONDS)
    now, best, since = 0.0, -1, 0.0

    for pause, number in steps:
        now += pause
        lost = watch.lost({("n", 1): number}, now)
        if number > best:
            best, since = number, now
        assert bool(lost) == (now - since >= PATIENCE_SECONDS)


def test_what_somebody_laid_over_evidence_is_told_until_it_is_gone_and_nothing_lacks() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        await send(node, "one")
        await send(node, "two")
        keeper = await _keeper(world, node)
        await keeper.reconcile(whole=True)
        (segment, *_) = [key for key in world.stores["a"].objects if key.startswith("ev/seg/")]
        world.stores["a"].covered[segment] = "a delete marker"

        whole = await keeper.reconcile(whole=True)
        newest = await keeper.reconcile(whole=False)
        world.stores["a"].covered.clear()
        after = await keeper.reconcile(whole=True)

        for report in (whole, newest):
            assert report.identical
            assert [(f.kind, f.region, f.key) for f in report.findings] == [
                ("hidden", "a", segment)
            ]
            assert "a delete marker lies over it" in report.findings[0].reason
        assert after.findings == ()
        await node.stop()

    run(story)
