"""Search: the newest events that match, and how many there are.

Runs where it is called: in a spawned worker under a server, in the process itself on the command
line. Sources are read newest first, in groups, until the page is full and nothing unread can be
newer than its last event. Hot columns are filtered by Arrow, folds by their indexes, and by DuckDB
where these leave too much. Records are fetched last, for what is shown.

Every search ends: by its deadline at the latest, and within the engine's memory limit.
"""

import atexit
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import pairwise

import numpy as np
import pyarrow as pa
from msgspec import Raw, structs

from holdfast.errors import Problem, RejectedError
from holdfast.model import Counts, Found, Page, Place, Query
from holdfast.read import sql
from holdfast.read.decode import Lines, decode
from holdfast.read.engine import DEFAULTS, Engine, Grouping, Limits
from holdfast.read.lookup import question
from holdfast.read.matching import matching
from holdfast.read.query import Wanted, check, check_groups, cursor_after
from holdfast.read.sources import (
    NOWHERE,
    FoldSource,
    Hit,
    Places,
    SegmentSource,
    Source,
    Stretch,
    prune,
)

GROUPS_MAX = 10_000
TOO_MANY = "too-many-groups"
PAGE_BYTES_MAX = 16 << 20
GROUP_GROWTH = 4
GROUP_EVENTS_MAX = 262_144
FOLD_WEIGHT_EVENTS = 16_384  # what a look into a fold costs, in hot events


def run_page(
    sources: Sequence[Source],
    query: Query,
    hidden: Places = NOWHERE,
    conflicts: Places = NOWHERE,
    limits: Limits = DEFAULTS,
) -> Page:
    """One page of a search, newest first; shorter than its limit where records are large.

    Args:
        sources: everything that is in the trail, or at least what `prune` keeps of it; no event
            twice.
        hidden: events that are left out. conflicts: events that are flagged.
    Raises:
        RejectedError: a query that cannot be answered, or that takes longer than it may.
        SourceError: a file that must be made again.
    """
    wanted = check(query)
    kept = prune(sources, wanted)
    with engine_of(limits).working() as engine:
        found = _newest(engine, kept, wanted, hidden)
        hits = _first(found, wanted.limit)
        records = _records(engine, kept, hits)
    return Page(
        events=tuple(
            Found(
                record=Raw(record),
                node=hit.spot.node,
                segment=hit.segment,
                position=hit.spot.position,
                conflict=Place(hit.spot.node, hit.spot.position) in conflicts,
            )
            for hit, record in zip(hits, records, strict=True)
        ),
        next=cursor_after(wanted, hits[-1].spot) if len(found) > len(hits) else "",
    )


def run_counts(
    sources: Sequence[Source],
    query: Query,
    by: tuple[str, ...] = (),
    bucket_us: int | None = None,
    hidden: Places = NOWHERE,
    limits: Limits = DEFAULTS,
) -> Counts:
    """How many events match, by the values of some fields and by time. Arguments as `run_page`.

    Raises:
        RejectedError: as `run_page`; also more than GROUPS_MAX groups or buckets.
        SourceError: a file that must be made again.
    """
    check_groups(by, bucket_us)
    wanted = check(structs.replace(query, cursor="", limit=1))
    grouping = Grouping(by, bucket_us, 2 * GROUPS_MAX + 2)
    total = 0
    groups: Counter[tuple[str, ...]] = Counter()
    buckets: Counter[int] = Counter()
    with engine_of(limits).working() as engine:
        for rows in engine.counts(prune(sources, wanted), wanted, hidden, grouping):
            for *values, bucket, n, kind in rows:
                if kind == sql.GROUP:
                    groups[tuple(values)] += n
                elif kind == sql.BUCKET:
                    buckets[bucket] += n
                else:
                    total += n
            refuse_many("by", groups)
            refuse_many("bucket", buckets)
    return Counts(
        count=total,
        groups=tuple(sorted(groups.items(), key=lambda group: (-group[1], group[0]))),
        histogram=tuple(sorted(buckets.items())) if bucket_us is not None else (),
    )


def run_matching(parts: Sequence[Lines], query: Query) -> frozenset[Place]:
    """Which events of some segments match, read from their lines rather than from the cache.

    Raises:
        RejectedError: a query that cannot be answered. CorruptError: lines that are no records.
    """
    table = decode(parts)
    rows = matching(table, check(query), {})
    found = table.select(["node", "position"]).take(pa.array(rows)).to_pydict()
    return frozenset(map(Place, found["node"], found["position"]))


def lines_within(
    parts: Sequence[FoldSource],
    stretch: Stretch,
    tenant: str | None = None,
    limits: Limits = DEFAULTS,
) -> list[Lines]:
    """The records at some positions of a node, from parts: neighbours of one segment together, in
    order. tenant: whose; None: of all.

    Raises:
        SourceError: a part or its index must be fetched or made again.
    """
    with engine_of(limits).working() as engine:
        found = engine.within(parts, stretch, tenant)
    positions, segments = found.positions, found.segments
    cuts = np.flatnonzero((np.diff(positions) != 1) | (np.diff(segments) != 0)) + 1
    bounds = [0, *cuts.tolist(), len(positions)] if len(positions) else []
    return [
        Lines(
            stretch.node,
            int(segments[start]),
            int(positions[start]),
            b"\n".join((*found.records[start:end], b"")),
        )
        for start, end in pairwise(bounds)
    ]


def is_newer(page: Page, query: Query, source: Source) -> bool:
    """Whether a page is full of events that are newer than all in a source."""
    after = check(structs.replace(query, cursor=page.next)).before if page.next else None
    return after is not None and after.time_us > source.time_max_us


def refuse_many(name: str, groups: Sized) -> None:
    """Raise RejectedError if they are more than an answer may have."""
    if len(groups) > GROUPS_MAX:
        raise RejectedError(TOO_MANY, Problem(0, name, f"makes more than {GROUPS_MAX} groups"))


def _newest(engine: Engine, sources: Sequence[Source], wanted: Wanted, hidden: Places) -> list[Hit]:
    """The first hits in order, one more than a page, reading no more sources than it takes."""
    enough = wanted.limit + 1
    hits: list[Hit] = []
    asked = question(wanted)
    # One id is in one place: to look at some first would only be one look more.
    groups: Iterable[Sequence[Source]] = [sources] if wanted.id else _groups(sources, enough)
    for group in groups:
        if len(hits) == enough:
            oldest_us = hits[-1].spot.time_us
            if group[0].time_max_us < oldest_us:
                break
            since = structs.replace(wanted, from_us=max(wanted.from_us, oldest_us))
            asked = structs.replace(asked, wanted=since)
        hits += engine.hits(group, asked, hidden, enough)
        hits = sorted(hits, key=lambda hit: hit.spot, reverse=True)[:enough]
    return hits


def _first(hits: Sequence[Hit], limit: int) -> Sequence[Hit]:
    """As many hits as a page shows: fewer than its limit where their records are large."""
    size = 0
    for number, hit in enumerate(hits[:limit]):
        size += hit.size_bytes
        if size > PAGE_BYTES_MAX and number:
            return hits[:number]
    return hits[:limit]


def _groups(sources: Sequence[Source], size: int) -> Iterator[list[Source]]:
    """Sources in their order, each group larger than the one before."""
    group: list[Source] = []
    weight = 0
    for source in sources:
        group.append(source)
        weight += _weight(source)
        if weight >= size:
            yield group
            size, group, weight = min(size * GROUP_GROWTH, GROUP_EVENTS_MAX), [], 0
    if group:
        yield group


def _weight(source: Source) -> int:
    if isinstance(source, FoldSource):
        return FOLD_WEIGHT_EVENTS
    return len(source.lines)


def _records(engine: Engine, sources: Sequence[Source], hits: Sequence[Hit]) -> list[bytes]:
    """The record of each hit."""
    segments = {
        (source.node, source.index): source
        for source in sources
        if isinstance(source, SegmentSource)
    }
    hot = [hit for hit in hits if not hit.fold]
    places = [(segments[hit.spot.node, hit.segment], hit.spot.position) for hit in hot]
    records = dict(zip((hit.spot for hit in hot), engine.hot.records(places), strict=True))
    folds: dict[str, list[Hit]] = {}
    for hit in hits:
        if hit.fold:
            folds.setdefault(hit.fold, []).append(hit)
    by_path = {source.path: source for source in sources if isinstance(source, FoldSource)}
    for path, within in folds.items():
        by_row = engine.records(by_path[path], [hit.row for hit in within])
        records.update((hit.spot, by_row[hit.row]) for hit in within)
    return [records[hit.spot] for hit in hits]


_engines: dict[Limits, Engine] = {}
atexit.register(_engines.clear)  # while the interpreter can still close what they hold
_engines_turn = threading.Lock()


def engine_of(limits: Limits) -> Engine:
    """The engine of this process, made when first used: its threads do not live through a fork."""
    with _engines_turn:
        engine = _engines.get(limits)
        if engine is None:
            engine = _engines[limits] = Engine(limits)
        return engine


def prepare() -> None:
    """Nothing more: a worker that was asked for it has loaded what a search needs."""
