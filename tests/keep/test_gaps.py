"""What is declared lost is missed by no survey, and nothing else is forgiven with it."""

import pytest

from holdfast.cli.exits import GOOD, INCOMPLETE, REFUTED
from holdfast.cli.reconcile import exit_code
from holdfast.errors import UnavailableError
from holdfast.keep.declare import declare
from holdfast.keep.gaps import Asked, propose_gap
from holdfast.keep.scrub import Scrub
from holdfast.proof import statements
from holdfast.regions import layout
from holdfast.regions.port import Stored, Unknown
from holdfast.regions.sets import RegionSet
from tests.keep.test_repair import _keeper, _kinds, _of, _remove, _segments, _written
from tests.regions.worlds import MemoryWorld
from tests.write.world import TRAIL, World, run


async def _trail(world: World, count: int = 5) -> list[str]:
    """The keys of a closed ledger's segments, in its order."""
    await (await _written(world, count)).stop()
    return sorted(_segments(world, "a"))


async def _declare(
    world: World, keys: list[str], start: int, end: int, cause: str = "a fire"
) -> None:
    regions = world.regions()
    await regions.verify()
    node = keys[0].split("/")[2]
    asked = Asked(node, start, end, (), "a test", cause)
    found = await propose_gap(regions, TRAIL.signing, world.host, asked)
    await declare(regions, found.key, found.data)


def _rot(world: World, key: str, regions: str = "abc") -> None:
    for region in regions:
        data, at_us = world.stores[region].objects[key]
        world.stores[region].objects[key] = (bytes(len(data)), at_us)


def test_what_is_declared_lost_is_not_reported_lost_and_what_lies_beside_it_is() -> None:
    async def story() -> None:
        world = World()
        keys = await _trail(world)
        for key in keys[1:4]:
            _remove(world, key)
        keeper = await _keeper(world)
        before = await keeper.reconcile(whole=True)
        await _declare(world, keys, 1, 3)

        after = await keeper.reconcile(whole=False)

        assert "segments 1 to 3" in before.findings[0].reason
        assert _kinds(after) == [("lost", "")]
        assert "segment 3 of" in after.findings[0].reason
        assert exit_code(after) == INCOMPLETE

    run(story)


def test_once_all_that_is_lost_is_declared_the_next_round_is_good() -> None:
    """Not only the next whole one: what was reported is looked at again at once."""

    async def story() -> None:
        world = World()
        keys = await _trail(world)
        keeper = await _keeper(world)
        await keeper.reconcile(whole=False)
        for key in keys[1:3]:
            _remove(world, key)
        await keeper.reconcile(whole=True)
        await _declare(world, keys, 1, 3)

        after = await keeper.reconcile(whole=False)

        assert after.findings == () and after.identical
        assert exit_code(after) == GOOD

    run(story)


def test_a_region_that_lacks_only_what_is_declared_lost_does_not_lag() -> None:
    async def story() -> None:
        world = World()
        keys = await _trail(world)
        _rot(world, keys[1])
        _remove(world, keys[1], "bc")
        keeper = await _keeper(world)
        before = await keeper.reconcile(whole=True)
        await _declare(world, keys, 1, 2)

        after = await keeper.reconcile(whole=True)

        assert _kinds(before) == [("corrupt", "a"), ("unreadable", "")]
        assert _of(before, "b") == (1, 0, 1)
        assert _of(after, "b") == _of(after, "c") == (0, 0, 0)
        assert after.findings == () and after.identical

    run(story)


def test_a_good_copy_of_what_is_declared_lost_is_spread_and_a_bad_one_beside_it_named() -> None:
    async def story() -> None:
        world = World()
        keys = await _trail(world)
        good = world.stores["c"].objects[keys[1]]
        _rot(world, keys[1])
        _remove(world, keys[1], "bc")
        await _declare(world, keys, 1, 2)
        world.stores["c"].objects[keys[1]] = good
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert world.stores["b"].objects[keys[1]][0] == good[0]
        assert _kinds(report) == [("corrupt", "a")]
        assert exit_code(report) == REFUTED

    run(story)


def test_copies_of_different_sizes_of_what_is_declared_lost_are_not_reported() -> None:
    async def story() -> None:
        world = World()
        keys = await _trail(world)
        _rot(world, keys[1])
        world.stores["b"].objects[keys[1]] = (b"", 1)
        await _declare(world, keys, 1, 2)
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert report.findings == () and report.identical

    run(story)


def test_the_scrub_names_a_corrupt_copy_in_a_gap_only_beside_a_good_one() -> None:
    async def story() -> None:
        world = World()
        keys = await _trail(world)
        good = {key: world.stores["b"].objects[key] for key in keys}
        for key in keys[1:3]:
            _rot(world, key)
        await _declare(world, keys, 1, 3)
        world.stores["b"].objects[keys[2]] = good[keys[2]]
        _rot(world, keys[4], "a")
        regions = world.regions()
        await regions.verify()

        report = await Scrub(regions, world.host, 1).read_share()

        found = {(layout.parse_key(f.key), f.region) for f in report.findings}
        wanted = {(keys[2], "a"), (keys[2], "c"), (keys[4], "a")}
        assert found == {(layout.parse_key(key), region) for key, region in wanted}
        assert {f.kind for f in report.findings} == {"corrupt"}

    run(story)


def test_two_statements_of_one_gap_are_named() -> None:
    async def story() -> None:
        world = World()
        keys = await _trail(world)
        _remove(world, keys[1])
        await _declare(world, keys, 1, 2)
        gap = next(key for key in world.stores["b"].objects if key.startswith("ev/gap/"))
        other = world.stores["b"].objects[gap]
        _remove(world, gap)
        await _declare(world, keys, 1, 2, cause="a flood")
        world.stores["b"].objects[gap] = other
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert ("differs", "b", gap) in [(f.kind, f.region, f.key) for f in report.findings]
        assert exit_code(report) == REFUTED

    run(story)


def _with_one_that_leaves() -> World:
    """a, b and c are written to; d was, together with b and c."""
    world = World(count=4)
    world.leaving, world.earlier = frozenset("d"), (RegionSet(frozenset("bcd"), 2),)
    return world


def test_a_gap_is_declared_while_a_region_leaves_which_was_asked_too() -> None:
    async def story() -> None:
        world = _with_one_that_leaves()
        keys = await _trail(world)
        _remove(world, keys[1], "abc")

        await _declare(world, keys, 1, 2)

        key = layout.gap_key(keys[1].split("/")[2], 1, 2)
        notes = {store.objects[key][0] for store in world.stores.values()}
        assert len(notes) == 1
        gap = statements.verify_gap(notes.pop(), TRAIL.trail).statement
        assert [region for region, _ in gap.regions] == ["a", "b", "c", "d"]

    run(story)


def test_a_gap_is_not_stated_before_a_quorum_of_every_set_has_it() -> None:
    class Full(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            if key.startswith("ev/gap/"):
                return Unknown("full", answered=True)
            return await super().create(key, data)

    async def story() -> None:
        world = _with_one_that_leaves()
        keys = await _trail(world)
        _remove(world, keys[1], "abc")
        for region in "bc":
            full = Full()
            full.objects = world.stores[region].objects
            world.stores[region] = full

        with pytest.raises(UnavailableError, match="lies in a, d, and 2 of a, b, c are needed"):
            await _declare(world, keys, 1, 2)

    run(story)
