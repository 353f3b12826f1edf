"""What a trail costs in requests, bytes and dollars: formulas over what was measured. Pure.

Nothing here is measured. `Measured` has what `bench.scale` and `bench.ingest` found; prices.toml
the public prices.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.report import Table
from holdfast.archive.parts import PART_BYTES
from holdfast.archive.plan import Size, windows
from holdfast.read.follow import ROUND_LISTINGS
from holdfast.regions.layout import SHARD_SEGMENTS

PRICES: Final = Path(__file__).with_name("prices.toml")
REGIONS: Final = 3
DAY_S: Final = 86_400
YEAR_DAYS: Final = 365
DAY: Final = "2026-01-01"
HOURS: Final = 24
LEAF_BYTES: Final = 75  # of evidence, for each tenant of a segment
MONTH_DAYS: Final = 30
MILLION: Final = 1_000_000
GB: Final = 1e9
SEGMENT_EVENTS_MAX: Final = 10_000
# The intervals of object stores, by the settings' defaults.
HEARTBEAT_S: Final = 5
FOLLOW_S: Final = 5
RECONCILE_S: Final = 30
SEAL_MS: Final = (50, 250, 1_000, 5_000)
SEAL_DEFAULT_MS: Final = 250
RATES: Final = (100, 1_000, 10_000)  # events a second, of one node
NODES: Final = (1, 2, 5, 10, 20, 50)
WORKERS: Final = (1, 2, 4, 8, 16)
LARGE: Final = (1_000, 10_000, 100_000, 1_000_000)  # events a second, of all nodes
OLD: Final = (100_000, MILLION, 10 * MILLION, 100 * MILLION)  # segments in a trail
SHARD_PAGES: Final = 5  # of 4,096 names
LOAD: Final = 0.5  # of a writer's core; the rest is for peaks, and for TLS


@dataclass(frozen=True)
class Price:
    """See prices.toml."""

    name: str
    put: float
    list: float
    get: float
    storage: float
    egress: float
    date: str
    source: str


@dataclass(frozen=True)
class Requests:
    """Of one region."""

    puts: float = 0.0
    lists: float = 0.0
    gets: float = 0.0

    def times(self, factor: float) -> "Requests":
        return Requests(self.puts * factor, self.lists * factor, self.gets * factor)

    def __add__(self, other: "Requests") -> "Requests":
        return Requests(self.puts + other.puts, self.lists + other.lists, self.gets + other.gets)

    def dollars(self, price: Price) -> float:
        paid = self.puts * price.put + self.lists * price.list + self.gets * price.get
        return paid / MILLION


@dataclass(frozen=True)
class Measured:
    """Requests of one region for a segment, a heartbeat, and, as a fixed part and a part for each
    node, for a pass and a survey without news; sizes of a segment, in the same way by its events.

    ack_read_bytes: of a region's answers to the looks of one segment. ingest_cpu_us: of an event in
    batches, until it is found. follow_cpu_us: of an event that a reader learns from the regions.
    """

    segment: Requests
    beat: Requests
    look: tuple[Requests, Requests]
    survey: tuple[Requests, Requests]
    segment_bytes: tuple[float, float]
    ack_read_bytes: float
    ingest_cpu_us: float
    follow_cpu_us: float

    def size_bytes(self, events: float) -> float:
        """Of a segment with so many events."""
        fixed, each = self.segment_bytes
        return fixed + each * events


@dataclass(frozen=True)
class Year:
    """A year of one node in one region. bytes and objects: of segments, and of the archive in their
    place. evidence_bytes: of one unit of the archive."""

    segments: float
    segment_bytes: float
    objects: float
    archive_bytes: float
    evidence_bytes: float

    def kept(self, price: Price, size_bytes: float) -> float:
        """Dollars for keeping so many bytes for a year, in all regions."""
        return REGIONS * size_bytes / GB * 12 * price.storage

    def archiving(self, price: Price) -> float:
        """Dollars: each segment is read once, in the keeper's own region; each object of the
        archive is put and read back in all regions, and crosses to the others and back."""
        asked = Requests(puts=REGIONS * self.objects, gets=self.segments + REGIONS * self.objects)
        crossing = 2 * (REGIONS - 1) * self.archive_bytes / GB * price.egress
        return asked.dollars(price) + crossing


def year_of(rate: int, sizes: tuple[float, float, float]) -> Year:
    """sizes: bytes an event in segments, in parts, as evidence, at that rate."""
    segments = segments_a_second(rate, SEAL_DEFAULT_MS) * DAY_S
    events, (in_segments, in_parts, as_evidence) = rate * DAY_S, sizes
    leaves = events * as_evidence / LEAF_BYTES
    hour = Size(*(math.ceil(each / HOURS) for each in (segments, events, leaves)))
    units = len(windows(DAY, {f"{DAY}t{at:02}": hour for at in range(HOURS)}))
    parts = math.ceil(events / units * in_parts / PART_BYTES)
    return Year(
        segments=YEAR_DAYS * segments,
        segment_bytes=YEAR_DAYS * events * in_segments,
        objects=YEAR_DAYS * units * (parts + 2),  # evidence and manifest
        archive_bytes=YEAR_DAYS * events * (in_parts + as_evidence),
        evidence_bytes=events / units * as_evidence,
    )


def read_prices() -> Mapping[str, Price]:
    return {id: Price(**each) for id, each in tomllib.loads(PRICES.read_text("utf-8")).items()}


def segments_a_second(rate: float, seal_ms: float, nodes: int = 1) -> float:
    """How many segments nodes seal that share so many events a second: an event that comes later
    than the interval is sealed alone, and a segment holds so many at most."""
    return max(min(rate, nodes * 1000 / seal_ms), rate / SEGMENT_EVENTS_MAX)


def million_events(found: Measured, price: Price, rate: float, seal_ms: float) -> float:
    """Dollars to have a million events acknowledged, all regions of one provider: requests, and
    what crosses from the writer's region to the others and back."""
    segments = segments_a_second(rate, seal_ms) * MILLION / rate
    crossing = found.size_bytes(MILLION / segments) + found.ack_read_bytes
    egress = (REGIONS - 1) * segments * crossing / GB * price.egress
    return REGIONS * found.segment.times(segments).dollars(price) + egress


def kept_bytes(found: Measured, rate: float, seal_ms: float) -> float:
    """Of a million events, in one region."""
    segments = segments_a_second(rate, seal_ms) * MILLION / rate
    return segments * found.size_bytes(MILLION / segments)


def idle_day(found: Measured, nodes: int, readers: int, follow_s: float = FOLLOW_S) -> Requests:
    """Of one region in a day without events: heartbeats of every node; passes and surveys of every
    process that reads."""
    look = found.look[0] + found.look[1].times(nodes)
    survey = found.survey[0] + found.survey[1].times(nodes)
    return (
        found.beat.times(nodes * DAY_S / HEARTBEAT_S)
        + look.times(readers * DAY_S / follow_s)
        + survey.times(readers * DAY_S / RECONCILE_S)
    )


def idle_month(
    found: Measured, price: Price, nodes: int, readers: int, follow_s: float = FOLLOW_S
) -> float:
    """Dollars, all regions."""
    return REGIONS * MONTH_DAYS * idle_day(found, nodes, readers, follow_s).dollars(price)


def rounds_day(segments: int, follow_s: float = FOLLOW_S) -> float:
    """LISTs of one region by which a reader sees in a day what is gone: everything each hour, but
    so many shards a pass at most."""
    everything = 24 * segments / SHARD_SEGMENTS * SHARD_PAGES
    return min(everything, DAY_S / follow_s * ROUND_LISTINGS * SHARD_PAGES)


def surveys_day(segments: int) -> float:
    """LISTs of one region by which a keeper and its scrub compare all names once a day."""
    return 2 * segments / SHARD_SEGMENTS * SHARD_PAGES


def workers_for(found: Measured, rate: float) -> int:
    """Writers, each on a core that is used for LOAD."""
    return max(1, -(-int(rate * found.ingest_cpu_us) // int(LOAD * MILLION)))


# -- tables ----------------------------------------------------------------------------------------


def price_table(prices: Mapping[str, Price]) -> Table:
    head = (
        "$",
        *("a million PUT", "a million LIST", "a million GET"),
        *("a GB and month", "a GB to another region", "of", "source"),
    )
    rows = tuple(
        (
            *(each.name, f"{each.put:.2f}", f"{each.list:.2f}", f"{each.get:.2f}"),
            *(f"{each.storage:.3f}", f"{each.egress:.2f}", each.date, each.source),
        )
        for each in prices.values()
    )
    return Table("", head, rows)


def million_table(found: Measured, prices: Mapping[str, Price]) -> Table:
    head = ("$ for a million events", *(f"{rate:,} events/s" for rate in RATES))
    rows = tuple(
        (
            f"{price.name}, sealed each {_ms(seal_ms)}",
            *(f"{million_events(found, price, rate, seal_ms):,.2f}" for rate in RATES),
        )
        for price in prices.values()
        for seal_ms in SEAL_MS
    )
    return Table("", head, rows)


def storage_table(found: Measured, prices: Mapping[str, Price]) -> Table:
    head = (
        f"a million events, sealed each {_ms(SEAL_DEFAULT_MS)}",
        "GB in a region",
        *(f"$ a month, {price.name}" for price in prices.values()),
    )
    rows = []
    for rate in RATES:
        size = kept_bytes(found, rate, SEAL_DEFAULT_MS) / GB
        paid = (f"{REGIONS * size * price.storage:.4f}" for price in prices.values())
        rows.append((f"at {rate:,} events/s", f"{size:.3f}", *paid))
    return Table("", head, tuple(rows))


def idle_table(found: Measured, prices: Mapping[str, Price]) -> Table:
    clouds = {id: price for id, price in prices.items() if price.put}
    head = (
        "nodes",
        *("processes that read", "PUT a day", "LIST a day", "GET a day"),
        *(f"$ a month, {id}" for id in clouds),
        "$ with passes each 60 s, aws",
    )
    rows = []
    for nodes, readers in [*((n, n) for n in NODES), *((n, 1) for n in NODES[1:])]:
        day = idle_day(found, nodes, readers)
        paid = (f"{idle_month(found, price, nodes, readers):,.0f}" for price in clouds.values())
        slow = idle_month(found, clouds["aws"], nodes, readers, 60.0)
        asked = (f"{day.puts:,.0f}", f"{day.lists:,.0f}", f"{day.gets:,.0f}")
        rows.append((f"{nodes}", f"{readers}", *asked, *paid, f"{slow:,.0f}"))
    return Table("", head, tuple(rows))


def old_table(survey_mib: float, price: Price) -> Table:
    """survey_mib: memory of a survey, a million segments."""
    head = (
        *("segments", f"days of a busy node, sealed each {_ms(SEAL_DEFAULT_MS)}"),
        *("LIST a day, rounds", "surveys", f"$ a month, {price.name}", "MiB of a survey"),
    )
    rows = []
    for segments in OLD:
        asked = rounds_day(segments), surveys_day(segments)
        paid = REGIONS * MONTH_DAYS * Requests(lists=sum(asked)).dollars(price)
        days = segments / (DAY_S * 1000 / SEAL_DEFAULT_MS)
        told = (f"{asked[0]:,.0f}", f"{asked[1]:,.0f}", f"{paid:,.0f}")
        memory = f"{survey_mib * segments / MILLION:,.0f}"
        rows.append((f"{segments:,}", f"{days:,.1f}", *told, memory))
    return Table("", head, tuple(rows))


def objects_table() -> Table:
    head = (
        "segments a day in a region, sealed each",
        *(f"{n} worker{'s' * (n > 1)}" for n in WORKERS),
    )
    rows = tuple(
        (_ms(seal_ms), *(f"{workers * DAY_S * 1000 // seal_ms:,}" for workers in WORKERS))
        for seal_ms in SEAL_MS
    )
    return Table("", head, rows)


def large_table(found: Measured, price: Price) -> Table:
    head = (
        "events/s",
        *("cores to take in", "writers, half busy", "segments/s", "events a segment"),
        *("PUT/s in a region", "GET/s in a region", "MB/s into a region"),
        *("GB a day in a region", f"$ a day of requests and egress, {price.name}"),
        *("$ a month for each day kept", "cores of one more reader"),
    )
    return Table("", head, tuple(_large(found, price, rate) for rate in LARGE))


def _large(found: Measured, price: Price, rate: int) -> tuple[str, ...]:
    writers = workers_for(found, rate)
    segments = segments_a_second(rate, SEAL_DEFAULT_MS, writers)
    each = rate / segments
    a_second = segments * found.size_bytes(each)
    asked = found.segment.times(segments)
    day = DAY_S * REGIONS * asked.dollars(price)
    crossing = a_second + segments * found.ack_read_bytes
    day += DAY_S * (REGIONS - 1) * crossing / GB * price.egress
    kept_gb = a_second * DAY_S / GB
    return (
        f"{rate:,}",
        *(f"{rate * found.ingest_cpu_us / MILLION:.1f}", f"{writers:,}"),
        *(f"{segments:,.0f}", f"{each:,.0f}", f"{asked.puts:,.0f}", f"{asked.gets:,.0f}"),
        *(f"{a_second / 1e6:,.1f}", f"{kept_gb:,.0f}", f"{day:,.0f}"),
        f"{REGIONS * kept_gb * price.storage:,.0f}",
        f"{rate * found.follow_cpu_us / MILLION:.1f}",
    )


def year_table(sizes: Mapping[int, tuple[float, float, float]], price: Price) -> Table:
    """sizes: by the rate, as `year_of` takes them."""
    head = (
        *("events/s", "objects in a region: segments", "archive", "fewer"),
        *("GB in a region: segments", "archive", "MB of evidence a unit"),
        *(f"$ a year kept, {price.name}: segments", "archive", "$ to archive it"),
    )
    rows = []
    for rate, each in sizes.items():
        year = year_of(rate, each)
        before, after = year.segment_bytes, year.archive_bytes
        rows.append(
            (
                *(f"{rate:,}", f"{year.segments:,.0f}", f"{year.objects:,.0f}"),
                f"{year.segments / year.objects:,.0f} x",
                *(f"{before / GB:,.0f}", f"{after / GB:,.0f}"),
                f"{year.evidence_bytes / 1e6:,.0f}",
                *(f"{year.kept(price, before):,.0f}", f"{year.kept(price, after):,.0f}"),
                f"{year.archiving(price):,.0f}",
            )
        )
    return Table("", head, tuple(rows))


def _ms(seal_ms: int) -> str:
    return f"{seal_ms} ms" if seal_ms < 1_000 else f"{seal_ms // 1_000} s"
