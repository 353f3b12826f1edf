"""What was let go is shown to nobody, and all that is left is found and proven as before."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.archive.rules import Rule
from holdfast.errors import RejectedError, UnavailableError
from holdfast.model import Query, RetainedOut
from holdfast.proof import event
from holdfast.prove.prover import Prover
from holdfast.read import evidence, gone
from holdfast.read.reader import Reader
from holdfast.regions import kinds
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Retentions
from holdfast.regions.units import DAY_US, HOUR_US
from holdfast.write.identity import Identity
from tests.archive.days import FIRST_US, archivist, person, state
from tests.read.trails import ALL, TRAIL, World, Writer, all_ids
from tests.retention.years import Years

RULES = (Rule("debug", actions=("debug.*",), max=2), Rule("noise", actions=("noise",), max=9))
DEBUG = ["0-1", "0-3", "0-4", "1-1", "1-3", "1-4"]
LEFT = ["0-0", "0-2", "0-5", "1-0", "1-2", "1-5"]
SPAN = (FIRST_US, FIRST_US + DAY_US)


def trail(world: World) -> None:
    """A day of two segments: a tenant whose records are of three classes, and one of one."""
    world.now_us = FIRST_US + HOUR_US
    writer = Writer(world)
    writer.born()
    kinds_of = ("pay", "debug.x", "noise", "debug.y", "debug.z", "pay")
    for number in range(2):
        world.now_us += HOUR_US
        events: list[dict[str, object]] = [
            {"id": f"{number}-{n}", "action": kind, "tenant": "blå" if n == 4 else "acme"}
            for n, kind in enumerate(kinds_of)
        ]
        writer.seal(*events)
    world.now_us = FIRST_US + 4 * DAY_US
    writer.beat()
    writer.close()


def play(folder: Path, story: Callable[[Years, Reader], Awaitable[None]]) -> None:
    """With a reader that knows the day as segments, before it was archived and swept."""

    async def whole() -> None:
        world = World()
        trail(world)
        keeper = await archivist(world, folder / "keeper", *RULES)
        reader = world.reader(folder / "cache")
        await reader.open()
        await reader.pass_once()
        await keeper.archive(DAY_US)
        found = Years(world, keeper)
        await found.sweep()
        await story(found, reader)

    asyncio.run(whole())


async def let_go(found: Years) -> None:
    report = await found.retention(*RULES).expire()
    assert [(each.retention, each.rows, each.why) for each in report.expiring] == [
        ("debug", 6, ()),
        ("noise", 2, ("too young until 2026-03-11T00:00:00.000000Z",)),
    ]


async def fresh(found: Years, folder: Path) -> Reader:
    reader = found.world.reader(folder / "other")
    await reader.open()
    await reader.pass_once()
    return reader


def prover(found: Years, reader: Reader) -> Prover:
    regions = found.world.regions()
    regions.tag_key = kinds.verify_cookie(TRAIL.cookie("a"), TRAIL.trail).statement.tag_key
    return Prover(reader, regions, found.world.host, 1.0, lambda: _signer(found))


def _signer(found: Years) -> Identity:
    return person(found.world)


@pytest.mark.parametrize("is_fresh", [True, False])
def test_nobody_is_shown_what_was_let_go(tmp_path: Path, is_fresh: bool) -> None:
    async def story(found: Years, reader: Reader) -> None:
        assert await all_ids(reader) == sorted([*DEBUG, *LEFT])
        await let_go(found)
        now = await fresh(found, tmp_path) if is_fresh else reader
        await now.pass_once()

        assert await all_ids(now) == LEFT
        assert (await now.count(Query())).count == len(LEFT)
        for id in DEBUG:
            assert await now.event(None, id) == ()
        for id in LEFT:
            assert len(await now.event("acme", id)) == 1
        said = now.completeness()
        assert said.complete_through_us is not None and said.holding_back == ()
        assert said.retained_out == (
            RetainedOut("debug", RULES[0].text, FIRST_US, FIRST_US + DAY_US, 1, len(DEBUG)),
        )

    play(tmp_path, story)


def test_no_copy_is_kept_where_it_was_shown(tmp_path: Path) -> None:
    async def story(found: Years, reader: Reader) -> None:
        found.world.now_us += 120_000_000
        await reader.pass_once()
        await all_ids(reader)
        parts = {Path(key).name for key in found.parts("a", "debug")}
        files = tmp_path / "cache"
        assert parts <= {path.name for path in files.rglob("*.parquet")}
        await let_go(found)
        await reader.pass_once()

        assert not parts & {path.name for path in files.rglob("*.parquet")}

    play(tmp_path, story)


@pytest.mark.parametrize("where", ["W", "one"])
def test_a_floor_that_any_region_shows_hides_before_anything_is_deleted(
    tmp_path: Path, where: str
) -> None:
    async def story(found: Years, reader: Reader) -> None:
        aside = {id: dict(store.objects) for id, store in found.world.stores.items()}
        await let_go(found)
        for id in ALL:  # as if nothing had been deleted yet
            missing = aside[id].keys() - found.world.stores[id].objects.keys()
            found.world.stores[id].objects |= {key: aside[id][key] for key in missing}
        if where == "one":
            for key in found.world.keys("a", "ev/ret/"):
                found.world.remove(key, "ab")
        now = await fresh(found, tmp_path)

        assert await all_ids(now) == LEFT

    play(tmp_path, story)


def test_every_event_that_is_left_is_proven(tmp_path: Path) -> None:
    async def story(found: Years, reader: Reader) -> None:
        await let_go(found)
        now = await fresh(found, tmp_path)

        for id in LEFT:
            data = await prover(found, now).event(None, id)
            for _ in event.check(data, TRAIL.trail):
                pass
            assert json.loads(json.loads(data)["record"])["id"] == id

    play(tmp_path, story)


def test_what_stays_is_fetched_again_where_its_copy_is_bent(tmp_path: Path) -> None:
    async def story(found: Years, reader: Reader) -> None:
        await let_go(found)
        now = await fresh(found, tmp_path)
        certify = prover(found, now).certifier.certificate
        before = await file_of(certify("acme", *SPAN))
        [floor] = (await Retentions().look(found.world.regions())).out.values()
        for path in (tmp_path / "other").rglob(f"{floor.remains}*"):
            path.write_bytes(b"bent")
        evidence._gone.cache_clear()
        gone._tree.cache_clear()

        after = await asyncio.wait_for(file_of(certify("acme", *SPAN)), 20)

        assert after == before

    play(tmp_path, story)


def test_a_second_class_that_goes_leaves_the_others_proofs(tmp_path: Path) -> None:
    async def story(found: Years, reader: Reader) -> None:
        await let_go(found)
        rules = (RULES[0], Rule("noise", actions=("noise",), max=1))
        await found.retention(*rules).expire()
        now = await fresh(found, tmp_path)

        left = [id for id in LEFT if not id.endswith("-2")]
        assert await all_ids(now) == left
        for id in left:
            for _ in event.check(await prover(found, now).event(None, id), TRAIL.trail):
                pass

    play(tmp_path, story)


async def file_of(pieces: object) -> bytes:
    return b"".join([piece async for piece in pieces])  # type: ignore[attr-defined]


def test_without_the_floor_s_own_bytes_a_certificate_waits(tmp_path: Path) -> None:
    async def story(found: Years, reader: Reader) -> None:
        await let_go(found)
        now = await fresh(found, tmp_path)
        certifier = prover(found, now).certifier
        for key in found.world.keys("a", "ev/ret/"):
            found.world.remove(key)

        with pytest.raises(UnavailableError, match="no region shows it"):
            await file_of(certifier.certificate("acme", *SPAN))
        later = await file_of(certifier.certificate(None, SPAN[1] + HOUR_US, SPAN[1] + DAY_US))

        assert later.startswith(b'{"format":"holdfast-completeness-all/1"')

    play(tmp_path, story)


def test_a_floor_that_does_not_say_which_records_went_cannot_be_rested_on(tmp_path: Path) -> None:
    async def story(found: Years, reader: Reader) -> None:
        await let_go(found)
        [(_, floor)] = (await Retentions().look(found.world.regions())).out.items()
        fields = {each.name: getattr(floor, each.name) for each in dataclasses.fields(Floor)}
        for key in found.world.keys("a", "ev/ret/"):
            found.world.remove(key)
        state(found.world, Floor(**fields))
        now = await fresh(found, tmp_path)

        with pytest.raises(RejectedError, match="does not say which records") as refused:
            await file_of(prover(found, now).certifier.certificate("acme", *SPAN))

        assert refused.value.kind == "uncertifiable"
        assert await all_ids(now) == LEFT

    play(tmp_path, story)
