"""Search against a naive reading of the same records."""

import concurrent.futures
import multiprocessing
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from holdfast.errors import RejectedError
from holdfast.model import Counts, Found, Place, Query
from holdfast.read import hot as hot_module
from holdfast.read import search as search_module
from holdfast.read import segments as segments_module
from holdfast.read.engine import DEFAULTS, Limits
from holdfast.read.fold import fold
from holdfast.read.index import Index, path_of
from holdfast.read.search import run_counts, run_page
from holdfast.read.segments import SourceError
from holdfast.read.sources import Places, Source, places
from tests.read.little_trail import (
    ACTIONS,
    IPS,
    NAMES,
    NODES,
    OUTCOMES,
    SECOND_US,
    START_US,
    TENANTS,
    TEXTS,
    WHOLE_TEXTS,
    WORDS,
    Stored,
    Trail,
    queries,
    record_of,
    records,
)

PAGES_MAX = 200
CRAMPED = Limits(hot_bytes=4_000)  # forgets


@contextmanager
def made(
    segments: list[tuple[int, list[bytes]]], folded: int
) -> Iterator[tuple[Trail, list[Source]]]:
    """A trail of these segments, the first `folded` of them in two folds, one made of the other."""
    with tempfile.TemporaryDirectory() as directory:
        trail = Trail(Path(directory))
        for node, lines in segments:
            trail.add(NODES[node], lines)
        sources: list[Source] = list(trail.sources[folded:])
        half = folded // 2
        if half:
            old = str(Path(directory) / "old.parquet")
            first = fold(trail.sources[:half], old).source(old)
            new = str(Path(directory) / "new.parquet")
            sources.append(fold([first, *trail.sources[half:folded]], new).source(new))
        elif folded:
            new = str(Path(directory) / "new.parquet")
            sources.append(fold(trail.sources[:folded], new).source(new))
        yield trail, sources


@contextmanager
def small_pieces() -> Iterator[None]:
    """Let a few events be as many as a search holds at a time, and a page as much as it may."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "PAGE_BYTES_MAX", 150)
        patch.setattr(hot_module, "TABLE_BYTES", 400)
        patch.setattr(hot_module, "PACK_EVENTS", 2)
        patch.setattr(hot_module, "SMALL_BLOCKS_MAX", 1)
        patch.setattr(segments_module, "BATCH_EVENTS", 5)
        yield


def all_pages(
    sources: Sequence[Source], query: Query, hidden: Places, conflicts: Places, limits: Limits
) -> list[Found]:
    found: list[Found] = []
    for _ in range(PAGES_MAX):
        page = run_page(sources, query, hidden, conflicts, limits)
        assert len(page.events) <= query.limit
        assert page.events or not query.cursor
        found += page.events
        if not page.next:
            return found
        query = structs.replace(query, cursor=page.next)
    raise AssertionError("the pages do not end")


def segment_lists() -> st.SearchStrategy[list[tuple[int, list[bytes]]]]:
    one = st.tuples(st.integers(0, 1), st.lists(records(), min_size=1, max_size=6))
    return st.lists(one, min_size=1, max_size=8)


def chosen(trail: Trail, numbers: set[int]) -> set[Place]:
    return {Place(one.node, one.position) for n, one in enumerate(trail.stored) if n in numbers}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(segment_lists(), st.integers(0, 8), queries(), st.sets(st.integers(0, 40)), st.data())
def test_all_pages_together_are_the_naive_answer_each_event_once(
    segments: list[tuple[int, list[bytes]]],
    folded: int,
    query: Query,
    some: set[int],
    data: st.DataObject,
) -> None:
    with made(segments, folded % (len(segments) + 1)) as (trail, sources):
        hidden = chosen(trail, some)
        flagged = chosen(trail, data.draw(st.sets(st.integers(0, 40))))

        if data.draw(st.booleans()):
            found = all_pages(sources, query, places(hidden), places(flagged), DEFAULTS)
        else:
            with small_pieces():
                found = all_pages(sources, query, places(hidden), places(flagged), CRAMPED)

        want = [
            one for one in trail.newest_first(query) if Place(one.node, one.position) not in hidden
        ]
        assert [as_found(one, flagged) for one in want] == [plain(one) for one in found]


def as_found(one: Stored, flagged: set[Place]) -> tuple[str, int, int, bytes, bool]:
    place = Place(one.node, one.position)
    return one.node, one.segment, one.position, one.record, place in flagged


def plain(one: Found) -> tuple[str, int, int, bytes, bool]:
    return one.node, one.segment, one.position, bytes(one.record), one.conflict


def every_filter() -> Iterator[Query]:
    """A query for each value of each filter."""
    for actor in NAMES:
        yield from (Query(actor=actor), Query(target=actor), Query(tenant="acme", actor=actor))
    yield from (Query(tenant=tenant) for tenant in TENANTS)
    yield from (Query(action=action) for action in (*ACTIONS, "iam.*", "S3.*"))
    yield from (Query(outcome=outcome) for outcome in OUTCOMES)
    yield from (Query(ip=ip) for ip in IPS)
    yield from (Query(q=text) for text in TEXTS)
    yield from (Query(word=text) for text in WHOLE_TEXTS)
    yield Query(id="id-7")


def test_each_filter_by_itself_finds_of_hot_events_what_the_naive_reading_finds(
    tmp_path: Path,
) -> None:
    trail = Trail(tmp_path)
    for segment in range(5):
        numbers = range(40 * segment, 40 * segment + 40)
        events = sorted(map(varied, numbers), key=lambda event: str(event["tenant"]))
        received_us = START_US + segment * SECOND_US
        trail.add(NODES[segment % 2], [record_of(event, received_us) for event in events])

    for query in every_filter():
        small = structs.replace(query, limit=40)
        found = all_pages(trail.sources, small, places([]), places([]), DEFAULTS)
        counts = run_counts(trail.sources, query)

        want = [one.record for one in trail.newest_first(query)]
        assert [bytes(one.record) for one in found] == want, query
        assert counts.count == len(want) > 0, query


def varied(number: int) -> dict[str, object]:
    """An event, whose values meet those of others in many ways."""
    return {
        "id": f"id-{number}",
        "tenant": TENANTS[number % 4],
        "actor": {"id": NAMES[number % 5], "name": NAMES[number % 3]},
        "action": ACTIONS[number % 7 % 5],
        "targets": [{"id": NAMES[(number + at) % 5], "name": "root"} for at in range(number % 4)],
        "outcome": OUTCOMES[number % 9 % 4],
        "source": {"ip": IPS[number % 3]},
        "reason": WORDS[number % 11 % 9] + (" Zo TCK 42 straSSe TCK-421" if number % 2 else ""),
    }


GROUPINGS = ((), ("action",), ("tenant", "outcome"), ("node",), ("ip", "actor"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    segment_lists(),
    st.integers(0, 8),
    queries(),
    st.sets(st.integers(0, 40)),
    st.sampled_from(GROUPINGS),
    st.none() | st.integers(1, 40).map(lambda tenths: tenths * SECOND_US // 10),
)
def test_counts_are_those_of_the_naive_answer(
    segments: list[tuple[int, list[bytes]]],
    folded: int,
    query: Query,
    some: set[int],
    by: tuple[str, ...],
    bucket_us: int | None,
) -> None:
    with made(segments, folded % (len(segments) + 1)) as (trail, sources):
        hidden = chosen(trail, some)

        counts = run_counts(sources, query, by, bucket_us, places(hidden))
        with small_pieces():
            again = run_counts(sources, query, by, bucket_us, places(hidden), CRAMPED)

        want = [
            one for one in trail.newest_first(query) if Place(one.node, one.position) not in hidden
        ]
        assert counts == again == naive_counts(want, by, bucket_us)


def naive_counts(want: list[Stored], by: tuple[str, ...], bucket_us: int | None) -> Counts:
    def value(one: Stored, name: str) -> str:
        if name == "node":
            return one.node
        if name == "ip":
            return str(one.event.get("source", {}).get("ip", ""))
        if name == "actor":
            return str(one.event.get("actor", {}).get("id", ""))
        return str(one.event.get(name, ""))

    groups = Counter(tuple(value(one, name) for name in by) for one in want) if by else Counter()
    buckets = Counter(one.time_us // bucket_us * bucket_us for one in want) if bucket_us else {}
    return Counts(
        count=len(want),
        groups=tuple(sorted(groups.items(), key=lambda group: (-group[1], group[0]))),
        histogram=tuple(sorted(buckets.items())),
    )


def numbered(directory: Path, segments: int, each: int) -> Trail:
    """Segments of a few events a second apart, no two with the same time."""
    trail = Trail(directory)
    for segment in range(segments):
        numbers = range(segment * each, (segment + 1) * each)
        trail.add(
            NODES[0],
            [
                record_of({"id": f"e{n}", "tenant": f"t{n % 3}"}, START_US + n * SECOND_US)
                for n in numbers
            ],
        )
    return trail


def test_a_full_page_reads_no_segment_that_holds_only_older_events(tmp_path: Path) -> None:
    trail = numbered(tmp_path, segments=40, each=1000)
    for source in trail.sources[:16]:
        Path(source.path).unlink()

    page = run_page(trail.sources, Query(limit=50))

    assert [bytes(one.record) for one in page.events] == [
        one.record for one in trail.newest_first(Query())[:50]
    ]


def test_a_segment_that_was_read_for_one_tenant_is_not_read_again_for_another(
    tmp_path: Path,
) -> None:
    trail = numbered(tmp_path, segments=1, each=9)
    run_page(trail.sources, Query(tenant="t0"))
    Path(trail.sources[0].path).unlink()

    page = run_page(trail.sources, Query(tenant="t1"))

    assert [one.position for one in page.events] == [7, 4, 1]


def test_events_of_one_time_are_in_order_however_many_groups_hold_them(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    for n in range(6):
        lines = [record_of({"id": f"{n}-{m}"}, START_US) for m in range(3)]
        trail.add(NODES[n % 2], lines)

    found = all_pages(trail.sources, Query(limit=2), places([]), places([]), CRAMPED)

    assert [(one.node, one.position) for one in found] == [
        (one.node, one.position) for one in trail.newest_first(Query())
    ]


@pytest.mark.parametrize("folded", [False, True])
def test_a_range_of_times_begins_with_its_first_us_and_ends_before_its_last(
    tmp_path: Path, *, folded: bool
) -> None:
    trail = Trail(tmp_path)
    for n in range(4):
        trail.add(NODES[0], [record_of({"id": f"{n}"}, START_US + n)])
    path = str(tmp_path / "fold.parquet")
    sources = [fold(trail.sources[3:], path).source(path)] if folded else trail.sources

    page = run_page(sources, Query(from_us=START_US + 3, to_us=START_US + 4))
    none = run_page(sources, Query(from_us=START_US + 4, to_us=START_US + 9))
    before = run_page(sources, Query(from_us=START_US - 9, to_us=START_US))

    assert [one.position for one in page.events] == [3]
    assert none.events == before.events == ()


def test_an_actor_whose_id_is_also_its_name_is_found_and_counted_once(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    actors: list[dict[str, str]] = [
        {"id": "a", "name": "a"},
        {"id": "a"},
        {"name": "a"},
        {"id": "b"},
    ]
    trail.add(
        NODES[0],
        [record_of({"id": f"{n}", "actor": who}, START_US + n) for n, who in enumerate(actors)],
    )

    page = run_page(trail.sources, Query(actor="a"))
    counts = run_counts(trail.sources, Query(actor="a"), ("actor",))

    assert [one.position for one in page.events] == [2, 1, 0]
    assert counts.groups == ((("a",), 2), (("",), 1))


def test_buckets_begin_below_their_events_also_before_1970(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    times = ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:50Z", "1970-01-01T00:00:00Z")
    trail.add(NODES[0], [record_of({"id": time, "time": time}, START_US) for time in times])

    counts = run_counts(trail.sources, Query(), (), 10 * SECOND_US)

    assert counts.histogram == ((-10 * SECOND_US, 2), (0, 1))


@pytest.mark.parametrize("folded", [False, True])
def test_a_page_of_large_events_is_shorter_and_the_next_goes_on(
    tmp_path: Path, *, folded: bool
) -> None:
    trail = Trail(tmp_path)
    large = "x" * (1 << 20)
    for segment in range(4):
        events = ({"id": f"{segment}-{n}", "reason": large} for n in range(10))
        trail.add(NODES[0], [record_of(event, START_US) for event in events])
    path = str(tmp_path / "fold.parquet")
    sources = [fold(trail.sources, path).source(path)] if folded else trail.sources

    first = run_page(sources, Query(limit=30))
    found = all_pages(sources, Query(limit=30), places([]), places([]), DEFAULTS)

    assert len(first.events) == 15
    assert [one.position for one in found] == list(range(40))[::-1]


def test_a_segment_whose_cached_bytes_rotted_is_named_and_not_shown(tmp_path: Path) -> None:
    trail = numbered(tmp_path, segments=1, each=5)
    path = Path(trail.sources[0].path)
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)

    with pytest.raises(SourceError) as caught:
        run_page(trail.sources, Query())

    assert caught.value.path == str(path)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_fold_with_one_flipped_bit_is_named_and_not_shown(tmp_path: Path, indexed: bool) -> None:
    trail = numbered(tmp_path, segments=3, each=50)
    path = tmp_path / "fold.parquet"
    source = fold(trail.sources, str(path)).source(str(path))
    page = Index(source.path, source.sha256).footer.pages[0]
    data = bytearray(path.read_bytes())
    data[page.offset + page.size // 2] ^= 1
    path.write_bytes(data)
    if not indexed:
        path_of(source.path).unlink()

    with pytest.raises(SourceError) as caught:
        run_page([source], Query())

    assert caught.value.path == str(path)


def test_a_fold_that_was_deleted_is_named_even_when_it_was_read_before(tmp_path: Path) -> None:
    trail = numbered(tmp_path, segments=3, each=50)
    path = tmp_path / "fold.parquet"
    source = fold(trail.sources, str(path)).source(str(path))
    run_page([source], Query())
    path.unlink()

    with pytest.raises(SourceError) as caught:
        run_page([source], Query())

    assert caught.value.path == str(path)


def test_a_folder_may_have_a_name_that_looks_like_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "odd[1]*?"
    folder.mkdir()
    trail = numbered(folder, segments=2, each=5)
    path = str(folder / "a*[x]?.parquet")
    source = fold(trail.sources, path).source(path)

    page = run_page([source], Query(limit=3))

    assert [one.position for one in page.events] == [9, 8, 7]


@pytest.mark.parametrize(
    "text", ["' OR 1=1 --", '"; DROP TABLE hot; --', "%", "_", "\\", "\x00", "?", "$1", "\\Q.*\\E"]
)
def test_what_is_searched_for_is_never_read_as_a_pattern_or_as_sql(
    tmp_path: Path, text: str
) -> None:
    trail = numbered(tmp_path, segments=1, each=5)
    path = str(tmp_path / "fold.parquet")
    folded = fold(trail.sources, path).source(path)

    for name in ("tenant", "actor", "action", "target", "ip", "id", "q"):
        for sources in (trail.sources, [folded]):
            query = structs.replace(Query(), **{name: text})
            assert run_page(sources, query).events == ()


@pytest.mark.parametrize("text", ["TCK-4321", "tck-4321", "Tck-4321 ü", "TCK-4321 Ü"])
def test_text_is_found_in_any_case_by_what_has_none_first(tmp_path: Path, text: str) -> None:
    trail = Trail(tmp_path)
    reasons = ("tck-4321 ü", "TCK-4321 Ü", "tck-4322 ü")
    for ascii_only in (False, True):
        events = ({"id": f"{n}", "reason": reason} for n, reason in enumerate(reasons))
        trail.add(NODES[0], [record_of(e, START_US, ascii_only=ascii_only) for e in events])

    page = run_page(trail.sources, Query(q=text))

    assert [one.position for one in page.events] == [4, 3, 1, 0]


def test_a_search_that_takes_too_long_is_cut_off_and_says_so(tmp_path: Path) -> None:
    trail = numbered(tmp_path, segments=20, each=1000)

    with pytest.raises(RejectedError, match=r"longer than 0\.001 s") as caught:
        run_page(trail.sources, Query(q="not to be found"), limits=Limits(timeout_s=0.001))

    assert caught.value.kind == "too-slow"


def test_a_search_after_one_that_was_cut_off_is_answered(tmp_path: Path) -> None:
    trail = numbered(tmp_path, segments=20, each=1000)
    limits = Limits(timeout_s=0.2)
    with pytest.raises(RejectedError):
        run_page(trail.sources * 200, Query(q="not to be found"), limits=limits)

    page = run_page(trail.sources[:1], Query(limit=1), limits=limits)

    assert len(page.events) == 1


def test_more_groups_than_an_answer_may_hold_are_refused(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    events = ({"id": f"{n}", "source": {"ip": f"ip{n}"}} for n in range(10_001))
    trail.add(NODES[0], [record_of(event, START_US) for event in events])

    with pytest.raises(RejectedError) as caught:
        run_counts(trail.sources, Query(), ("ip",))

    assert caught.value.kind == "too-many-groups"


def test_a_search_runs_in_a_spawned_worker_and_its_errors_come_back(tmp_path: Path) -> None:
    trail = numbered(tmp_path, segments=3, each=5)
    spawn = multiprocessing.get_context("spawn")
    hidden = places([Place(NODES[0], 14)])

    with concurrent.futures.ProcessPoolExecutor(1, spawn) as workers:
        page = workers.submit(run_page, trail.sources, Query(limit=2), hidden).result()
        counts = workers.submit(run_counts, trail.sources, Query(), ("tenant",)).result()
        refused = workers.submit(run_page, trail.sources, Query(limit=0)).exception()
        other = structs.replace(trail.sources[0], sha256="0" * 64)
        rotten = workers.submit(run_page, [other], Query()).exception()

    assert [one.position for one in page.events] == [13, 12]
    assert counts.groups == ((("t0",), 5), (("t1",), 5), (("t2",), 5))
    assert isinstance(refused, RejectedError) and refused.problems[0].field == "limit"
    assert isinstance(rotten, SourceError) and rotten.path == other.path


def test_thousands_of_lone_events_are_found_like_few_large_segments(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    for n in range(1_200):
        event = {"id": f"e{n}", "tenant": f"t{n % 7}"}
        trail.add(NODES[n % 2], [record_of(event, START_US + n * SECOND_US)])
    query = Query(tenant="t3", limit=1000)

    for known in range(100, 1_201, 50):  # more arrive between searches
        page = run_page(trail.sources[:known], query)

        want = [
            one for one in trail.newest_first(query) if one.time_us < START_US + known * SECOND_US
        ]
        assert [bytes(one.record) for one in page.events] == [one.record for one in want]


def test_a_process_that_ends_right_after_a_search_says_nothing_about_it() -> None:
    code = (
        "from holdfast.read.search import engine_of\n"
        "from holdfast.read.engine import DEFAULTS\n"
        "with engine_of(DEFAULTS).working(): pass"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stderr == done.stdout == b""


def test_threads_of_one_process_may_search_at_the_same_time(tmp_path: Path) -> None:
    trail = numbered(tmp_path, segments=5, each=100)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        pages = list(
            threads.map(lambda n: run_page(trail.sources, Query(tenant=f"t{n % 3}")), range(12))
        )

    assert [len(page.events) for page in pages] == [100] * 12
    assert all(b'"t1"' in bytes(one.record) for one in pages[1].events)
