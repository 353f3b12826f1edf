"""Which of the records that share (tenant, id) a search shows."""

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import Place, Query
from holdfast.ports import Host
from holdfast.read.decode import contents_of
from holdfast.read.reader import Reader
from holdfast.read.repeats import (
    _WRITTEN_OUT_DIGITS_MAX as WRITTEN_OUT,
)
from holdfast.read.repeats import (
    Copy,
    Standing,
    _encode,
    _parse,
    _parse_plain,
    digests,
    settle,
)
from tests.read.trails import World, Writer, all_ids, ids

Result = TypeVar("Result")

COPIES = st.lists(
    st.builds(
        Copy,
        place=st.builds(Place, node=st.sampled_from("mn"), position=st.integers(0, 30)),
        name=st.sampled_from([b"x", b"y"]),
        received_us=st.integers(0, 3),
        content=st.sampled_from([b"1", b"2"]),
    ),
    unique_by=lambda copy: copy.place,
)


def record(**fields: object) -> bytes:
    own = {"received": "2026-11-24T10:00:00.000000Z", "principal": "p"}
    return json.dumps({"action": "a", "tenant": "t", "id": "1", **fields, **own}).encode()


def stored(payload: str) -> bytes:
    """As the server writes it: with no white space."""
    return (
        record(payload="?")
        .replace(b": ", b":")
        .replace(b", ", b",")
        .replace(b'"?"', payload.encode())
    )


def content(line: bytes) -> bytes:
    return digests(line)[1]


def test_the_least_by_received_node_and_position_is_shown() -> None:
    copies = [
        Copy(Place("n", 0), b"x", 5, b"1"),
        Copy(Place("m", 7), b"x", 5, b"1"),
        Copy(Place("m", 3), b"x", 6, b"1"),
    ]

    standings = {copy.place: copy.standing for copy in settle(copies)}

    assert standings == {
        Place("m", 7): Standing.SHOWN,
        Place("n", 0): Standing.REPEAT,
        Place("m", 3): Standing.REPEAT,
    }


def test_one_of_each_content_is_shown_and_flagged() -> None:
    copies = [
        Copy(Place("n", at), b"x", at, what) for at, what in enumerate([b"1", b"2", b"1", b"2"])
    ]

    found = settle(copies)

    flagged = [copy.place.position for copy in found if copy.standing is Standing.CONFLICT]
    left_out = [copy.place.position for copy in found if copy.standing is Standing.REPEAT]
    assert (sorted(flagged), sorted(left_out)) == ([0, 1], [2, 3])


@given(COPIES, st.randoms())
def test_the_order_of_arrival_does_not_matter(copies: list[Copy], draw: random.Random) -> None:
    shuffled = list(copies)
    draw.shuffle(shuffled)

    assert set(settle(shuffled)) == set(settle(copies))


@given(COPIES)
def test_each_content_of_each_name_is_shown_once(copies: list[Copy]) -> None:
    shown = [(c.name, c.content) for c in settle(copies) if c.standing is not Standing.REPEAT]

    assert sorted(shown) == sorted({(copy.name, copy.content) for copy in copies})


def test_received_and_principal_are_no_content() -> None:
    line = record()
    other = line.replace(b'"p"', b'"q"').replace(b"10:00", b"11:00")

    assert digests(line) == digests(other)


def test_spelling_and_order_of_fields_do_not_matter() -> None:
    line = record(payload={"a": 1, "b": "\u00e9"})
    other = line.replace(b'{"a": 1, "b": "\\u00e9"}', '{"b":"é","a":1.0e0}'.encode())

    assert line != other
    assert digests(line) == digests(other)


def test_no_tenant_and_the_empty_one_are_the_same() -> None:
    line = record(tenant="")
    other = line.replace(b'"tenant": "", ', b"")

    assert digests(line) == digests(other)


def test_different_numbers_strings_and_types_differ() -> None:
    values = [1, 2, -1, 10, 0.1, 1e300, "1", "", None, True, False, [], {}, [1], {"a": 1}]

    assert len({content(record(payload=value)) for value in values}) == len(values)


def test_large_and_long_numbers_are_compared_exactly() -> None:
    numbers = ["9007199254740993", "9007199254740992", "1e400", "1e401", "0.1", "0.10000000001"]
    lines = [record(payload="?").replace(b'"?"', number.encode()) for number in numbers]

    assert len({content(line) for line in lines}) == len(numbers)
    assert content(lines[4]) == content(record(payload="?").replace(b'"?"', b"10.00E-2"))


def test_a_field_that_comes_twice_is_no_single_field() -> None:
    once = record(payload="?").replace(b'"?"', b'{"a":1}')
    twice = record(payload="?").replace(b'"?"', b'{"a":1,"a":1}')

    assert content(once) != content(twice)


NUMBERS = ["1e32", "1E+4", "-2.50e20", "1.0", "-0", "12e17", "1e4200", "10e-1", "7" * 40, "0.0"]


@given(st.lists(st.sampled_from(NUMBERS), max_size=8), st.integers(0, 400))
def test_no_number_makes_up_for_a_field_that_came_twice(numbers: list[str], size: int) -> None:
    within = f'"n":[{",".join(numbers)}]'
    once = stored(f'{{"cmd":"ls",{within}}}')
    twice = stored(f'{{"cmd":"{"x" * size}","cmd":"ls",{within}}}')

    assert content(once) != content(twice)


@given(st.lists(st.sampled_from(NUMBERS), max_size=30), st.booleans())
def test_what_is_compared_is_no_longer_than_what_was_stored(numbers: list[str], slow: bool) -> None:
    twice = '"t":1,"t":1,' if slow else ""
    line = stored(f'{{{twice}"n":[{",".join(numbers)}]}}')

    fields = _parse_plain(line) or _parse(line)
    assert len(_encode(fields)) <= len(line) + WRITTEN_OUT * len(numbers)


def test_nesting_beyond_what_can_be_parsed_is_compared_as_it_stands() -> None:
    deep = record(payload="?").replace(b'"?"', b"[" * 100_000 + b"]" * 100_000)
    stored = deep.replace(b', "received": "', b',"received":"')

    assert digests(stored) == digests(stored.replace(b"10:00", b"11:00"))
    assert digests(stored) != digests(stored.replace(b'"action": "a"', b'"action": "b"'))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(JSON)
def test_the_quick_way_and_the_slow_way_agree(payload: object) -> None:
    stored = json.loads(record(payload=payload))
    plain = json.dumps(stored, ensure_ascii=False, separators=(",", ":")).encode()
    spaced = json.dumps(stored, sort_keys=True).encode()  # never plain: it has white space

    assert digests(plain) == digests(spaced)


def two_nodes(world: World) -> tuple[Writer, Writer]:
    one, other = Writer(world), Writer(world, seed=8)
    one.born()
    other.born()
    return one, other


async def shown(reader: Reader) -> Sequence[tuple[str, str, int, bool]]:
    page = await reader.search(Query(limit=100))
    return sorted(
        (json.loads(bytes(one.record))["id"], one.node, one.position, one.conflict)
        for one in page.events
    )


def test_an_event_that_was_sent_again_is_shown_once_and_its_first_record(tmp_path: Path) -> None:
    world = World()
    first, second = two_nodes(world)
    first.seal("one", "two")
    second.seal("three", "two")
    second.seal("two")

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()

        assert await all_ids(reader) == ["one", "three", "two"]
        assert ("two", first.node, 1, False) in await shown(reader)
        assert ids(await reader.event("acme", "two")) == ["two"]
        assert ids(await reader.event(None, "two")) == ["two"]
        assert reader.report().repeats == 2
        await reader.stop()

    asyncio.run(main())


def test_another_content_under_the_same_id_is_shown_and_flagged(tmp_path: Path) -> None:
    world = World()
    first, second = two_nodes(world)
    first.seal("one")
    second.seal({"id": "one", "action": "b"}, {"id": "one", "tenant": "other"})
    second.seal({"id": "one", "action": "b"})

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()

        found = await shown(reader)

        acme, other = reader.event("acme", "one"), reader.event("other", "one")
        assert len(found) == 3
        assert sorted(one.conflict for one in await acme) == [True, True]
        assert [one.conflict for one in await other] == [False]
        assert reader.report().conflicts == 2
        await reader.stop()

    asyncio.run(main())


def test_a_catalog_made_in_another_order_shows_the_same(tmp_path: Path) -> None:
    world = World()
    first, second = two_nodes(world)
    first.seal("a", "b")
    second.seal("b", "c")
    first.seal({"id": "a", "action": "other"}, "c")

    async def main() -> None:
        whole = world.reader(tmp_path / "whole")
        await whole.pass_once()
        expected = await shown(whole)
        await whole.stop()

        by_and_by = world.reader(tmp_path / "by and by")
        keys = {key for key in world.keys("a") if key.startswith("ev/seg/")}
        objects = {key: world.stores["a"].objects[key] for key in keys}
        for key in keys:
            world.remove(key)
        for key in sorted(keys, reverse=True):
            world.put(key, objects[key][0])
            await by_and_by.pass_once()

        assert await shown(by_and_by) == expected
        await by_and_by.stop()

    asyncio.run(main())


def test_when_the_shown_one_is_an_orphan_its_repeat_is_shown(tmp_path: Path) -> None:
    world = World()
    first, second = two_nodes(world)
    base = first.end
    first.seal("one", regions="c")
    second.seal("one")

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        assert [node for _, node, _, _ in await shown(reader)] == [first.node]

        first.close(base)
        await reader.pass_once()

        assert [node for _, node, _, _ in await shown(reader)] == [second.node]
        assert reader.report().repeats == 0
        await reader.stop()

    asyncio.run(main())


def test_repeats_are_known_after_a_restart_and_after_the_id_index_was_lost(tmp_path: Path) -> None:
    world = World()
    first, second = two_nodes(world)
    first.seal("one")

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        await reader.stop()
        shutil.rmtree(tmp_path / "0" / "ids")
        second.seal("one")

        reader = world.reader(tmp_path)
        await reader.pass_once()

        assert await all_ids(reader) == ["one"]
        await reader.stop()
        reader = world.reader(tmp_path)
        assert await all_ids(reader) == ["one"]
        await reader.stop()

    asyncio.run(main())


def test_an_unmatched_repeat_is_compared_though_a_crash_cost_the_index_its_keys(
    tmp_path: Path,
) -> None:
    world = World()
    first, second = Writer(world), Writer(world, seed=8)
    first.born()
    second.born()
    first.seal("one")

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        again = second.encode({"id": "one"})
        await reader.enter(second.node, again.name, again.data, contents_of(again.records))
        assert reader.report().unmatched == 1
        crashed = tmp_path / "crashed"
        shutil.copytree(tmp_path / "0", crashed / "0")  # no key is in a run yet
        await reader.stop()

        reader = world.reader(crashed)
        second.store(again)
        await reader.pass_once()

        seen = reader._passes.follow.ledger(second.node).seen.values()
        assert [one.entry.matched for one in seen if one.entry] == [True]
        assert await all_ids(reader) == ["one"]
        await reader.stop()

    asyncio.run(main())


def test_a_segment_of_the_own_node_is_compared_before_the_next_question(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    node.seal("one", "two")

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        again = node.encode({"id": "two"}, {"id": "one"}, {"id": "three"})
        await reader.enter(node.node, again.name, again.data, contents_of(again.records))

        assert await all_ids(reader) == ["one", "three", "two"]
        await reader.stop()

    asyncio.run(main())


class Yielding(World):
    """A world where every call to a thread takes a turn of the event loop."""

    @property
    def host(self) -> Host:
        async def offload(function: Callable[..., Result], /, *arguments: object) -> Result:
            await asyncio.sleep(0)
            return function(*arguments)

        return replace(super().host, offload=offload)


def test_a_comparison_that_nobody_waits_for_any_more_goes_on(tmp_path: Path) -> None:
    world = Yielding()
    node = Writer(world)
    node.born()
    node.seal("one", "two")

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        for turns in range(30):
            again = node.encode({"id": "two"}, {"id": "one"})
            await reader.enter(node.node, again.name, again.data, contents_of(again.records))
            impatient = asyncio.ensure_future(reader._passes.match())
            for _ in range(turns):
                await asyncio.sleep(0)
            impatient.cancel()
            await asyncio.gather(impatient, return_exceptions=True)

        await reader.pass_once()

        assert reader.report().unmatched == 0
        assert await all_ids(reader) == ["one", "two"]
        seen = reader._passes.follow.ledger(node.node).seen.values()
        assert [one.entry.matched for one in seen if one.entry] == [True] * len(seen)
        await reader.stop()

    asyncio.run(main())


def test_events_that_repeat_within_one_segment_are_shown_once(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    node.seal("one", "one", {"id": "one", "action": "b"})

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()

        assert [(at, flag) for _, _, at, flag in await shown(reader)] == [(0, True), (2, True)]
        await reader.stop()

    asyncio.run(main())
