"""Stores that came later: filled, found whole, and said to be; fences that are put again."""

import asyncio
from collections.abc import Collection

from holdfast.keep.keeper import Keeper, Reconciliation
from holdfast.keep.late import why_not_to_accept
from holdfast.proof import statements
from holdfast.regions import Regions, kinds, layout
from holdfast.regions.kinds import Fence, Whole
from holdfast.regions.port import Unknown
from holdfast.regions.sets import RegionSet
from holdfast.write.identity import speak_for_trail
from tests.regions.worlds import MemoryWorld
from tests.write.world import TRAIL, Keys, World, kill, run, send, started

NEW = "9" * 32
FIRST = {id: kinds.verify_cookie(TRAIL.cookie(id), TRAIL.trail).statement.store for id in "abcd"}


async def _keeper(world: World, suspects: Collection[str] = ()) -> Keeper:
    regions = world.regions()
    await regions.verify()
    person = speak_for_trail(TRAIL.trail, TRAIL.signing, world.host)
    return Keeper(regions, world.host, identity=lambda: person, suspects=lambda: suspects)


async def _written(world: World, count: int = 3) -> None:
    node = await started(world.node(Keys()))
    for number in range(count):
        await send(node, f"n{number}")
    await asyncio.sleep(2.5)
    await node.stop()


def _replace(world: World, region: str = "b", store: str = NEW) -> None:
    """The store is gone for good, and another one is in its place."""
    world.stores[region] = MemoryWorld()
    cookie = TRAIL.cookie(region, store, FIRST[region])
    world.stores[region].objects[layout.REGION_KEY] = (cookie, 1)


async def _left_with_a() -> World:
    """Two of the three stores are gone for good, and others are in their places."""
    world = World()
    await _written(world)
    _replace(world, "b")
    _replace(world, "c", "8" * 32)
    return world


def _whole(world: World, region: str = "b") -> Whole | None:
    found = world.stores[region].objects.get(layout.WHOLE_KEY)
    return kinds.verify_whole(found[0], TRAIL.trail).statement if found else None


def _found(report: Reconciliation) -> list[tuple[str, str]]:
    return [(finding.kind, finding.region) for finding in report.findings]


def test_a_store_that_replaced_another_is_filled_and_said_to_be_whole() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        _replace(world)
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=False)

        whole = _whole(world)
        assert whole is not None
        assert (whole.store, whole.by) == (NEW, TRAIL.trail)
        assert whole.regions == (("a", FIRST["a"]), ("c", FIRST["c"]))
        assert report.identical and _found(report) == [("found-whole", "b")]
        kinds = ("ev/seg/", "ev/cp/", "/birth.note", "/closed.note")
        kept = [
            {k: v[0] for k, v in store.objects.items() if any(kind in k for kind in kinds)}
            for store in world.stores.values()
        ]
        assert kept[0] == kept[1] == kept[2]
        assert _found(await keeper.reconcile(whole=False)) == []

    run(story)


def test_a_store_is_not_whole_until_it_was_compared_with_enough_others() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        _replace(world)
        world.stores["c"].failing = Unknown("away")
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _whole(world) is None
        assert _found(report) == [("not-whole", "b")]
        assert "compared with more other regions" in report.findings[0].reason

    run(story)


def test_two_stores_that_came_later_do_not_vouch_for_each_other() -> None:
    async def story() -> None:
        world = await _left_with_a()
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _found(report) == [("not-whole", "b"), ("not-whole", "c")]

    run(story)


def test_a_store_is_accepted_where_too_few_are_left_and_then_vouches_for_the_next() -> None:
    async def story() -> None:
        world = await _left_with_a()
        keeper = await _keeper(world)
        may = [await why_not_to_accept(keeper._regions, id) for id in "abc"]

        report = await keeper.reconcile(whole=True, accepted="b")
        whole = _whole(world, "b")
        after = await keeper.reconcile(whole=True)

        assert may == ["its store is relied on already", "", ""]
        assert ("found-whole", "b") in _found(report) and ("not-whole", "c") in _found(report)
        assert whole is not None and whole.regions == (("a", FIRST["a"]),)
        assert whole.by == TRAIL.trail
        assert _found(after) == [("found-whole", "c")]
        assert "find it whole" in await why_not_to_accept(await _other_lost(world), "c")

    run(story)


async def _other_lost(world: World) -> Regions:
    _replace(world, "c", "7" * 32)
    regions = world.regions()
    await regions.verify()
    return regions


def test_no_store_is_accepted_while_another_region_is_silent_or_nothing_is_left() -> None:
    async def story() -> None:
        world = await _left_with_a()
        world.stores["a"].failing = Unknown("away")
        silent = await _keeper(world)
        report = await silent.reconcile(whole=True, accepted="b")
        world.stores["a"].failing = None
        _replace(world, "a", "7" * 32)
        nothing = await _keeper(world)

        assert "what a hold" in await why_not_to_accept(silent._regions, "b")
        assert "no store is left" in await why_not_to_accept(nothing._regions, "b")
        assert ("not-whole", "b") in _found(report) and _whole(world) is None

    run(story)


def test_a_store_that_still_lacks_something_is_not_whole() -> None:
    class Full(MemoryWorld):
        async def create(self, key: str, data: bytes) -> object:  # type: ignore[override]
            if key.startswith("ev/seg/"):
                return Unknown("full", answered=True)
            return await super().create(key, data)

    async def story() -> None:
        world = World()
        await _written(world)
        _replace(world)
        full = Full()
        full.objects = world.stores["b"].objects
        world.stores["b"] = full
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _whole(world) is None
        assert ("not-whole", "b") in _found(report)
        assert "still lacks 3 objects" in report.findings[-1].reason

    run(story)


def test_an_added_region_is_compared_with_enough_of_the_earlier_set_too() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        world.stores["d"] = MemoryWorld()
        cookie = TRAIL.cookie("d", NEW, NEW)
        world.stores["d"].objects[layout.REGION_KEY] = (cookie, 1)
        world.quorum, world.earlier = 4, (RegionSet(frozenset("abc"), 2),)
        world.stores["c"].failing = world.stores["b"].failing = Unknown("away")
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)  # one of four would do; of three it does not

        assert _found(report) == [("not-whole", "d")]
        world.stores["b"].failing = None
        await asyncio.sleep(60)
        assert _found(await keeper.reconcile(whole=True)) == [("found-whole", "d")]

    run(story)


def test_nobody_without_a_name_says_that_a_store_is_whole() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        _replace(world)
        regions = world.regions()
        await regions.verify()

        report = await Keeper(regions, world.host).reconcile(whole=True)

        assert report.identical and _found(report) == [("not-whole", "b")]
        assert _whole(world) is None

    run(story)


def test_what_lies_below_the_settled_part_comes_back_to_a_region_that_is_suspect() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        suspects: list[str] = []
        regions = world.regions()
        await regions.verify()
        keeper = Keeper(regions, world.host, suspects=lambda: suspects)
        await keeper.reconcile(whole=True)
        lost = sorted(world.keys_under("b", "ev/seg/"))[0]
        del world.stores["b"].objects[lost]

        await keeper.reconcile(whole=False)
        before = lost in world.stores["b"].objects
        suspects.append("b")
        await keeper.reconcile(whole=False)

        assert not before and lost in world.stores["b"].objects

    run(story)


def test_a_region_that_went_back_to_an_older_state_is_filled_though_nobody_suspects_it() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        keeper = await _keeper(world)
        await keeper.reconcile(whole=True)
        newest = sorted(world.keys_under("b", "ev/seg/"))[-2:]
        for key in newest:
            del world.stores["b"].objects[key]

        report = await keeper.reconcile(whole=False)

        assert set(newest) <= world.stores["b"].objects.keys() and report.identical
        assert (await keeper.reconcile(whole=False)).identical

    run(story)


def test_what_a_suspect_region_lacks_is_not_lost_while_another_was_not_surveyed() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        only_in_c = sorted(world.keys_under("c", "ev/seg/"))[0]
        for region in "ab":
            del world.stores[region].objects[only_in_c]
        world.stores["c"].failing = Unknown("away")

        told = await (await _keeper(world)).reconcile(whole=True)
        untold = await (await _keeper(world, ["a"])).reconcile(whole=True)

        assert _found(told) == [("lost", "")] and _found(untold) == []

    run(story)


def test_no_store_is_found_whole_by_what_a_suspect_region_holds() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        _replace(world, "b")
        suspects = ["a"]
        keeper = await _keeper(world, suspects)

        assert _found(await keeper.reconcile(whole=False)) == [("not-whole", "b")]
        suspects.clear()
        assert _found(await keeper.reconcile(whole=False)) == [("found-whole", "b")]

    run(story)


def test_fences_of_closed_epochs_are_put_again_in_the_keepers_own_name() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        node = next(iter(world.keys_under("a", "ev/node/"))).split("/")[2]
        fence = layout.fence_key(node, 1)
        others = world.stores["a"].objects[fence]
        del world.stores["b"].objects[fence]
        living = await started(world.node(Keys()))
        keeper = await _keeper(world)

        await keeper.reconcile(whole=False)

        again = statements.verify_by_certificate(
            world.stores["b"].objects[fence][0], Fence, TRAIL.trail
        )
        assert (again.statement.by, again.statement.epoch) == (TRAIL.trail, 1)
        assert world.stores["a"].objects[fence] == others
        open_fence = layout.fence_key(living.identity.node, 1)
        assert not any(open_fence in store.objects for store in world.stores.values())
        await kill(living)

    run(story)


def test_nothing_is_called_lost_on_the_word_of_a_store_that_came_later() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        only_in_c = sorted(world.keys_under("a", "ev/seg/"))[0]
        del world.stores["a"].objects[only_in_c]
        _replace(world)
        world.stores["c"].failing = Unknown("away")
        world.stores["a"].objects["ev/node/strange"] = (b"", 1)
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _found(report) == [("not-whole", "b"), ("foreign", "")]  # the gravest first
        world.stores["c"].failing = None
        await asyncio.sleep(60)
        assert ("found-whole", "b") in _found(await keeper.reconcile(whole=True))
        assert only_in_c in world.stores["a"].objects

    run(story)


def test_what_no_region_has_is_lost_also_where_most_stores_came_later() -> None:
    async def story() -> None:
        world = World()
        await _written(world)
        del world.stores["a"].objects[sorted(world.keys_under("a", "ev/seg/"))[0]]
        _replace(world, "b")
        _replace(world, "c", "8" * 32)
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _found(report) == [("lost", ""), ("not-whole", "b"), ("not-whole", "c")]

    run(story)
