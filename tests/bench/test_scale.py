"""docs/SCALE.md says what was measured and what follows from it, and nothing else."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bench import costs, results, scale_page
from bench.costs import Measured, Price, Requests
from bench.report import Part, Table
from bench.requests import PAGE_KEYS, Counted
from bench.scale import NAME
from bench.scale_reading import Shape, make
from holdfast.regions import layout
from holdfast.regions.directory import DirectoryStore
from holdfast.regions.disk import PosixDisk
from holdfast.regions.port import Listing, Present
from tests.regions.worlds import at_once

PAGE = scale_page.PAGE.read_text("utf-8")
PRICE = Price("a bucket", 5.0, 4.0, 0.5, 0.02, 0.01, "2026-11-29", "nobody")
FOUND = Measured(
    segment=Requests(1, 0, 3),
    beat=Requests(1, 0, 4),
    look=(Requests(0, 3, 2), Requests(0, 1, 1)),
    survey=(Requests(0, 4, 3), Requests(0, 1, 1)),
    segment_bytes=(1_000.0, 100.0),
    ack_read_bytes=750.0,
    ingest_cpu_us=20.0,
    follow_cpu_us=50.0,
)


def test_the_page_is_what_follows_from_the_committed_figures_and_prices() -> None:
    kept = results.read(results.RESULTS)

    assert scale_page.page(kept, costs.read_prices()) == PAGE


def test_the_page_begins_with_what_to_take_from_it() -> None:
    head = PAGE.splitlines()[:10]

    assert sum(line.startswith("- **") for line in head) >= 3
    assert all(not each.put or each.date in PAGE for each in costs.read_prices().values())


def test_what_is_measured_grows_neither_with_segments_nor_faster_than_nodes() -> None:
    data = results.read(results.RESULTS)[NAME].part.data

    asked = [each["follow"]["idle"][0]["lists"] for each in data["trails"]]
    assert len(set(asked)) == 1
    nodes = [(each["shape"]["nodes"], each["follow"]["idle"][0]["lists"]) for each in data["nodes"]]
    assert len({lists - count for count, lists in nodes}) == 1


@pytest.mark.parametrize(
    ("rate", "seal_ms", "expected"),
    [(100, 250, 4), (1, 250, 1), (100_000, 250, 10), (100, 5_000, 0.2)],
)
def test_a_node_seals_by_the_interval_or_by_the_event_or_by_the_full_segment(
    rate: int, seal_ms: int, expected: float
) -> None:
    assert costs.segments_a_second(rate, seal_ms) == expected


def test_a_million_events_cost_their_segments_in_every_region_and_what_crosses() -> None:
    """At 1,000/s, each 250 ms: 4,000 segments of 250 events and 26,000 bytes."""
    requests = 3 * 4_000 * (5.0 + 3 * 0.5) / 1e6
    crossing = 2 * 4_000 * (26_000 + 750) / 1e9 * 0.01

    assert costs.million_events(FOUND, PRICE, 1_000, 250) == pytest.approx(requests + crossing)


def test_an_idle_day_has_heartbeats_of_nodes_and_passes_and_surveys_of_readers() -> None:
    day = costs.idle_day(FOUND, nodes=2, readers=3)

    assert day.puts == 2 * 17_280
    assert day.lists == 3 * (17_280 * 5 + 2_880 * 6)
    assert day.gets == 2 * 17_280 * 4 + 3 * (17_280 * 4 + 2_880 * 5)


def test_rounds_list_everything_each_hour_until_passes_are_full() -> None:
    assert costs.rounds_day(4_096) == 24 * 5
    assert costs.rounds_day(10**12) == 17_280 * 4 * 5
    assert costs.surveys_day(4_096) == 2 * 5


def test_writers_are_half_busy_at_most() -> None:
    rates = (1, 25_000, 25_001, 1_000_000)

    assert [costs.workers_for(FOUND, rate) for rate in rates] == [1, 1, 2, 40]


def test_a_year_is_archived_by_the_hour_and_each_hour_has_its_parts_evidence_and_manifest() -> None:
    """At 100/s: 360,000 events an hour, of 200 bytes in parts: two parts of 48 MiB at most."""
    year = costs.year_of(100, (300.0, 200.0, 60.0))

    assert (year.segments, year.objects) == (365 * 345_600, 365 * 24 * 4)
    assert year.archive_bytes / year.segment_bytes == pytest.approx(260 / 300)
    assert year.evidence_bytes == 360_000 * 60
    crossing = 4 * year.archive_bytes / 1e9 * 0.01
    asked = (3 * year.objects * 5.5 + year.segments * 0.5) / 1e6
    assert year.archiving(PRICE) == pytest.approx(crossing + asked)
    assert year.kept(PRICE, 1e9) == pytest.approx(3 * 12 * 0.02)


def test_a_year_of_ten_thousand_a_second_is_archived_by_ten_minutes() -> None:
    year = costs.year_of(10_000, (156.0, 195.0, 6.0))

    assert year.evidence_bytes == 6_000_000 * 6
    assert year.objects == 365 * 144 * (24 + 2)


def test_years_are_told_once_archiving_was_measured() -> None:
    kept, prices = dict(results.read(results.RESULTS)), costs.read_prices()
    day = {"events": 1_000, "segment_bytes": 3e5, "part_bytes": 2e5, "evidence_bytes": 6e4}
    part = replace(kept["growth"].part, name="archive", data={"archived": {"25": [day]}})
    kept["archive"] = replace(kept["growth"], part=part)
    table = Table("", ("", "10 days"), (("ready, s", "1.5"),))
    kept["years"] = replace(kept["growth"], part=Part("years", (table,)))

    told = scale_page.page(kept, prices)

    assert "## A year with its archive" in told and "| 100 | 126,144,000 | 35,040 |" in told
    assert "| ready, s | 1.5 |" in told


def test_other_prices_make_another_page() -> None:
    kept, prices = results.read(results.RESULTS), dict(costs.read_prices())
    prices["aws"] = replace(prices["aws"], list=6.0)

    assert scale_page.page(kept, prices) != PAGE


def test_requests_are_counted_as_a_bucket_bills_them(tmp_path: Path) -> None:
    made, _ = make(Shape(segments=PAGE_KEYS + 1, events=1), tmp_path, 1)
    root = tmp_path / "regions" / "b"

    async def main() -> None:
        store = Counted(DirectoryStore(root, PosixDisk(), at_once))

        names = await store.list(layout.SEGMENTS_PREFIX)
        cookie = await store.read(layout.REGION_KEY)

        assert isinstance(names, Listing) and isinstance(cookie, Present)
        assert (store.requests.lists, store.requests.listed_keys) == (2, PAGE_KEYS + 1)
        assert (store.requests.gets, store.requests.read_bytes) == (1, len(cookie.data))
        assert made.ends[0].size == PAGE_KEYS + 1

    asyncio.run(main())
