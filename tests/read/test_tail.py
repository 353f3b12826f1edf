"""Following a query live."""

import asyncio
import json
from pathlib import Path

import pytest

from holdfast.errors import RejectedError
from holdfast.model import Query
from holdfast.read.decode import contents_of
from holdfast.read.reader import Reader
from holdfast.read.shelf import FoldLimits
from holdfast.read.tail import Tail
from tests.read.trails import World, Writer


async def take(tail: Tail, count: int) -> list[str]:
    async with asyncio.timeout(10):
        found = [await anext(tail) for _ in range(count)]
    return [json.loads(bytes(one.record))["id"] for one in found]


async def nothing_comes(tail: Tail) -> bool:
    coming = asyncio.ensure_future(anext(tail))
    done, _ = await asyncio.wait((coming,), timeout=0.6)
    coming.cancel()
    return not done


async def opened(world: World, cache: Path, fold: FoldLimits | None = None) -> Reader:
    reader = world.reader(cache, fold=fold)
    await reader.pass_once()
    return reader


def born(world: World, seed: int = 7) -> Writer:
    node = Writer(world, seed)
    node.born()
    return node


def test_what_comes_from_now_on_is_given_in_the_order_of_its_ledger(tmp_path: Path) -> None:
    world = World()
    node = born(world)
    node.seal("old")

    async def main() -> None:
        reader = await opened(world, tmp_path)
        tail = reader.tail(Query())
        node.seal("one", "two")
        node.seal("three")
        await reader.pass_once()

        assert await take(tail, 3) == ["one", "two", "three"]
        assert await nothing_comes(tail)
        await reader.stop()

    asyncio.run(main())


def test_a_segment_of_the_own_node_comes_without_a_pass(tmp_path: Path) -> None:
    world = World()
    node = born(world)

    async def main() -> None:
        reader = await opened(world, tmp_path)
        tail = reader.tail(Query())
        encoded = node.encode({"id": "one"})
        waiting = asyncio.ensure_future(take(tail, 1))
        await asyncio.sleep(0)

        await reader.enter(node.node, encoded.name, encoded.data, contents_of(encoded.records))

        assert await waiting == ["one"]
        await reader.stop()

    asyncio.run(main())


def test_only_what_matches_comes_and_repeats_do_not(tmp_path: Path) -> None:
    world = World()
    node, other = born(world), born(world, seed=8)
    node.seal("old")

    async def main() -> None:
        reader = await opened(world, tmp_path)
        tail = reader.tail(Query(action="b*"))
        everything = reader.tail(Query())
        other.seal("old", {"id": "one", "action": "ba"}, {"id": "two", "action": "c"})
        await reader.pass_once()

        assert await take(tail, 1) == ["one"]
        assert await take(everything, 2) == ["one", "two"]
        assert await nothing_comes(tail)
        await reader.stop()

    asyncio.run(main())


def test_a_cursor_goes_on_without_missing_any(tmp_path: Path) -> None:
    world = World()
    node = born(world)

    async def main() -> None:
        reader = await opened(world, tmp_path, FoldLimits(events=1))
        tail = reader.tail(Query())
        for number in range(3):
            node.seal(f"{number}", f"{number}'")
        node.beat()
        await reader.pass_once()
        assert await take(tail, 3) == ["0", "0'", "1"]
        middle = tail.cursor
        assert await take(tail, 3) == ["1'", "2", "2'"]
        late = born(world, seed=8)
        late.seal("late")
        await reader.pass_once()

        again = await take(reader.tail(Query(cursor=middle)), 4)

        assert sorted(again) == ["1'", "2", "2'", "late"]
        assert await take(reader.tail(Query(cursor=tail.cursor)), 1) == ["late"]
        await reader.stop()

    asyncio.run(main())


def test_a_cursor_never_stands_beyond_what_is_final(tmp_path: Path) -> None:
    world = World()
    node = born(world)
    base = node.end

    async def main() -> None:
        reader = await opened(world, tmp_path)
        tail = reader.tail(Query())
        node.seal("orphan", regions="c")
        await reader.pass_once()
        assert await take(tail, 1) == ["orphan"]
        node.close(base)
        node.born(base=base)
        node.seal("one")
        node.beat()
        await reader.pass_once()

        assert await take(tail, 1) == ["one"]
        assert await take(reader.tail(Query(cursor=tail.cursor)), 0) == []
        await reader.stop()

    asyncio.run(main())


def test_a_reader_who_was_cancelled_while_waiting_misses_nothing(tmp_path: Path) -> None:
    world = World()
    node = born(world)

    async def main() -> None:
        reader = await opened(world, tmp_path)
        tail = reader.tail(Query())
        assert await nothing_comes(tail)
        node.seal("one")
        await reader.pass_once()

        assert await take(tail, 1) == ["one"]
        await reader.stop()

    asyncio.run(main())


def test_a_large_segment_comes_whole(tmp_path: Path) -> None:
    world = World()
    node = born(world)

    async def main() -> None:
        reader = await opened(world, tmp_path)
        tail = reader.tail(Query())
        node.seal(*(f"{number:04}" for number in range(2500)))
        await reader.pass_once()

        assert await take(tail, 2500) == [f"{number:04}" for number in range(2500)]
        await reader.stop()

    asyncio.run(main())


@pytest.mark.parametrize("cursor", ["?", "AAAA", "kwGA", "kgKA"])
def test_another_cursor_is_refused(tmp_path: Path, cursor: str) -> None:
    async def main() -> None:
        reader = await opened(World(), tmp_path)
        with pytest.raises(RejectedError):
            reader.tail(Query(cursor=cursor))
        await reader.stop()

    asyncio.run(main())


def test_the_cursor_of_each_event_leads_to_the_next_one_and_to_none_again(tmp_path: Path) -> None:
    world = World()
    node, other = born(world), born(world, seed=9)

    async def main() -> None:
        reader = await opened(world, tmp_path)
        tail = reader.tail(Query())
        node.seal("one", "two", "three")
        other.seal("four", "five")
        for each in (node, other):
            each.beat()
        await reader.pass_once()

        order: list[str] = []
        cursors: list[str] = []
        for _ in range(5):
            order += await take(tail, 1)
            cursors.append(tail.cursor)

        for at, cursor in enumerate(cursors[:-1], 1):
            assert await take(reader.tail(Query(cursor=cursor)), 5 - at) == order[at:]
        await reader.stop()

    asyncio.run(main())
