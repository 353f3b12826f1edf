"""The reader over trails that were written straight into the regions."""

import asyncio
from pathlib import Path

from tests.read.trails import World, Writer, all_ids, tick


def test_what_two_regions_hold_is_found_and_stated_complete(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    node.seal("one", "two")
    tick(world)
    node.beat()

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        found = await all_ids(reader)
        said = reader.completeness()
        await reader.stop()

        assert found == ["one", "two"]
        assert said.complete_through_us == world.now_us - 2_000_000
        assert [basis.region for basis in said.basis] == ["a", "b", "c"]
        assert said.holding_back == ()

    asyncio.run(main())
