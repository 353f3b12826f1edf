"""Ending an epoch: what was acknowledged stays, and all closers agree, whatever is away."""

import asyncio
from itertools import count
from typing import Any

import pytest

from holdfast.proof import ledger, names, statements
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.merkle import CompactRange
from holdfast.regions import layout, signing
from holdfast.regions.cookie import LOOK_SECONDS_MAX
from holdfast.regions.kinds import Vote
from holdfast.regions.port import Absent, Listing, Present, Stored, Unknown
from holdfast.regions.region import Region
from holdfast.write import seal
from holdfast.write.closing import Undecided, begin_closing, close_epoch
from holdfast.write.identity import Identity
from holdfast.write.left import read_all, while_there
from tests.regions.worlds import MemoryWorld
from tests.write.world import TRAIL, Keys, World, kill, run, send, started


class Lost:
    """A node that acknowledged `count` events, a segment each, and was killed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.segments: list[str] = []

    async def live(self, count: int) -> "Lost":
        node = await started(self.world.node(Keys()))
        for number in range(count):
            answer, _ = await send(node, f"n{number}")
            self.segments.append(answer.segment)
        await asyncio.sleep(0.5)
        await kill(node)
        self.identity = node.identity
        self.birth = self.world.stores["a"].objects[layout.birth_key(node.identity.node, 1)][0]
        return self

    def drop(self, region: str, index: int) -> None:
        """A copy that never landed there, and the promises that were made since."""
        objects = self.world.stores[region].objects
        for key in [k for k in objects if f"/{index:010x}-" in k]:
            del objects[key]
        for store in self.world.stores.values():
            store.objects.pop(layout.heartbeat_key(self.identity.node), None)

    async def close(self, identity: Identity | None = None) -> LedgerEnd | Undecided:
        regions = self.world.regions()
        await regions.verify()
        closer = identity or self.identity
        return await close_epoch(regions, self.birth, closer, self.world.host, "test")

    def holders(self, text: str) -> list[str]:
        return [r for r, s in self.world.stores.items() if any(text in k for k in s.objects)]

    def votes(self) -> list[int]:
        key = layout.vote_key(self.identity.node, 1)
        found = [s.objects[key][0] for s in self.world.stores.values() if key in s.objects]
        return [statements.read(data, Vote).statement.end.size for data in found]


def _size(outcome: LedgerEnd | Undecided) -> int:
    assert isinstance(outcome, LedgerEnd), outcome
    return outcome.size


def test_what_two_regions_hold_is_kept_though_one_of_them_is_gone() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(3)
        lost.drop("c", 2)
        lost.world.stores["a"].failing = Unknown("gone")

        end = await lost.close()

        assert _size(end) == 3
        assert set(lost.holders(lost.segments[2])) >= {"b", "c"}

    run(story)


def test_a_segment_that_one_region_holds_is_brought_to_a_quorum_before_any_vote() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(3)
        for region in "bc":
            lost.drop(region, 2)

        end = await lost.close()

        assert _size(end) == 3
        assert len(lost.holders(lost.segments[2])) >= 2

    run(story)


def test_an_epoch_too_long_for_one_listing_ends_where_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layout, "SHARD_SEGMENTS", 2)

    async def story() -> None:
        lost = await Lost(World()).live(7)
        for store in lost.world.stores.values():
            _listing_at_most(store, layout.SEGMENTS_PREFIX, 2)
        lost.drop("a", 6)
        for index in (2, 3):  # a whole shard
            lost.drop("c", index)

        assert _size(await lost.close()) == 7
        assert len(lost.holders(lost.segments[6])) >= 2

    run(story)


def test_no_vote_is_cast_while_a_segment_cannot_be_brought_to_a_quorum() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(3)
        for region in "bc":
            lost.drop(region, 2)
        refuse = _refusing(lost, f"/{2:010x}-")
        for region in "bc":
            refuse(region)

        outcome = await lost.close()

        assert isinstance(outcome, Undecided)
        assert lost.votes() == []

    run(story)


def test_what_no_checkpoint_covers_is_put_again_before_any_vote() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(1)
        lost.drop("c", 0)  # and the heartbeats: a and b show it, and may not have synced it
        for store in lost.world.stores.values():
            store.log.clear()

        await lost.close()

        for id in "ab":
            puts = [key for call, key in lost.world.stores[id].log if call == "create"]
            at = [lost.segments[0] in key for key in puts].index(True)
            assert at < puts.index(layout.vote_key(lost.identity.node, 1))

    run(story)


def test_a_hole_ends_the_run() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(4)
        for region in "abc":
            lost.drop(region, 1)

        end = await lost.close()

        assert _size(end) == 1

    run(story)


def test_closers_at_once_agree_and_a_later_one_finds_the_same() -> None:
    async def story() -> None:
        world = World()
        other = await started(world.node(Keys()))
        lost = await Lost(world).live(3)
        lost.drop("a", 2)
        lost.drop("b", 2)

        ends = await asyncio.gather(lost.close(), lost.close(other.identity), lost.close())
        later = await lost.close(other.identity)

        assert len({_size(end) for end in (*ends, later)}) == 1
        await other.stop()

    run(story)


def test_split_votes_decide_nothing_until_the_silent_store_returns() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        shorter = _vote(lost, 1)
        lost.world.stores["a"].objects[layout.vote_key(lost.identity.node, 1)] = (shorter, 1)
        lost.world.stores["c"].failing = Unknown("gone")
        undecided = await lost.close()

        lost.world.stores["c"].failing = None
        end = await lost.close()

        assert isinstance(undecided, Undecided)
        assert "split" in undecided.reason
        assert _size(end) == 2
        assert sorted(lost.votes()) == [1, 2, 2]

    run(story)


def test_votes_that_are_cast_are_not_cast_again() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        for region in "ab":
            key = layout.vote_key(lost.identity.node, 1)
            lost.world.stores[region].objects[key] = (_vote(lost, 1), 1)

        end = await lost.close()

        assert _size(end) == 1

    run(story)


def test_a_vote_that_no_node_of_the_trail_signed_decides_nothing() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        stranger = await Lost(World(seed=2)).live(0)
        forged = _vote(lost, 0, stranger.identity)
        for region in "ab":
            key = layout.vote_key(lost.identity.node, 1)
            lost.world.stores[region].objects[key] = (forged, 1)

        outcome = await lost.close()

        assert isinstance(outcome, Undecided)

    run(story)


def test_too_few_stores_decide_nothing() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(1)
        for region in "ab":
            lost.world.stores[region].failing = Unknown("gone")

        assert isinstance(await lost.close(), Undecided)

    run(story)


def test_a_store_that_took_anothers_place_is_not_listened_to() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        lost.drop("a", 1)
        replaced = lost.world.stores["c"]
        replaced.objects.clear()
        replaced.objects["ev/region.note"] = (TRAIL.cookie("c", "f" * 32), 1)

        end = await lost.close()

        assert _size(end) == 2
        assert not any("/close" in key for key in replaced.objects)

    run(story)


def test_a_store_without_its_cookie_does_not_make_up_the_listings_needed() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        lost.drop("a", 1)
        for region in "bc":
            del lost.world.stores[region].objects["ev/region.note"]

        assert isinstance(await lost.close(), Undecided)

    run(story)


def test_one_listing_of_three_stores_is_not_enough_even_if_all_take_votes() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        lost.drop("a", 1)
        for region in "bc":
            _failing_lists(lost.world.stores[region])

        outcome = await lost.close()

        assert isinstance(outcome, Undecided)
        assert lost.votes() == []

    run(story)


def test_a_store_replaced_while_it_was_listed_is_found_out_by_the_cookie_read_after() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        lost.drop("a", 1)
        lost.world.stores["c"].failing = Unknown("gone")
        _replaced_when_listed(lost.world.stores["b"])

        outcome = await lost.close()

        assert isinstance(outcome, Undecided)
        assert lost.votes() == []

    run(story)


def test_a_vote_in_the_place_of_a_store_that_is_gone_is_not_counted() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        vote = layout.vote_key(lost.identity.node, 1)
        lost.world.stores["a"].objects[vote] = (_vote(lost, 1), 1)
        store = lost.world.stores["c"]
        create = store.create

        async def emptied(key: str, data: bytes) -> Stored | Unknown:
            if key == vote:
                store.objects.clear()
            return await create(key, data)

        store.create = emptied  # type: ignore[method-assign]

        outcome = await lost.close()

        assert vote in store.objects
        assert isinstance(outcome, Undecided)
        assert "split" in outcome.reason

    run(story)


def test_a_start_does_not_close_its_last_epoch_below_what_that_promised() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        node = await started(world.node(keys))
        answer, _ = await send(node, "n0")
        await asyncio.sleep(2.5)  # until it is promised
        await kill(node)
        for store in world.stores.values():
            for key in [key for key in store.objects if answer.segment in key]:
                del store.objects[key]

        again = await started(world.node(keys))

        assert again.identity.node != node.identity.node
        closed = layout.closed_key(node.identity.node, 1)
        assert not any(closed in store.objects for store in world.stores.values())

    run(story)


def test_a_birth_put_into_a_store_that_took_anothers_place_meanwhile_does_not_count() -> None:
    async def story() -> None:
        lost = await Lost(World(4, 3)).live(0)
        for region in "bcd":
            del lost.world.stores[region].objects[layout.birth_key(lost.identity.node, 1)]
        lost.world.stores["d"].failing = Unknown("gone")
        _replaced_when(lost, "c", "create", "/birth.note")

        assert "the birth of the epoch could not be brought" in _reason(await lost.close())

    run(story)


def test_a_store_that_comes_back_after_the_fence_was_put_elsewhere_is_not_listed() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        back = dict(lost.world.stores["b"].objects)
        _replaced_when(lost, "b", "read", "/birth.note")
        _replaced_when(lost, "b", "list", "ev/seg/", back)
        _failing_lists(lost.world.stores["c"])

        assert "must be fenced and listed" in _reason(await lost.close())

    run(story)


def test_a_copy_put_into_a_store_that_took_anothers_place_meanwhile_does_not_count() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(3)
        for region in "bc":
            lost.drop(region, 2)
        _refusing(lost, f"/{2:010x}-")("b")
        _replaced_when(lost, "c", "create", f"/{2:010x}-")

        outcome = await lost.close()

        assert "a segment of the epoch could not be brought" in _reason(outcome)
        assert lost.votes() == []

    run(story)


def test_a_vote_in_a_store_that_took_anothers_place_meanwhile_does_not_count() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        _refusing(lost, "/close.note")("b")
        _replaced_when(lost, "c", "create", "/close.note")

        assert "not every store voted" in _reason(await lost.close())
        assert lost.votes() == [2, 2]

    run(story)


def test_a_decision_put_into_a_store_that_took_anothers_place_meanwhile_does_not_count() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        _refusing(lost, "/closed.note")("b")
        _replaced_when(lost, "c", "create", "/closed.note")

        assert "could not be written down in a quorum" in _reason(await lost.close())

    run(story)


@pytest.mark.parametrize("seconds", [LOOK_SECONDS_MAX - 1, LOOK_SECONDS_MAX + 1])
def test_what_took_long_does_not_count_for_a_store_may_have_been_away_meanwhile(
    seconds: float,
) -> None:
    async def story() -> None:
        lost = await Lost(World()).live(0)
        regions = lost.world.regions()
        await regions.verify()
        closing = begin_closing(regions, lost.birth, lost.identity, lost.world.host)

        async def work(store: Region) -> str:
            await asyncio.sleep(seconds)
            return store.id

        found = await while_there(closing, closing.stores[0], work)

        assert found == "a" if seconds < LOOK_SECONDS_MAX else isinstance(found, Unknown)

    run(story)


def test_what_another_store_does_not_hold_is_not_known_of_the_one_that_comes_back() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(0)
        regions = lost.world.regions()
        await regions.verify()
        closing = begin_closing(regions, lost.birth, lost.identity, lost.world.host)
        birth = layout.birth_key(lost.identity.node, 1)
        store = lost.world.stores["a"]
        back, store.objects = store.objects, {"ev/region.note": (TRAIL.cookie("a", "e" * 32), 1)}
        read = store.read

        async def comes_back(key: str) -> Present | Absent | Unknown:
            answer = await read(key)
            store.objects = back if key == birth else store.objects
            return answer

        store.read = comes_back  # type: ignore[method-assign]

        found = await read_all(closing, birth)

        assert {id: type(answer) for id, answer in found.items()} == {
            "a": Unknown,
            "b": Present,
            "c": Present,
        }

    run(story)


def test_a_birth_that_one_region_holds_is_brought_to_a_quorum_before_the_close() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(0)
        key = layout.birth_key(lost.identity.node, 1)
        for region in "bc":
            del lost.world.stores[region].objects[key]

        end = await lost.close()

        assert _size(end) == 0
        assert sum(key in store.objects for store in lost.world.stores.values()) >= 2

    run(story)


def test_a_segment_that_continues_another_past_is_not_of_the_ledger() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(1)
        end = ledger.extend(EMPTY_END, names.SegmentName.parse(lost.segments[0]))
        other = CompactRange(1, (bytes(32),))
        past = LedgerEnd(end.size, end.first, end.sealed_us, other)
        forked = seal.encode(
            lost.identity.key, bytes(32), past, 1, end.sealed_us + 9, {"": [b"{}"]}
        )
        key = layout.segment_key(lost.identity.node, forked.name)
        for store in lost.world.stores.values():
            store.objects[key] = (forked.data, 1)

        assert _size(await lost.close()) == 1

    run(story)


def test_a_corrupt_copy_neither_ends_the_run_nor_is_spread() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        lost.drop("c", 1)
        key = next(k for k in lost.world.stores["a"].objects if lost.segments[1] in k)
        good, at_us = lost.world.stores["a"].objects[key]
        lost.world.stores["a"].objects[key] = (good[:-1] + bytes([good[-1] ^ 1]), at_us)

        end = await lost.close()

        assert _size(end) == 2
        assert lost.world.stores["c"].objects.get(key, (good, 0))[0] == good

    run(story)


def test_a_segment_signed_by_another_key_is_not_of_the_ledger() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(1)
        stranger = await Lost(World(seed=2)).live(0)
        end = EMPTY_END
        end = ledger.extend(end, names.SegmentName.parse(lost.segments[0]))
        forged = seal.encode(
            stranger.identity.key, bytes(32), end, 1, end.sealed_us + 9, {"": [b"{}"]}
        )
        key = layout.segment_key(lost.identity.node, forged.name)
        for store in lost.world.stores.values():
            store.objects[key] = (forged.data, 1)

        assert _size(await lost.close()) == 1

    run(story)


def _vote(lost: Lost, size: int, voter: Identity | None = None) -> bytes:
    end = EMPTY_END
    for text in lost.segments[:size]:
        end = ledger.extend(end, names.SegmentName.parse(text))
    origin = names.ledger_origin(TRAIL.trail, lost.identity.node)
    return signing.write(Vote(1, end), origin, (voter or lost.identity).key)


def _failing_lists(store: MemoryWorld) -> None:
    async def failing(prefix: str, after: str = "") -> Listing | Unknown:
        return Unknown("500")

    store.list = failing  # type: ignore[method-assign]


def _replaced_when_listed(store: MemoryWorld) -> None:
    """An empty store takes its place just before it is listed."""
    listing = store.list

    async def replaced(prefix: str, after: str = "") -> Listing | Unknown:
        if "/seg/" in prefix:
            store.objects = {"ev/region.note": (TRAIL.cookie("b", "e" * 32), 1)}
        return await listing(prefix, after)

    store.list = replaced  # type: ignore[method-assign]


Objects = dict[str, tuple[bytes, int]]


def _replaced_when(
    lost: Lost, region: str, call: str, part: str, objects: Objects | None = None, nth: int = 1
) -> None:
    """Just before the nth such call another store, empty, takes its place; or one with these."""
    store = lost.world.stores[region]
    took = {"ev/region.note": (TRAIL.cookie(region, "e" * 32), 1)} if objects is None else objects
    original, calls = getattr(store, call), count(1)

    async def replaced(key: str, *more: Any) -> Any:
        if part in key and next(calls) == nth:
            store.objects = took
        return await original(key, *more)

    setattr(store, call, replaced)


def _reason(outcome: LedgerEnd | Undecided) -> str:
    assert isinstance(outcome, Undecided), outcome
    return outcome.reason


def _listing_at_most(store: MemoryWorld, below: str, most: int) -> None:
    """Make a store answer too late where a listing below that prefix is longer."""
    whole = store.list

    async def listing(prefix: str, after: str = "") -> Listing | Unknown:
        found = await whole(prefix, after)
        if prefix.startswith(below) and isinstance(found, Listing) and len(found.objects) > most:
            return Unknown("no answer in time")
        return found

    store.list = listing  # type: ignore[method-assign]


def _refusing(lost: Lost, part: str):  # type: ignore[no-untyped-def]
    """Make a store refuse to take keys with that part."""

    def refuse(region: str) -> None:
        store = lost.world.stores[region]
        create = store.create

        async def refusing(key: str, data: bytes):  # type: ignore[no-untyped-def]
            return Unknown("full", answered=True) if part in key else await create(key, data)

        store.create = refusing  # type: ignore[method-assign]

    return refuse
