"""Surveys and repairs over three regions: what one lacks comes back, and nothing else is done."""

import asyncio

from holdfast.cli.exits import GOOD, INCOMPLETE, REFUTED, UNREACHED
from holdfast.cli.reconcile import exit_code
from holdfast.keep.keeper import Keeper, Reconciliation
from holdfast.proof import ledger, names
from holdfast.proof.ledger import EMPTY_END
from holdfast.regions import layout
from holdfast.regions.port import Listing, Unknown
from holdfast.regions.trailkey import TrailKey
from holdfast.write import seal
from holdfast.write.node import Node
from tests.write.world import Keys, World, kill, run, send, started


async def _keeper(world: World) -> Keeper:
    regions = world.regions()
    await regions.verify()
    return Keeper(regions, world.host)


async def _written(world: World, count: int) -> Node:
    """A node that acknowledged `count` segments and promised them all."""
    node = await started(world.node(Keys()))
    for number in range(count):
        await send(node, f"n{number}")
    await asyncio.sleep(2.5)
    return node


def _segments(world: World, region: str) -> dict[str, bytes]:
    objects = world.stores[region].objects
    return {key: data for key, (data, _) in objects.items() if key.startswith("ev/seg/")}


def _evidence(world: World, region: str) -> dict[str, bytes]:
    """Everything that must be the same everywhere once a ledger is closed."""
    objects = world.stores[region].objects
    kinds = ("ev/seg/", "ev/cp/", "/birth.note", "/closed.note")
    return {key: data for key, (data, _) in objects.items() if any(k in key for k in kinds)}


def _of(report: Reconciliation, region: str) -> tuple[int, int, int]:
    drift = next(each for each in report.regions if each.region == region)
    return drift.lag_segments, drift.repaired, drift.lacking


def test_a_region_that_was_away_when_the_keeper_began_is_repaired_once_it_is_back() -> None:
    async def story() -> None:
        world = World()
        await (await _written(world, 1)).stop()
        del world.stores["b"].objects[next(iter(_segments(world, "b")))]
        world.stores["b"].failing = Unknown("away")
        keeper = await _keeper(world)
        world.stores["b"].failing = None
        await asyncio.sleep(60)

        report = await keeper.reconcile(whole=True)

        assert report.identical
        assert _evidence(world, "a") == _evidence(world, "b")

    run(story)


def test_a_region_that_was_away_is_brought_up_to_the_others_byte_for_byte() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 3)
        await node.stop()
        for key in list(_evidence(world, "b")):
            del world.stores["b"].objects[key]
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert report.identical
        assert _of(report, "b")[0] == 3
        assert _evidence(world, "a") == _evidence(world, "b") == _evidence(world, "c")

    run(story)


def test_nothing_is_copied_where_nothing_is_lacking() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 3)
        await node.stop()
        keeper = await _keeper(world)
        await keeper.reconcile(whole=True)
        for store in world.stores.values():
            store.log.clear()

        report = await keeper.reconcile(whole=True)

        assert report.identical
        assert [call for s in world.stores.values() for call in s.log if call[0] == "create"] == []

    run(story)


def test_a_segment_beyond_a_close_is_named_and_never_spread() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 1)
        end = ledger.extend(EMPTY_END, names.SegmentName.parse(world.entered[0][1].text))
        await node.stop()
        late = seal.encode(node.identity.key, bytes(32), end, 1, end.sealed_us + 9, {"": [b"{}"]})
        key = layout.segment_key(node.identity.node, late.name)
        world.stores["a"].objects[key] = (late.data, 1)
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert [(f.kind, f.key) for f in report.findings] == [("orphan", key)]
        assert key not in world.stores["b"].objects
        assert key not in world.stores["c"].objects

    run(story)


def test_a_segment_that_nobody_promised_yet_is_left_alone() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 2)
        await kill(node)
        end = EMPTY_END
        for _, name, _ in world.entered:
            end = ledger.extend(end, name)
        unacknowledged = seal.encode(
            node.identity.key, bytes(32), end, 1, end.sealed_us + 9, {"": [b"{}"]}
        )
        key = layout.segment_key(node.identity.node, unacknowledged.name)
        world.stores["a"].objects[key] = (unacknowledged.data, 1)
        keeper = await _keeper(world)

        await keeper.reconcile(whole=True)

        assert key not in world.stores["b"].objects

    run(story)


def test_a_corrupt_copy_is_reported_and_not_used() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 1)
        await node.stop()
        key, good = next(iter(_segments(world, "a").items()))
        world.stores["a"].objects[key] = (bytes(len(good)), 1)
        del world.stores["c"].objects[key]
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert [(f.kind, f.region) for f in report.findings] == [("corrupt", "a")]
        assert world.stores["c"].objects[key][0] == good

    run(story)


def test_fences_votes_and_cookies_are_never_copied() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 1)
        await node.stop()
        own = ("/fence.note", "/close.note")
        for key in [k for k in world.stores["c"].objects if k.endswith(own)]:
            del world.stores["c"].objects[key]
        keeper = await _keeper(world)

        await keeper.reconcile(whole=True)

        assert not [k for k in world.stores["c"].objects if k.endswith(own)]

    run(story)


def test_a_store_without_its_cookie_is_left_alone_and_named() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 1)
        await node.stop()
        keeper = await _keeper(world)
        world.stores["b"].objects.clear()

        report = await keeper.reconcile(whole=True)

        states = {each.region: each.state for each in report.regions}
        assert "cookie" in states["b"]
        assert world.stores["b"].objects == {}
        assert not report.identical

    run(story)


def test_a_store_that_had_no_cookie_from_the_first_is_left_alone() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 1)
        await node.stop()
        world.stores["b"].objects.clear()
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert {each.region: each.state for each in report.regions} == {
            "a": "ok",
            "b": "its cookie is gone",
            "c": "ok",
        }
        assert world.stores["b"].objects == {}

    run(story)


def test_a_store_that_comes_back_while_it_is_listed_is_not_compared() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 1)
        await node.stop()
        keeper = await _keeper(world)
        store = world.stores["b"]
        away, store.objects, list_all = store.objects, {}, store.list

        async def list_and_come_back(prefix: str, after: str = "") -> Listing | Unknown:
            listed = await list_all(prefix, after)
            store.objects = away
            return listed

        store.list = list_and_come_back  # type: ignore[method-assign]
        report = await keeper.reconcile(whole=True)

        assert {each.region: each.state for each in report.regions}["b"] == "its cookie is gone"
        assert sum(each.repaired for each in report.regions) == 0

    run(story)


def test_nothing_is_copied_into_the_store_of_another_trail() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 1)
        await node.stop()
        cookie = {"ev/region.note": (TrailKey(bytes(32), "stranger").cookie("b"), 1)}
        world.stores["b"].objects = dict(cookie)
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        states = {each.region: each.state for each in report.regions}
        assert "belongs to the trail" in states["b"] and not report.identical
        assert world.stores["b"].objects == cookie

    run(story)


def test_a_region_that_does_not_answer_holds_nobody_up() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 2)
        await node.stop()
        world.stores["a"].failing = Unknown("gone")
        for key in list(_segments(world, "c")):
            del world.stores["c"].objects[key]
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _of(report, "c") == (2, 2, 0)
        assert not report.identical
        assert _segments(world, "b") == _segments(world, "c")

    run(story)


def test_the_timer_looks_only_at_what_is_new_and_a_whole_survey_at_everything() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 2)
        await node.stop()
        keeper = await _keeper(world)
        await keeper.reconcile(whole=False)
        del world.stores["b"].objects[min(_segments(world, "b"))]

        newest = await keeper.reconcile(whole=False)
        everything = await keeper.reconcile(whole=True)

        assert _of(newest, "b")[1] == 0
        assert _of(everything, "b")[1] == 1

    run(story)


def _remove(world: World, key: str, regions: str = "abc") -> None:
    for region in regions:
        del world.stores[region].objects[key]


def _cut(world: World, region: str, key: str) -> None:
    data, at_us = world.stores[region].objects[key]
    world.stores[region].objects[key] = (data[:-1], at_us)


def _kinds(report: Reconciliation) -> list[tuple[str, str]]:
    return [(finding.kind, finding.region) for finding in report.findings]


def test_segments_that_are_in_no_region_are_lost_and_named() -> None:
    async def story() -> None:
        world = World()
        node = await _written(world, 5)
        await node.stop()
        keys = sorted(_segments(world, "a"))
        for key in keys[1:3]:
            _remove(world, key)
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _kinds(report) == [("lost", "")]
        assert keys[1].startswith(report.findings[0].key)
        assert f"segments 1 to 2 of node {node.identity.node}" in report.findings[0].reason
        assert not report.identical
        assert exit_code(report) == INCOMPLETE

    run(story)


def test_the_newest_segments_are_missed_by_a_promise_or_a_checkpoint_alone() -> None:
    for gone in ("ctl/hb/", "ev/cp/"):

        async def story(gone: str = gone) -> None:
            world = World()
            node = await _written(world, 2)
            await node.stop()
            _remove(world, max(_segments(world, "a")))
            for store in world.stores.values():
                for key in list(store.objects):
                    if key.startswith(gone) or key.endswith("closed.note"):
                        del store.objects[key]
            keeper = await _keeper(world)

            report = await keeper.reconcile(whole=True)

            assert _kinds(report) == [("lost", "")]

        run(story)


def test_with_too_few_regions_in_sight_nothing_is_called_lost() -> None:
    async def story() -> None:
        world = World()
        await (await _written(world, 2)).stop()
        _remove(world, max(_segments(world, "a")), "a")
        for region in "bc":
            world.stores[region].failing = Unknown("away")
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert report.findings == ()
        assert exit_code(report) == UNREACHED

    run(story)


def test_what_an_away_region_may_hold_is_said_and_is_3() -> None:
    async def story() -> None:
        world = World()
        await (await _written(world, 2)).stop()
        _remove(world, max(_segments(world, "a")), "ac")
        world.stores["b"].failing = Unknown("away")
        keeper = await _keeper(world)

        away = await keeper.reconcile(whole=True)
        world.stores["b"].failing = None
        await asyncio.sleep(60)
        back = await keeper.reconcile(whole=False)

        assert "not surveyed: b" in away.findings[0].reason
        assert exit_code(away) == UNREACHED
        assert back.identical
        assert exit_code(back) == GOOD

    run(story)


def test_what_is_lost_stays_reported_until_its_place_was_looked_at_again() -> None:
    async def story() -> None:
        world = World()
        await (await _written(world, 2)).stop()
        keeper = await _keeper(world)
        await keeper.reconcile(whole=False)
        key, data = max(_segments(world, "a").items())
        _remove(world, key)

        found = await keeper.reconcile(whole=True)
        newest = await keeper.reconcile(whole=False)
        world.stores["c"].objects[key] = (data, 1)
        again = await keeper.reconcile(whole=True)

        assert _kinds(found) == _kinds(newest) == [("lost", "")]
        assert again.findings == ()
        assert again.identical
        assert world.stores["a"].objects[key][0] == data

    run(story)


def test_of_copies_that_differ_in_size_the_hash_says_which_is_corrupt() -> None:
    async def story() -> None:
        world = World()
        await (await _written(world, 2)).stop()
        key = max(_segments(world, "a"))
        _cut(world, "b", key)
        cut = world.stores["b"].objects[key]
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _kinds(report) == [("corrupt", "b")]
        assert report.findings[0].key == key
        assert world.stores["b"].objects[key] == cut
        assert not report.identical
        assert exit_code(report) == REFUTED

    run(story)


def test_a_copy_of_another_size_is_not_used_for_repair() -> None:
    async def story() -> None:
        world = World()
        await (await _written(world, 2)).stop()
        key, good = max(_segments(world, "c").items())
        _cut(world, "a", key)
        _remove(world, key, "b")
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _kinds(report) == [("corrupt", "a")]
        assert world.stores["b"].objects[key][0] == good

    run(story)


def test_where_every_copy_is_corrupt_nothing_is_copied_and_it_is_said() -> None:
    async def story() -> None:
        world = World()
        await (await _written(world, 2)).stop()
        key = max(_segments(world, "a"))
        for region in "ab":
            _cut(world, region, key)
        _remove(world, key, "c")
        keeper = await _keeper(world)

        report = await keeper.reconcile(whole=True)

        assert _kinds(report) == [("corrupt", "a"), ("corrupt", "b"), ("unreadable", "")]
        assert report.findings[2].reason == "every copy of it is corrupt"
        assert key not in world.stores["c"].objects
        assert exit_code(report) == REFUTED

    run(story)


def test_a_corrupt_copy_stays_reported_until_it_is_right_again() -> None:
    async def story() -> None:
        world = World()
        await (await _written(world, 2)).stop()
        key, good = max(_segments(world, "a").items())
        world.stores["a"].objects[key] = (bytes(len(good)), 1)
        _remove(world, key, "b")
        keeper = await _keeper(world)

        reports = [await keeper.reconcile(whole=whole) for whole in (True, False, True)]
        world.stores["a"].objects[key] = (good, 1)
        healed = await keeper.reconcile(whole=True)

        assert [_kinds(report) for report in reports] == [[("corrupt", "a")]] * 3
        assert healed.findings == ()
        assert healed.identical

    run(story)
