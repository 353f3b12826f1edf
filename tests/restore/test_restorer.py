"""A day comes back from one region alone, and what is wrong in that region is said."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.proof.merkle import CompactRange
from holdfast.regions import layout
from holdfast.regions.port import Unknown
from holdfast.regions.units import DAY_US
from holdfast.restore import kept
from holdfast.restore.choice import Tried
from holdfast.restore.restorer import AGAIN_SECONDS
from tests.archive.days import FIRST, FIRST_US, trail_of
from tests.read.trails import ALL, World
from tests.restore.days import Both, archive_all, flip, play, restorer
from tests.retention.years import Years, years

SECOND = "2026-03-02"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("archived"))


@pytest.mark.parametrize("is_archived", [False, True])
def test_a_day_comes_back_whole_from_each_region_and_nothing_is_left(
    is_archived: bool, both: Both, tmp_path: Path
) -> None:
    async def story() -> None:
        world = both.archived() if is_archived else both.plain()
        one = await restorer(world, tmp_path)

        for id in ALL:
            done = await one.restore_day(id, FIRST)

            assert (done.verdict, done.why, done.is_whole) == ("good", "", True)
            assert (done.brought.segments, done.brought.events) == (12, 24)
            assert done.brought.size_bytes > 0
        assert not (tmp_path / "kept" / "restore").exists()

    play(story)


def test_only_the_one_region_is_asked(both: Both, tmp_path: Path) -> None:
    async def story() -> None:
        world = both.archived()
        one = await restorer(world, tmp_path)
        for node in one._reader.nodes():
            await one._reader.names(node, 0, 100)  # which it has from any region, once
        for store in world.stores.values():
            store.log.clear()

        for day in (FIRST, SECOND):
            await one.restore_day("b", day)

        assert not world.stores["a"].log and not world.stores["c"].log
        assert {call for call, _ in world.stores["b"].log} == {"read", "list"}

    play(story)


def test_once_segments_are_gone_the_archive_gives_the_day_back(both: Both, tmp_path: Path) -> None:
    async def story() -> None:
        world = both.archived()
        one = await restorer(world, tmp_path)
        for key in world.keys("b", "ev/seg/"):
            world.remove(key, "b")

        done = await one.restore_day("b", SECOND)

        assert (done.verdict, done.brought.events) == ("good", 24)

    play(story)


KINDS = {
    "segment": "ev/seg/",
    "birth": "ev/node/",
    "part": f"ev/arc/day={FIRST}/class=",
    "evidence": f"ev/arc/day={FIRST}/",
}


def of_kind(world: World, kind: str) -> str:
    keys = [key for key in world.keys("b", KINDS[kind]) if kind != "birth" or "birth" in key]
    return next(key for key in keys if kind != "evidence" or key.endswith(".ndjson.zst"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_corrupt_or_gone_in_the_region_fails_and_is_named(
    kind: str, both: Both, tmp_path: Path
) -> None:
    async def story() -> None:
        world = both.archived() if kind in ("part", "evidence") else both.plain()
        one = await restorer(world, tmp_path)
        key = of_kind(world, kind)
        good = world.stores["b"].objects[key]
        flip(world, "b", key)
        corrupt = await one.restore_day("b", FIRST)
        world.remove(key, "b")
        gone = await one.restore_day("b", FIRST)
        elsewhere = await one.restore_day("a", FIRST)
        world.stores["b"].objects[key] = good

        again = await one.restore_day("b", FIRST)

        verdicts = [each.verdict for each in (corrupt, gone, elsewhere, again)]
        assert verdicts == ["failed", "failed", "good", "good"]
        if kind == "birth":
            key = f"no good birth of node {key.split('/')[2]}"
        assert key in corrupt.why
        assert ("segment 0 of node" if kind == "segment" else key) in gone.why

    play(story)


def test_a_region_that_holds_another_history_fails_by_what_it_signed(
    both: Both, tmp_path: Path
) -> None:
    """Its segments are good one by one, and its node signed another ledger."""

    async def story() -> None:
        world, node = both.plain(), both.writer
        one = await restorer(world, tmp_path)
        end, node.world = node.end, world
        told = CompactRange(end.size, (b"\x07" * 32,) * len(end.range.hashes))
        node.keep_checkpoint(replace(end, range=told), ("b",))
        world.remove(layout.closed_key(node.node, 1), "b")

        done = await one.restore_day("b", FIRST)

        assert done.verdict == "failed" and "another root" in done.why

    play(story)


def test_a_region_that_does_not_answer_is_no_failure(both: Both, tmp_path: Path) -> None:
    async def story() -> None:
        world = both.plain()
        one = await restorer(world, tmp_path)
        world.stores["b"].failing = Unknown("its line is cut")

        done = await one.restore_day("b", FIRST)

        assert (done.verdict, done.why) == ("unchecked", "its line is cut")

    play(story)


def test_a_unit_that_is_larger_than_may_be_brought_back_is_no_failure(
    both: Both, tmp_path: Path
) -> None:
    async def story() -> None:
        world = both.archived()
        one = await restorer(world, tmp_path, bytes_max=100)

        done = await one.restore_day("b", FIRST)

        assert done.verdict == "unchecked" and "restore_drill_bytes_max" in done.why

    play(story)


def test_a_day_on_which_nothing_was_sealed_comes_back_as_nothing(
    both: Both, tmp_path: Path
) -> None:
    async def story() -> None:
        world = both.plain()
        one = await restorer(world, tmp_path)

        done = await one.restore_day("b", "2026-03-03")

        assert (done.verdict, done.brought.segments) == ("good", 0)

    play(story)


def test_a_ledger_with_a_declared_gap_comes_back_but_for_it(both: Both, tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world, lost=range(2, 3))
        one = await restorer(world, tmp_path)

        segments = await one.restore_day("b", FIRST)
        await archive_all(world, tmp_path / "archive")
        parts = await one.restore_day("b", FIRST)

        assert (segments.verdict, segments.brought.segments) == ("good", 11), segments.why
        assert (parts.verdict, parts.brought.segments) == ("good", 11), parts.why

    play(story)


def test_in_time_each_day_comes_back_from_each_region_and_that_outlives_a_restart(
    both: Both, tmp_path: Path
) -> None:
    async def story() -> None:
        world = both.archived()
        one = await restorer(world, tmp_path)
        for _ in range(36):
            world.now_us += 1_000_000
            done = await one.restore_some()
            assert done is not None and done.verdict == "good", done

        again = await restorer(world, tmp_path)
        done = await again.restore_some()

        report = again.report()
        assert done is not None
        assert {len(days) for days in report.places.values()} == {5}
        assert all(each.good_us for days in report.places.values() for each in days.values())
        assert report.places["a"][FIRST].is_whole
        assert min(report.oldest_us.values()) > FIRST_US + 4 * DAY_US
        assert sum(report.runs.values()) == 1
        assert report.good_us("a") and not report.failed("a")
        assert (tmp_path / "kept" / kept.FILE).stat().st_size < 1500

    play(story)


def test_a_failure_is_remembered_until_the_day_came_back_well(both: Both, tmp_path: Path) -> None:
    async def story() -> None:
        world = both.archived()
        one = await restorer(world, tmp_path)
        key = of_kind(world, "part")
        good = world.stores["b"].objects[key]
        flip(world, "b", key)

        async def until(is_wrong: bool) -> None:
            for _ in range(200):
                world.now_us += 1
                await one.restore_some()
                if bool(one.report().places.get("b", {}).get(FIRST, Tried()).why) is is_wrong:
                    return
            raise AssertionError("it never came to that")

        await until(True)
        why = one.report().places["b"][FIRST].why
        world.stores["b"].objects[key] = good
        await until(False)

        assert key in why and one.report().last[0].verdict == "good"

    play(story)


def test_of_a_day_that_failed_the_very_piece_is_tried_again_first_soon_then_by_its_turn(
    both: Both, tmp_path: Path
) -> None:
    async def story() -> None:
        world = both.plain()
        one = await restorer(world, tmp_path)
        for key in world.keys("b", layout.segments_prefix(both.writer.node))[:6]:
            flip(world, "b", key)  # the first of two pieces of the day: the other node's is good
        told: list[tuple[str, str, str]] = []
        for _ in range(8):
            done = await one.restore_some(("b", FIRST))
            assert done is not None
            told.append((done.verdict, done.what, one.report().places["b"][FIRST].why))

        failed = [each for each in told if each[0] == "failed"]
        assert failed and told[-1] == failed[-1]
        assert len({what for _, what, _ in failed}) == 1
        assert all(each[0] == "failed" for each in told[told.index(failed[0]) :])

    play(story)


def test_a_failure_is_tried_again_before_anything_else(both: Both, tmp_path: Path) -> None:
    async def story() -> None:
        world = both.archived()
        for key in world.keys("b", "ev/arc/") + world.keys("b", "ev/seg/"):
            flip(world, "b", key) if not key.endswith(".note") else None
        one = await restorer(world, tmp_path)
        job = asyncio.create_task(one.restore_forever(1))
        for _ in range(200):
            if one.report().failed("b"):
                break
            await asyncio.sleep(600)
        first = one.report().last[0]

        await asyncio.sleep(AGAIN_SECONDS + 300)

        job.cancel()
        second = one.report().last[0]
        assert (second.region, second.day, second.what) == (first.region, first.day, first.what)
        assert second is not first

    play(story)


def test_a_kept_file_that_is_none_or_of_another_trail_says_nothing(tmp_path: Path) -> None:
    kept.write(tmp_path, kept.Kept("one", 5))

    assert kept.read(tmp_path, "one").since_us == 5
    assert kept.read(tmp_path, "two") == kept.Kept("two")
    (tmp_path / kept.FILE).write_bytes(b'{"trail"')
    assert kept.read(tmp_path, "one") == kept.Kept("one")


def test_what_a_region_lists_in_the_place_of_segments_is_not_taken(
    both: Both, tmp_path: Path
) -> None:
    async def story() -> None:
        world, node = both.plain(), both.writer.node
        one = await restorer(world, tmp_path)
        world.stores["b"].objects[layout.shard_prefix(node, 0) + "junk"] = (b"x", 1)

        assert (await one.restore_day("b", FIRST)).verdict == "good"

    play(story)


def test_a_day_of_which_a_class_was_let_go_comes_back_without_it(tmp_path: Path) -> None:
    async def story(made: Years) -> None:
        before = await (await restorer(made.world, tmp_path / "before")).restore_day("b", FIRST)
        report = await made.retention().expire()
        one = await restorer(made.world, tmp_path / "after")

        after = await one.restore_day("b", FIRST)
        for key in made.world.keys("b", "ev/ret/"):
            made.world.remove(key, "b")
        unexplained = await one.restore_day("b", FIRST)

        gone = sum(each.rows for each in report.expiring)
        assert gone and not made.parts("b")
        assert (before.verdict, after.verdict) == ("good", "good"), after.why
        assert after.brought.events == before.brought.events - gone
        assert unexplained.verdict == "failed" and "class=short" in unexplained.why

    years(tmp_path, story)


def test_a_day_that_fell_out_of_a_region_s_archive_comes_from_segments_or_not_at_all(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        world = World()
        trail_of(world, 3)
        await archive_all(world, tmp_path / "archive")
        world.remove(layout.archive_key(SECOND, 1), "b")
        one = await restorer(world, tmp_path)

        kept = await one.restore_day("b", SECOND)
        for key in world.keys("b", "ev/seg/"):
            world.remove(key, "b")
        swept = await one.restore_day("b", SECOND)

        assert (kept.verdict, kept.brought.events) == ("good", 24)
        assert swept.verdict == "failed" and "is not there" in swept.why
        assert (await one.restore_day("b", "2026-03-03")).verdict == "good"

    play(story)


def test_a_day_that_is_not_archived_begins_where_the_reader_says_without_any_evidence(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        world = World()
        trail_of(world, 8)
        await archive_all(world, tmp_path / "archive")
        for id in ALL:
            for day in ("2026-03-07", "2026-03-08"):
                for key in world.keys(id, f"ev/arc/day={day}/"):
                    world.remove(key, id)
        one = await restorer(world, tmp_path)
        for store in world.stores.values():
            store.log.clear()

        done = await one.restore_day("c", "2026-03-07")

        log = [key for store in world.stores.values() for _, key in store.log]
        read = {key.split("/")[2] for key in log if key.startswith("ev/arc/") and "zst" in key}
        assert (done.verdict, done.brought.events) == ("good", 24), done.why
        assert len(read) == 6  # for the tree of all before it, once
        for store in world.stores.values():
            store.log.clear()
        assert (await one.restore_day("c", "2026-03-08")).verdict == "good"
        log = [key for store in world.stores.values() for _, key in store.log]
        assert not [key for key in log if key.startswith("ev/arc/") and "zst" in key]

    play(story)
