"""How the archive stands is told: in figures, and in the status."""

from msgspec import structs

from holdfast.archive.archivist import ArchiveReport, Archiving
from holdfast.archive.shelves import Shelf, Shelves
from holdfast.archive.sweep import SweepReport, Swept
from holdfast.retention.expire import RetentionReport
from holdfast.retention.plan import Expiring
from holdfast.serve.status import ArchiveShape, _archive
from holdfast.watch.metrics import _of_archives, _of_leaving
from tests.watch.standings import NOW_US, WELL

UNIT = Archiving("2026-11-28", 10, 100, 1, 5000, ("a",), (("b", "away"),))
REPORT = ArchiveReport(
    NOW_US - 9,
    NOW_US,
    31,
    (UNIT,),
    "tomorrow",
    "segment 3 cannot be read",
    due_us=NOW_US - 7_000_000,
)
SHELVES = Shelves(
    NOW_US,
    {
        "a": Shelf(frozenset({"2026-11-27", "2026-11-28"}), frozenset(), 5070),
        "b": Shelf(frozenset(), frozenset({"x"})),
    },
)


def test_nothing_is_told_before_the_first_run() -> None:
    assert [each.samples for each in _of_archives(WELL)] == [[]] * 8


def test_figures_say_what_each_region_lacks() -> None:
    standing = structs.replace(WELL, archived=REPORT, shelves=SHELVES)

    told = {
        (sample.name, *sample.labels.values()): sample.value
        for each in _of_archives(standing)
        for sample in each.samples
    }

    assert told == {
        ("holdfast_archive_timestamp_seconds",): NOW_US / 1e6,
        ("holdfast_archive_units",): 31,
        ("holdfast_archive_stopped",): 1,
        ("holdfast_archive_due_seconds",): 7,
        ("holdfast_archive_region_units", "a"): 2,
        ("holdfast_archive_region_units", "b"): 0,
        ("holdfast_archive_region_bytes", "a"): 5070,
        ("holdfast_archive_region_bytes", "b"): 0,
        ("holdfast_archive_region_spoilt_units", "a"): 0,
        ("holdfast_archive_region_spoilt_units", "b"): 1,
        ("holdfast_archive_lacking_units", "a"): 0,
        ("holdfast_archive_lacking_units", "b"): 1,
        ("holdfast_archive_lacking_units", "c"): 0,
    }


def test_figures_say_what_was_to_go_and_stays() -> None:
    swept = SweepReport(1, NOW_US, (Swept("2026-11-20", "b", 9, 90, 3, "locked"),), ())
    gone = Expiring("2026-11-20", "brief", "", 1, 2, 0, True, left=(("c", "it refuses"),))
    late = Expiring("2026-11-21", "debug", "", 1, 2, NOW_US - 9_000_000, False)
    expired = RetentionReport(1, NOW_US, None, (gone, late), unread=("7",))

    told = {
        (sample.name.removeprefix("holdfast_"), *sample.labels.values()): sample.value
        for each in _of_leaving(structs.replace(WELL, swept=swept, expired=expired))
        for sample in each.samples
    }

    assert {key for key, value in told.items() if value == 0} == {
        *(("sweep_left_segments", id) for id in "ac"),
        *(("retention_left_classes", id) for id in "ab"),
        ("retention_stopped",),
        ("retention_overdue_seconds", "brief"),
    }
    assert (told["retention_overdue_seconds", "debug"], told[("holds_unread",)]) == (9, 1)
    assert told["sweep_left_segments", "b"] == 3
    assert told["retention_left_classes", "c"] == told[("retention_floors",)] == 1


def test_the_status_says_why() -> None:
    found = _archive(REPORT)

    assert isinstance(found, ArchiveShape)
    assert (found.units, found.lacking) == (31, {"b": 1})
    assert (found.waiting, found.trouble) == ("tomorrow", "segment 3 cannot be read")
