"""Events of parts, back in the order of their ledger, for whoever reads on and on.

Parts lie by tenant and time, so neighbours of a ledger are spread over as many pages as there are
tenants. Who asks for what comes next is read ahead for, each time four times as much, up to
RUN_BYTES: a page is opened once for many batches then, and for one event alone, one page.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs

from holdfast.read.sources import FoldSource, Stretch

RUN_BYTES = 32 << 20
GROWTH = 4
RUNS_MAX = 2  # of those who read at the same time

Numbers = npt.NDArray[Any]


class Events(Struct, frozen=True):
    """Events of one ledger: their positions, the segments that they are of, their records."""

    positions: Numbers
    segments: Numbers
    records: Sequence[bytes]

    def between(self, start: int, end: int) -> "Events":
        """Those at positions [start, end), where all of them are in order."""
        low, high = np.searchsorted(self.positions, (start, end)).tolist()
        return Events(self.positions[low:high], self.segments[low:high], self.records[low:high])


NONE = Events(np.zeros(0, np.int64), np.zeros(0, np.int64), ())
Read = Callable[[FoldSource, Stretch, str | None], Events]
_Of = tuple[tuple[str, ...], str, str | None]  # the parts' hashes, the node, the tenant


class _Run(Struct, frozen=True):
    """What was read at once. asked: where the last question ended."""

    stretch: Stretch
    found: Events
    asked: int = 0

    def holds(self, stretch: Stretch) -> bool:
        return self.stretch.start <= stretch.start and stretch.end <= self.stretch.end

    @property
    def more(self) -> int:
        """How many positions to read ahead for who goes on."""
        width = self.stretch.end - self.stretch.start
        size = sum(map(len, self.found.records))
        return min(GROWTH * width, RUN_BYTES * width // (size or 1))


class Ahead:
    """See the module. For one thread at a time. read: the events of one part, in any order."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._runs: OrderedDict[_Of, _Run] = OrderedDict()

    def within(self, parts: Sequence[FoldSource], stretch: Stretch, tenant: str | None) -> Events:
        """The events of a stretch, in order, as far as parts have them; of one tenant or (None) of
        all. Raises as what reads them."""
        of = (tuple(part.sha256 for part in parts), stretch.node, tenant)
        run = self._runs.get(of)
        if run is None or not run.holds(stretch):
            more = run.more if run is not None and run.asked == stretch.start else 0
            wide = Stretch(stretch.node, stretch.start, stretch.end + more)
            run = _Run(wide, _ordered([self._read(part, wide, tenant) for part in parts]))
        self._runs[of] = structs.replace(run, asked=stretch.end)
        self._runs.move_to_end(of)
        if len(self._runs) > RUNS_MAX:
            self._runs.popitem(last=False)
        return run.found.between(stretch.start, stretch.end)


def _ordered(parts: Sequence[Events]) -> Events:
    """The events of several parts as one."""
    every = [NONE, *parts]
    positions = np.concatenate([part.positions for part in every])
    segments = np.concatenate([part.segments for part in every])
    records = list(chain.from_iterable(part.records for part in every))
    order = np.argsort(positions)
    return Events(positions[order], segments[order], [records[at] for at in order.tolist()])
