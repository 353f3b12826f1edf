"""Closing an epoch that has lost segments, and ending one that its votes never decide."""

from dataclasses import replace
from itertools import count

import pytest

from holdfast.errors import RejectedError, UnavailableError
from holdfast.keep.declare import declare
from holdfast.keep.gaps import Asked, propose_gap
from holdfast.proof import ledger, names, statements
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.statements import Birth, Closed, Heartbeat
from holdfast.regions import Regions, kinds, layout, signing
from holdfast.regions.kinds import Cookie, Vote
from holdfast.regions.port import Absent, Listing, Present, Unknown
from holdfast.write.closing import Undecided, close_epoch
from holdfast.write.declared import ProposedEnd, propose_end
from tests.regions.worlds import MemoryWorld
from tests.write.test_closing import Lost, _replaced_when, _size, _vote
from tests.write.world import TRAIL, Keys, World, kill, run, send, started


def lose(lost: Lost, *indexes: int, corrupt: bool = False) -> None:
    """Every copy is gone, or corrupt under its name; what was promised stays so."""
    for store in lost.world.stores.values():
        for key in list(store.objects):
            if any(f"/{index:010x}-" in key for index in indexes):
                store.objects[key] = (b"dust", 1)
                if not corrupt:
                    del store.objects[key]


async def verified(lost: Lost) -> Regions:
    regions = lost.world.regions()
    await regions.verify()
    return regions


async def state_gap(lost: Lost, start: int, end: int) -> None:
    regions = await verified(lost)
    asked = Asked(lost.identity.node, start, end, (), "a test", "a fire")
    found = await propose_gap(regions, TRAIL.signing, lost.world.host, asked)
    await declare(regions, found.key, found.data)


def promise(lost: Lost) -> None:
    """The node's heartbeat: it acknowledged all that it sealed."""
    now = lost.world.now_us()
    beat = Heartbeat(1, 99, now, now, len(lost.segments), b"", ())
    data = signing.write(beat, lost.identity.key.name, lost.identity.key)
    for store in lost.world.stores.values():
        store.objects[layout.heartbeat_key(lost.identity.node)] = (data, 1)


async def promised(count: int) -> Lost:
    lost = await Lost(World()).live(count)
    promise(lost)
    return lost


def end_of(lost: Lost, size: int | None = None) -> LedgerEnd:
    """The true end, or where so many segments end, from the names as they were acknowledged."""
    end = EMPTY_END
    for text in lost.segments[:size]:
        end = ledger.extend(end, names.SegmentName.parse(text))
    return end


def test_an_epoch_is_not_closed_below_what_its_node_promised() -> None:
    async def story() -> None:
        lost = await promised(4)
        lose(lost, 1)

        end = await lost.close()

        assert isinstance(end, Undecided) and "segment 1 of 4 was acknowledged" in end.reason
        assert lost.votes() == []

    run(story)


@pytest.mark.parametrize("kind", ["hb/", "gap/"])
def test_an_epoch_is_not_closed_where_too_few_stores_tell_what_is_owed_or_lost(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        lost = await promised(4)
        lose(lost, 1)
        await state_gap(lost, 1, 2)
        for region in "ab":
            _refuse(lost.world.stores[region], kind, monkeypatch)

        end = await lost.close()

        assert isinstance(end, Undecided) and "1 of the 2 stores that must be asked" in end.reason
        assert lost.votes() == []
        monkeypatch.undo()
        assert await lost.close() == end_of(lost)

    run(story)


def _refuse(store: MemoryWorld, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store answers nothing that concerns keys of a kind."""
    read, list_ = store.read, store.list

    async def refusing_read(key: str) -> Present | Absent | Unknown:
        return Unknown("refused") if kind in key else await read(key)

    async def refusing_list(prefix: str, after: str = "") -> Listing | Unknown:
        return Unknown("refused") if kind in prefix else await list_(prefix, after)

    monkeypatch.setattr(store, "read", refusing_read)
    monkeypatch.setattr(store, "list", refusing_list)


@pytest.mark.parametrize(
    ("count", "index", "corrupt"),
    [
        # Segment 1 is lost: the tree is whole again at 2, by the word of segment 2's trailer.
        pytest.param(4, 1, False, id="by a power of two"),
        pytest.param(4, 1, True, id="by a power of two, with names listed"),
        pytest.param(7, 5, True, id="by names that are listed still, where no power of two is"),
    ],
)
def test_a_declared_gap_is_closed_over_where_the_tree_can_be_carried_on(
    count: int, index: int, corrupt: bool
) -> None:
    async def story() -> None:
        lost = await promised(count)
        lose(lost, index, corrupt=corrupt)
        await state_gap(lost, index, index + 1)

        end = await lost.close()

        assert end == end_of(lost)

    run(story)


def test_where_the_tree_cannot_be_carried_on_the_epoch_stays_open() -> None:
    async def story() -> None:
        lost = await promised(7)
        lose(lost, 5)
        await state_gap(lost, 5, 6)

        end = await lost.close()

        assert isinstance(end, Undecided) and "tree cannot be carried on" in end.reason
        assert lost.votes() == []

    run(story)


async def split(votes: tuple[int, ...] = (1, 2), count: int = 2) -> Lost:
    """Stores a and b voted for different ends, and c does not answer."""
    lost = await Lost(World()).live(count)
    vote(lost, *votes)
    return lost


def vote(lost: Lost, *sizes: int) -> None:
    for store in lost.world.stores.values():
        store.objects.pop(layout.heartbeat_key(lost.identity.node), None)
    for region, size in zip("abcd", sizes, strict=False):
        key = layout.vote_key(lost.identity.node, 1)
        lost.world.stores[region].objects[key] = (_vote(lost, size), 1)
    lost.world.stores["c"].failing = Unknown("gone")


async def proposed(lost: Lost, *gone: str) -> ProposedEnd:
    regions = await verified(lost)
    return await propose_end(regions, lost.birth, TRAIL.signing, lost.world.host, gone, "burnt")


def test_a_split_epoch_ends_where_a_person_says_and_all_go_on_from_there() -> None:
    async def story() -> None:
        lost = await split()
        undecided = await lost.close()
        found = await proposed(lost, "c")
        await declare(await verified(lost), found.key, found.data, ["c"])

        end = await lost.close()
        lost.world.stores["c"].failing = None
        later = await lost.close()

        assert isinstance(undecided, Undecided)
        assert end == later == found.end and _size(end) == 2
        assert found.votes == {"a": 1, "b": 2} and found.unseen == ("c",)
        closed = statements.verify_by_certificate(found.data, Closed, TRAIL.trail).statement
        assert closed.by == TRAIL.trail and "without c" in closed.why

    run(story)


def test_the_node_goes_on_under_its_own_key_behind_a_declared_close() -> None:
    async def story() -> None:
        keys = Keys()
        lost = Lost(World())
        node = await started(lost.world.node(keys))
        answer, _ = await send(node, "one")
        await kill(node)
        lost.identity, lost.segments = node.identity, [answer.segment]
        key = layout.birth_key(lost.identity.node, 1)
        lost.birth = lost.world.stores["a"].objects[key][0]
        vote(lost, 0, 1)
        found = await proposed(lost, "c")
        await declare(await verified(lost), found.key, found.data, ["c"])
        lost.world.stores["c"].failing = None

        again = await started(lost.world.node(keys))
        answer, _ = await send(again, "two")

        assert again.identity.node == lost.identity.node
        assert names.SegmentName.parse(answer.segment).index == found.end.size
        await again.stop()

    run(story)


def test_nothing_is_declared_while_a_vote_is_missing_or_the_votes_decide() -> None:
    async def story() -> None:
        silent = await split()
        with pytest.raises(UnavailableError, match="its vote may decide"):
            await proposed(silent)
        with pytest.raises(RejectedError, match="is not gone"):
            await proposed(silent, "b", "c")
        unvoted = await split((1,))
        with pytest.raises(RejectedError, match="still can"):
            await proposed(unvoted, "c")
        agreed = await split((2, 2))
        with pytest.raises(RejectedError, match="votes decide"):
            await proposed(agreed, "c")

    run(story)


def test_nothing_is_declared_once_it_is_decided() -> None:
    async def story() -> None:
        lost = await split((2, 2))
        await lost.close()

        with pytest.raises(RejectedError, match="decided already"):
            await proposed(lost, "c")

    run(story)


def test_a_declared_end_never_lies_below_a_vote_or_a_promise() -> None:
    async def story() -> None:
        lost = await split((1, 2))
        lose(lost, 1)
        found = await proposed(lost, "c")
        more = await split((1, 2), count=3)
        promise(more)
        lose(more, 2)

        assert (found.end.size, found.run_size) == (2, 1)
        with pytest.raises(UnavailableError, match="segment 2 of 3 was acknowledged"):
            await proposed(more, "c")

    run(story)


def test_a_close_is_not_stated_in_a_store_that_took_anothers_place_meanwhile() -> None:
    async def story() -> None:
        lost = await split()
        found = await proposed(lost, "c")
        regions = await verified(lost)
        _replaced_when(lost, "b", "create", "/closed.note")

        with pytest.raises(UnavailableError, match="it lies in a, and"):
            await declare(regions, found.key, found.data, ["c"])
        lost.world.stores["b"].objects.clear()  # nor where nothing says whose store it is
        with pytest.raises(UnavailableError, match="it lies in a, and"):
            await declare(await verified(lost), found.key, found.data, ["c"])

    run(story)


def test_a_close_that_is_declared_in_part_is_finished_with_the_same_bytes() -> None:
    async def story() -> None:
        lost = await split()
        first = await proposed(lost, "c")
        lost.world.stores["b"].objects[first.key] = (first.data, 1)

        again = await proposed(lost, "c")
        told = await declare(await verified(lost), again.key, again.data, ["c"])

        assert again.data == first.data and not again.is_new
        assert told == {"a": "", "b": ""}

    run(story)


async def burnt() -> Lost:
    """Four stores, three of which make a quorum: a, b and c voted for 3, d for 5; a decision of
    the first three lies in b alone, and a was replaced since."""
    lost = await Lost(World(4, 3)).live(5)
    end = await lost.close()
    key = layout.closed_key(lost.identity.node, 1)
    data, _ = lost.world.stores["a"].objects[key]
    decided = replace(statements.read(data, Closed).statement, end=end_of(lost, 3))
    vote(lost, 3, 3, 3, 5)
    for store in lost.world.stores.values():
        store.failing = None
        del store.objects[key]
    data = signing.write(decided, lost.identity.key.name, lost.identity.key)
    lost.world.stores["b"].objects[key] = (data, 1)
    took = TRAIL.cookie("a", "f" * 32, statements.read(TRAIL.cookie("a"), Cookie).statement.store)
    lost.world.stores["a"].objects = {"ev/region.note": (took, 1)}
    assert _size(end) == 5
    return lost


def test_a_person_declares_nothing_while_a_store_does_not_say_whether_it_is_decided() -> None:
    async def story() -> None:
        lost = await burnt()
        well = lost.world.stores["b"]
        lost.world.stores["b"] = Shy(well, 2)
        with pytest.raises(UnavailableError, match=r"region b .* may be decided"):
            await proposed(lost)
        lost.world.stores["b"] = well
        rot(lost, "b")
        with pytest.raises(UnavailableError, match=r"region b .* may be decided"):
            await proposed(lost)

    run(story)


def test_a_store_that_took_anothers_place_while_a_person_looks_does_not_say_that_none_is() -> None:
    async def story() -> None:
        lost = await burnt()
        lost.world.stores["b"] = Shy(lost.world.stores["b"], 1)
        _replaced_when(lost, "b", "read", "/closed.note", nth=2)

        with pytest.raises(UnavailableError, match=r"region b .* may be decided"):
            await proposed(lost)

    run(story)


def test_a_decision_that_one_store_holds_is_found_by_a_person() -> None:
    async def story() -> None:
        lost = await burnt()

        with pytest.raises(RejectedError, match="decided already: it ends at 3"):
            await proposed(lost)

    run(story)


def test_a_decision_that_only_a_store_that_came_later_holds_is_found() -> None:
    async def story() -> None:
        lost = await burnt()
        key = layout.closed_key(lost.identity.node, 1)
        # A keeper had copied it there, and the store that it was copied from is gone since.
        lost.world.stores["a"].objects[key] = lost.world.stores["b"].objects.pop(key)
        lost.world.stores["b"].failing = Unknown("gone")

        with pytest.raises(RejectedError, match="decided already: it ends at 3"):
            await proposed(lost, "b")

    run(story)


def test_a_closer_writes_nothing_down_once_a_vote_that_it_counted_is_lost() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        vote(lost, 1, 1, 2)
        lost.world.stores["c"].failing = None
        store, reads = lost.world.stores["b"], count(1)
        read = store.read

        async def paused(key: str) -> Present | Absent | Unknown:
            if key.endswith("/closed.note") and next(reads) == 2:
                took = {"ev/region.note": (TRAIL.cookie("a", "e" * 32), 1)}
                lost.world.stores["a"].objects = took
            return await read(key)

        store.read = paused  # type: ignore[method-assign]

        end = await lost.close()

        assert isinstance(end, Undecided) and "is lost since" in end.reason
        key = layout.closed_key(lost.identity.node, 1)
        assert not any(key in each.objects for each in lost.world.stores.values())

    run(story)


def test_a_decision_that_is_written_down_while_a_person_looks_is_found() -> None:
    async def story() -> None:
        lost = await burnt()
        key = layout.closed_key(lost.identity.node, 1)
        late = lost.world.stores["b"].objects.pop(key)
        listing = lost.world.stores["b"].list

        async def written(prefix: str, after: str = "") -> Listing | Unknown:
            lost.world.stores["b"].objects[key] = late
            return await listing(prefix, after)

        lost.world.stores["b"].list = written  # type: ignore[method-assign]

        with pytest.raises(RejectedError, match="decided already: it ends at 3"):
            await proposed(lost)

    run(story)


def test_a_corrupt_vote_neither_decides_nor_keeps_others_from_it() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        end = await lost.close()
        for region, store in lost.world.stores.items():
            del store.objects[layout.closed_key(lost.identity.node, 1)]
            if region != "a":
                continue
            key = layout.vote_key(lost.identity.node, 1)
            store.objects[key] = (store.objects[key][0][:-9], 1)

        assert await lost.close() == end

    run(story)


def test_the_vote_of_another_epoch_is_not_taken_for_a_store_that_was_replaced() -> None:
    async def story() -> None:
        lost = await split((1, 2))
        lost.world.stores["c"].failing = None
        other = Vote(2, end_of(lost, 1))
        data = signing.write(other, lost.identity.key.name, lost.identity.key)
        lost.world.stores["c"].objects[layout.vote_key(lost.identity.node, 1)] = (data, 1)

        with pytest.raises(UnavailableError, match="region c"):
            await proposed(lost)

    run(story)


def test_where_most_stores_were_replaced_a_person_ends_the_epoch_at_what_is_left() -> None:
    async def story() -> None:
        lost = await promised(4)
        for region in "bc":
            lost.world.stores[region] = _filled_from(lost.world.stores["a"], region)
        before = await lost.close()
        found = await proposed(lost)
        await declare(await verified(lost), found.key, found.data)

        end = await lost.close()

        assert isinstance(before, Undecided)
        assert end == found.end == end_of(lost)
        assert found.unseen == ("a", "b", "c") and lost.votes() == []
        assert await lost.close() == end

    run(story)


def test_no_epoch_ends_at_what_is_left_below_what_is_known_to_be_acknowledged() -> None:
    async def story() -> None:
        lost = await promised(4)
        for region in "bc":
            lost.world.stores[region] = _filled_from(lost.world.stores["a"], region)
        lose(lost, 3)

        with pytest.raises(UnavailableError, match="segment 3 of 4 was acknowledged"):
            await proposed(lost)

    run(story)


def _filled_from(store: MemoryWorld, region: str) -> MemoryWorld:
    """Another store in a region's place, with all that repair copies."""
    took = MemoryWorld()
    took.objects = {key: each for key, each in store.objects.items() if "/seg/" in key}
    named = kinds.verify_cookie(TRAIL.cookie(region), TRAIL.trail).statement.store
    took.objects[layout.REGION_KEY] = (TRAIL.cookie(region, region * 32, named), 1)
    return took


def test_of_two_births_neither_of_which_can_be_in_a_quorum_any_more_either_closes_the_epoch() -> (
    None
):
    async def story() -> None:
        lost = await promised(3)
        key = layout.birth_key(lost.identity.node, 1)
        lost.world.stores["c"].objects[key] = (_born_elsewhere(lost), 1)
        lost.world.stores["b"] = MemoryWorld()
        before = await lost.close()
        lost.world.stores["b"] = _filled_from(MemoryWorld(), "b")

        end = await lost.close()
        lost.birth = lost.world.stores["c"].objects[key][0]
        again = await lost.close()

        assert isinstance(before, Undecided) and "birth" in before.reason
        assert end == again == end_of(lost) and lost.votes() == [3, 3]

    run(story)


def _born_elsewhere(lost: Lost) -> bytes:
    """The same epoch's birth, of another process that has the node's key."""
    birth = statements.read(lost.birth, Birth).statement
    key = lost.identity.key
    return signing.write(replace(birth, instance="e" * 32), key.name, key)


def test_too_few_stores_to_list_decide_nothing_even_for_a_person() -> None:
    async def story() -> None:
        lost = await split()
        lost.world.stores["b"].failing = Unknown("gone too")

        with pytest.raises(UnavailableError):
            await proposed(lost, "b", "c")

    run(story)


def test_votes_that_a_returning_store_completes_do_not_contradict_what_was_declared() -> None:
    async def story() -> None:
        lost = await split((1, 2))
        found = await proposed(lost, "c")
        await declare(await verified(lost), found.key, found.data, ["c"])
        world = lost.world
        world.stores["c"].failing = None
        world.stores["c"].objects[layout.vote_key(lost.identity.node, 1)] = (_vote(lost, 1), 1)

        regions = await verified(lost)
        end = await close_epoch(regions, lost.birth, lost.identity, world.host, "a keeper")

        assert end == found.end
        notes = {s.objects[found.key][0] for s in world.stores.values()}
        assert notes == {found.data}

    run(story)


def rot(lost: Lost, region: str) -> None:
    """A store's copy of the close is corrupt."""
    key = layout.closed_key(lost.identity.node, 1)
    data, at_us = lost.world.stores[region].objects[key]
    lost.world.stores[region].objects[key] = (data[:-3] + b"A" + data[-2:], at_us)


def test_a_corrupt_copy_of_a_close_is_not_the_word_that_there_is_none() -> None:
    async def story() -> None:
        lost = await split((2, 1))
        found = await proposed(lost, "c")
        await declare(await verified(lost), found.key, found.data, ["c"])
        world = lost.world
        world.stores["c"].failing = None
        world.stores["c"].objects[layout.vote_key(lost.identity.node, 1)] = (_vote(lost, 1), 1)
        rot(lost, "b")
        world.stores["a"].failing = Unknown("gone")

        silent = await lost.close()
        world.stores["a"].failing = None
        end = await lost.close()

        assert isinstance(silent, Undecided) and "written down already" in silent.reason
        assert end == found.end
        assert world.stores["c"].objects[found.key][0] == found.data

    run(story)


@pytest.mark.parametrize("count", [1, 3])
def test_a_corrupt_copy_of_a_close_does_not_keep_votes_from_deciding(count: int) -> None:
    async def story() -> None:
        lost = await Lost(World(count, count // 2 + 1)).live(2)
        end = await lost.close()
        rot(lost, "a")
        for region in "bc"[: count - 1]:
            del lost.world.stores[region].objects[layout.closed_key(lost.identity.node, 1)]

        assert await lost.close() == end

    run(story)


def test_the_close_of_another_epoch_is_none_of_this_one() -> None:
    async def story() -> None:
        lost = await Lost(World()).live(2)
        end = await lost.close()
        key = layout.closed_key(lost.identity.node, 1)
        data, _ = lost.world.stores["a"].objects[key]
        other = replace(statements.read(data, Closed).statement, epoch=2, end=EMPTY_END)
        origin = lost.identity.key.name
        forged = signing.write(other, origin, lost.identity.key)
        lost.world.stores["a"].objects[key] = (forged, 1)

        assert _size(end) == 2
        assert await lost.close() == end

    run(story)


class Shy(MemoryWorld):
    """A store that does not say, so many times, whether a close is written down."""

    def __init__(self, like: MemoryWorld, times: int) -> None:
        super().__init__()
        self.objects, self.now_us, self._times = like.objects, like.now_us, times

    async def read(self, key: str) -> Present | Absent | Unknown:
        if key.endswith("/closed.note") and self._times:
            self._times -= 1
            return Unknown("busy")
        return await super().read(key)


@pytest.mark.parametrize("times", [1, 2])
def test_a_closer_that_did_not_see_the_declared_close_writes_no_other(times: int) -> None:
    async def story() -> None:
        lost = await split((1, 2))
        found = await proposed(lost, "c")
        await declare(await verified(lost), found.key, found.data, ["c"])
        world = lost.world
        world.stores["c"].failing = None
        world.stores["c"].objects[layout.vote_key(lost.identity.node, 1)] = (_vote(lost, 1), 1)
        for region in "ab":
            world.stores[region] = Shy(world.stores[region], times)

        end = await lost.close()

        notes = {s.objects[found.key][0] for s in world.stores.values() if found.key in s.objects}
        assert notes == {found.data}
        assert isinstance(end, Undecided) if times == 2 else end == found.end

    run(story)
