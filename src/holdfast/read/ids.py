"""The id index: where every event of every node lies, by hash of (tenant, id).

Each event that arrives is looked up once, among all that ever came. So the index is a
log-structured merge tree: new keys in a dict, then immutable sorted runs on disk, merged four at a
time into larger ones. A key costs one look at one word of each run's filter, and one copy for each
time that the index grows four-fold.

numpy, because these are passes over arrays of 8-byte numbers: to sort, merge and look up a thousand
keys in plain Python costs as much as everything else that is done with their events. The arrays are
mapped from their files, so that the index's size costs page cache, not memory.

Derived: a crash loses what is not yet in a run, `known` says what is there, and the catalog adds
the rest again. A damaged run is set aside when the index is opened, and its events are then not
known. One process at a time may have a directory open.
"""

import re
import threading
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from holdfast.errors import CorruptError
from holdfast.model import NodeId, Place
from holdfast.read.runs import (
    NODES_MAX,
    POSITION_BITS,
    POSITION_MASK,
    Run,
    UInt64s,
    filter_bits,
    write_run,
)
from holdfast.read.sources import Stretch, joined

PLACES_MAX = 16  # of one key; more of the same id are found through these
TABLE_KEYS_MAX = 1 << 16
TABLE_ADDS_MAX = 512  # segments whose keys a crash may cost
TABLES_MAX = 4
FAN = 4
_FEW = 8
_NAME = re.compile(r"([0-9a-f]{12})\.run")


class _Table:
    """Keys that are in no run yet."""

    def __init__(self) -> None:
        self.first: dict[int, int] = {}  # key: packed place
        self.more: dict[int, list[int]] = {}  # further places of the same keys
        self.covered: list[Stretch] = []

    def find(self, key: int) -> list[int]:
        place = self.first.get(key)
        return [] if place is None else [place, *self.more.get(key, ())]

    def put(self, key: int, place: int) -> None:
        if key in self.first:
            self.more.setdefault(key, []).append(place)
        else:
            self.first[key] = place

    def arrays(self) -> tuple[UInt64s, UInt64s]:
        more = [(key, place) for key, places in self.more.items() for place in places]
        keys = np.fromiter(chain(self.first, (key for key, _ in more)), np.uint64)
        places = np.fromiter(chain(self.first.values(), (place for _, place in more)), np.uint64)
        order = np.argsort(keys, kind="stable")
        return keys[order], places[order]


class IdIndex:
    """Methods may be called from any thread. `maintain` and `drop` take long, `add` does not."""

    def __init__(self, directory: Path) -> None:
        """Open or create.

        Raises:
            OSError: the directory cannot be used.
        """
        self._directory = directory
        self._turn = threading.Lock()  # the tables and the tuple of runs
        self._upkeep = threading.RLock()  # who replaces runs
        self._numbers: dict[NodeId, int] = {}
        self._nodes: list[NodeId] = []
        self._table = _Table()
        self._frozen: tuple[_Table, ...] = ()
        self.set_aside: tuple[str, ...] = ()
        self._runs = self._open()

    def __len__(self) -> int:
        """How many keys are in."""
        return sum(map(len, self._runs)) + sum(
            len(t.first) + sum(map(len, t.more.values())) for t in (*self._frozen, self._table)
        )

    def known(self) -> tuple[Stretch, ...]:
        """The positions whose keys are in, per node, joined. What is missing: `add` it."""
        with self._turn:
            every = [s for run in self._runs for s in run.footer.covered]
            every += [s for table in (*self._frozen, self._table) for s in table.covered]
        return joined(every)

    def known_through(self, node: NodeId, start: int = 0) -> int:
        """The end of the positions known without a hole from `start` on; `start`, if none are."""
        for stretch in self.known():
            if stretch.node == node and stretch.start <= start < stretch.end:
                return stretch.end
        return start

    def add(self, node: NodeId, first_position: int, keys: bytes) -> tuple[tuple[int, Place], ...]:
        """Add a segment's keys, and say which of its events may have come before.

        Args:
            keys: one a record, in stored order, as `SegmentFacts.keys`.
        Returns:
            (index in `keys`, where the same key lies), earlier ones of this segment included, at
            most PLACES_MAX an event: equal hashes, the caller compares the events. Adding what is
            known already changes nothing and finds the others again.
        """
        array = np.frombuffer(keys, "<u8")
        numbers: list[int] = array.tolist()
        with self._turn:
            start = (self._number(node) << POSITION_BITS) + first_position
            if first_position + len(numbers) > POSITION_MASK:
                raise ValueError("a position beyond what the index can hold")
            found = self._look(array, numbers)
            table = self._table
            if not found and len(set(numbers)) == len(numbers):
                table.first.update(zip(numbers, range(start, start + len(numbers)), strict=True))
            else:
                found = self._put_one_by_one(numbers, start, found)
            table.covered.append(Stretch(node, first_position, first_position + len(numbers)))
            if len(table.first) >= TABLE_KEYS_MAX or len(table.covered) >= TABLE_ADDS_MAX:
                self._freeze()
            behind = len(self._frozen) > TABLES_MAX
            answer = tuple(
                (index, self._place(packed)) for index in sorted(found) for packed in found[index]
            )
        if behind:
            self.maintain()
        return answer

    def find(self, key: int) -> tuple[Place, ...]:
        """Where events with this key lie, in order; at most PLACES_MAX."""
        with self._turn:
            packed = self._find(key)
            return tuple(sorted(self._place(one) for one in packed))

    @property
    def due(self) -> bool:
        """Whether `maintain` has something to do."""
        return bool(self._frozen) or bool(self._to_merge())

    def maintain(self) -> None:
        """Write full tables to disk and merge runs. Takes up to seconds: call it in a thread.

        Raises:
            OSError: nothing is lost, but memory grows until it works.
        """
        with self._upkeep:
            while self._frozen:
                self._write(self._frozen[0])
            while group := self._to_merge():
                self._replace(group, [(run.keys, run.places) for run in group])

    def flush(self) -> None:
        """Write everything to disk, so that opening it again knows all that is known now."""
        with self._turn:
            self._freeze()
        self.maintain()

    def drop(self, node: NodeId, from_position: int) -> None:
        """Forget a node's events at and beyond a position: orphans, whose positions come again.

        Not one step: after a crash in the midst of it call it again before adding the new ones.
        """
        with self._upkeep:
            self.flush()
            with self._turn:
                number = self._number(node)
            for run in self._runs:
                if any(s.node == node and s.end > from_position for s in run.footer.covered):
                    places = run.places
                    of_node = places >> np.uint64(POSITION_BITS) == np.uint64(number)
                    beyond = places & np.uint64(POSITION_MASK) >= np.uint64(from_position)
                    stay = ~(of_node & beyond)
                    covered = [_cut(s, node, from_position) for s in run.footer.covered]
                    self._replace([run], [(run.keys[stay], places[stay])], covered)

    # -- looking up; under self._turn ------------------------------------------------------------

    def _look(self, array: UInt64s, numbers: list[int]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        if len(numbers) <= _FEW:
            for index, key in enumerate(numbers):
                if packed := self._find(key):
                    found[index] = packed
            return found
        bits = filter_bits(array)
        for run in self._runs:
            for index, places in run.probe(array, bits):
                found.setdefault(index, []).extend(places)
        for table in (*self._frozen, self._table):
            if not table.first.keys().isdisjoint(numbers):
                for index, key in enumerate(numbers):
                    if key in table.first:
                        found.setdefault(index, []).extend(table.find(key))
        return found

    def _find(self, key: int) -> list[int]:
        found: list[int] = []
        for run in self._runs:
            found += run.find(key)
        for table in (*self._frozen, self._table):
            found += table.find(key)
        return found

    def _put_one_by_one(
        self, numbers: list[int], start: int, before: dict[int, list[int]]
    ) -> dict[int, list[int]]:
        here: dict[int, list[int]] = {}
        found: dict[int, list[int]] = {}
        for index, key in enumerate(numbers):
            place = start + index
            same = [*before.get(index, ()), *here.get(key, ())]
            known = place in same
            others = sorted(other for other in same if other != place)[:PLACES_MAX]
            if others:
                found[index] = others
            if not known and len(others) < PLACES_MAX:
                self._table.put(key, place)
                here.setdefault(key, []).append(place)
        return found

    def _place(self, packed: int) -> Place:
        return Place(self._nodes[packed >> POSITION_BITS], packed & POSITION_MASK)

    def _number(self, node: NodeId) -> int:
        number = self._numbers.get(node)
        if number is None:
            number = self._numbers[node] = len(self._nodes)
            self._nodes.append(node)
            if number >= NODES_MAX:
                raise ValueError("more nodes than the index can hold")
        return number

    def _freeze(self) -> None:
        if self._table.covered:
            self._frozen = (*self._frozen, self._table)
            self._table = _Table()

    # -- runs ------------------------------------------------------------------------------------

    def _open(self) -> tuple[Run, ...]:
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in self._directory.glob("*.tmp"):
            path.unlink()  # a crash while it was written
        runs: list[Run] = []
        self._next = 0
        for path in sorted(self._directory.iterdir()):
            name = _NAME.match(path.name)
            if name is None:
                continue
            self._next = max(self._next, int(name[1], 16) + 1)
            if _NAME.fullmatch(path.name):
                try:
                    runs.append(self._opened(path))
                except CorruptError:
                    path.replace(path.with_name(path.name + ".damaged"))
                    self.set_aside += (path.name,)
        replaced = {name for run in runs for name in run.footer.replaces}
        for run in runs:
            if run.path.name in replaced:
                run.path.unlink()  # a crash after its successor was complete
        return tuple(run for run in runs if run.path.name not in replaced)

    def _opened(self, path: Path) -> Run:
        run = Run(path)
        nodes = list(run.footer.nodes)
        if any(mine != its for mine, its in zip(self._nodes, nodes, strict=False)):
            raise CorruptError(f"{path.name} numbers nodes differently")
        for node in nodes:
            self._number(node)
        return run

    def _write(self, table: _Table) -> None:
        run = self._new_run([table.arrays()], joined(table.covered), ())
        with self._turn:
            self._runs = (*self._runs, run)
            self._frozen = tuple(other for other in self._frozen if other is not table)

    def _to_merge(self) -> list[Run]:
        """The smallest FAN runs of about one size."""
        classes: dict[int, list[Run]] = {}
        for run in self._runs:
            classes.setdefault(len(run).bit_length() // 2, []).append(run)
        for _, runs in sorted(classes.items()):
            if len(runs) >= FAN:
                return runs
        return []

    def _replace(
        self,
        old: Sequence[Run],
        parts: Sequence[tuple[UInt64s, UInt64s]],
        covered: Iterable[Stretch] | None = None,
    ) -> None:
        if covered is None:
            covered = (stretch for run in old for stretch in run.footer.covered)
        remaining = joined([stretch for stretch in covered if stretch.start < stretch.end])
        run = self._new_run(parts, remaining, [one.path.name for one in old])
        with self._turn:
            self._runs = (*(one for one in self._runs if one not in old), run)
        for one in old:
            one.path.unlink()

    def _new_run(
        self,
        parts: Sequence[tuple[UInt64s, UInt64s]],
        covered: Sequence[Stretch],
        replaces: Sequence[str],
    ) -> Run:
        path = self._directory / f"{self._next:012x}.run"
        self._next += 1
        with self._turn:
            nodes = tuple(self._nodes)
        write_run(path, parts, nodes, covered, replaces)
        return Run(path)


def _cut(stretch: Stretch, node: NodeId, end: int) -> Stretch:
    if stretch.node != node:
        return stretch
    return Stretch(node, min(stretch.start, end), min(stretch.end, end))
