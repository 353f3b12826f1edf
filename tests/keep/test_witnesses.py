"""Witnesses are asked, what they cosign is kept, and none of them is ever waited for."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from holdfast.keep.keeper import Keeper
from holdfast.keep.witnesses import ANSWER_SECONDS, Asked, Witnesses, lag_seconds
from holdfast.proof import note
from holdfast.proof.note import VerifierKey
from holdfast.read.checkpoints import Checkpoints
from holdfast.regions import layout
from holdfast.regions.cosignature import WitnessKey
from holdfast.regions.port import Unknown
from holdfast.regions.signing import SigningKey
from holdfast.witness.request import RefusedError
from holdfast.witness.service import Witness
from holdfast.witness.state import State
from holdfast.write.epoch import WriteLimits
from holdfast.write.node import Node
from tests.regions.worlds import SwiftDisk, at_once
from tests.write.world import Keys, World, kill, run, send, started

NOW_S = 1_800_000_000
OFTEN = WriteLimits(checkpoint_seconds=10.0)


class Town:
    """Real witnesses without a network. away: what asking one of them runs into instead."""

    def __init__(self, path: Path, *names: str) -> None:
        self.keys = {name: SigningKey.generate(name, name.encode().ljust(32)) for name in names}
        self.known: dict[str, tuple[VerifierKey, ...]] = {}
        self.away: dict[str, Callable[[], Exception]] = {}
        self.calls: list[str] = []
        self.witnesses = {
            name: Witness(
                State(path / name, SwiftDisk()), key, lambda: self.known, lambda: NOW_S, at_once
            )
            for name, key in self.keys.items()
        }

    def watch(self, node: Node) -> None:
        key = node.identity.key.verifier
        self.known[key.name] = (key,)

    def verifier(self, name: str) -> WitnessKey:
        return WitnessKey(name, self.keys[name].public)

    async def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        name = url.removeprefix("http://").removesuffix("/add-checkpoint")
        self.calls.append(name)
        if name in self.away:
            raise self.away[name]()
        try:
            return 200, await self.witnesses[name].add(body)
        except RefusedError as refused:
            return refused.status, refused.body.encode()

    def asker(self, world: World, node: Node, quorum: int) -> Witnesses:
        asked = [Asked(n, f"http://{n}", self.verifier(n).text) for n in self.witnesses]
        return Witnesses(
            world.regions(), world.host, node.living_identity, asked, quorum, self.post
        )


async def written(world: World, town: Town, keys: Keys, *actions: str) -> Node:
    node = await started(world.node(keys, OFTEN))
    town.watch(node)
    for action in actions:
        await send(node, action)
    await asyncio.sleep(11)  # a checkpoint is kept
    return node


def cosigned(world: World, node: Node, region: str = "a") -> Mapping[tuple[int, str], bytes]:
    found = {}
    for key, (data, _) in world.stores[region].objects.items():
        if key.startswith("ev/cp/"):
            parsed = layout.parse_key(key)
            assert isinstance(parsed, layout.CheckpointKey)
            if parsed.witness and parsed.node == node.identity.node:
                found[parsed.size, parsed.witness] = data
    return found


def test_each_checkpoint_is_cosigned_by_all_and_again_after_it_grew(tmp_path: Path) -> None:
    async def story() -> None:
        world, town = World(), Town(tmp_path, "w1", "w2")
        node = await written(world, town, Keys(), "one", "two")
        asker = town.asker(world, node, 2)

        await asker.ask()
        first = cosigned(world, node)
        await asker.ask()
        calls = list(town.calls)
        await send(node, "three")
        await asyncio.sleep(11)
        await asker.ask()

        assert {size for size, _ in first} == {2} and len(first) == 2
        assert calls == ["w1", "w2"]  # what is cosigned already is not asked for again
        assert sorted(size for size, _ in cosigned(world, node)) == [2, 2, 3, 3]
        for (_, id), data in cosigned(world, node).items():
            key = next(k for n in ("w1", "w2") if id == _id(k := town.verifier(n)))
            both = note.verify(data, [node.identity.key.verifier, key])
            assert len(both.signatures) == 2
        report = asker.report()
        assert (report.size, report.cosigned, report.waiting_us) == (3, 2, 0)
        assert [(each.size, each.failed) for each in report.witnesses] == [(3, ""), (3, "")]
        await node.stop()

    def _id(key: WitnessKey) -> str:
        from holdfast.proof.names import node_id

        return node_id(key.public)

    run(story)


def test_a_new_process_goes_on_where_the_witness_stands_over_epochs(tmp_path: Path) -> None:
    async def story() -> None:
        world, town, keys = World(), Town(tmp_path, "w1"), Keys()
        node = await written(world, town, keys, "one", "two")
        await town.asker(world, node, 1).ask()
        await kill(node)
        again = await written(world, town, keys, "three")

        await town.asker(world, again, 1).ask()

        assert {size for size, _ in cosigned(world, again)} == {2, 3}
        assert again.report().epoch == 2
        await again.stop()

    run(story)


def test_a_witness_that_knows_more_than_the_regions_say_tells_its_size(tmp_path: Path) -> None:
    async def story() -> None:
        world, town = World(), Town(tmp_path, "w1")
        node = await written(world, town, Keys(), "one", "two")
        await town.asker(world, node, 1).ask()
        for store in world.stores.values():
            for key in [key for key in store.objects if key.count(".") == 2 and "ev/cp" in key]:
                del store.objects[key]
        await send(node, "three")
        await asyncio.sleep(11)

        asker = town.asker(world, node, 1)
        await asker.ask()

        assert town.calls == ["w1", "w1", "w1"]  # 409, then from 2 on
        assert {size for size, _ in cosigned(world, node)} == {3}
        assert asker.report().witnesses[0].failed == ""
        await node.stop()

    run(story)


def test_who_is_away_hangs_or_lies_is_told_and_lag_grows_while_acks_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        world, town = World(), Town(tmp_path, "w1", "w2", "w3")
        town.away = {"w2": lambda: OSError("connection refused")}
        node = await written(world, town, Keys(), "one")
        asker = town.asker(world, node, 2)
        post = town.post

        async def hanging(url: str, body: bytes) -> tuple[int, bytes]:
            if "w3" in url:
                await asyncio.sleep(10 * ANSWER_SECONDS)
            status, answer = await post(url, body)
            return status, answer

        asker._post = hanging
        asking = asyncio.create_task(asker.ask())
        await asyncio.sleep(1)
        begun = asyncio.get_running_loop().time()
        await send(node, "two")
        took = asyncio.get_running_loop().time() - begun
        await asking

        report = asker.report()
        told = {each.witness: each.failed for each in report.witnesses}
        assert took < 1
        assert told == {
            "w1": "",
            "w2": "connection refused",
            "w3": f"no answer within {ANSWER_SECONDS:g} s",
        }
        assert {size for size, _ in cosigned(world, node)} == {1}  # by w1 alone
        assert report.size == 2 and report.cosigned < report.quorum
        assert 0 < lag_seconds(report, world.now_us()) <= ANSWER_SECONDS + 1
        town.away = {}
        asker._post = town.post
        await asker.ask()
        assert lag_seconds(asker.report(), world.now_us()) == 0
        await node.stop()

    run(story)


def test_an_answer_that_is_no_cosignature_is_not_kept(tmp_path: Path) -> None:
    async def story() -> None:
        world, town = World(), Town(tmp_path, "w1", "w2")
        node = await written(world, town, Keys(), "one")
        asker = town.asker(world, node, 1)
        answers = iter([(200, b"nonsense\n"), (503, b"later\n")])

        async def post(url: str, body: bytes) -> tuple[int, bytes]:
            return next(answers)

        asker._post = post
        await asker.ask()

        told = [each.failed for each in asker.report().witnesses]
        assert "a signature line has the form" in told[0] and told[1] == "it answered 503 later"
        assert not cosigned(world, node)
        await node.stop()

    run(story)


def test_cosignatures_are_shown_with_the_checkpoint_and_repaired_like_it(tmp_path: Path) -> None:
    async def story() -> None:
        world, town = World(), Town(tmp_path, "w1", "w2")
        node = await written(world, town, Keys(), "one")
        await town.asker(world, node, 2).ask()
        await send(node, "two")
        await asyncio.sleep(3)
        regions = world.regions()
        await regions.verify()
        world.stores["b"].failing = Unknown("away")

        look = await Checkpoints(regions).look()

        shown = look.cosigned[node.identity.node]
        keys = [node.identity.key.verifier, town.verifier("w1"), town.verifier("w2")]
        assert len(note.verify(shown.note, keys).signatures) == 3
        assert (shown.checkpoint.size, look.newest[node.identity.node].checkpoint.size) == (1, 2)
        world.stores["b"].failing = None
        lost = [
            k for k in world.stores["b"].objects if k.startswith("ev/cp/") and k.count(".") == 2
        ]
        for key in lost:
            del world.stores["b"].objects[key]
        await asyncio.sleep(60)
        report = await Keeper(regions, world.host).reconcile(whole=True)
        assert len(lost) == 2 and not report.findings
        assert cosigned(world, node, "b") == cosigned(world, node, "a")
        await node.stop()

    run(story)
