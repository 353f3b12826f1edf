"""The parts of the bench by name."""

from collections.abc import Callable, Mapping
from typing import Final

from bench import catch_up, ceph, found, outage, workers
from bench.plan import Ground
from bench.report import Part

PARTS: Final[Mapping[str, Callable[[Ground], Part]]] = {
    "workers": workers.measure,
    "ceph": ceph.measure,
    "catch-up": catch_up.measure,
    "found": found.measure,
    "outage": outage.measure,
}
