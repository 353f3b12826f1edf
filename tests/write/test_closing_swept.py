"""An epoch ends where it ends, though stores have its segments in their archives alone."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.archive.archivist import Archivist
from holdfast.proof.ledger import LedgerEnd
from holdfast.regions import layout
from holdfast.regions.port import Present, Unknown
from holdfast.regions.units import DAY_US
from holdfast.write.closing import Undecided, close_epoch
from tests.archive.days import archived, archivist, person
from tests.archive.swept import open_trail, small, sweep
from tests.read.trails import ALL, World, Writer

Story = Callable[[World, Writer, Archivist], Awaitable[None]]


def play(folder: Path, story: Story) -> None:
    """A node of three days, of which two are archived."""

    async def whole() -> None:
        world = World()
        writer = open_trail(world)
        keeper = await archivist(world, folder)
        report = await keeper.archive(0)
        assert report.archived == 2
        await story(world, writer, keeper)

    asyncio.run(whole())


async def close(world: World, writer: Writer) -> LedgerEnd | Undecided:
    regions = world.regions()
    await regions.verify()
    birth = await regions.by_id["a"].read(layout.birth_key(writer.node, writer.epoch))
    assert isinstance(birth, Present)
    return await close_epoch(regions, birth.data, person(world), world.host, "a test")


@pytest.mark.parametrize("swept", ["a", "ab", "abc"])
@pytest.mark.parametrize("is_heard", [True, False])
def test_an_epoch_ends_behind_what_was_swept(tmp_path: Path, swept: str, is_heard: bool) -> None:
    async def story(world: World, writer: Writer, keeper: Archivist) -> None:
        await sweep(world, keeper, swept)
        before = {id: small(world, id) for id in ALL}
        if not is_heard:
            world.remove(layout.heartbeat_key(writer.node))

        end = await close(world, writer)

        assert end == writer.end
        assert {id: small(world, id) for id in ALL} == before

    play(tmp_path, story)


def test_an_epoch_of_which_all_was_swept_ends_where_its_archive_does(tmp_path: Path) -> None:
    async def story(world: World, writer: Writer, keeper: Archivist) -> None:
        world.now_us += 2 * DAY_US
        writer.beat()
        await keeper._reader.pass_once()
        assert (await keeper.archive(0)).archived == 3
        await sweep(world, keeper)
        world.remove(layout.heartbeat_key(writer.node))

        assert small(world, "a") == [] and await close(world, writer) == writer.end

    play(tmp_path, story)


def test_of_stores_that_were_swept_one_may_be_away(tmp_path: Path) -> None:
    async def story(world: World, writer: Writer, keeper: Archivist) -> None:
        await sweep(world, keeper)
        world.stores["b"].failing = Unknown("away")

        assert await close(world, writer) == writer.end

    play(tmp_path, story)


def test_without_good_evidence_nothing_is_decided(tmp_path: Path) -> None:
    async def story(world: World, writer: Writer, keeper: Archivist) -> None:
        await sweep(world, keeper)
        for key in archived(world):
            if key.endswith(".ndjson.zst"):
                world.put(key, b"rotten")

        end = await close(world, writer)

        assert isinstance(end, Undecided) and "gives the evidence" in end.reason
        assert not world.keys("a", layout.vote_key(writer.node, 1))

    play(tmp_path, story)


def test_evidence_is_not_needed_for_what_is_listed_or_was_before_the_epoch(tmp_path: Path) -> None:
    async def story(world: World, writer: Writer, keeper: Archivist) -> None:
        writer.close()
        writer.born()
        writer.seal("last")
        writer.beat()
        await sweep(world, keeper, "a")
        for key in archived(world):
            if key.endswith(".ndjson.zst"):
                world.put(key, b"rotten")

        assert await close(world, writer) == writer.end

    play(tmp_path, story)


def test_the_evidence_of_one_store_does_for_all(tmp_path: Path) -> None:
    async def story(world: World, writer: Writer, keeper: Archivist) -> None:
        await sweep(world, keeper)
        for key in archived(world):
            if key.endswith(".ndjson.zst"):
                world.put(key, b"rotten", "ab")

        assert await close(world, writer) == writer.end

    play(tmp_path, story)
