"""What was archived is read as it was before: the same answers, and proofs that hold."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.errors import UnavailableError
from holdfast.model import Query
from holdfast.proof import ProofError
from holdfast.read.contents import Archived, laid_out
from holdfast.read.holdings import Sizes
from holdfast.read.reader import Reader
from holdfast.read.shelf import FoldLimits
from holdfast.regions.port import Unknown
from holdfast.regions.segment import tenant_of
from holdfast.regions.units import DAY_US, HOUR_US
from holdfast.times import parse_time
from tests.proof.proofs import checked
from tests.prove import certificates
from tests.read import archived
from tests.read.archived import Answers, Proofs, answers, fresh, proofs, sweep
from tests.read.trails import TRAIL, World, ids, tick
from tests.retention.years import RULES, Years

HOT = FoldLimits(events=1 << 40, segments=1 << 40, old_s=1e12, very_old_s=1e12)  # nothing is folded


class Told:
    """A world that was archived, and what was said of it before its segments went."""

    def __init__(self, folder: Path) -> None:
        self.world, _ = archived.trail_of()
        self.answers: Answers
        self.proofs: Proofs
        asyncio.run(self._ask(folder))

    async def _ask(self, folder: Path) -> None:
        reader = await fresh(self.world, folder / "before")
        self.answers = await answers(reader)
        self.proofs = await proofs(self.world, reader)
        await reader.stop()
        await archived.archive(self.world, folder)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("told"))


def with_reader(world: World, cache: Path, story: Callable[..., Awaitable[None]]) -> None:
    async def main() -> None:
        reader = await fresh(world, cache)
        try:
            await story(reader)
        finally:
            await reader.stop()

    asyncio.run(main())


def test_a_reader_of_what_is_left_gives_the_same_answers(told: Told, tmp_path: Path) -> None:
    world = archived.of(told.world)
    assert sweep(world) > 20

    async def story(reader: Reader) -> None:
        assert await answers(reader) == told.answers

    with_reader(world, tmp_path, story)


def test_proofs_are_the_same_and_hold(told: Told, tmp_path: Path) -> None:
    world = archived.of(told.world)
    sweep(world)

    async def story(reader: Reader) -> None:
        made = await proofs(world, reader)
        assert made.export == told.proofs.export
        for proof in made.events:
            found, _ = checked(proof, TRAIL.trail)
            assert not isinstance(found, Exception), found
        assert made.events == told.proofs.events
        assert made.certificates == told.proofs.certificates
        for tenant, certificate in zip(
            (*archived.TENANTS, "nobody", None), made.certificates, strict=True
        ):
            salt = None if tenant is None else certificates.salt_id(world, tenant)
            said, _ = certificates.checked(certificate, salt)
            assert not isinstance(said, ProofError), said

    with_reader(world, tmp_path, story)


def test_of_one_tenant_its_records_are_read_and_leaves_stand_for_the_others(
    told: Told, tmp_path: Path
) -> None:
    world = archived.of(told.world)
    sweep(world)

    async def story(reader: Reader) -> None:
        regions, node = world.regions(), reader.nodes()[0]
        await regions.verify()
        whole = await reader.segments(node, 0, 9)
        for tenant in (*archived.TENANTS, "nobody"):
            for one, all_of_it in zip(
                await reader.segments(node, 0, 9, tenant), whole, strict=True
            ):
                laid, wanted = (laid_out(h, regions.tag_key, node) for h in (one, all_of_it))
                own = [tenant_of(each) == tenant for each in wanted.records if each]
                kept = zip(wanted.records, own, strict=True)
                assert laid.records == tuple(each if mine else None for each, mine in kept)
                assert [m.leaf for m in laid.members] == [m.leaf for m in wanted.members]

        (held,) = await reader.segments(node, 1, 2, "acme")
        assert isinstance(held, Archived) and held.lines and len(held.leaves) > 1
        bent = [leaf[:-1] + ("A" if leaf[-1] != "A" else "B") for leaf in held.leaves]
        for other in (
            replace(held, lines=held.lines.partition(b"\n")[2]),
            replace(held, lines=held.lines.replace(b"again", b"gaain")),
            replace(held, leaves=tuple(bent)),
        ):
            with pytest.raises(ProofError):
                laid_out(other, regions.tag_key, node)

    with_reader(world, tmp_path, story)


@pytest.mark.parametrize("fold", [HOT, FoldLimits(events=1)], ids=["hot", "folded"])
def test_a_reader_that_held_the_segments_lets_the_archive_take_their_place(
    tmp_path: Path, fold: FoldLimits
) -> None:
    async def main() -> None:
        world, _ = archived.trail_of()
        reader = world.reader(tmp_path / "cache", fold=fold)
        await reader.pass_once()
        before, held = await answers(reader), reader.report()
        await archived.archive(world, tmp_path)
        await later(world, reader)
        between = await answers(reader)
        sweep(world)
        await later(world, reader)

        after, holds = await answers(reader), reader.report()
        assert between.events == after.events == before.events
        assert (after.counts, after.one, after.tail) == (before.counts, before.one, before.tail)
        assert (holds.segments, holds.events) == (held.segments, held.events)
        assert holds.suspects == () and holds.hot_segments + holds.folds <= 4
        await reader.stop()

    asyncio.run(main())


def test_a_reader_that_begins_again_goes_on_from_what_it_adopted(
    told: Told, tmp_path: Path
) -> None:
    world = archived.of(told.world)
    sweep(world)

    async def first(reader: Reader) -> None:
        await answers(reader)
        assert reader.report().events == len(told.answers.tail) + reader.report().repeats

    async def second(reader: Reader) -> None:
        assert await answers(reader) == told.answers
        assert not [key for _, key in world.stores["a"].log if key.endswith(".parquet")]

    with_reader(world, tmp_path, first)
    for store in world.stores.values():
        store.log.clear()
    with_reader(world, tmp_path, second)


def test_what_is_gone_and_in_no_archive_is_a_hole(told: Told, tmp_path: Path) -> None:
    world = archived.of(told.world)
    sweep(world)
    for key in world.keys("a", "ev/arc/day=2026-03-02"):
        world.remove(key)

    async def story(reader: Reader) -> None:
        said = reader.completeness()
        assert said.complete_through_us is None
        assert {each.kind for each in said.holding_back} == {"hole"}

    with_reader(world, tmp_path, story)


def test_a_region_may_lack_what_its_own_archive_has_and_nothing_else(
    told: Told, tmp_path: Path
) -> None:
    async def main() -> None:
        world = archived.of(told.world)
        for key in world.keys("b", "ev/arc/"):
            world.remove(key, "b")
        reader = await fresh(world, tmp_path)
        sweep(world, "ab")
        tick(world, 4000)

        await reader.pass_once()

        assert [region for region, _ in reader.report().suspects] == ["b"]
        assert (await answers(reader)).events == told.answers.events
        await reader.stop()

    asyncio.run(main())


def test_a_part_that_rotted_is_taken_from_another_region(told: Told, tmp_path: Path) -> None:
    world = archived.of(told.world)
    sweep(world)
    for key in world.keys("a", "ev/arc/"):
        data = world.stores["a"].objects[key][0]
        if key.endswith((".parquet", ".zst")):
            world.put(key, data[:-30] + bytes([data[-30] ^ 1]) + data[-29:], "a")
            world.remove(key, "b")

    async def story(reader: Reader) -> None:
        assert await answers(reader) == told.answers
        assert {copy.region for copy in reader.report().corrupt} <= {"a"}

    with_reader(world, tmp_path, story)


def test_one_region_is_enough_to_find_everything(told: Told, tmp_path: Path) -> None:
    world = archived.of(told.world)
    sweep(world)
    for id in "ab":
        world.stores[id].failing = Unknown("away")

    async def story(reader: Reader) -> None:
        found = await answers(reader)
        assert (found.events, found.counts) == (told.answers.events, told.answers.counts)
        assert found.said.complete_through_us is None

    with_reader(world, tmp_path, story)


def test_a_gap_within_a_unit_is_named_and_what_is_found_of_it_shown(tmp_path: Path) -> None:
    async def main() -> None:
        world, (writer, _) = archived.trail_of(lost=range(5, 7))
        whole, _ = archived.trail_of()
        before = await fresh(world, tmp_path / "before")
        expected = await answers(before)
        await before.stop()
        await archived.archive(world, tmp_path)
        sweep(world)

        reader = await fresh(world, tmp_path / "cache")
        assert await answers(reader) == expected
        assert [(gap.start, gap.end) for gap in expected.said.gaps] == [(5, 7)]
        (found,) = [k for k in whole.keys("a", f"ev/seg/{writer.node}/") if "/0000000005-" in k]
        world.put(found, whole.stores["a"].objects[found][0], "c")
        for _ in range(2):
            await later(world, reader)

        gaps = reader.completeness().gaps
        assert [(gap.start, gap.end) for gap in gaps] == [(6, 7)]
        told = expected.names[reader.nodes().index(writer.node)]
        assert len(await reader.names(writer.node, 0, 100)) == len(told) + 1
        await reader.stop()
        again = await fresh(world, tmp_path / "cache")
        assert [(gap.start, gap.end) for gap in again.completeness().gaps] == [(6, 7)]
        await again.stop()

    asyncio.run(main())


async def later(world: World, reader: Reader) -> None:
    """The reader looks again, when it is time to look at archives, too."""
    tick(world, 120)
    await reader.pass_once()


def asked(world: World, suffix: str) -> list[str]:
    """What was read from regions of a kind."""
    return [
        key
        for store in world.stores.values()
        for call, key in store.log
        if call == "read" and key.startswith("ev/arc/") and key.endswith(suffix)
    ]


def files(folder: Path, suffix: str) -> int:
    return len([*folder.rglob(f"*.{suffix}")])


def test_a_question_reads_those_parts_that_it_needs(told: Told, tmp_path: Path) -> None:
    world = archived.of(told.world)
    sweep(world)
    for store in world.stores.values():
        store.log.clear()

    async def story(reader: Reader) -> None:
        assert asked(world, ".parquet") == asked(world, ".zst") == []

        lately = Query(tenant="acme", from_us=archived.AFTER_US - HOUR_US)
        page = await reader.search(lately)

        # That this came before, in March, it does not know yet.
        assert ids(page.events) == ["again-0", "today"]
        assert len(asked(world, ".zst")) == archived.DAYS and not asked(world, ".parquet")

        page = await reader.search(Query(tenant="acme", limit=5))

        assert len(page.events) == 5 and len(asked(world, ".parquet")) == 1

        await reader.event("acme", "again-0")

        assert ids((await reader.search(lately)).events) == ["today"]

    with_reader(world, tmp_path, story)


def test_who_archives_fetches_nothing_of_what_it_made(tmp_path: Path) -> None:
    async def main() -> None:
        world, _ = archived.trail_of()
        reader = (await archived.archived_by(world, tmp_path))._reader
        before = await answers(reader)
        for store in world.stores.values():
            store.log.clear()
        await later(world, reader)
        sweep(world)
        await later(world, reader)

        assert (await answers(reader)).events == before.events
        assert len(reader.adopting._holdings.stack.adopted.units) == archived.DAYS
        assert asked(world, ".parquet") == asked(world, ".zst") == []
        await reader.stop()

    asyncio.run(main())


def test_parts_go_where_they_are_more_than_may_be_kept_and_indexes_stay(
    told: Told, tmp_path: Path
) -> None:
    world = archived.of(told.world)
    sweep(world)

    async def main() -> None:
        reader = world.reader(tmp_path, sizes=Sizes(parts=1))
        await reader.pass_once()
        await answers(reader)
        await reader.stop()

        reader = world.reader(tmp_path, sizes=Sizes(parts=1))
        await reader.pass_once()
        assert (files(tmp_path, "parquet"), files(tmp_path, "index")) == (0, archived.DAYS)
        for store in world.stores.values():
            store.log.clear()
        assert await reader.count(Query(), ("tenant", "action"), DAY_US) == told.answers.counts
        assert asked(world, ".parquet") == []
        assert await answers(reader) == told.answers
        await reader.stop()

    asyncio.run(main())


def test_what_was_sent_again_is_shown_once_what_came_first_is_let_go(tmp_path: Path) -> None:
    async def main() -> None:
        world, _ = archived.trail_of()
        found = Years(world, await archived.archived_by(world, tmp_path, *RULES))
        await found.sweep()
        reader = await fresh(world, tmp_path / "cache")
        await answers(reader)
        before = await first_us(reader)
        await found.retention().expire()
        await later(world, reader)

        after = await first_us(reader)
        begun = await fresh(world, tmp_path / "begun")
        await answers(begun)

        assert 0 < after - before < 2 * DAY_US and after == await first_us(begun)
        assert (await answers(reader)).events == (await answers(begun)).events
        await begun.stop()
        await reader.stop()
        await found.keeper._reader.stop()

    asyncio.run(main())


async def first_us(reader: Reader) -> int:
    """When an event was received that is sent each day, as it is shown."""
    (shown,) = await reader.event("acme", "again-1")
    return parse_time(json.loads(bytes(shown.record))["received"])


STEPS = ("flush", "adopt", "_count", "remove")


@pytest.mark.parametrize("fold", [HOT, FoldLimits(events=1)], ids=["hot", "folded"])
def test_a_crash_at_any_step_of_adopting_neither_loses_nor_doubles_an_event(
    tmp_path: Path, fold: FoldLimits
) -> None:
    async def main() -> None:
        world, _ = archived.trail_of()
        reader = world.reader(tmp_path / "cache", fold=fold)
        await reader.pass_once()
        before = await everything(reader)
        await archived.archive(world, tmp_path)
        sweep(world)
        left: list[Path] = []

        async def offload(function: Callable[..., object], /, *arguments: object) -> object:
            if function.__name__ in STEPS:
                left.append(snapshot(tmp_path / "cache", tmp_path / f"left-{len(left)}"))
            return function(*arguments)

        reader._host = reader._passes._host = reader._passes.holdings._host = replace(
            world.host,
            offload=offload,  # type: ignore[arg-type]
        )
        await later(world, reader)
        await reader.stop()

        assert len(left) >= 3
        for cache in left:
            again = await fresh(world, cache)
            assert await everything(again) == before
            await again.stop()

    asyncio.run(main())


async def everything(reader: Reader) -> tuple[object, ...]:
    counts = await reader.count(Query(), ("tenant", "action"))
    return counts, (await reader.search(Query(limit=1000))).events


def snapshot(cache: Path, copy: Path) -> Path:
    """What a crash now would leave; its locks are free."""
    shutil.copytree(cache, copy)
    return copy


def test_what_one_region_alone_has_archived_is_read_from_segments(tmp_path: Path) -> None:
    async def main() -> None:
        world, _ = archived.trail_of()
        expected = await everything(await fresh(world, tmp_path / "before"))
        await archived.archive(world, tmp_path)
        for key in world.keys("b", "ev/arc/"):
            world.remove(key, "bc")
        for store in world.stores.values():
            store.log.clear()

        reader = await fresh(world, tmp_path / "cache")
        world.stores["a"].failing = Unknown("away")

        assert await everything(reader) == expected
        assert not asked(world, ".parquet")

        world.stores["a"].failing = None
        sweep(world)
        await later(world, reader)
        late = await fresh(world, tmp_path / "late")

        assert await everything(reader) == await everything(late) == expected
        assert late.completeness().complete_through_us is not None
        await reader.stop()
        await late.stop()

    asyncio.run(main())


def test_a_manifest_that_was_bent_on_its_way_is_read_again_within_an_hour(
    told: Told, tmp_path: Path
) -> None:
    world = archived.of(told.world)
    objects = world.stores["b"].objects
    kept = {key: objects[key] for key in world.keys("b", "ev/arc/") if key.endswith(".note")}
    for key, (data, _) in kept.items():
        world.put(key, data[:-9] + b"x" * 9, "b")

    async def story(reader: Reader) -> None:
        before = await answers(reader)
        await later(world, reader)
        assert not reader._passes.holdings.stack.adopted.units

        objects.update(kept)
        tick(world, 3700)
        await reader.pass_once()

        assert reader._passes.holdings.stack.adopted.units
        assert (await answers(reader)).events == before.events

    with_reader(world, tmp_path, story)


def test_events_are_found_though_the_evidence_of_their_unit_is_rotten(
    told: Told, tmp_path: Path
) -> None:
    world = archived.of(told.world)
    sweep(world)
    for key in world.keys("a", "ev/arc/day=2026-03-02/"):
        if key.endswith(".zst"):
            world.put(key, world.stores["a"].objects[key][0][:-9] + b"x" * 9)

    async def story(reader: Reader) -> None:
        await reader.count(Query())
        assert (await reader.search(Query(limit=1000))).events == told.answers.events
        with pytest.raises(UnavailableError, match="day=2026-03-02"):
            await reader.names(reader.nodes()[0], 0, 100)

    with_reader(world, tmp_path, story)
