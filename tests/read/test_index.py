"""An index beside a fold leaves work out and nothing else: answers are those without it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from holdfast.errors import RejectedError
from holdfast.model import Page, Place, Query
from holdfast.read import fold as fold_module
from holdfast.read import index as index_module
from holdfast.read import indexed as indexed_module
from holdfast.read import lookup as lookup_module
from holdfast.read import pages as pages_module
from holdfast.read import words as words_module
from holdfast.read.engine import DEFAULTS, Limits
from holdfast.read.fold import fold, index_fold
from holdfast.read.index import path_of
from holdfast.read.pages import read_page
from holdfast.read.search import run_counts, run_page
from holdfast.read.segments import SourceError
from holdfast.read.sources import FoldSource, Places, places
from tests.read.little_trail import (
    NODES,
    SECOND_US,
    START_US,
    Trail,
    queries,
    record_of,
    records,
)

FEW = Limits(index_bytes=1)  # an index is opened and let go of for each look


@contextmanager
def small_pieces() -> Iterator[None]:
    """Let a few rows be a block, a page and a row group, and a fold too much to read whole."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (index_module, lookup_module):
            patch.setattr(module, "BLOCK_ROWS", 3)
        patch.setattr(index_module, "PIECE_BYTES", 200)
        patch.setattr(indexed_module, "PAGES_BYTES", 1_000)
        patch.setattr(lookup_module, "ROWS_READ_MAX", 4)
        patch.setattr(fold_module, "ROW_GROUP_EVENTS", 7)
        patch.setattr(fold_module, "PAGE_BYTES", 300)
        patch.setattr(fold_module, "PAGE_CHECK_ROWS", 1)
        yield


def folded(directory: str | Path, segments: list[tuple[int, list[bytes]]]) -> list[FoldSource]:
    """Two folds of some segments, each with its index."""
    trail = Trail(Path(directory))
    for node, lines in segments:
        trail.add(NODES[node], lines)
    halves = (trail.sources[::2], trail.sources[1::2])
    paths = (str(Path(directory) / f"{number}.parquet") for number in range(2))
    return [fold(half, path).source(path) for half, path in zip(halves, paths, strict=True) if half]


def without(sources: list[FoldSource]) -> list[FoldSource]:
    """The same folds under other names, where no index lies."""
    found = []
    for source in sources:
        path = source.path.replace(".parquet", "-alone.parquet")
        Path(path).write_bytes(Path(source.path).read_bytes())
        found.append(structs.replace(source, path=path))
    return found


def segment_lists() -> st.SearchStrategy[list[tuple[int, list[bytes]]]]:
    one = st.tuples(st.integers(0, 1), st.lists(records(), min_size=1, max_size=8))
    return st.lists(one, min_size=1, max_size=8)


def some_places() -> st.SearchStrategy[Places]:
    place = st.builds(Place, st.sampled_from(NODES), st.integers(0, 20))
    return st.lists(place, max_size=8).map(places)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(segment_lists(), queries(), some_places(), some_places(), st.sampled_from([DEFAULTS, FEW]))
def test_a_page_found_by_indexes_is_the_one_found_without(
    segments: list[tuple[int, list[bytes]]],
    query: Query,
    hidden: Places,
    flagged: Places,
    limits: Limits,
) -> None:
    with tempfile.TemporaryDirectory() as directory, small_pieces():
        sources = folded(directory, segments)
        alone = without(sources)
        for _ in range(3):
            page = run_page(sources, query, hidden, flagged, limits)

            assert page == run_page(alone, query, hidden, flagged, limits)
            query = structs.replace(query, cursor=page.next)


GROUPINGS = ((), ("action",), ("tenant", "outcome"), ("node",), ("ip", "actor"), ("outcome",))
HOUR_US = 3600 * SECOND_US


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    segment_lists(),
    queries(),
    some_places(),
    st.sampled_from(GROUPINGS),
    st.sampled_from([None, 700_000, HOUR_US, 24 * HOUR_US]),
)
def test_counts_by_indexes_are_those_without(
    segments: list[tuple[int, list[bytes]]],
    query: Query,
    hidden: Places,
    by: tuple[str, ...],
    bucket_us: int | None,
) -> None:
    with tempfile.TemporaryDirectory() as directory, small_pieces():
        sources = folded(directory, segments)

        counts = run_counts(sources, query, by, bucket_us, hidden)

        assert counts == run_counts(without(sources), query, by, bucket_us, hidden)


def trail_of(directory: Path, events: int) -> FoldSource:
    """One fold of numbered events, a second apart."""
    trail = Trail(directory)
    for start in range(0, events, 50):
        lines = [numbered(n) for n in range(start, min(start + 50, events))]
        trail.add(NODES[0], lines)
    path = str(directory / "fold.parquet")
    return fold(trail.sources, path).source(path)


def numbered(n: int) -> bytes:
    event = {
        "id": f"id-{n}",
        "tenant": f"t{n % 3}",
        "action": f"a.{n % 7}",
        "actor": {"id": f"u{n % 40}"},
        "reason": f"see ticket TCK-{n:05} of that day",
    }
    return record_of(event, START_US + n * SECOND_US)


def positions(page: Page) -> list[int]:
    return [one.position for one in page.events]


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.99])
def test_a_damaged_index_is_not_believed_deleted_and_made_again(
    tmp_path: Path, part: float
) -> None:
    source = trail_of(tmp_path, 400)
    index = path_of(source.path)
    good = index.read_bytes()
    data = bytearray(good)
    data[int(len(data) * part)] ^= 4
    index.write_bytes(data)

    page = run_page([source], Query(actor="u7"))

    assert positions(page) == list(range(367, 0, -40))
    assert not index.exists()
    index_fold(source)
    assert index.read_bytes() == good
    assert run_page([source], Query(actor="u7")) == page


@pytest.mark.parametrize("what", ["gone", "empty", "short", "older", "another fold's"])
def test_an_index_that_is_not_to_be_had_is_done_without(tmp_path: Path, what: str) -> None:
    source = trail_of(tmp_path, 400)
    index = path_of(source.path)
    data = index.read_bytes()
    (tmp_path / "other").mkdir()
    other = path_of(trail_of(tmp_path / "other", 100).path).read_bytes()
    bad = {
        "empty": b"",
        "short": data[:100],
        "older": data[:-8] + b"hf-fix-0",
        "another fold's": other,
    }
    index.unlink() if what == "gone" else index.write_bytes(bad[what])

    page = run_page([source], Query(q="TCK-00123"))
    counts = run_counts([source], Query(tenant="t1"), ("action",))

    assert positions(page) == [123]
    assert counts.count == 133
    assert not index.exists()


def test_a_fold_whose_pages_rotted_after_it_was_checked_is_named(tmp_path: Path) -> None:
    source = trail_of(tmp_path, 400)
    run_page([source], Query(id="id-1"))
    data = bytearray(Path(source.path).read_bytes())
    page = index_module.Index(source.path, source.sha256).footer.pages[0]
    data[page.offset + 8 : page.offset + 40] = bytes(32)
    Path(source.path).write_bytes(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexed_module, "PAGES_BYTES", 0)
        run_page([trail_of_other(tmp_path)], Query(id="id-1"))
        with pytest.raises(SourceError) as caught:
            run_page([source], Query(id="id-1"))

    assert caught.value.path == source.path


def trail_of_other(directory: Path) -> FoldSource:
    (directory / "another").mkdir()
    return trail_of(directory / "another", 60)


def test_one_id_one_actor_and_one_word_read_few_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_pieces():
        source = trail_of(tmp_path, 600)
        reads: list[int] = []

        def counted(path: str, page: pages_module.Page) -> bytes:
            reads.append(page.row)
            return read_page(path, page)

        monkeypatch.setattr(indexed_module, "read_page", counted)
        few: list[tuple[Query, list[int]]] = [
            (Query(id="id-77"), [77]),
            (Query(q="ticket TCK-00123 of"), [123]),
            (Query(word="tck-00123"), [123]),
            (Query(actor="u7", limit=2), [567, 527]),
            (Query(tenant="t2", limit=3), [599, 596, 593]),
        ]
        for query, want in few:
            reads.clear()

            page = run_page([source], query)

            assert positions(page) == want
            assert len(reads) <= 2 * query.limit, query
            assert len(reads) < 40, query


@pytest.mark.parametrize("blocks", [1, 5, 70])
def test_a_filter_of_few_or_many_blocks_takes_few_for_what_they_do_not_hold(blocks: int) -> None:
    words = [b" ".join(b"w%d-%d" % (block, n) for n in range(300)) for block in range(blocks)]
    made = [words_module.Block() for _ in words]
    for block, line in zip(made, words, strict=True):
        block.add(words_module.hashes_of(line))

    found = words_module.Filter(words_module.make_filter(made), blocks)

    absent = [words_module.probes(words_module.hash_of(b"x%d" % n)) for n in range(1_000)]
    taken = sum(len(found.blocks_with([word])) for word in absent)
    assert taken < 0.03 * blocks * len(absent)
    last = words_module.probes(words_module.hash_of(b"w%d-7" % (blocks - 1)))
    assert blocks - 1 in found.blocks_with([last])


def test_a_count_by_action_and_hour_opens_no_fold(tmp_path: Path) -> None:
    source = trail_of(tmp_path, 400)
    counts = run_counts([source], Query(), ("action",), HOUR_US)
    Path(source.path).write_bytes(b"")

    again = run_counts([source], Query(), ("action",), HOUR_US)

    assert again == counts
    assert counts.count == 400
    assert counts.groups[0] == (("a.0",), 58)


@pytest.mark.parametrize("sent", [b"doc/1", b"doc\\/1", b"doc\\u002f1", b"d\\u006fc/1"])
def test_a_target_is_found_however_its_slash_was_sent(tmp_path: Path, sent: bytes) -> None:
    trail = Trail(tmp_path)
    one = record_of({"id": "one", "targets": [{"id": "doc/1"}]}, START_US)
    other = [record_of({"id": f"{n}"}, START_US) for n in range(20)]
    trail.add(NODES[0], [*other, one.replace(b"doc/1", sent)])
    path = str(tmp_path / "fold.parquet")
    with small_pieces():
        source = fold(trail.sources, path).source(path)

        assert positions(run_page([source], Query(target="doc/1"))) == [20]


def test_a_word_is_found_in_any_case_of_letters_beyond_ascii(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    schools = [record_of({"reason": f"at {word} today"}, START_US) for word in ("École", "école")]
    other = [record_of({"id": f"{n}"}, START_US) for n in range(20)]
    trail.add(NODES[0], [*other, *schools])
    path = str(tmp_path / "fold.parquet")
    with small_pieces():
        source = fold(trail.sources, path).source(path)

        assert positions(run_page([source], Query(q="at ÉCOLE today"))) == [21, 20]


def test_what_is_escaped_in_a_record_is_found_by_what_it_means(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    plain = record_of({"id": "plain", "actor": {"id": "mallory"}}, START_US)
    escaped = plain.replace(b"mallory", b"m\\u0061llory").replace(b"plain", b"esc\\u0061ped")
    other = [record_of({"id": f"{n}"}, START_US) for n in range(20)]
    trail.add(NODES[0], [*other, plain, escaped])
    path = str(tmp_path / "fold.parquet")
    with small_pieces():
        source = fold(trail.sources, path).source(path)

        assert positions(run_page([source], Query(actor="mallory"))) == [21, 20]
        assert positions(run_page([source], Query(id="escaped"))) == [21]


@pytest.mark.parametrize("text", ["http://evil.example/x?a=1&b", "/x?", "<script>", "evil & c"])
def test_text_is_found_as_libraries_write_it_that_escape_more(tmp_path: Path, text: str) -> None:
    trail = Trail(tmp_path)
    reason = "see http://evil.example/x?a=1&b, <SCRIPT> and evil & c"
    plain = record_of({"reason": reason}, START_US)
    php = plain.replace(b"/", rb"\/")
    go = plain.replace(b"<", rb"\u003c").replace(b">", rb"\u003e").replace(b"&", rb"\u0026")
    other = [record_of({"id": f"{n}"}, START_US) for n in range(20)]
    trail.add(NODES[0], [*other, plain, php, go])
    path = str(tmp_path / "fold.parquet")
    hot = positions(run_page(trail.sources, Query(q=text)))
    with small_pieces():
        source = fold(trail.sources, path).source(path)

        assert hot == positions(run_page([source], Query(q=text))) == [22, 21, 20]


def test_a_search_by_indexes_ends_with_its_time(tmp_path: Path) -> None:
    source = trail_of(tmp_path, 400)
    limits = Limits(timeout_s=0.001)
    many = [source] * 100_000

    with pytest.raises(RejectedError) as caught:
        run_page(many, Query(id="not to be found"), limits=limits)

    assert caught.value.kind == "too-slow"


def test_text_that_begins_or_ends_within_a_word_is_found(tmp_path: Path) -> None:
    with small_pieces():
        source = trail_of(tmp_path, 200)

        for text in ("KET tck-00123 o", "et TCK-00123 of th", "0123 of", "TCK-00123"):
            assert positions(run_page([source], Query(q=text))) == [123]


def test_a_whole_word_is_not_found_within_longer_ones(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    reasons = (
        "see TCK-42",
        "TCK-42",
        "a\nTCK-42.",
        "(tck-42)",
        "TCK-421",
        "XTCK-42",
        "-TCK-42",
        "é",
    )
    trail.add(NODES[0], [record_of({"reason": reason}, START_US) for reason in reasons])
    path = str(tmp_path / "fold.parquet")
    with small_pieces():
        source = fold(trail.sources, path).source(path)
        for sources in ([source], without([source]), trail.sources):
            assert positions(run_page(sources, Query(word="TCK-42"))) == [3, 2, 1, 0]
            assert positions(run_page(sources, Query(word="see tck-42"))) == [0]
            assert positions(run_page(sources, Query(word="(TCK-42"))) == [3]
            assert positions(run_page(sources, Query(word="TCK-42", q="tck-42)"))) == [3]
            assert positions(run_page(sources, Query(word="É"))) == [7]


def test_a_letter_that_an_engine_folds_to_ascii_hides_no_word(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    reasons = ("in \u212belvin of", "in \u212aelvin of", "in kelvin of", "a paſs in", "a pass in")
    for reason in reasons:
        trail.add(NODES[0], [record_of({"id": reason, "reason": reason}, START_US)] * 4)
    path = str(tmp_path / "fold.parquet")
    with small_pieces():
        source = fold(trail.sources, path).source(path)

        kelvins = positions(run_page([source], Query(q="in kelvin of")))
        passes = positions(run_page([source], Query(q="a pass in")))
        other = positions(run_page([source], Query(q="in \u212aelvin of")))

    assert kelvins == other == [11, 10, 9, 8, 7, 6, 5, 4]
    assert passes == [19, 18, 17, 16, 15, 14, 13, 12]


def test_a_count_of_part_of_a_folds_time_counts_no_more(tmp_path: Path) -> None:
    source = trail_of(tmp_path, 400)
    middle = START_US + 150 * SECOND_US

    before = run_counts([source], Query(to_us=middle), ("action",), HOUR_US)
    after = run_counts([source], Query(from_us=middle), ("action",), HOUR_US)

    assert (before.count, after.count) == (150, 250)
    assert sum(n for _, n in before.groups) == sum(n for _, n in before.histogram) == 150
