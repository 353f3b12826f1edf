"""A node's life: founding state to acknowledged events, over faults, restarts and fences."""

import asyncio
import pickle
from collections.abc import Callable

import pytest

from holdfast.errors import FencedError, OutcomeUnknownError, UnavailableError
from holdfast.model import Contents
from holdfast.proof import names, statements
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Closed
from holdfast.regions import layout
from holdfast.regions.kinds import Receipt
from holdfast.regions.port import Absent, Listing, Present, Stored, Unknown
from holdfast.write.closing import close_epoch
from holdfast.write.identity import identify
from tests.regions.worlds import MemoryWorld
from tests.write.world import TRAIL, Keys, World, kill, run, send, started


def test_an_event_is_acknowledged_when_two_regions_hold_its_segment() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))

        answer, ids = await send(node, "login", "logout")

        receipt = statements.verify(answer.receipt, Receipt, node.identity.key.verifier)
        assert len(ids) == 2
        assert receipt.statement.segment == answer.segment
        assert len(receipt.statement.regions) >= 2
        held = [world.keys_under(region, "ev/seg/") for region, _ in receipt.statement.regions]
        assert all(any(answer.segment in key for key in keys) for keys in held)
        await node.stop()

    run(story)


def test_whoever_sent_what_memory_bent_is_told_and_the_node_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        with monkeypatch.context() as bent:
            bent.setattr("holdfast.regions.segment.decode_frame", lambda frame: b"{}\n")

            with pytest.raises(OutcomeUnknownError) as caught:
                await send(node, "login")

        assert len(caught.value.ids) == 1
        await node.ready()
        await send(node, "login")
        await node.stop()

    run(story)


def test_a_start_passes_over_what_lies_beside_its_notes_and_is_none_of_ours() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        first = await started(world.node(keys))
        await first.stop()
        stray = f"{layout.epochs_prefix(first.identity.node)}000001/birth.note.bak"
        world.stores["b"].objects[stray] = (b"a hand was here", 1)

        again = await started(world.node(keys))

        assert again.identity.node == first.identity.node
        await send(again, "login")
        await again.stop()

    run(story)


def test_a_lone_event_does_not_wait_for_the_seal_interval() -> None:
    async def story() -> float:
        world = World()
        node = await started(world.node(Keys()))
        await asyncio.sleep(1)
        begun = asyncio.get_running_loop().time()

        await send(node, "login")

        took = asyncio.get_running_loop().time() - begun
        await node.stop()
        return took

    assert run(story) < 0.01


def test_a_stop_that_takes_long_begins_no_next_epoch() -> None:
    class Slow(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            if key.endswith("/closed.note") and ("create", key) not in self.log:
                self.log.append(("create", key))
                await asyncio.sleep(4)  # heartbeats, and their looks for a fence, would go on
            return await super().create(key, data)

    async def story() -> None:
        world = World()
        for id, store in world.stores.items():
            world.stores[id] = Slow()
            world.stores[id].objects = store.objects
        node = await started(world.node(Keys()))
        await send(node, "login")

        await node.stop()

        births = {key for key in world.keys_under("a", "ev/node/") if key.endswith("/birth.note")}
        assert len(births) == 1

    run(story)


class Bent(MemoryWorld):
    """refuses: ends of keys that are not stored, or prefixes that are not listed. forgetful: it is
    wiped when births are listed, just after its cookie was read."""

    refuses = ("none",)
    forgetful = False

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        if key.endswith(self.refuses):
            return Unknown("refused", answered=True)
        return await super().create(key, data)

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        if prefix.startswith(self.refuses):
            return Unknown("refused", answered=True)
        if self.forgetful and prefix.startswith("ev/node/"):
            self.objects.clear()
        return await super().list(prefix, after)


def _bent(world: World) -> list[Bent]:
    """The same stores, bent."""
    bent = []
    for id, store in world.stores.items():
        bent.append(Bent())
        bent[-1].objects = store.objects
        world.stores[id] = bent[-1]
    return bent


def test_a_birth_in_a_store_without_its_cookie_does_not_count() -> None:
    async def story() -> None:
        world = World()
        a, b, _ = _bent(world)
        del a.objects["ev/region.note"]
        b.refuses = ("/birth.note",)
        node = world.node(Keys())

        await node.start()
        await asyncio.sleep(30)

        assert node.report().state == "starting"
        b.refuses = ("none",)
        await asyncio.sleep(30)
        assert node.report().state == "open"
        await node.stop()

    run(story)


@pytest.mark.parametrize("damaged", [b"", b"\0", b"zzz"])
def test_a_corrupt_copy_of_a_birth_does_not_hold_up_a_start(damaged: bytes) -> None:
    async def story() -> None:
        world = World()
        a, _, c = _bent(world)
        c.refuses = ("/birth.note",)
        keys = Keys()
        first = await started(world.node(keys))
        await send(first, "login")
        await kill(first)
        key = layout.birth_key(first.identity.node, 1)
        intact = a.objects[key][0]
        a.objects[key] = (intact[: len(intact) // 2] + damaged, 1)
        c.refuses = ("none",)

        node = await started(world.node(keys))

        assert (node.identity.node, node.report().epoch) == (first.identity.node, 2)
        await node.stop()

    run(story)


def test_a_store_that_lost_its_cookie_does_not_tell_where_a_ledger_ends() -> None:
    async def story() -> None:
        world = World()
        a, b, c = _bent(world)
        c.refuses = ("/birth.note",)
        keys = Keys()
        first = await started(world.node(keys))
        await send(first, "login")
        await kill(first)
        b.forgetful = True
        a.refuses = ("ev/node/",)
        c.refuses = ("none",)

        node = world.node(keys)
        await node.start()
        await asyncio.sleep(30)

        assert node.report().state == "starting"
        assert not any(key.endswith("/birth.note") for key in c.objects)
        await node.stop()

    run(story)


def test_a_stopped_node_goes_on_in_the_next_epoch_where_it_ended() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        first = await started(world.node(keys))
        await send(first, "one")
        await first.stop()

        second = await started(world.node(keys))
        answer, _ = await send(second, "two")

        name = names.SegmentName.parse(answer.segment)
        assert (second.report().epoch, name.index, name.first) == (2, 1, 1)
        assert second.identity.node == first.identity.node
        await second.stop()

    run(story)


def test_whatever_was_acknowledged_before_a_kill_is_in_the_ledger_after_it() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        segments = []
        for life in range(4):
            node = await started(world.node(keys))
            for number in range(3):
                answer, _ = await send(node, f"life{life}.{number}")
                segments.append(answer.segment)
            await kill(node)

        node = await started(world.node(keys))

        report = node.report()
        assert (report.epoch, report.size, report.events_count) == (5, 12, 12)
        for segment in segments:
            holders = [r for r in "abc" if any(segment in k for k in world.stores[r].objects)]
            assert len(holders) >= 2
        await node.stop()

    run(story)


def test_a_region_that_is_gone_or_hangs_delays_no_acknowledgement() -> None:
    async def story(hang: bool) -> float:
        world = World()
        node = await started(world.node(Keys()))
        await send(node, "before")
        if hang:
            world.stores["b"].gate = asyncio.Event()
        else:
            world.stores["b"].failing = Unknown("gone")
        begun = asyncio.get_running_loop().time()

        answer, _ = await send(node, "during")

        took = asyncio.get_running_loop().time() - begun
        assert answer.regions == ("a", "c")
        if world.stores["b"].gate:
            world.stores["b"].gate.set()
        await node.stop()
        return took

    assert run(lambda: story(hang=True)) < 0.1
    assert run(lambda: story(hang=False)) < 0.1


def test_a_region_that_takes_and_shows_nothing_holds_no_segments_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("holdfast.write.replicate.UNCOUNTED_MAX", 8)

    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        store, read = world.stores["c"], world.stores["c"].read

        async def refuse(key: str) -> Present | Absent | Unknown:
            return Unknown("403") if key == layout.REGION_KEY else await read(key)

        store.read = refuse  # type: ignore[method-assign]
        for number in range(40):
            await send(node, f"{number}-{'x' * 10_000}")
            await asyncio.sleep(1)

        assert node._epoch is not None
        channel = node._epoch.channels["c"]
        kept = channel.backlog()
        assert len(world.keys_under("c", "ev/seg/")) == 40
        assert kept.segments <= 10 and kept.dropped_count >= 30
        assert len(pickle.dumps(channel._put)) < 1000

        store.read = read  # type: ignore[method-assign]
        await send(node, "seen again")
        await asyncio.sleep(5)
        assert channel.backlog().segments == 0
        await node.stop()

    run(story)


def test_a_node_starts_with_one_of_three_regions_gone() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        first = await started(world.node(keys))
        await send(first, "one")
        await kill(first)
        world.stores["c"].failing = Unknown("gone")

        second = await started(world.node(keys))
        answer, _ = await send(second, "two")

        assert answer.regions == ("a", "b")
        assert second.report().size == 2
        await second.stop()

    run(story)


def test_with_fewer_than_a_quorum_nothing_is_taken_in() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        for region in "ab":
            world.stores[region].failing = Unknown("gone")
        with pytest.raises(OutcomeUnknownError):
            await send(node, "unknown outcome: the failure was not known yet")

        with pytest.raises(UnavailableError, match="of the 2 regions needed"):
            await send(node, "refused")

        await kill(node)

    run(story)


def test_what_could_not_be_acknowledged_in_time_is_when_the_regions_return() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        node = await started(world.node(keys))
        for region in "ab":
            world.stores[region].failing = Unknown("gone")
        with pytest.raises(OutcomeUnknownError) as caught:
            await send(node, "late")

        for region in "ab":
            world.stores[region].failing = None
        await asyncio.sleep(10)

        assert len(caught.value.ids) == 1
        assert node.report().size == 1
        await node.stop()

    run(story)


def test_a_lying_store_that_keeps_nothing_does_not_count() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        world.stores["a"].failing = Unknown("409 conflict", answered=True)

        answer, _ = await send(node, "one")

        assert answer.regions == ("b", "c")
        await kill(node)

    run(story)


def test_a_store_that_loses_its_answers_counts_by_what_is_read_back() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        world.stores["a"].failing = Unknown("gone")
        world.stores["b"].deaf = Unknown("reset by peer", answered=True)

        answer, _ = await send(node, "one")

        assert answer.regions == ("b", "c")
        await kill(node)

    run(story)


def test_a_fenced_epoch_acknowledges_nothing_more_and_the_node_goes_on_as_the_next() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        node = await started(world.node(keys))
        await send(node, "one")
        regions = world.regions()
        await regions.verify()
        keeper = identify(Keys(), TRAIL.trail, TRAIL.signing, world.host)
        birth = world.stores["a"].objects[layout.birth_key(node.identity.node, 1)][0]
        # A keeper is known to the trail by a birth of its own.
        other = await started(world.node(Keys()))

        end = await close_epoch(regions, birth, other.identity, world.host, "test")
        with pytest.raises(FencedError):
            await send(node, "into the fence")
        async with asyncio.timeout(30):
            await node.ready()
        after, _ = await send(node, "next")

        assert keeper.node != other.identity.node
        assert not isinstance(end, str)
        assert node.report().epoch == 2
        assert names.SegmentName.parse(after.segment).index == 1
        await node.stop()
        await other.stop()

    run(story)


def test_of_two_processes_with_one_key_the_fenced_one_becomes_a_new_node() -> None:
    async def story() -> None:
        world = World()
        keys, clone = Keys(), Keys()
        first = await started(world.node(keys))
        clone.now = keys.now
        await send(first, "one")

        second = await started(world.node(clone))
        await send(second, "two")
        await asyncio.sleep(5)
        async with asyncio.timeout(30):
            await first.ready()
        await send(first, "three")

        assert second.identity.node != first.identity.node
        assert keys.old
        assert second.report().epoch == 2
        assert first.report().epoch == 1
        await first.stop()
        await second.stop()

    run(story)


def test_a_new_key_that_a_full_disk_does_not_take_is_tried_again() -> None:
    class FullDisk(Keys):
        left = 3

        def write(self, seed: bytes, certificate: bytes | None) -> None:
            if self.now[0] is not None and self.left:
                self.left -= 1
                raise UnavailableError("no space left on device")
            super().write(seed, certificate)

    async def story() -> None:
        world, keys = World(), FullDisk()
        first = await started(world.node(keys))
        clone = Keys()
        clone.now = keys.now
        second = await started(world.node(clone))

        await asyncio.sleep(60)  # it is fenced, and its key gives way in the end

        assert keys.left == 0 and first.identity.node != second.identity.node
        await send(first, "login")
        await first.stop()
        await second.stop()

    run(story)


def test_a_mistake_of_ours_ends_an_epoch_and_the_node_goes_on_as_the_next() -> None:
    async def story() -> None:
        world, reports = World(), []
        entered, fail = world._enter, [True]

        async def bad(node: str, name: SegmentName, data: bytes, contents: Contents) -> None:
            if fail:
                fail.pop()
                raise RuntimeError("what must not raise did")
            await entered(node, name, data, contents)

        world._enter = bad  # type: ignore[method-assign]
        node = await started(world.node(Keys()))

        with pytest.raises(OutcomeUnknownError):
            await send(node, "login")
        await asyncio.sleep(0)
        reports.append(node.report())
        await node.ready()

        assert (reports[0].state, reports[0].why) == ("starting", "what must not raise did")
        await send(node, "login")
        assert node.report().epoch == 2
        await node.stop()

    run(story)


def test_nothing_is_accepted_before_the_birth_lies_in_two_regions() -> None:
    async def story() -> None:
        world = World()
        refusing = [_refuse_births(world, region) for region in "bc"]
        node = world.node(Keys())
        await node.start()
        await asyncio.sleep(10)

        with pytest.raises(UnavailableError, match="lies in 1 of the 2 regions needed"):
            await send(node, "refused")
        for stop in refusing:
            stop()
        async with asyncio.timeout(30):
            await node.ready()

        await send(node, "taken")
        await node.stop()

    run(story)


def _refuse_births(world: World, region: str) -> Callable[[], None]:
    """A store that takes everything but births, until the function returned is called."""
    store = world.stores[region]
    create = store.create

    async def refuse(key: str, data: bytes) -> Stored | Unknown:
        if key.endswith("/birth.note"):
            return Unknown("full", answered=True)
        return await create(key, data)

    def stop() -> None:
        store.create = create  # type: ignore[method-assign]

    store.create = refuse  # type: ignore[method-assign]
    return stop


def test_an_epoch_does_not_start_with_a_wrong_clock() -> None:
    async def story() -> None:
        world = World()
        world.skew_us = 3_000_000
        node = world.node(Keys())
        await node.start()

        await asyncio.sleep(10)
        with pytest.raises(UnavailableError, match="clock within 1 s"):
            await send(node, "refused")
        world.skew_us = 0
        async with asyncio.timeout(30):
            await node.ready()

        await send(node, "taken")
        await node.stop()

    run(story)


def test_an_orderly_stop_leaves_a_closed_epoch_and_a_checkpoint_of_all() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        await send(node, "one")

        await node.stop()

        for region in "abc":
            objects = world.stores[region].objects
            closed = objects[layout.closed_key(node.identity.node, 1)][0]
            found = statements.verify_by_certificate(closed, Closed, TRAIL.trail).statement
            assert found.end.size == 1
            assert layout.checkpoint_key(node.identity.node, 1) in objects

    run(story)


def test_a_request_that_nobody_waits_for_any_more_is_stored_all_the_same() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        sending = asyncio.create_task(send(node, "given up"))
        await asyncio.sleep(0)

        sending.cancel()
        await asyncio.sleep(1)

        assert node.report().events_count == 1
        await node.stop()

    run(story)


def test_requests_of_one_moment_share_a_segment_in_order_of_arrival() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))

        answers = await asyncio.gather(*(send(node, f"n{i}") for i in range(20)))

        segments = {answer.segment for answer, _ in answers}
        records = [r for _, _, records in world.entered for r in records]
        assert len(segments) == 1
        assert [b'"n%d"' % i in record for i, record in enumerate(records)] == [True] * 20
        await node.stop()

    run(story)
