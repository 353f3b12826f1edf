"""What it costs to take events in, beside PostgreSQL, and how long until an event is safe.

A server on one core, every fsync on, three regions on one disk; PostgreSQL with a table of jsonb
and the four indexes that an audit table needs, on the same core; both loaded from the other core.
Rounds alternate in shuffled order. CPU is that of all processes of a side, until the event can be
found.
"""

from typing import Final

import msgspec

from bench import latency, postgres, throughput
from bench.plan import Ground, say
from bench.report import Finding, Part, median
from bench.results import FIRST
from bench.throughput import BATCH, COPY, SINGLE, Arms

PER_CPU_SECOND_MIN: Final = 1.4  # events, of what the first run had
CPU_US_MAX: Final = 14.0
RATE_MIN: Final = 110_000.0


def measure(ground: Ground) -> Part:
    """Takes about ten minutes."""
    runs = throughput.ours(ground) | throughput.theirs(ground)
    arms = throughput.measure(ground, runs)
    rates = {name: median([sample.rate for sample in arms[name]]) for name in (BATCH, SINGLE)}
    say("  latency")
    found = [*_since_the_first(arms), *throughput.findings(arms)]
    found += latency.measure(ground, rates[BATCH], rates[SINGLE])
    return Part(
        "ingest",
        (throughput.table(arms),),
        tuple(found),
        {
            name: [msgspec.to_builtins(sample) for sample in samples]
            for name, samples in arms.items()
        },
        {"postgresql": postgres.version(ground.binaries)},
    )


def _since_the_first(arms: Arms) -> list[Finding]:
    """CPU beside that of the first whole run, and how far the machine itself has changed."""
    first = msgspec.json.decode(FIRST.read_bytes())["sides"]

    def before(name: str) -> float:
        return median([sample["cpu_us"] for sample in first[name]])

    batch_us = [sample.cpu_us for sample in arms[BATCH]]
    note = f"then {before(BATCH):.1f} µs/event"
    if arms.get(COPY):
        machine = before(COPY) / median([sample.cpu_us for sample in arms[COPY]])
        note += f"; by the same measure PostgreSQL's COPY is at {machine:.2f} x of then"
    return [
        Finding(
            "batches: events a CPU second / those of the first run",
            before(BATCH) / median(batch_us),
            PER_CPU_SECOND_MIN,
            "x",
            is_least=True,
            note=note,
            samples=tuple(before(BATCH) / each for each in batch_us),
            why=throughput.WHY_BATCH,
        ),
        Finding(
            "batches: CPU an event until it is found",
            median(batch_us),
            CPU_US_MAX,
            "µs",
            samples=tuple(batch_us),
            why=throughput.WHY_BATCH,
        ),
        Finding(
            "batches: events a second on one core",
            median([sample.rate for sample in arms[BATCH]]),
            RATE_MIN,
            "/s",
            is_least=True,
            samples=tuple(sample.rate for sample in arms[BATCH]),
            why=throughput.WHY_BATCH,
        ),
    ]
