"""A reader that follows by itself, as a server has it. On virtual time."""

import asyncio
import errno
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.model import Query
from holdfast.read.reader import Reader
from holdfast.read.shelf import FoldLimits
from holdfast.regions.port import Unknown
from tests.read.trails import World, Writer, all_ids, tick
from tests.regions.worlds import run_with_time


def following(
    world: World,
    cache: Path,
    work: Callable[[Reader], Awaitable[None]],
    fold: FoldLimits | None = None,
) -> None:
    async def main() -> None:
        reader = world.reader(cache, fold=fold)
        await reader.start()
        try:
            await work(reader)
        finally:
            await reader.stop()

    run_with_time(lambda _: main())


def a_node(world: World) -> Writer:
    node = Writer(world)
    node.born()
    node.seal("one")
    tick(world)
    node.beat()
    return node


def test_what_is_new_is_found_without_asking_for_a_pass(tmp_path: Path) -> None:
    world = World()
    node = a_node(world)

    async def work(reader: Reader) -> None:
        await asyncio.sleep(1)
        node.seal("two")
        await asyncio.sleep(1)

        assert await all_ids(reader) == ["one", "two"]
        assert reader.completeness().complete_through_us is not None

    following(world, tmp_path, work)


def test_a_pass_that_fails_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    node = a_node(world)

    async def work(reader: Reader) -> None:
        await asyncio.sleep(1)
        with monkeypatch.context() as broken:
            broken.setattr("holdfast.read.passes.judge", lambda *_: 1 / 0)
            await asyncio.sleep(2)
            assert "ZeroDivisionError" in reader.report().failed

        node.seal("two")
        await asyncio.sleep(1)

        assert reader.report().failed == ""
        assert await all_ids(reader) == ["one", "two"]

    following(world, tmp_path, work)


def test_the_cache_may_vanish_at_any_time(tmp_path: Path) -> None:
    world = World()
    a_node(world)

    async def work(reader: Reader) -> None:
        await asyncio.sleep(1)
        before = reader.completeness().complete_through_us
        for _ in range(3):
            shutil.rmtree(tmp_path)
            found = await all_ids(reader)

            assert found == ["one"]
            await asyncio.sleep(2)
            assert reader.completeness().complete_through_us == before

    following(world, tmp_path, work)


def test_regions_that_come_back_move_the_statement_on(tmp_path: Path) -> None:
    world = World()
    node = a_node(world)

    async def work(reader: Reader) -> None:
        for store in world.stores.values():
            store.failing = Unknown("away")
        await asyncio.sleep(5)
        assert reader.completeness().complete_through_us is None
        assert "0 of the 2 regions" in reader.completeness().holding_back[0].reason

        for store in world.stores.values():
            store.failing = None
        await asyncio.sleep(120)
        node.beat()
        await asyncio.sleep(5)

        assert reader.completeness().complete_through_us is not None
        assert reader.completeness().holding_back == ()

    following(world, tmp_path, work)


def test_segments_are_folded_by_and_by_and_searches_see_no_difference(tmp_path: Path) -> None:
    world = World()
    node = a_node(world)

    async def work(reader: Reader) -> None:
        await asyncio.sleep(2)
        for number in range(20):
            node.seal(f"{number:02}")
            tick(world)
            node.beat()
            await asyncio.sleep(1)
            assert len(await all_ids(reader)) == number + 2
        await asyncio.sleep(5)

        report = reader.report()
        assert (report.hot_segments, report.events) == (0, 21)
        assert 1 <= report.folds < 8

    following(world, tmp_path, work, fold=FoldLimits(events=1))


def test_many_questions_at_once_are_answered(tmp_path: Path) -> None:
    world = World()
    a_node(world)

    async def work(reader: Reader) -> None:
        await asyncio.sleep(1)

        pages = await asyncio.gather(*(reader.search(Query(limit=10)) for _ in range(20)))

        assert {len(page.events) for page in pages} == {1}

    following(world, tmp_path, work)


def test_starting_and_stopping_twice_changes_nothing(tmp_path: Path) -> None:
    async def work(reader: Reader) -> None:
        await reader.start()
        await reader.stop()
        await reader.stop()

    following(World(), tmp_path, work)


def test_a_full_cache_disk_is_a_line_a_minute_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    a_node(world)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def work(reader: Reader) -> None:
        with monkeypatch.context() as broken:
            broken.setattr("holdfast.read.passes.judge", full)
            await asyncio.sleep(150)

    following(world, tmp_path, work)

    told = [record for record in caplog.records if "No space left" in record.getMessage()]
    assert 3 <= len(told) <= 5  # of some 300 passes; those take a time of their own, too
    assert all(record.exc_info is None for record in told)
