"""How restores went is told: in figures, and in the status."""

from msgspec import structs

from holdfast.restore.choice import Tried
from holdfast.restore.restorer import HOUR_US, RestoreReport
from holdfast.serve.status import _restores
from holdfast.watch.metrics import _of_restores
from tests.watch.standings import NOW_US

REPORT = RestoreReport(
    every_us=2 * HOUR_US,
    runs={("a", "good"): 7, ("b", "failed"): 1},
    size_bytes={"a": 1000},
    places={"a": {"2026-03-01": Tried(5, 5)}, "b": {"2026-03-01": Tried(9, 4_000_000, why="gone")}},
    oldest_us={"a": NOW_US - HOUR_US, "b": NOW_US - 3 * HOUR_US},
    allowed_us=72 * HOUR_US,
)


def test_figures_say_what_came_back_and_what_did_not() -> None:
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for each in _of_restores(REPORT, NOW_US)
        for sample in each.samples
    }

    assert told == {
        ("holdfast_restores_total", "a", "good"): 7,
        ("holdfast_restores_total", "b", "failed"): 1,
        ("holdfast_restored_bytes_total", "a"): 1000,
        ("holdfast_restore_timestamp_seconds", "a"): 5e-6,
        ("holdfast_restore_timestamp_seconds", "b"): 4,
        ("holdfast_restore_oldest_seconds", "a"): 3600,
        ("holdfast_restore_oldest_seconds", "b"): 3 * 3600,
        ("holdfast_restore_allowed_seconds",): 72 * 3600,
        ("holdfast_restore_failed_days", "a"): 0,
        ("holdfast_restore_failed_days", "b"): 1,
    }


def test_nothing_is_told_before_the_first_one() -> None:
    assert [each.samples for each in _of_restores(RestoreReport(HOUR_US), NOW_US)] == [[]] * 6


def test_the_status_says_which_day_does_not_come_back() -> None:
    found = _restores(structs.replace(REPORT, every_us=HOUR_US))

    assert (found.hours, found.allowed_seconds) == (1, 72 * 3600)
    assert [(each.region, [f.day for f in each.failed]) for each in found.regions] == [
        ("a", []),
        ("b", ["2026-03-01"]),
    ]
