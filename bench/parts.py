"""The parts of the bench by name, in the order in which docs/BENCH.md shows them."""

from collections.abc import Callable, Mapping
from typing import Final

from bench import (
    archiving,
    catch_up,
    ceph,
    console,
    durability,
    found,
    growth,
    ingest,
    lookups,
    outage,
    peers,
    receivers,
    searching,
    verifying,
    workers,
    years,
)
from bench.plan import Ground
from bench.report import Part

PARTS: Final[Mapping[str, Callable[[Ground], Part]]] = {
    "ingest": ingest.measure,
    "peers": peers.measure,
    "durability": durability.measure,
    "receivers": receivers.measure,
    "workers": workers.measure,
    "searching": searching.measure,
    "search": lookups.measure,
    "console": console.measure,
    "ceph": ceph.measure,
    "catch-up": catch_up.measure,
    "found": found.measure,
    "outage": outage.measure,
    "verify": verifying.measure,
    "growth": growth.measure,
    "archive": archiving.measure,
    "years": years.measure,
}
