"""The product with one rule left out, and how many seeds it takes until a world notices.

`python -m tests.sim.teeth NAME FIRST COUNT` loads the shipped modules with one sentence of their
source replaced, runs seeds, and prints the first that failed with what was found.
"""

import importlib.abc
import importlib.machinery
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType


@dataclass(frozen=True)
class Tooth:
    """A rule left out. module: below `holdfast`. seed: one that is known to notice;
    None: none was found yet."""

    module: str
    old: str
    new: str
    seed: int | None
    only: str = ""  # what such seeds are made of, see `World`
    more: tuple[str, str, str] | None = None  # another module, old, new: where two guard the rule


TEETH: dict[str, Tooth] = {
    "no look for a fence": Tooth(
        "regions.cookie",
        "    if isinstance(fence, Present):\n        return Fenced(fence.data)",
        "    if isinstance(fence, Present):\n        fence = Absent()",
        1,
        "buckets duel",
    ),
    "a look begun before the put ended counts": Tooth(
        "write.replicate",
        "            covered, self._put = self._put, []\n            seen = await self._look()",
        "            seen = await self._look()\n            covered, self._put = self._put, []",
        None,
        "buckets duel",
    ),
    "R - 1 regions are listed in closing": Tooth(
        "write.left",
        "return self.count - self.quorum + 1",
        "return max(1, self.count - self.quorum)",
        None,
        "buckets duel",
    ),
    "already exists counts": Tooth(
        "regions.region",
        "            if isinstance(outcome, Stored):\n                return outcome",
        "            if isinstance(outcome, Stored) or outcome.answered:\n"
        "                return Stored()",
        37,
    ),
    "no fsync of the directory": Tooth(
        "regions.directory",
        "            self._sync(root, directory)\n            return Stored()",
        "            return Stored()",
        0,
        "disks",
    ),
    "an event is acknowledged before its birth is in W": Tooth(
        "write.node",
        "if lacking := lacking_quorum(self._regions.sets, own):",
        "if not own and (lacking := lacking_quorum(self._regions.sets, own)):",
        None,
        "buckets restart cut send",
    ),
    "acknowledged out of order": Tooth(
        "write.quorum",
        "while len(self._counted.get(self.acknowledged_size, ())) >= self.quorum:\n"
        "            self.acknowledged_size += 1",
        "if len(self._counted[index]) >= self.quorum:\n"
        "            self.acknowledged_size = max(self.acknowledged_size, index + 1)\n"
        "            for each in range(index):\n"
        "                self._counted.setdefault(each, {region})",
        5,
    ),
    "a start goes on before the close is decided": Tooth(
        "write.closing",
        '                return Undecided("the votes are split and not every store voted")',
        "                decided = max(await _votes(closing))",
        None,
        "buckets duel",
    ),
    "a start goes on from its own view of the close": Tooth(
        "write.closing",
        "                decided = decide_close(await _votes(closing), closing.count)\n"
        "            if decided is None:\n"
        '                return Undecided("the votes are split and not every store voted")\n'
        "            # For sure now: what a person declared lies in W regions.\n"
        "            written = await written_down(closing, for_sure=True)\n",
        "                decided = (proposal.size, statements.read("
        "_vote(closing, proposal), Vote).text)\n"
        "            assert decided is not None\n",
        None,
        "buckets duel",
    ),
    "a vote is cast before its segments are in W": Tooth(
        "write.closing",
        "    if not all(brought):",
        "    if False and not all(brought):",
        None,
        "buckets duel",
    ),
    "the cookie is read before the fence": Tooth(
        "regions.cookie",
        "    fence = await region.read(names.fence_key(node, epoch))\n"
        "    cookie = await read_cookie(region, trail)",
        "    cookie = await read_cookie(region, trail)\n"
        "    fence = await region.read(names.fence_key(node, epoch))",
        None,
        "buckets replace duel",
    ),
    "a store that came later is believed before it was found whole": Tooth(
        "regions.whole",
        "    if not cookie.replaces:",
        "    if True or not cookie.replaces:",
        None,
        "buckets replace look restart",
    ),
    "a store is called whole though it lacks something": Tooth(
        "keep.late",
        'return f"it still lacks {lacking} objects" if lacking else ""',
        'return ""',
        None,
        "buckets replace look keep",
    ),
    "a store is called whole by too few others": Tooth(
        "keep.late",
        "    if not regions.are_enough(others):",
        "    if not others:",
        None,
        "buckets replace look keep",
    ),
    "what a store that was replaced had counted still counts": Tooth(
        "regions.cookie",
        "    if not store or (cookie.store != store and cookie.replaces):\n"
        "        return Newcomer(cookie)\n    if cookie.store != store:",
        "    if not store:\n        return Newcomer(cookie)\n    if False:",
        None,
        "buckets replace duel",
    ),
    "the cookie is not looked at": Tooth(
        "regions.cookie",
        '    if isinstance(cookie, Absent):\n        return Unknown("its cookie is gone")\n'
        "    if isinstance(cookie, Foreign | Unknown):",
        "    if isinstance(cookie, Absent | Foreign | Unknown):\n        return Free()\n"
        "    if isinstance(cookie, Foreign | Unknown):",
        0,
        "buckets wipe duel",
    ),
    "a promise covers what is not acknowledged": Tooth(
        "write.epoch",
        "oldest_us), self.acknowledged_end)",
        "oldest_us), self._end)",
        28,
    ),
    "a promise passes what waits": Tooth(
        "write.epoch",
        "oldest_us = oldest[0].received_us if oldest else None",
        "oldest_us = None",
        0,
    ),
    "an earlier epoch's promise counts": Tooth(
        "read.watermark",
        "[promise for promise in ledger.promises if promise.epoch == last]",
        "list(ledger.promises)",
        None,
        "buckets clock race",
    ),
    "orphans are shown": Tooth(
        "read.watermark",
        "beyond = close is not None and",
        "beyond = False and",
        3,
        "buckets duel look",
    ),
    "orphans are copied by repair": Tooth(
        "keep.drift",
        "        if extent.base <= parsed.name.index < extent.size:",
        "        if extent.base <= parsed.name.index:",
        4,
        "buckets duel keep",
    ),
    "a vote is copied by repair": Tooth(
        "keep.drift",
        'REPAIRED_KINDS = frozenset({"birth", "closed"})',
        'REPAIRED_KINDS = frozenset({"birth", "closed", "close"})',
        0,
        "buckets duel keep",
    ),
    "no Δ": Tooth(
        "read.watermark",
        "view.started_us - view.clock_error_us",
        "view.started_us",
        None,
        "buckets race",
    ),
    "a watermark over a hole": Tooth(
        "read.watermark",
        "p.size <= walk.held.size and p.epoch <= walk.held_epoch",
        "p.size >= 0",
        None,
        "buckets duel look",
    ),
    "a region that did not answer counts as listed": Tooth(
        "read.watermark",
        "[look for look in view.regions if not look.unusable]",
        "list(view.regions)",
        60,
        "buckets duel look",
    ),
    "a store that did not answer has nothing, in closing": Tooth(
        "write.left",
        "    if not isinstance(seen, Listing) or isinstance(cookie, Unknown):\n        return None",
        "    if not isinstance(seen, Listing):\n        return frozenset()\n"
        "    if isinstance(cookie, Unknown):\n        return None",
        None,
        "buckets duel",
    ),
    "a corrupt copy is used for repair": Tooth(
        "keep.objects",
        'return "" if intact else "the bytes do not hash to the name"',
        'return ""',
        None,
        "rot keep",
    ),
    "received may lie below the base": Tooth(
        "write.node",
        "floor_us = max(base.sealed_us, started_us, self._host.now_us())",
        "floor_us = self._host.now_us()",
        None,
        "buckets clock race",
    ),
    "a birth counts in a store without its cookie": Tooth(
        "write.node",
        "            if region.id in true\n        }\n        own",
        "        }\n        own",
        None,
        "wipe restart",
    ),
    "a clock that is wrong at the birth": Tooth(
        "write.node",
        "        if lacking := lacking_quorum(self._regions.sets, good):\n            told",
        "        if False:\n            told",
        5,
        "buckets clock race",
    ),
}


class _Replacing(importlib.abc.MetaPathFinder):
    """Loads modules of ours with a part of their source replaced."""

    def __init__(self, tooth: Tooth) -> None:
        self._parts = {f"holdfast.{tooth.module}": (tooth.old, tooth.new)}
        if tooth.more:
            self._parts[f"holdfast.{tooth.more[0]}"] = tooth.more[1:]

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._parts:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(name, spec.origin, *self._parts[name])
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, old: str, new: str) -> None:
        super().__init__(name, path)
        self._old, self._new = old, new

    def get_code(self, fullname: str) -> CodeType:
        text = self.get_data(self.path).decode()
        assert text.count(self._old) == 1, "the rule is written in another way now"
        code = compile(text.replace(self._old, self._new), self.path, "exec")
        assert isinstance(code, CodeType)
        return code


def main(name: str, first: int, count: int) -> None:
    tooth = TEETH[name]
    sys.meta_path.insert(0, _Replacing(tooth))
    from tests.sim.run import run_seed

    known = [] if tooth.seed is None else [tooth.seed]
    for at, seed in enumerate([*known, *range(first, first + count)]):
        problems = run_seed(seed, only=tooth.only).problems
        if problems:
            sys.stdout.write(json.dumps({"seed": seed, "tried": at + 1, "problems": problems[:3]}))
            return
    sys.stdout.write(json.dumps({"seed": None, "tried": count, "problems": []}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
