"""The reader over trails that were written straight into the regions."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.errors import RejectedError, UnavailableError
from holdfast.model import Query
from holdfast.proof import ledger
from holdfast.proof.ledger import EMPTY_END
from holdfast.read.arrival import Arrival
from holdfast.read.decode import contents_of, facts
from holdfast.read.ids import PLACES_MAX
from holdfast.read.reader import Reader
from holdfast.read.shelf import FoldLimits
from holdfast.regions.port import Unknown
from tests.read.trails import DELTA_US, World, Writer, all_ids, ids, tick

FOLD_ALWAYS = FoldLimits(events=1)


def reading(
    world: World,
    cache: Path,
    work: Callable[[Reader], Awaitable[None]],
    fold: FoldLimits | None = None,
) -> None:
    """Run with one reader, and stop it in the end."""

    async def main() -> None:
        reader = world.reader(cache, fold=fold)
        try:
            await work(reader)
        finally:
            await reader.stop()

    asyncio.run(main())


def block(cache: Path) -> None:
    """Nothing can be written there any more."""
    shutil.rmtree(cache)
    cache.write_bytes(b"no folder")


def unblock(cache: Path) -> None:
    cache.unlink()


def one_node(world: World, *events: dict[str, object] | str) -> Writer:
    """A node that sealed a segment and promised it."""
    node = Writer(world)
    node.born()
    node.seal(*events)
    tick(world)
    node.beat()
    return node


def test_what_the_regions_hold_is_found_and_stated_complete(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one", "two")

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        said = reader.completeness()
        assert await all_ids(reader) == ["one", "two"]
        assert said.complete_through_us == world.now_us - DELTA_US
        assert [basis.region for basis in said.basis] == ["a", "b", "c"]
        assert said.holding_back == ()

    reading(world, tmp_path, work)


def test_one_region_alone_has_everything_when_all_are_needed_for_a_write(tmp_path: Path) -> None:
    world = World(quorum=3)
    one_node(world, "one")
    for id in "ab":
        world.stores[id].failing = Unknown("gone")

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        assert await all_ids(reader) == ["one"]
        assert [basis.region for basis in reader.completeness().basis] == ["c"]
        assert reader.completeness().complete_through_us is not None

    reading(world, tmp_path, work)


def test_with_a_region_away_the_statement_rests_on_the_others(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born(regions="ab")
    node.seal("one", regions="ab")
    tick(world)
    node.beat(regions="ab")
    world.stores["a"].failing = Unknown("gone")

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        assert await all_ids(reader) == ["one"]
        assert [basis.region for basis in reader.completeness().basis] == ["b", "c"]
        assert reader.completeness().complete_through_us == world.now_us - DELTA_US

    reading(world, tmp_path, work)


def test_with_too_few_regions_searches_answer_and_the_statement_stands_still(
    tmp_path: Path,
) -> None:
    world = World()
    node = one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        before = reader.completeness().complete_through_us
        world.stores["a"].failing = world.stores["b"].failing = Unknown("gone")
        tick(world)
        node.seal("two", regions="c")
        node.beat(regions="c")

        await reader.pass_once()

        said = reader.completeness()
        assert await all_ids(reader) == ["one", "two"]
        assert said.complete_through_us == before
        assert "1 of the 2 regions" in said.holding_back[0].reason

    reading(world, tmp_path, work)


def test_a_segment_of_the_own_node_is_found_before_any_region_has_it(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        encoded = node.encode({"id": "two"})

        await reader.enter(node.node, encoded.name, encoded.data, contents_of(encoded.records))

        assert await all_ids(reader) == ["one", "two"]

    reading(world, tmp_path, work)


def test_a_segment_that_is_told_twice_and_fetched_meanwhile_is_entered_once(tmp_path: Path) -> None:
    world = World()
    world.offload = asyncio.to_thread
    node = one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        encoded = node.seal("two")
        told = Arrival(node.node, encoded.name, facts(encoded.records), data=encoded.data)

        await asyncio.gather(
            reader.pass_once(), reader.enter_arrival(told), reader.enter_arrival(told)
        )

        assert await all_ids(reader) == ["one", "two"]
        assert (reader.report().segments, reader.report().events) == (2, 2)

    reading(world, tmp_path, work)


def test_entering_never_raises_and_what_was_not_entered_is_fetched(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        encoded = node.seal("two")
        block(tmp_path)

        await reader.enter(node.node, encoded.name, encoded.data, contents_of(encoded.records))

        unblock(tmp_path)
        for _ in range(10):
            await reader.pass_once()
        assert await all_ids(reader) == ["one", "two"]

    reading(world, tmp_path, work)


def test_orphans_leave_and_the_next_epoch_takes_their_positions(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")
    base = node.end

    async def work(reader: Reader) -> None:
        node.seal("orphan", "another", regions="c")
        await reader.pass_once()
        assert await all_ids(reader) == ["another", "one", "orphan"]

        node.close(base)
        node.born(base=base)
        node.seal("two")
        tick(world)
        node.beat()
        await reader.pass_once()

        assert await all_ids(reader) == ["one", "two"]
        assert await reader.event("acme", "orphan") == ()
        assert ids(await reader.event("acme", "two")) == ["two"]
        assert reader.completeness().complete_through_us == world.now_us - DELTA_US

    reading(world, tmp_path, work)


def test_the_own_nodes_next_epoch_displaces_its_orphans_at_once(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")
    base = node.end

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        lost = node.encode({"id": "orphan"}, {"id": "another"})
        await reader.enter(node.node, lost.name, lost.data, contents_of(lost.records))
        node.close(base)
        node.born(base=base)
        taken = node.encode({"id": "two"})

        await reader.enter(node.node, taken.name, taken.data, contents_of(taken.records))

        assert await all_ids(reader) == ["one", "two"]
        node.store(lost, "c")  # it lands late
        node.end = ledger.extend(node.end, taken.name)
        node.store(taken)
        tick(world)
        node.beat()
        await reader.pass_once()
        assert await all_ids(reader) == ["one", "two"]
        assert reader.completeness().complete_through_us == world.now_us - DELTA_US

    reading(world, tmp_path, work)


def test_a_corrupt_copy_is_reported_and_never_served(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    encoded = node.seal("one")
    key = node.key_of(encoded.name)
    for id in "ab":
        world.stores[id].objects[key] = (encoded.data[:-1] + b"!", 1)

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        assert await all_ids(reader) == ["one"]
        assert {(copy.region, copy.key) for copy in reader.report().corrupt} == {
            ("a", key),
            ("b", key),
        }

    reading(world, tmp_path, work)


def test_a_segment_with_no_good_copy_holds_the_statement(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")
    tick(world)
    encoded = node.seal("two")
    tick(world)
    node.beat()
    key = node.key_of(encoded.name)
    for store in world.stores.values():
        store.objects[key] = (b"?" * 100, 1)

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        said = reader.completeness()
        assert await all_ids(reader) == ["one"]
        assert said.complete_through_us is not None
        assert said.complete_through_us < world.now_us - 2 * DELTA_US
        assert [holding.node for holding in said.holding_back] == [node.node]

    reading(world, tmp_path, work)


def test_a_segment_that_its_node_did_not_sign_is_refused(tmp_path: Path) -> None:
    world = World()
    node, forger = one_node(world, "one"), Writer(world, seed=9)
    forger.epoch, forger.end = 1, node.end
    forged = forger.encode({"id": "forged"})
    node.store(forged)

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        assert await all_ids(reader) == ["one"]

    reading(world, tmp_path, work)


def test_a_second_process_takes_up_what_the_first_left(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one", "two")
    said: list[int | None] = []

    async def first(reader: Reader) -> None:
        await reader.pass_once()
        said.append(reader.completeness().complete_through_us)

    async def second(reader: Reader) -> None:
        for store in world.stores.values():
            store.failing = Unknown("gone")
        await reader.pass_once()

        assert await all_ids(reader) == ["one", "two"]
        assert reader.completeness().complete_through_us == said[0]

    reading(world, tmp_path, first)
    reading(world, tmp_path, second)


def test_two_processes_use_one_cache_side_by_side(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        other = world.reader(tmp_path)
        await other.pass_once()

        assert await all_ids(other) == await all_ids(reader) == ["one"]
        await other.stop()

    reading(world, tmp_path, work)


def test_a_cache_that_was_deleted_between_runs_is_made_again(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        assert await all_ids(reader) == ["one"]

    reading(world, tmp_path, work)
    shutil.rmtree(tmp_path)
    reading(world, tmp_path, work)


def test_a_cache_that_is_deleted_while_running_is_made_again(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        before = reader.completeness().complete_through_us
        shutil.rmtree(tmp_path)

        found = await all_ids(reader)

        assert found == ["one"]
        await reader.pass_once()
        assert reader.completeness().complete_through_us == before

    reading(world, tmp_path, work)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database"),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:200] + bytes(4000)),
    ],
    ids=["other bytes", "truncated", "zeroed"],
)
def test_a_damaged_catalog_is_set_aside_and_made_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    world = World()
    one_node(world, "one")
    catalog = tmp_path / "0" / "catalog.sqlite"

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        assert await all_ids(reader) == ["one"]

    reading(world, tmp_path, work)
    damage(catalog)
    reading(world, tmp_path, work)

    assert catalog.with_name("catalog.sqlite.set-aside").exists()


def test_a_full_disk_holds_the_statement_where_it_is_and_loses_nothing(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        stated = reader.completeness().complete_through_us
        catalog = reader._passes.holdings.catalog
        catalog._db.execute("PRAGMA max_page_count = 1")  # SQLite: at least what there is
        for number in range(200):
            node.seal(f"more-{number}")
        tick(world)
        node.beat()

        with pytest.raises(OSError, match="full"):
            await reader.pass_once()

        assert await all_ids(reader) == ["one"]
        assert reader.completeness().complete_through_us == stated
        catalog._db.execute("PRAGMA max_page_count = 1000000")
        await reader.pass_once()
        assert len(await all_ids(reader)) == 201
        assert reader.report().lost == ""
        assert reader.completeness().complete_through_us == world.now_us - DELTA_US

    reading(world, tmp_path, work)


def test_a_cached_file_that_is_lost_is_fetched_again(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        (file,) = (tmp_path / "0" / "packs").glob("*.pack")
        file.write_bytes(b"rotten")

        assert await all_ids(reader) == ["one"]

    reading(world, tmp_path, work)


def test_a_lost_file_that_no_region_has_now_withdraws_the_statement(tmp_path: Path) -> None:
    world = World()
    one_node(world, "lost")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        before = reader.completeness().complete_through_us
        (file,) = (tmp_path / "0" / "packs").glob("*.pack")
        file.unlink()
        for store in world.stores.values():
            store.failing = Unknown("gone")

        with pytest.raises(UnavailableError):
            await all_ids(reader)

        assert reader.completeness().complete_through_us is None
        assert await all_ids(reader) == []
        for store in world.stores.values():
            store.failing = None
        async with asyncio.timeout(20):  # until the region is asked again
            while reader.completeness().complete_through_us != before:
                await asyncio.sleep(0.2)
                await reader.pass_once()
        assert await all_ids(reader) == ["lost"]

    reading(world, tmp_path, work)


def test_folding_changes_nothing_in_what_is_found(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one", "two")

    async def first(reader: Reader) -> None:
        await reader.pass_once()
        assert (reader.report().folds, reader.report().hot_segments) == (1, 0)
        node.seal("three")
        await reader.pass_once()
        assert await all_ids(reader) == ["one", "three", "two"]

    async def second(reader: Reader) -> None:
        await reader.pass_once()
        assert await all_ids(reader) == ["one", "three", "two"]
        assert ids(await reader.event("acme", "two")) == ["two"]

    reading(world, tmp_path, first, fold=FOLD_ALWAYS)
    reading(world, tmp_path, second, fold=FOLD_ALWAYS)


def test_a_lost_fold_is_made_again_from_the_regions(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one", "two")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        (file,) = (tmp_path / "0" / "folds").glob("*.parquet")
        file.unlink()

        found = await all_ids(reader)

        assert found == ["one", "two"]
        assert reader.completeness().complete_through_us == world.now_us - DELTA_US

    reading(world, tmp_path, work, fold=FOLD_ALWAYS)


def test_a_folds_index_that_is_lost_is_made_again(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one", "two")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        (file,) = (tmp_path / "0" / "folds").glob("*.index")
        data = file.read_bytes()
        file.unlink()

        assert await all_ids(reader) == ["one", "two"]
        await reader.pass_once()

        assert file.read_bytes() == data

    reading(world, tmp_path, work, fold=FOLD_ALWAYS)


def test_a_fold_that_is_lost_between_runs_is_made_again(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one", "two")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        assert await all_ids(reader) == ["one", "two"]

    reading(world, tmp_path, work, fold=FOLD_ALWAYS)
    (file,) = (tmp_path / "0" / "folds").glob("*.parquet")
    file.unlink()
    reading(world, tmp_path, work, fold=FOLD_ALWAYS)


@pytest.mark.parametrize("at", [4, 100, -4], ids=["head", "pages", "footer"])
def test_a_start_survives_a_fold_and_an_id_index_that_are_both_damaged(
    tmp_path: Path, at: int
) -> None:
    world = World()
    one_node(world, "one", "two")

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        assert await all_ids(reader) == ["one", "two"]

    reading(world, tmp_path, work, fold=FOLD_ALWAYS)
    shutil.rmtree(tmp_path / "0" / "ids")
    (file,) = (tmp_path / "0" / "folds").glob("*.parquet")
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    reading(world, tmp_path, work, fold=FOLD_ALWAYS)


def test_small_folds_become_one(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "0")

    async def work(reader: Reader) -> None:
        for number in range(1, 12):
            await reader.pass_once()
            node.seal(str(number))
            tick(world)
            node.beat()
        await reader.pass_once()

        assert len(await all_ids(reader)) == 12
        assert reader.report().folds < 8
        files = (tmp_path / "0" / "folds").iterdir()
        assert len({file.stem for file in files}) == reader.report().folds

    reading(world, tmp_path, work, fold=FOLD_ALWAYS)


def test_an_orphan_is_never_folded(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")
    base = node.end

    async def work(reader: Reader) -> None:
        node.seal("orphan", regions="c")
        await reader.pass_once()
        assert reader.report().hot_segments == 1

        node.close(base)
        await reader.pass_once()

        assert await all_ids(reader) == ["one"]

    reading(world, tmp_path, work, fold=FOLD_ALWAYS)


def test_a_hundred_segments_are_read_in_bounded_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.read.passes.STEP_SEGMENTS", 10)
    monkeypatch.setattr("holdfast.read.passes.BATCH_SEGMENTS", 4)
    world = World()
    node = Writer(world)
    node.born()
    for number in range(100):
        node.seal(f"{number:03}")
    tick(world)
    node.beat()

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        assert len(await all_ids(reader)) == 100
        assert reader.completeness().complete_through_us == world.now_us - DELTA_US

    reading(world, tmp_path, work)


def test_a_count_leaves_repeats_out(tmp_path: Path) -> None:
    world = World()
    one_node(world, "one", "two")
    other = Writer(world, seed=8)
    other.born()
    other.seal("two", "three")

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        counts = await reader.count(Query(), ("tenant",))

        assert counts.count == 3
        assert counts.groups == ((("acme",), 3),)

    reading(world, tmp_path, work)


def test_every_event_of_an_id_is_found_however_many_share_it(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    for number in range(2 * PLACES_MAX):  # each in a segment of its own
        node.seal({"id": "same", "reason": f"{number}"})

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        found = await reader.event("acme", "same")

        assert len(found) == 2 * PLACES_MAX
        assert all(one.conflict for one in found)

    reading(world, tmp_path, work)


def test_a_bad_query_is_refused(tmp_path: Path) -> None:
    async def work(reader: Reader) -> None:
        with pytest.raises(RejectedError):
            await reader.search(Query(limit=0))
        with pytest.raises(RejectedError):
            await reader.search(Query(cursor="no"))
        with pytest.raises(RejectedError):
            reader.tail(Query(cursor="no"))

    reading(World(), tmp_path, work)


def test_an_empty_trail_is_complete(tmp_path: Path) -> None:
    world = World()

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        assert await all_ids(reader) == []
        # No heartbeat tells what time the regions have, and this process may not write.
        assert reader.completeness().complete_through_us is None
        assert "heartbeat" in reader.completeness().holding_back[0].reason

    reading(world, tmp_path, work)


def test_two_births_of_nothing_do_not_confuse(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    node.close(EMPTY_END)
    node.born()
    node.close(EMPTY_END)
    tick(world)
    node.beat()

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        assert reader.completeness().complete_through_us == world.now_us - DELTA_US

    reading(world, tmp_path, work)


def test_a_late_orphan_of_the_own_node_is_not_fetched_before_its_close_is_listed(
    tmp_path: Path,
) -> None:
    world = World()
    node = one_node(world, "one")
    base = node.end

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        lost = node.encode({"id": "orphan"}, {"id": "another"})
        node.born(regions="", base=base)  # no region that is listed has it yet
        taken = node.encode({"id": "two"})
        await reader.enter(node.node, taken.name, taken.data, contents_of(taken.records))
        node.store(lost, "c")

        for _ in range(10):
            await reader.pass_once()

        assert await all_ids(reader) == ["one", "two"]

    reading(world, tmp_path, work)


def test_a_segment_whose_birth_was_not_listed_yet_waits_for_it(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")
    base = node.end

    async def work(reader: Reader) -> None:
        node.seal("orphan", regions="c")
        node.born(regions="", base=base)
        node.seal("two")
        await reader.pass_once()
        assert await all_ids(reader) == ["one", "orphan"]

        node.epoch -= 1
        node.born(base=base)
        await reader.pass_once()

        assert await all_ids(reader) == ["one", "two"]

    reading(world, tmp_path, work)


def test_what_could_not_be_compared_yet_is_not_stated_complete(tmp_path: Path) -> None:
    world = World()
    node = one_node(world, "one")
    node.seal("two")
    node.beat()
    other = Writer(world, seed=8)

    async def work(reader: Reader) -> None:
        await reader.pass_once()
        (file,) = (tmp_path / "0" / "packs").glob("*.pack")
        file.unlink()
        world.remove(min(world.keys("a", f"ev/seg/{node.node}")))
        other.born()
        born_us = world.now_us
        other.seal("one")
        tick(world)
        other.beat()
        node.beat()

        await reader.pass_once()

        said = reader.completeness()
        assert reader.report().unmatched == 1
        assert said.complete_through_us is not None
        assert said.complete_through_us <= born_us
        assert [holding.node for holding in said.holding_back] == [other.node]

    reading(world, tmp_path, work)
