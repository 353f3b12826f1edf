"""The product with one rule left out, and how many seeds it takes until a world notices.

`python -m tests.sim.teeth NAME FIRST COUNT` loads the shipped modules with one sentence of their
source replaced, runs seeds, and prints the first that failed with what was found.
`python -m tests.sim teeth` does that for every rule from seed 0 on, and prints a table.
"""

import importlib.abc
import importlib.machinery
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, ModuleType


@dataclass(frozen=True)
class Tooth:
    """A rule left out. module: below `holdfast`. seed: one from which on a world soon notices.
    only: what such worlds are made of, see `World`. also: what else of it is left out, where the
    rule is kept in two places: (module, old, new)."""

    module: str
    old: str
    new: str
    seed: int
    only: str = ""
    also: tuple[tuple[str, str, str], ...] = ()


TEETH: dict[str, Tooth] = {
    "no look for a fence": Tooth(
        "regions.cookie",
        "        if isinstance(fence, Present):\n            return Fenced(fence.data)",
        "        if isinstance(fence, Present):\n            fence = Absent()",
        1,
        "buckets duel",
    ),
    "a look begun before the put ended counts": Tooth(
        "write.replicate",
        "            covered, self._put = self._put, []\n            seen = await self._look()",
        "            seen = await self._look()\n            covered, self._put = self._put, []",
        20,
        "straddle",
    ),
    "R - 1 regions are listed in closing": Tooth(
        "write.left",
        "return self.count - self.quorum + 1",
        "return max(1, self.count - self.quorum)",
        8,
        "buckets blind",
    ),
    "already exists counts": Tooth(
        "regions.region",
        "            if isinstance(outcome, Stored):\n                return outcome",
        "            if isinstance(outcome, Stored) or outcome.answered:\n"
        "                return Stored()",
        72,
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
        52,
        "hard_birth",
    ),
    "acknowledged out of order": Tooth(
        "write.quorum",
        "while len(self._counted.get(self.acknowledged_size, ())) >= self.quorum:\n"
        "            self.acknowledged_size += 1",
        "if len(self._counted[index]) >= self.quorum:\n"
        "            self.acknowledged_size = max(self.acknowledged_size, index + 1)\n"
        "            for each in range(index):\n"
        "                self._counted.setdefault(each, {region})",
        24,
    ),
    "a start goes on before the close is decided": Tooth(
        "write.closing",
        '                return Undecided("the votes are split and not every store voted")\n'
        "            # For sure now: what a person declared lies in W regions.\n"
        "            written = await written_down(closing, for_sure=True)\n"
        "            if written is None and decide_close(await _votes(closing), closing.count)"
        " != decided:\n"
        '                return Undecided("a vote that decided is lost since")\n',
        "                decided = max(await _votes(closing), default=None)\n"
        "            if decided is None:\n"
        '                return Undecided("nobody voted")\n',
        8,
        "halves",
    ),
    "a start goes on from its own view of the close": Tooth(
        "write.closing",
        "                decided = decide_close(await _votes(closing), closing.count)\n"
        "            if decided is None:\n"
        '                return Undecided("the votes are split and not every store voted")\n'
        "            # For sure now: what a person declared lies in W regions.\n"
        "            written = await written_down(closing, for_sure=True)\n"
        "            if written is None and decide_close(await _votes(closing), closing.count)"
        " != decided:\n"
        '                return Undecided("a vote that decided is lost since")\n',
        "                decided = (proposal.size, statements.read("
        "_vote(closing, proposal), Vote).text)\n"
        "            assert decided is not None\n",
        14,
        "halves",
    ),
    "a vote is cast before its segments are in W": Tooth(
        "write.closing",
        "    await complete(closing, run, listed)\n    return run.end",
        "    return run.end",
        0,
        "halves",
    ),
    "a vote rests on what a directory shows": Tooth(
        "write.closing",
        "        and (at >= run.vouched or listed.count(",
        "        and (listed.count(",
        57,
        "disks unsynced",
    ),
    "the cookie is not read after the fence": Tooth(
        "regions.cookie",
        "        seen = _judge(after, store)",
        "        seen = fence if isinstance(fence, Unknown) else seen",
        89,
        "buckets vanish",
    ),
    "the cookie is not read before the fence": Tooth(
        "regions.cookie",
        "= _judge(await read_cookie(region, trail), store)\n",
        "= Free()\n",
        46,
        "buckets back",
    ),
    "the cookie is not looked at": Tooth(
        "regions.cookie",
        '    if isinstance(cookie, Absent):\n        return Unknown("its cookie is gone")\n'
        "    if isinstance(cookie, Foreign | Unknown):",
        "    if isinstance(cookie, Absent | Foreign | Unknown):\n        return Free()\n"
        "    if isinstance(cookie, Foreign | Unknown):",
        1,
        "buckets wipe duel",
    ),
    "a promise covers what is not acknowledged": Tooth(
        "write.epoch",
        "oldest_us), self.acknowledged_end)",
        "oldest_us), self._end)",
        18,
    ),
    "a promise passes what waits": Tooth(
        "write.epoch",
        "oldest_us = oldest[0].received_us if oldest else None",
        "oldest_us = None",
        1,
    ),
    "an earlier epoch's promise counts": Tooth(
        "read.watermark",
        "[promise for promise in ledger.promises if promise.epoch == last]",
        "list(ledger.promises)",
        4,
        "ahead",
    ),
    "orphans are shown": Tooth(
        "read.watermark",
        "beyond = close is not None and",
        "beyond = False and",
        0,
        "buckets duel look",
    ),
    "orphans are copied by repair": Tooth(
        "keep.drift",
        "        if extent.base <= parsed.name.index < extent.size:",
        "        if extent.base <= parsed.name.index:",
        8,
        "buckets duel keep",
    ),
    "a vote is copied by repair": Tooth(
        "keep.drift",
        'REPAIRED_KINDS = frozenset({"birth", "closed", "retired"})',
        'REPAIRED_KINDS = frozenset({"birth", "closed", "retired", "close"})',
        2,
        "buckets duel keep",
    ),
    "no Δ": Tooth(
        "read.watermark",
        "view.started_us - view.clock_error_us",
        "view.started_us",
        160,
        "buckets dawn",
    ),
    "a watermark over a hole": Tooth(
        "read.watermark",
        "p.size <= walk.held.size and p.epoch <= walk.held_epoch",
        "p.size >= 0",
        19,
        "buckets duel look",
    ),
    "a region that did not answer counts as listed": Tooth(
        "read.watermark",
        "[look for look in view.regions if not look.unusable]",
        "list(view.regions)",
        117,
        "buckets duel look",
    ),
    "a store that did not answer has nothing, in closing": Tooth(
        "write.left",
        "            if isinstance(found, Unknown):\n                return found",
        "            if isinstance(found, Unknown):\n                continue",
        1,
        "buckets blind",
    ),
    "a corrupt copy is used for repair": Tooth(
        "keep.objects",
        'return "" if intact else "the bytes do not hash to the name"',
        'return ""',
        63,
        "mend",
    ),
    "received may lie below the base": Tooth(
        "write.node",
        "floor_us = max(base.sealed_us, started_us, self._host.now_us())",
        "floor_us = self._host.now_us()",
        9,
        "ahead",
    ),
    "a birth counts in a store without its cookie": Tooth(
        "write.node",
        "            if region.id in true\n        }\n        own",
        "        }\n        own",
        31,
        "hard_birth",
    ),
    "leaves from the bytes before compression": Tooth(
        "write.seal",
        "    decoded = segment.decode_frame(frame)\n",
        "    decoded = plain\n",
        0,
        "bad_memory",
    ),
    "a checkpoint covers what is not acknowledged": Tooth(
        "write.pulse",
        "checkpoint=self._signed_checkpoint(self.promised.end),",
        "checkpoint=self._signed_checkpoint(self._promise.__self__._end),",
        5,
        "buckets duel",
    ),
    "a run with a hole inside": Tooth(
        "read.watermark",
        "segment.first + segment.count), False, unbroken)",
        "segment.first + segment.count), False, segment.held)",
        3,
        "buckets torn",
    ),
    "a run that takes segments of any epoch": Tooth(
        "read.watermark",
        "places.get((self.epoch, self.end.size), ())",
        "[s for (_, i), p in places.items() if i == self.end.size for s in p]",
        1,
        "buckets duel look",
    ),
    "a store that came later is listed, and votes, in closing": Tooth(
        "write.closing",
        "if named.get(region.id) == region.store_uuid)",
        "if region.id in named)",
        2,
        "bereft",
        (
            (
                "write.left",
                "    return await is_still(store, named, closing.trail)",
                "    return await is_still(store, store.store_uuid, closing.trail)",
            ),
        ),
    ),
    "a store that came later is relied on in reading before it is whole": Tooth(
        "regions.whole",
        "    if isinstance(found, Absent):\n        return NOT_FOUND_WHOLE",
        '    if isinstance(found, Absent):\n        return ""',
        1,
        "bereft",
    ),
    "a close is declared though the votes decide, or still can": Tooth(
        "write.declared",
        "    for id, _ in closing.birth.statement.regions:\n        replaced",
        "    return votes\n    for id, _ in closing.birth.statement.regions:\n        replaced",
        338,
        "people ask",
    ),
    "a gap is declared where a good copy is": Tooth(
        "keep.gaps",
        "                if not why_wrong(key, answer.data, self._regions.trail",
        "                if not key and not why_wrong(key, answer.data, self._regions.trail",
        17,
        "people ask",
    ),
    "a gap is declared where no ledger is known to reach": Tooth(
        "keep.gaps",
        "    if asked.end > reach:",
        "    if False:",
        3,
        "people ask",
    ),
    "a gap excuses the segment behind it": Tooth(
        "read.watermark",
        "        return any(start <= index < end for start, end in self._gaps)",
        "        return any(start <= index < end + 1 for start, end in self._gaps)",
        34,
        "hole",
    ),
    "a run that passes what nobody declared lost": Tooth(
        "read.watermark",
        "            if not found:\n                return\n            if len",
        "            if not found:\n"
        "                if all(index < self.end.size for _, index in places):\n"
        "                    return\n"
        "                self._step(End(self.end.size + 1, self.end.first + 1), True, unbroken)\n"
        "                continue\n"
        "            if len",
        1,
        "hole",
    ),
    "a start overwrites what it promised": Tooth(
        "write.pulse",
        "last = max(last, beat,",
        "last = max(last, last,",
        5,
        "hole",
    ),
    "a closer's run starts at the base, though segments were swept": Tooth(
        "write.left",
        "    mine = {at: each for at, each in swept.items() if each.name.epoch == closing.epoch}\n",
        "    mine: dict[int, Archived] = {}\n",
        0,
        "swept",
    ),
    "repair copies back what is archived": Tooth(
        "keep.drift",
        " SegmentKey) and holds(spans, parsed.node, parsed.name.index)",
        " SegmentKey) and False",
        0,
        "swept",
    ),
    "a manifest's word suffices to sweep": Tooth(
        "archive.sweep",
        "            named = await self._named(region, archive, round)\n",
        "            named = frozenset(_place_of(entry) for entry in there)\n",
        0,
        "swept",
    ),
    "a reader misses what was swept": Tooth(
        "read.follow",
        "        return shown.union(lost, self.archives.covered(region, node))",
        "        return lost",
        70,
        "swept",
    ),
    "parts are deleted before a floor lies in W": Tooth(
        "retention.expire",
        "            await self._state(floor)\n",
        "            pass\n",
        6,
        "expired",
    ),
    "what stays of parts is put nowhere": Tooth(
        "retention.expire",
        "            await self._keep(remains, told.unit, archives)\n",
        "            pass\n",
        6,
        "expired",
    ),
    "a hold stands without a look for floors": Tooth(
        "retention.holds",
        "                late = await self._late(hold)\n            except",
        "                late: tuple[Floor, ...] = ()\n            except",
        6,
        "expired",
    ),
    "a deleter looks for holds before its floors only": Tooth(
        "retention.expire",
        "        if seen.unread:\n            unread =",
        "        seen = self._look.retaining\n        if seen.unread:\n            unread =",
        6,
        "expired",
    ),
    "what was let go is deleted before the min of now": Tooth(
        "retention.plan",
        "    days = rule.min if floored else rule.max\n    if not days and not floored:",
        "    days = 0 if floored else rule.max\n    if not days and not floored:",
        6,
        "expired",
    ),
    "a class is let go before its max": Tooth(
        "retention.plan",
        "    days = rule.min if floored else rule.max\n    if not days and not floored:",
        "    days = rule.min if floored else 0\n    if not rule.max and not floored:",
        6,
        "expired",
    ),
    "a class is let go while segments lie there": Tooth(
        "retention.expire",
        "            if there:\n                raise _StayError(await self._why_there",
        "            if False:\n                raise _StayError(await self._why_there",
        7,
        "expired",
    ),
    "repair brings back what was let go": Tooth(
        "keep.drift",
        "        named |= objects_left(archive, out)\n",
        "        named |= objects_left(archive, ())\n",
        6,
        "expired",
    ),
    "an archivist brings back what was let go": Tooth(
        "archive.fetch",
        "    found = await fetch_classes(archive, region, to, lambda of: of not in let_go)\n",
        "    found = await fetch_classes(archive, region, to, lambda of: True)\n",
        6,
        "expired",
    ),
    "a reader shows what was let go": Tooth(
        "read.notes",
        "            floors[key.unit, key.retention] = floor\n",
        "            pass\n",
        6,
        "expired",
    ),
    "a clock that is wrong at the birth": Tooth(
        "write.node",
        "        if lacking := lacking_quorum(self._regions.sets, good):\n            told",
        "        if False:\n            told",
        10,
        "buckets clock race",
    ),
}


class _Replacing(importlib.abc.MetaPathFinder):
    """Loads a module of ours with a part of its source replaced."""

    def __init__(self, module: str, old: str, new: str) -> None:
        self._name = f"holdfast.{module}"
        self._part = old, new

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(name, spec.origin, *self._part)
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


@dataclass(frozen=True)
class Search:
    """seed: the first that noticed; None: none of those tried did."""

    seed: int | None
    tried: int
    problems: list[str]


def search(name: str, first: int, count: int) -> Search:
    """Try so many seeds on a build without the rule, in a process of its own."""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.sim.teeth", name, str(first), str(count)],
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        cwd=root,
        capture_output=True,
        check=True,
    )
    return Search(**json.loads(ran.stdout))


def _search_here(name: str, first: int, count: int) -> Search:
    tooth = TEETH[name]
    for part in ((tooth.module, tooth.old, tooth.new), *tooth.also):
        sys.meta_path.insert(0, _Replacing(*part))
    from tests.sim.run import run_seed

    for tried, seed in enumerate(range(first, first + count), 1):
        if problems := run_seed(seed, only=tooth.only).problems:
            return Search(seed, tried, problems[:3])
    return Search(None, count, [])


if __name__ == "__main__":
    found = _search_here(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(asdict(found)))
